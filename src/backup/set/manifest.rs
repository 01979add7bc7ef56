//! `dump-set.json`: the tables of a set, what the last run did with them, and the digests of their dumps.
//!
//! `docs/FORMAT.md` is normative. The folder of a table is never taken from the document unchecked: it is one of the two names that
//! follow from the name of the table.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::backup::format::{FORMAT_VERSION, METADATA_FILE, OLD_SUFFIX, is_dump_file};
use crate::backup::metadata::{Metadata, MetadataFile, newer_format, parse};
use crate::backup::sealed::{is_intact, to_sealed_json};
use crate::error::{Error, Result};
use crate::place::digest::hex_sha256;
use crate::place::local::names::{JOURNAL_SUFFIX, LOCK_SUFFIX, PARTIAL_SUFFIX};
use crate::place::local::untrusted::read_document;

/// The file that lists the tables of a set.
pub const SET_FILE: &str = "dump-set.json";

/// Suffix of the rejects of a member, which are next to it.
const REJECTS_SUFFIX: &str = ".rejects.jsonl";

/// Suffixes of the files and folders next to a member while it is written.
pub(crate) const SIDE_SUFFIXES: [&str; 5] = [
    PARTIAL_SUFFIX,
    OLD_SUFFIX,
    LOCK_SUFFIX,
    JOURNAL_SUFFIX,
    REJECTS_SUFFIX,
];

/// Maximum length of a table name that is used as the name of its folder. Longer names leave no space for suffixes.
const PLAIN_NAME_BYTES: usize = 200;

/// Bytes of a table name that are kept in an escaped folder name.
const ESCAPED_NAME_BYTES: usize = 64;

/// The content of `dump-set.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetManifest {
    /// The format's version; see [`FORMAT_VERSION`].
    pub format_version: u32,
    /// Version of the program that wrote the set.
    pub tool_version: String,
    /// Name of the environment.
    pub environment: String,
    /// The region.
    pub region: Option<String>,
    /// The endpoint; `None` for the region's default.
    pub endpoint: Option<String>,
    /// Start of the last run. A run that resumes another one has its start.
    pub started_at: DateTime<Utc>,
    /// End of the last run; `None` while it runs, and if it was interrupted.
    pub finished_at: Option<DateTime<Utc>>,
    /// Digest of the options of the last run. Only a run with the same ones resumes it.
    pub options_sha256: String,
    /// The tables, by name.
    pub tables: BTreeMap<String, SetMember>,
}

/// One table of a set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetMember {
    /// Name of its folder.
    pub folder: String,
    /// What the last run did with it.
    pub status: MemberStatus,
    /// Why the last run could not dump the table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Its dump: that of the last run, or of an earlier one if the last run did not dump the table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dump: Option<MemberDump>,
}

/// What the last run did with a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MemberStatus {
    /// Dumped.
    Dumped,
    /// Could not be dumped. A dump of an earlier run is kept.
    Failed,
    /// Not reached yet.
    Pending,
    /// Not selected. The dump of an earlier run is kept.
    NotSelected,
}

/// The dump of a table of a set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberDump {
    /// When reading ended.
    pub finished_at: DateTime<Utc>,
    /// Number of items.
    pub items: u64,
    /// Bytes of item text.
    pub data_bytes: u64,
    /// Whether the dump is of the whole table.
    pub complete: bool,
    /// SHA-256 of `table-metadata.json`.
    pub metadata_sha256: String,
}

impl SetManifest {
    /// Reads the manifest in `folder`; `None` if there is none.
    ///
    /// # Errors
    /// [`Damaged`](crate::error::ErrorKind::Damaged): it was changed after it was written, is of a newer format, or names a folder that
    /// does not belong to its table.
    pub(crate) fn read(folder: &Path) -> Result<Option<Self>> {
        let path = folder.join(SET_FILE);
        let Some(document) = read_document(&path)? else {
            return Ok(None);
        };

        Self::parse(&document, &path.display().to_string()).map(Some)
    }

