//! A journal of records that are appended one by one, such as the tables that a run for several tables has finished.
//!
//! It begins like any journal, with a head that has the digest of the first line. Each further line is
//! a record after its own digest. Where a digest does not match, a write was cut short: that line and
//! all after it do not count.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use super::digest::hex_sha256;
use super::journal_file::{DIGEST_LEN, JournalFile, LockedJournal, head};
use super::local::files::{io_error, open_to_append};
use crate::error::{Error, Result};

/// The first line of a journal, and its records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedLines {
    /// The line that it was begun with.
    pub first: Vec<u8>,
    /// The records, in the order in which they were appended.
    pub records: Vec<Vec<u8>>,
}

impl JournalFile {
    /// Reads a journal of records, if there is one.
    ///
    /// # Errors
    /// [`Damaged`](crate::error::ErrorKind::Damaged): its first line is damaged, or it is of another version; an I/O error.
    pub fn read_lines(&self) -> Result<Option<RecordedLines>> {
        let Some((path, document)) = self.read_document()? else {
            return Ok(None);
        };

        let mut lines = document.split_inclusive(|&byte| byte == b'\n');
        let (found, first) = (lines.next(), lines.next().unwrap_or_default());
        if found != Some(head(first).as_bytes()) {
            return Err(Error::damaged(format!(
                "the journal `{}` is damaged or of another version",
                path.display()
            )));
        }

        Ok(Some(RecordedLines {
            first: first.to_vec(),
            records: lines.map_while(record_of).map(<[u8]>::to_vec).collect(),
        }))
    }
}

impl LockedJournal {
    /// Replaces the journal atomically by one with these lines, to which records can be appended. It is on disk when this returns.
    ///
    /// # Errors
    /// See [`write`](Self::write); the file cannot be opened.
    pub fn begin_lines(&self, lines: &RecordedLines) -> Result<JournalLines> {
        let mut document = head(&lines.first).into_bytes();
        document.extend_from_slice(&lines.first);
        lines
            .records
            .iter()
            .for_each(|record| document.extend(line_of(record)));

        let path = self.write_document(&document)?;
        let file = open_to_append(&path).map_err(|error| io_error("open", &path, error))?;

        Ok(JournalLines {
            path,
            file,
            is_cut_short: Mutex::new(false),
        })
    }
}

/// A journal of records that is being written.
#[derive(Debug)]
pub struct JournalLines {
    path: PathBuf,
    file: File,
    /// Whether a record was written in part: what follows it would not count.
    is_cut_short: Mutex<bool>,
}

impl JournalLines {
    /// Appends a record, which must not contain a line break. A process that is killed after this does not lose it, but a power
    /// failure before [`sync`](Self::sync) may.
    ///
    /// # Errors
    /// An I/O error, now or of an earlier record.
    pub fn append(&self, record: &[u8]) -> Result<()> {
        let mut is_cut_short = self
            .is_cut_short
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if *is_cut_short {
            return Err(Error::failed(format!(
                "an earlier record in `{}` was not written whole",
                self.path.display()
            )));
        }

        let written = (&self.file).write_all(&line_of(record));
        *is_cut_short = written.is_err();

        written.map_err(|error| io_error("write", &self.path, error))
    }

    /// Brings all records so far to disk.
    ///
    /// # Errors
    /// An I/O error.
    pub fn sync(&self) -> Result<()> {
        // The length belongs to the data.
        let synced = self.file.sync_data();
        synced.map_err(|error| io_error("sync", &self.path, error))
    }
}

fn line_of(record: &[u8]) -> Vec<u8> {
    [hex_sha256(record).as_bytes(), b" ", record, b"\n"].concat()
}

/// The record in a line; `None` if its digest does not match.
fn record_of(line: &[u8]) -> Option<&[u8]> {
    let (digest, record) = line.strip_suffix(b"\n")?.split_at_checked(DIGEST_LEN)?;
    let record = record.strip_prefix(b" ")?;

    (hex_sha256(record).as_bytes() == digest).then_some(record)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, OpenOptions};

    use super::super::local::files::replace_file;
    use super::*;

    fn lines(first: &str, records: &[&str]) -> RecordedLines {
        RecordedLines {
            first: format!("{first}\n").into_bytes(),
            records: records.iter().map(|&record| record.into()).collect(),
        }
    }

    #[test]
    fn records_are_read_in_their_order_until_the_first_that_was_cut_short() {
        let dir = tempfile::tempdir().unwrap();
        let file = JournalFile::in_state_dir(dir.path(), "set");
        assert_eq!(file.read_lines().unwrap(), None);

        let locked = file.clone().lock().unwrap();
        let begun = locked.begin_lines(&lines("set", &["a"])).unwrap();
        begun.append(b"b").unwrap();
        begun.append(b"c").unwrap();
        begun.sync().unwrap();
        let expected = lines("set", &["a", "b", "c"]);
        assert_eq!(file.read_lines().unwrap().unwrap(), expected);

        let path = dir.path().join("set.journal");
        let whole = fs::read(&path).unwrap();
        for length in 1..=DIGEST_LEN + 3 {
            let cut = OpenOptions::new().write(true).open(&path).unwrap();
            cut.set_len((whole.len() - length) as u64).unwrap();
            let found = file.read_lines().unwrap().unwrap();
            assert_eq!(found, lines("set", &["a", "b"]), "{length} bytes less");
        }

        // What follows a damaged record may be anything.
        let mut damaged = whole.clone();
        let at = whole.len() - 2 * (DIGEST_LEN + 3);
        damaged[at] ^= 1;
        replace_file(&path, &damaged).unwrap();
        assert_eq!(file.read_lines().unwrap().unwrap(), lines("set", &["a"]));

        damaged = whole;
        damaged[30] ^= 1;
        replace_file(&path, &damaged).unwrap();
        let error = file.read_lines().unwrap_err();
        assert!(error.to_string().contains("set.journal"), "{error}");

        locked.begin_lines(&lines("new", &[])).unwrap();
        assert_eq!(file.read_lines().unwrap().unwrap(), lines("new", &[]));
    }
}
