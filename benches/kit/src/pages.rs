//! Tables of prepared pages. A table called `<name>-<n>` has `n` pages of about 1 MB, of which only so many are different as
//! fit into memory; answers are put together from prepared bytes, so that the stub costs little beside what it serves.

use crate::items::append_item;
use bytes::Bytes;
use crc32fast::Hasher;
use flate2::{Compress, Compression, FlushCompress};

/// Bytes of text of one page.
pub(crate) const PAGE_BYTES: usize = 1024 * 1024;

/// Items and what an answer needs to know of them.
pub struct Page {
    /// The items, with commas between them.
    text: String,
    /// Where each item ends in the text.
    ends: Vec<usize>,
    /// The answer up to the closing bracket of the items.
    plain: Bytes,
    plain_crc: Hasher,
    /// The same as a deflate stream that can be continued.
    deflated: Option<Bytes>,
}

/// All different pages.
pub struct Pages(Vec<Page>);

/// Which part of a table is asked for.
#[derive(Clone, Copy)]
pub struct Place {
    pub page: u64,
    /// The first item of the page.
    pub item: usize,
    /// The page behind the last one of the segment.
    pub end: u64,
    /// Items wanted at most.
    pub limit: usize,
}

/// A body, with the checksum of what travels.
pub struct Answer {
    pub chunks: Vec<Bytes>,
    pub crc: u32,
    pub units: f64,
}

impl Pages {
    /// Prepares `distinct` pages, compressed too if `gzip`.
    #[must_use]
    pub fn prepare(distinct: u64, gzip: bool) -> Self {
        let mut number = 0;
        Self((0..distinct.max(1)).map(|_| Page::prepare(&mut number, gzip)).collect())
    }

    fn page(&self, number: u64) -> &Page {
        let index = usize::try_from(number % self.0.len() as u64).unwrap_or(0);
        &self.0[index]
    }

    /// Items and bytes of a table of so many pages.
    #[must_use]
    pub fn size(&self, pages: u64) -> (u64, u64) {
        let sum = |count: u64, page: &Page| (count * page.ends.len() as u64, count * page.text.len() as u64);
        let (rounds, rest) = (pages / self.0.len() as u64, pages % self.0.len() as u64);
        let counts = self.0.iter().zip(0..).map(|(page, index)| sum(rounds + u64::from(index < rest), page));

        counts.fold((0, 0), |all, one| (all.0 + one.0, all.1 + one.1))
    }

    /// The answer to a Scan.
    #[must_use]
    pub fn answer(&self, place: Place, gzip: bool) -> Answer {
        let page = self.page(place.page);
        let until = place.item.saturating_add(place.limit).min(page.ends.len());
        let next = if until < page.ends.len() { (place.page, until) } else { (place.page + 1, 0) };
        let next = (next.0 < place.end).then_some(next);
        if place.item == 0 && until == page.ends.len() {
            return page.whole(next, gzip);
        }

        page.part(place.item, until, next)
    }
}

