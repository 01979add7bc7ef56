//! Decompresses response bodies, within bounds.

use std::io::Read;
use std::sync::LazyLock;

use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use tokio::sync::Semaphore;

use super::buffers::{into_shared_bytes, take_buffer};
use super::error::RequestError;
use crate::limits::cores;

/// Limits concurrent decompressions to one per core: more threads would not be faster, and each
/// needs its own memory.
static DECOMPRESSION_SLOTS: LazyLock<Semaphore> = LazyLock::new(|| Semaphore::new(cores().get()));

/// Whether a `Content-Encoding` is gzip.
pub(crate) fn is_gzip(encoding: Option<&str>) -> bool {
    encoding.is_some_and(|encoding| {
        encoding.eq_ignore_ascii_case("gzip") || encoding.eq_ignore_ascii_case("x-gzip")
    })
}

/// Decompresses a body of at most `max_bytes` on the blocking pool, because it takes milliseconds.
pub(crate) async fn decompress(body: Bytes, max_bytes: usize) -> Result<Bytes, RequestError> {
    let permit = DECOMPRESSION_SLOTS.acquire().await;
    let decompressing = tokio::task::spawn_blocking(move || {
        let _held = permit;
        decompress_within(max_bytes, &body)
    });
    decompressing.await.map_err(|error| {
        RequestError::damaged_response("decompression was interrupted").with_source(error)
    })?
}

/// Decompresses at most `max_bytes`, regardless of the length that the body declares.
fn decompress_within(max_bytes: usize, body: &[u8]) -> Result<Bytes, RequestError> {
    let mut text = take_buffer(declared_length(body).min(max_bytes));
    // Several gzip members in one body are allowed. Reading one byte more than the maximum detects
    // oversized bodies.
    let mut decompressing = MultiGzDecoder::new(body).take(max_bytes as u64 + 1);
    decompressing.read_to_end(&mut text).map_err(|error| {
        RequestError::damaged_response("the compressed response is damaged").with_source(error)
    })?;

    if text.len() > max_bytes {
        return Err(RequestError::oversized_response(max_bytes));
    }

    Ok(into_shared_bytes(text))
}

/// The uncompressed length that a gzip body declares in its last four bytes (RFC 1952). It is
/// limited to the maximum compression ratio of gzip, because the length decides how much memory is
/// allocated.
fn declared_length(body: &[u8]) -> usize {
    const MAX_RATIO: usize = 1032;

    let declared = body
        .last_chunk()
        .map_or(0, |last| u32::from_le_bytes(*last) as usize);
    declared.min(body.len().saturating_mul(MAX_RATIO))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use proptest::prelude::*;

    use super::*;
    use crate::limits::RESPONSE_BYTES;

    fn gzipped(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn compressed_text_is_restored(text in proptest::collection::vec(any::<u8>(), 0..5000), parts in 1_usize..3) {
            let body = gzipped(&text).repeat(parts);
            prop_assert_eq!(decompress_within(RESPONSE_BYTES, &body).unwrap(), text.repeat(parts));
        }

        #[test]
        fn truncated_or_extended_bodies_are_damaged(text in "[a-z]{0,200}", at in any::<prop::sample::Index>(), tail in 1_u8..) {
            let body = gzipped(text.as_bytes());
            prop_assert!(at.index(body.len()) == 0 || decompress_within(RESPONSE_BYTES, &body[..at.index(body.len())]).is_err());
            prop_assert!(decompress_within(RESPONSE_BYTES, &[body, vec![tail]].concat()).is_err());
        }

        #[test]
        fn arbitrary_bytes_do_not_panic(body in proptest::collection::vec(any::<u8>(), 0..300)) {
            drop(decompress_within(RESPONSE_BYTES, &body));
        }
    }

    #[test]
    fn a_decompression_bomb_is_not_retried() {
        let body = gzipped(&[b' '; 10_001]);
        let error = decompress_within(10_000, &body).unwrap_err();
        assert!(!error.is_retryable(), "{}", error.message);
        assert_eq!(decompress_within(10_001, &body).unwrap().len(), 10_001);
    }
}
