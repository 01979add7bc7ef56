//! The checkpoint of a restore: how far it has come, kept beside its marker so that a later run can go on from there.
//!
//! It says below which offset of each lane every item is settled, what became of the items below, and how long the files of
//! rejects and conflicts were then. It is written whole, after those files are on disk. It holds for one dump (the digest of
//! its data), one table (its id, which a table made anew does not have), and the options that decide what is written.

use std::path::Path;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::OnConflict;
use super::ledger::Counts;
use super::marker::table_id;
use super::rejects::RejectPlaces;
use crate::backup::{self, Source, Stripe};
use crate::error::{Error, Result};
use crate::item::KeySchema;
use crate::place;
use crate::schema::TableSchema;

/// Raised when an older program would misread a checkpoint.
const VERSION: u32 = 3;

/// Stripes of one dump at most.
const STRIPES: u64 = 8;

/// How the data is read, and how far that has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Lanes {
    /// In one piece, in the order of the file.
    Whole { mark: u64 },
    /// In stripes side by side.
    Stripes(Vec<Striped>),
}

/// One stripe and its mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Striped {
    #[serde(flatten)]
    pub(crate) stripe: Stripe,
    pub(crate) mark: u64,
}

impl Lanes {
    /// How to read `source` into a table with this key. In stripes only where the order of items cannot matter: the keys of a
    /// Scan that nobody has changed since are different ones. With `changes` they are changed on the way.
    pub(crate) fn of(source: &Source, key: &KeySchema, changes: bool) -> Result<Self> {
        let has_key = source
            .schema()
            .and_then(|schema| schema.key_schema().ok())
            .is_some_and(|own| own == *key);
        let stripes = if is_scan(source) && has_key && !changes {
            source.stripes(STRIPES)?
        } else {
            None
        };

        Ok(match stripes {
            Some(stripes) => Self::Stripes(
                stripes
                    .into_iter()
                    .map(|stripe| Striped {
                        stripe,
                        mark: stripe.start,
                    })
                    .collect(),
            ),
            None => Self::Whole { mark: 0 },
        })
    }

    pub(crate) fn marks(&self) -> Vec<u64> {
        match self {
            Self::Whole { mark } => vec![*mark],
            Self::Stripes(stripes) => stripes.iter().map(|striped| striped.mark).collect(),
        }
    }

    fn set_marks(&mut self, marks: impl Iterator<Item = u64>) {
        match self {
            Self::Whole { mark } => marks.for_each(|new| *mark = new),
            Self::Stripes(stripes) => {
                stripes
                    .iter_mut()
                    .zip(marks)
                    .for_each(|(striped, new)| striped.mark = new);
            }
        }
    }
}

/// Whether `source` is a dump by a Scan that nothing has changed since: each of its items is an item of its own.
pub(crate) fn is_scan(source: &Source) -> bool {
    source
        .metadata()
        .is_some_and(|metadata| metadata.route == "scan" && !metadata.transformed)
}

/// A file of lines, as long as it was. Where it is, the plan says and not the checkpoint: the file is cut and overwritten.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Lines {
    pub(crate) bytes: u64,
    pub(crate) count: u64,
}

/// How far a restore has come.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Checkpoint {
    version: u32,
    /// The dump, for people.
    source: String,
    /// SHA-256 of its data file.
    data_sha256: String,
    /// What the table is known by; `None` where the endpoint tells nothing.
    table_id: Option<String>,
    on_conflict: OnConflict,
    salvage: bool,
    /// What tells the transform from others.
    transform: Option<String>,
    pub(crate) lanes: Lanes,
    pub(crate) counts: Counts,
    pub(crate) write_units: f64,
    pub(crate) throttled_calls: u64,
    pub(crate) rejects: Option<Lines>,
    pub(crate) conflicts: Option<Lines>,
    pub(crate) saved_at: DateTime<Utc>,
}

/// What a checkpoint must agree in with a run that goes on from it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    pub(crate) source: String,
    pub(crate) data_sha256: String,
    pub(crate) on_conflict: OnConflict,
    pub(crate) salvage: bool,
    pub(crate) transform: Option<String>,
}

impl Identity {
    /// Why its items are not those of `other`; `None` if they are.
    pub(crate) fn differs_from(&self, other: &Self) -> Option<String> {
        if self.data_sha256 != other.data_sha256 {
            return Some(format!(
                "it was of another dump, or of other contents: {}",
                self.source
            ));
        }

        if self.salvage != other.salvage {
            return Some(format!(
                "it was run {} --salvage",
                if self.salvage { "with" } else { "without" }
            ));
        }

        (self.transform != other.transform).then(|| "it was run with another transform".to_owned())
    }
}