impl Page {
    fn prepare(number: &mut u64, gzip: bool) -> Self {
        let mut text = String::with_capacity(PAGE_BYTES + 1024);
        let mut ends = Vec::new();
        while text.len() < PAGE_BYTES {
            if !text.is_empty() {
                text.push(',');
            }

            append_item(*number, &mut text);
            ends.push(text.len());
            *number += 1;
        }

        let plain = Bytes::from(format!(r#"{{"Count":{0},"ScannedCount":{0},"Items":[{text}]"#, ends.len()));
        let mut plain_crc = Hasher::new();
        plain_crc.update(&plain);
        let deflated = gzip.then(|| deflate(&plain));

        Self { text, ends, plain, plain_crc, deflated }
    }

    fn whole(&self, next: Option<(u64, usize)>, gzip: bool) -> Answer {
        let units = units(self.text.len());
        let tail = tail(next, units);
        let mut crc = self.plain_crc.clone();
        crc.update(tail.as_bytes());
        let crc = crc.finalize();
        match self.deflated.as_ref().filter(|_| gzip) {
            None => Answer { chunks: vec![self.plain.clone(), Bytes::from(tail)], crc, units },
            Some(deflated) => {
                let length = self.plain.len() + tail.len();
                let ending = gzip_ending(tail.as_bytes(), crc, length);
                let chunks = vec![Bytes::from_static(&GZIP_HEAD), deflated.clone(), ending];
                let mut crc = Hasher::new();
                for chunk in &chunks {
                    crc.update(chunk);
                }

                Answer { chunks, crc: crc.finalize(), units }
            }
        }
    }

    fn part(&self, from: usize, until: usize, next: Option<(u64, usize)>) -> Answer {
        let start = if from == 0 { 0 } else { self.ends[from - 1] + 1 };
        let end = if until == 0 { 0 } else { self.ends[until - 1] };
        let items = self.text.get(start..end).unwrap_or_default();
        let units = units(items.len());
        let (count, tail) = (until - from, tail(next, units));
        let body = Bytes::from(format!(r#"{{"Count":{count},"ScannedCount":{count},"Items":[{items}]{tail}"#));

        Answer { crc: crc32fast::hash(&body), chunks: vec![body], units }
    }
}

/// Read units of eventually consistent reads of so many bytes.
pub(crate) fn units(bytes: usize) -> f64 {
    let blocks = u32::try_from(bytes.div_ceil(4096)).unwrap_or(u32::MAX);
    f64::from(blocks) / 2.0
}

/// What stands behind the items. The key is opaque to whoever scans.
pub(crate) fn tail(next: Option<(u64, usize)>, units: f64) -> String {
    let key = next.map_or_else(String::new, |(page, item)| {
        format!(r#","LastEvaluatedKey":{{"customer":{{"S":"{page}"}},"order":{{"S":"{item}"}}}}"#)
    });
    format!(r#","ConsumedCapacity":{{"TableName":"bench","CapacityUnits":{units:.1}}}{key}}}"#)
}

const GZIP_HEAD: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];

fn deflate(plain: &[u8]) -> Bytes {
    let mut out = Vec::with_capacity(plain.len());
    Compress::new(Compression::fast(), false)
        .compress_vec(plain, &mut out, FlushCompress::Sync)
        .expect("there is room for it");
    Bytes::from(out)
}

/// The last bytes of the content in a stored block, then gzip's own end.
fn gzip_ending(content: &[u8], crc: u32, length: usize) -> Bytes {
    let stored = u16::try_from(content.len()).expect("the tail of an answer is short");
    let mut out = vec![1];
    out.extend_from_slice(&stored.to_le_bytes());
    out.extend_from_slice(&(!stored).to_le_bytes());
    out.extend_from_slice(content);
    out.extend_from_slice(&crc.to_le_bytes());
    out.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes());

    Bytes::from(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    fn text(answer: &Answer) -> String {
        String::from_utf8(answer.chunks.concat()).expect("text")
    }

    #[test]
    fn parts_and_wholes_hold_the_same_items() {
        let pages = Pages::prepare(2, false);
        let mut place = Place { page: 0, item: 0, end: 3, limit: usize::MAX };
        let count = |answer: &Answer| {
            let body: serde_json::Value = serde_json::from_str(&text(answer)).expect("JSON");
            assert_eq!(body["Count"].as_u64(), body["Items"].as_array().map(|items| items.len() as u64));
            let last = &body["LastEvaluatedKey"];
            let number = |name: &str| last[name]["S"].as_str().and_then(|text| text.parse::<u64>().ok());
            (body["Count"].as_u64().unwrap_or(0), number("customer").zip(number("order")))
        };

        let mut whole = 0;
        let mut steps = Some((0, 0));
        while let Some((page, _)) = steps {
            place.page = page;
            let (items, next) = count(&pages.answer(place, false));
            (whole, steps) = (whole + items, next);
        }

        assert_eq!(whole, pages.size(3).0);
        let mut parts = 0;
        let mut steps = Some((0, 0));
        while let Some((page, item)) = steps {
            place = Place { page, item: usize::try_from(item).expect("small"), limit: 700, ..place };
            let (items, next) = count(&pages.answer(place, false));
            (parts, steps) = (parts + items, next);
        }

        assert_eq!(parts, whole);
    }

    #[test]
    fn gzip_says_the_same() {
        let pages = Pages::prepare(1, true);
        let place = Place { page: 0, item: 0, end: 2, limit: usize::MAX };
        let mut unpacked = String::new();
        let packed = pages.answer(place, true);
        let bytes = packed.chunks.concat();
        assert_eq!(crc32fast::hash(&bytes), packed.crc);
        flate2::read::GzDecoder::new(&*bytes).read_to_string(&mut unpacked).expect("gzip");
        let plain = pages.answer(place, false);
        assert_eq!(unpacked, text(&plain));
        assert_eq!(crc32fast::hash(unpacked.as_bytes()), plain.crc);
    }
}