    fn parse(document: &[u8], shown: &str) -> Result<Self> {
        let version = serde_json::from_slice::<Value>(document)
            .map_err(|error| damaged(format!("`{shown}` is not JSON")).with_source(error))?
            .get("format_version")
            .and_then(Value::as_u64);
        if let Some(newer) = version.filter(|version| *version > u64::from(FORMAT_VERSION)) {
            return Err(newer_format(shown, newer));
        }

        if !is_intact(document) {
            return Err(damaged(format!(
                "`{shown}` was changed after it was written: its digest does not match"
            )));
        }

        let manifest: Self = serde_json::from_slice(document).map_err(|error| {
            damaged(format!(
                "`{shown}` does not list the tables of a set: {error}"
            ))
            .with_source(error)
        })?;
        let wrong = manifest
            .tables
            .iter()
            .find(|(table, member)| !is_folder_of(&member.folder, table));
        if let Some((table, member)) = wrong {
            return Err(damaged(format!(
                "`{shown}` names the folder {:?} for table {table:?}, which is not its folder",
                member.folder
            )));
        }

        Ok(manifest)
    }

    /// The document, its digest included.
    pub(crate) fn to_document(&self) -> Result<Vec<u8>> {
        to_sealed_json(self)
    }

    /// Whether the last run was interrupted or could not dump all tables.
    #[must_use]
    pub fn is_unfinished(&self) -> bool {
        self.finished_at.is_none() || self.tables.values().any(SetMember::is_unfinished)
    }

    /// The folders of the tables.
    pub(crate) fn folders(&self) -> impl Iterator<Item = &str> {
        self.tables.values().map(|member| member.folder.as_str())
    }
}

impl SetMember {
    pub(crate) fn is_pending(&self) -> bool {
        self.status == MemberStatus::Pending
    }

    fn is_unfinished(&self) -> bool {
        matches!(self.status, MemberStatus::Failed | MemberStatus::Pending)
    }
}

impl MemberDump {
    /// Describes the dump in `folder`; `None` if it has no intact metadata, or is of another table.
    pub(crate) fn read(folder: &Path, table: &str) -> Option<(Self, Metadata)> {
        let document = read_document(&folder.join(METADATA_FILE)).ok()??;
        let Ok(MetadataFile::Own(metadata)) = parse(&document, "") else {
            return None;
        };

        let dump = Self {
            finished_at: metadata.finished_at,
            items: metadata.items,
            data_bytes: metadata.data_bytes,
            complete: metadata.complete,
            metadata_sha256: hex_sha256(&document),
        };

        (metadata.table == table).then_some((dump, *metadata))
    }
}

fn damaged(what: String) -> Error {
    Error::damaged(what).with_hint(
        "the dump of each table is in its own folder and can be checked and restored from there",
    )
}

/// The folders for `tables` in a set with the folders of `previous`, which do not change.
pub(crate) fn assign_folders(
    previous: Option<&SetManifest>,
    tables: &[String],
) -> BTreeMap<String, String> {
    let known: BTreeMap<String, String> = previous
        .iter()
        .flat_map(|manifest| &manifest.tables)
        .map(|(table, member)| (table.clone(), member.folder.clone()))
        .collect();

    // Some file systems do not distinguish upper case and lower case.
    let mut taken: BTreeSet<String> = known.values().map(|name| name.to_lowercase()).collect();
    let mut folders = known;
    for table in tables {
        if folders.contains_key(table) {
            continue;
        }

        let folder = if is_usable_name(table) && !taken.contains(&table.to_lowercase()) {
            table.clone()
        } else {
            escaped(table)
        };
        taken.insert(folder.to_lowercase());
        folders.insert(table.clone(), folder);
    }

    folders
}

fn is_folder_of(folder: &str, table: &str) -> bool {
    (folder == table && is_usable_name(table)) || (is_table_name(table) && folder == escaped(table))
}

fn is_table_name(name: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    !name.is_empty() && name.len() <= 255 && name.bytes().all(is_allowed)
}

/// Whether the name of a table can be the name of its folder: neither reserved nor hidden nor too long.
fn is_usable_name(table: &str) -> bool {
    let name = table.to_lowercase();
    is_table_name(table)
        && table.len() <= PLAIN_NAME_BYTES
        && !name.starts_with('.')
        && name != SET_FILE
        && !is_dump_file(name.as_ref())
        && !SIDE_SUFFIXES.iter().any(|suffix| name.ends_with(suffix))
}

/// A folder name that no other table has. Table names do not contain `%`.
fn escaped(table: &str) -> String {
    let start = &table[..table.len().min(ESCAPED_NAME_BYTES)];
    format!("{start}%{}", &hex_sha256(table.as_bytes())[..16])
}

#[cfg(test)]
pub(crate) mod testing {
    use super::*;