/// A checkpoint in the state directory.
pub(crate) enum Saved {
    /// There is none.
    Nothing,
    /// One of another version of the program.
    OfAnotherVersion,
    Checkpoint(Box<Checkpoint>),
}

impl Checkpoint {
    /// Nothing is done yet.
    pub(crate) fn begin(identity: Identity, lanes: Lanes) -> Self {
        Self {
            version: VERSION,
            source: identity.source,
            data_sha256: identity.data_sha256,
            table_id: None,
            on_conflict: identity.on_conflict,
            salvage: identity.salvage,
            transform: identity.transform,
            lanes,
            counts: Counts::default(),
            write_units: 0.0,
            throttled_calls: 0,
            rejects: None,
            conflicts: None,
            saved_at: Utc::now(),
        }
    }

    /// One that no later run can go on from: standard input cannot be read again.
    pub(crate) fn unkept(lanes: Lanes) -> Self {
        let (source, data_sha256, on_conflict) =
            (String::new(), String::new(), OnConflict::default());
        let identity = Identity {
            source,
            data_sha256,
            on_conflict,
            salvage: false,
            transform: None,
        };

        Self::begin(identity, lanes)
    }

    /// The checkpoint at `path`, if there is one.
    ///
    /// # Errors
    /// It cannot be read.
    pub(crate) fn read(path: &Path) -> Result<Saved> {
        #[derive(Deserialize)]
        struct Versioned {
            version: u32,
        }

        let unreadable = |cause: Box<dyn std::error::Error + Send + Sync>| {
            Error::failed(format!(
                "the checkpoint `{}` of an unfinished restore cannot be read",
                path.display()
            ))
            .with_hint("delete the file to write every item from the beginning")
            .with_source(cause)
        };

        if !path
            .try_exists()
            .map_err(|error| unreadable(error.into()))?
        {
            return Ok(Saved::Nothing);
        }

        let text = backup::read_text(path).map_err(|error| unreadable(error.into()))?;
        let Versioned { version } =
            serde_json::from_str(&text).map_err(|error| unreadable(error.into()))?;
        if version != VERSION {
            return Ok(Saved::OfAnotherVersion);
        }

        let read = serde_json::from_str(&text).map_err(|error| unreadable(error.into()))?;

        Ok(Saved::Checkpoint(read))
    }

    /// Why a run cannot go on from here; `None` if it can.
    pub(crate) fn unfit(
        &self,
        identity: &Identity,
        table: &TableSchema,
        places: &RejectPlaces,
    ) -> Option<String> {
        if let Some(difference) = self.identity().differs_from(identity) {
            return Some(difference);
        }

        if self.table_id != table_id(table) {
            return Some("the table was deleted and created again since".to_owned());
        }

        if self.on_conflict != identity.on_conflict {
            return Some(format!(
                "it was run with --on-conflict {}",
                self.on_conflict.word()
            ));
        }

        places
            .check(self.rejects.as_ref(), self.conflicts.as_ref())
            .err()
            .map(|error| error.to_string())
    }

    /// Why `source` cannot be read from the marks, although it holds the same items.
    pub(crate) fn unreadable(&self, source: &Source) -> Option<String> {
        let has_lanes = match self.lanes {
            Lanes::Whole { .. } => true,
            Lanes::Stripes(_) => source.stripes(1).is_ok_and(|stripes| stripes.is_some()),
        };
        (!has_lanes).then(|| "it read the folder of the dump, not the data file alone".to_owned())
    }

    fn identity(&self) -> Identity {
        Identity {
            source: self.source.clone(),
            data_sha256: self.data_sha256.clone(),
            on_conflict: self.on_conflict,
            salvage: self.salvage,
            transform: self.transform.clone(),
        }
    }

    /// The items go into the table that is known by `table_id`.
    pub(crate) fn set_table(&mut self, table_id: Option<String>) {
        self.table_id = table_id;
    }

    pub(crate) fn set_marks(&mut self, marks: impl Iterator<Item = u64>) {
        self.lanes.set_marks(marks);
    }

    /// Leaves it at `path`, whole and on disk.
    pub(crate) fn save(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_vec(self).map_err(|error| {
            Error::failed("the checkpoint cannot be written").with_source(error)
        })?;
        place::write_marker(path, &text)
    }
}
