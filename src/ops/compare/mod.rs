//! Compares two sets of items, each a dump or a live table: which are equal, missing, different, or too many.
//!
//! Both sides are read once and at the same time. Each item becomes 36 bytes: a hash of its key, a digest of its contents, and the
//! page it came from. The digest is canonical: the order of attributes and of sets and the spelling of numbers do not count. The
//! records are partitioned by key into scratch files and compared partition by partition, so memory stays bounded however large
//! the table is. The few items that are shown are read again afterwards, of a table only the pages they came from.

mod attributes;
mod partitions;
mod side;

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;

pub(crate) use side::{DumpSide, Side, TableSide};

use crate::error::Result;
use crate::event::Reporter;
use crate::item::{KeySchema, Sample};
use crate::ops::run_blocking;
use crate::store::WireBytes;
use partitions::{Tally, Wanted};
use side::{Spilled, Texts};

/// What is cut off when a thread of a comparison does not return.
const COMPARISON: &str = "the comparison";

/// How to compare.
pub(crate) struct CompareContext {
    /// The key of both sides.
    pub(crate) key: KeySchema,
    /// Only keys: items with the same key are equal.
    pub(crate) keys_only: bool,
    /// Compare these keys alone; all if `None`.
    pub(crate) sample: Option<Sample>,
    /// Hears of the items of the target.
    pub(crate) reporter: Arc<dyn Reporter>,
}

/// What is wrong with an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum DifferenceKind {
    /// Only the source has it.
    Missing,
    /// Both have it, with other contents.
    Different,
    /// Only the target has it.
    Extra,
}

/// An attribute that differs. Values are DynamoDB JSON, cut where they are long.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AttributeDifference {
    /// Its name.
    pub name: String,
    /// What the source has; `None` if it has no such attribute.
    pub source: Option<String>,
    /// What the target has; `None` if it has no such attribute.
    pub target: Option<String>,
}

/// An item that is not equal on both sides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Example {
    /// What is wrong with it.
    pub fault: DifferenceKind,
    /// Its key, in DynamoDB JSON.
    pub key: String,
    /// Which of its attributes differ, the first of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub attributes: Vec<AttributeDifference>,
}

/// What a comparison has found.
#[derive(Debug, Default)]
pub(crate) struct Compared {
    /// Items with their own key that are equal.
    pub(crate) equal: u64,
    /// Items that only the source has. Those that were rejected or skipped are not expected in the target.
    pub(crate) missing: u64,
    /// Items with other contents.
    pub(crate) different: u64,
    /// Items that only the target has.
    pub(crate) extra: u64,
    /// Earlier versions of an item that a later line of the source replaces.
    pub(crate) superseded: u64,
    /// Items of the source that have no key of this schema and so cannot be in the target.
    pub(crate) without_key: u64,
    /// The first items of each fault.
    pub(crate) examples: Vec<Example>,
    /// Items read of the source and of the target.
    pub(crate) items: (u64, u64),
    /// Items of the source and of the target that were held against each other: with a usable key, and in the sample.
    pub(crate) held: (u64, u64),
    /// Read units consumed by both.
    pub(crate) read_units: f64,
    /// What travelled of both.
    pub(crate) wire: WireBytes,
}

/// Compares the source with the target.
///
/// # Errors
/// A side cannot be read to its end; the scratch files cannot be written.
pub(crate) async fn compare(
    source: impl Side,
    target: impl Side,
    comparing: &CompareContext,
) -> Result<Compared> {
    let (left, right) = tokio::try_join!(
        source.spill(comparing, false),
        target.spill(comparing, true)
    )?;
    let mut wire = left.wire;
    wire += right.wire;
    let mut compared = Compared {
        without_key: left.without_key,
        items: (left.items, right.items),
        held: (left.held, right.held),
        read_units: left.read_units + right.read_units,
        wire,
        ..Compared::default()
    };

    let (tally, left, right) = run_blocking(COMPARISON, move || {
        Ok((
            partitions::tally(&left.records, left.rejected.as_ref(), &right.records)?,
            left,
            right,
        ))
    })
    .await?;

    compared.superseded = left.held.saturating_sub(tally.source);
    let (examples, again) =
        examples(&tally, (&source, &left), (&target, &right), comparing).await?;
    for texts in again {
        compared.read_units += texts.read_units;
        compared.wire += texts.wire;
    }

    let Tally {
        equal,
        missing,
        different,
        extra,
        ..
    } = tally;

    Ok(Compared {
        equal,
        missing,
        different,
        extra,
        examples,
        ..compared
    })
}

/// Reads the noted items again and tells what is wrong with each, and what was read of both sides. One that has changed meanwhile is
/// left out.
async fn examples<L: Side, R: Side>(
    tally: &Tally,
    (source, left): (&L, &Spilled),
    (target, right): (&R, &Spilled),
    comparing: &CompareContext,
) -> Result<(Vec<Example>, [Texts; 2])> {
    let of = |absent: DifferenceKind, page: fn(&Wanted) -> u32| -> HashMap<u128, u32> {
        let wanted = tally.wanted.iter().filter(|wanted| wanted.fault != absent);
        wanted.map(|wanted| (wanted.key, page(wanted))).collect()
    };
    let (in_source, in_target) = (
        of(DifferenceKind::Extra, |wanted| wanted.source_page),
        of(DifferenceKind::Missing, |wanted| wanted.target_page),
    );
    let (in_source, in_target) = tokio::try_join!(
        source.texts(&in_source, &left.pages, comparing),
        target.texts(&in_target, &right.pages, comparing)
    )?;
    let mut examples: Vec<Example> = tally
        .wanted
        .iter()
        .filter_map(|wanted| {
            let (source, target) = (
                in_source.items.get(&wanted.key),
                in_target.items.get(&wanted.key),
            );
            example(wanted, source, target, &comparing.key)
        })
        .collect();

    examples.sort_by(|one, other| (one.fault, &one.key).cmp(&(other.fault, &other.key)));

    Ok((examples, [in_source, in_target]))
}

fn example(
    wanted: &Wanted,
    source: Option<&Bytes>,
    target: Option<&Bytes>,
    key: &KeySchema,
) -> Option<Example> {
    let text = source.or(target)?;
    let attributes = match (source, target) {
        (Some(source), Some(target)) => attributes::differing(source, target),
        _ => Vec::new(),
    };
    Some(Example {
        fault: wanted.fault,
        key: key.extract(text).ok()?.to_json(),
        attributes,
    })
}