    /// A finished set of these tables, each in the folder of its name.
    pub(crate) fn manifest(tables: &[&str]) -> SetManifest {
        let named = |table: &&str| ((*table).to_owned(), (*table).to_owned());
        with_folders(&tables.iter().map(named).collect())
    }

    pub(super) fn with_folders(folders: &BTreeMap<String, String>) -> SetManifest {
        let member = |folder: &String| SetMember {
            folder: folder.clone(),
            status: MemberStatus::Dumped,
            error: None,
            dump: None,
        };
        SetManifest {
            format_version: FORMAT_VERSION,
            tool_version: "0.1.0".to_owned(),
            environment: "prod".to_owned(),
            region: Some("eu-west-1".to_owned()),
            endpoint: None,
            started_at: DateTime::UNIX_EPOCH,
            finished_at: Some(DateTime::UNIX_EPOCH),
            options_sha256: "00".repeat(32),
            tables: folders
                .iter()
                .map(|(table, folder)| (table.clone(), member(folder)))
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::testing::with_folders as manifest;
    use super::*;
    use crate::error::ErrorKind;

    fn names(tables: &[&str]) -> Vec<String> {
        tables.iter().map(|&table| table.to_owned()).collect()
    }

    fn one(table: &str, folder: &str) -> SetManifest {
        manifest(&BTreeMap::from([(table.to_owned(), folder.to_owned())]))
    }

    #[test]
    fn a_manifest_reads_back_as_it_was_written() {
        let written = one("films", "films");
        let document = written.to_document().unwrap();
        assert_eq!(SetManifest::parse(&document, "x").unwrap(), written);
    }

    #[test]
    fn a_changed_or_newer_manifest_is_refused() {
        let document = one("films", "films").to_document().unwrap();
        let text = String::from_utf8(document).unwrap();
        for changed in [
            text.replace("prod", "dev"),
            text.replace("\"format_version\": 1", "\"format_version\": 2"),
            text.trim_end().to_owned(),
            "{}".to_owned(),
            String::new(),
        ] {
            let error = SetManifest::parse(changed.as_bytes(), "x").unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Damaged, "{changed}");
        }
    }

    #[test]
    fn a_folder_that_does_not_belong_to_its_table_is_refused() {
        for (table, folder) in [
            ("films", "../films"),
            ("films", "/etc"),
            ("films", "."),
            ("films", ""),
            ("films", "actors"),
            ("films", "films%0000000000000000"),
            ("..", ".."),
            ("../x", "../x"),
            ("a/b", "a/b"),
            ("x.partial", "x.partial"),
            ("dump-set.json", "dump-set.json"),
        ] {
            let document = one(table, folder).to_document().unwrap();
            let error = SetManifest::parse(&document, "x").unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Damaged, "{table} {folder}");
        }

        for table in ["films", "a.b-c_D9", "x.partial"] {
            let document = one(table, &escaped(table)).to_document().unwrap();
            assert!(SetManifest::parse(&document, "x").is_ok(), "{table}");
        }
    }

    #[test]
    fn tables_have_folders_of_their_own_name_unless_it_is_reserved_or_taken() {
        let long = "x".repeat(255);
        let tables = names(&[
            "Films",
            "actors",
            "films",
            "dump-set.json",
            "Dump-Set.json",
            "a.partial",
            "a.LOCK",
            "a.rejects.jsonl",
            "a.jsonl",
            "table-data.json",
            ".hidden",
            "...",
            &long,
        ]);
        let folders = assign_folders(None, &tables);
        let plain: Vec<_> = folders
            .iter()
            .filter(|(table, folder)| table == folder)
            .map(|(table, _)| table.as_str())
            .collect();
        assert_eq!(plain, ["Films", "a.jsonl", "actors"]);

        let distinct: BTreeSet<_> = folders.values().map(|name| name.to_lowercase()).collect();
        assert_eq!(distinct.len(), tables.len());
        for (table, folder) in &folders {
            assert!(is_folder_of(folder, table), "{table} {folder}");
            assert!(folder.len() < 210, "{folder}");
        }
    }

    #[test]
    fn a_table_keeps_its_folder_when_others_are_added() {
        let first = assign_folders(None, &names(&["films"]));
        let before = manifest(&first);
        let second = assign_folders(Some(&before), &names(&["FILMS", "films"]));
        assert_eq!(second["films"], "films");
        assert_eq!(second["FILMS"], escaped("FILMS"));

        let reversed = assign_folders(Some(&manifest(&second)), &names(&["films", "FILMS"]));
        assert_eq!(reversed, second);
    }
}
