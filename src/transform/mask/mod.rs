//! Masks: hides values before they leave, by rules, and checks that they are hidden.
//!
//! Everything derives from the value and a key, so that the same person stays the same across items, tables and runs. An item that a rule
//! cannot mask is rejected, never let through; so is one in which an original of a masked place still stands somewhere.

mod dates;
mod fakes;
mod format;
mod path;
mod rules;
mod secret;
mod survivors;
#[cfg(test)]
mod tests;
mod values;

use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use jaq_json::{Map, Rc, Val};

use self::path::Edit;
pub use self::rules::MaskRules;
use self::rules::{Action, Rule};
pub use self::secret::MaskKey;
use self::survivors::Originals;
use self::values::{Mask, leaves};
use super::check::check;
use super::document::{self, Reason, text};
use super::jq::Asker;
use super::outcome::Outcome;
use super::stage::{Stage, Worker};
use crate::error::{Error, Result};

/// How far dates move at most, in either direction.
const MOST_DAYS: u64 = 365;

/// Rules with their key, ready to mask items.
pub struct Masks {
    rules: MaskRules,
    key: Option<MaskKey>,
    /// Items that each rule matched.
    matched: Vec<AtomicU64>,
}

impl Masks {
    /// Puts rules and key together.
    ///
    /// # Errors
    /// [`Environment`](crate::error::ErrorKind::Environment): a rule needs a key and there is none.
    pub fn new(rules: MaskRules, key: Option<MaskKey>) -> Result<Self> {
        if let Some(rule) = rules.rules.iter().find(|_| key.is_none() && rules.need_key()) {
            return Err(Error::environment(format!("{}: the rules need a key, and there is none", rule.place))
                .with_hint("set DYNADUMP_MASK_KEY or --mask-key-file; `openssl rand -hex 32` makes a key"));
        }
        let matched = rules.rules.iter().map(|_| AtomicU64::new(0)).collect();
        Ok(Self { rules, key, matched })
    }

    /// How the reasons begin that are a condition's own words.
    pub(super) const CONDITION: &'static str = "--mask: the condition of the rule for ";

    /// The rules.
    #[must_use]
    pub fn rules(&self) -> &MaskRules {
        &self.rules
    }

    /// What tells the key from others, and from which it cannot be had.
    pub(super) fn key_mark(&self) -> Option<String> {
        self.key.as_ref().map(|key| hex::encode(&key.hash(b"dynadump: which key is this")[..8]))
    }

    /// Names rules that matched no item so far.
    pub(super) fn warnings(&self) -> impl Iterator<Item = String> {
        let rules = self.rules.rules.iter().zip(&self.matched);
        rules.filter(|(_, matched)| matched.load(Ordering::Relaxed) == 0).map(|(rule, _)| {
            let when = if rule.when.is_some() { " with its condition" } else { "" };
            format!("{}: the rule for `{}`{when} matched no item", rule.place, rule.path)
        })
    }
}

impl std::fmt::Debug for Masks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Masks").field("rules", &self.rules).field("key", &self.key).finish_non_exhaustive()
    }
}

impl Stage for Masks {
    fn worker(&self) -> Box<dyn Worker + '_> {
        let askers = self.rules.rules.iter().map(|rule| rule.when.as_ref().map(|when| when.asker())).collect();
        Box::new(Masking { masks: self, askers })
    }
}

struct Masking<'a> {
    masks: &'a Masks,
    /// For each rule, what asks its condition.
    askers: Vec<Option<Asker<'a>>>,
}

/// An item while it is masked.
struct Sheet {
    masked: Map,
    /// What is left without the masked places.
    rest: Map,
    originals: Originals,
}

impl Worker for Masking<'_> {
    fn apply(&mut self, item: &Bytes) -> Outcome {
        self.outcome(item).unwrap_or_else(|reason| Outcome::Rejected(format!("--mask: {reason}")))
    }
}

impl Masking<'_> {
    fn outcome(&self, item: &Bytes) -> std::result::Result<Outcome, Reason> {
        let document = document::read(item)?;
        let Val::Obj(before) = &document else { return Err("not an item".to_owned()) };
        let mut sheet = Sheet { masked: (**before).clone(), rest: (**before).clone(), originals: Originals::default() };
        let mut changed = false;
        let rules = self.masks.rules.rules.iter().zip(&self.askers).zip(&self.masks.matched);
        for ((rule, asker), matched) in rules {
            // What has nothing to mask needs neither to bear a condition nor to have what dates are moved by.
            if (asker.is_some() || rule.by.is_some()) && !rule.path.leads_somewhere(&sheet.masked)? {
                continue;
            }
            let asked = asker.as_ref().map_or(Ok(true), |asker| asker.holds(&document));
            let applies = asked.map_err(|reason| format!("the condition of the rule for `{}`: {reason}", rule.path))?;
            if applies && self.mask(rule, before, &mut sheet)? {
                changed = true;
                matched.fetch_add(1, Ordering::Relaxed);
            }
        }
        if !changed {
            return Ok(Outcome::Unchanged);
        }
        if let Some(place) = sheet.originals.survivor(&sheet.rest) {
            return Err(format!("a masked value still stands in {place}; add a rule for it"));
        }
        if let Some(place) = sheet.originals.survivor_in_names(&sheet.masked) {
            return Err(format!(
                "a masked value still stands in {place}; names are not masked: redact or drop the map"
            ));
        }
        let masked = document::write(&sheet.masked, before)?;
        check(&masked, item)?;
        Ok(Outcome::Changed(masked))
    }

    /// Applies one rule; whether it found a place.
    fn mask(&self, rule: &Rule, before: &Map, sheet: &mut Sheet) -> std::result::Result<bool, Reason> {
        let mask = self.mask_of(rule, before)?;
        let Sheet { masked, rest, originals } = sheet;
        let mut found = false;
        rule.path.visit(masked, &mut |value| {
            found = true;
            leaves(value, &mut |leaf| originals.add(&leaf), &mut |_| {});
            match &mask {
                Some(mask) => {
                    *value =
                        mask.apply(value).map_err(|what| format!("attribute {:?} {what}", rule.path.to_string()))?;
                }
                None if rule.action == Action::Drop => return Ok(Edit::Remove),
                None => *value = Val::Obj(Rc::new([(text("NULL"), Val::Bool(true))].into_iter().collect())),
            }
            Ok(Edit::Keep)
        })?;
        if found {
            rule.path.visit(rest, &mut |_| Ok(Edit::Remove))?;
        }
        Ok(found)
    }

    /// The mask of a rule; `None` for those that replace the whole value.
    fn mask_of(&self, rule: &Rule, before: &Map) -> std::result::Result<Option<Mask<'_>>, Reason> {
        let key = || self.masks.key.as_ref().ok_or_else(|| "there is no mask key".to_owned());
        Ok(match (rule.action, rule.kind) {
            (Action::Null | Action::Drop, _) => None,
            (Action::Redact, _) => Some(Mask::Redact),
            (Action::Hash, _) => Some(Mask::Hash(key()?)),
            (Action::Fake, Some(fake)) => Some(Mask::Fake(fake, key()?)),
            (Action::Fake, None) => return Err("a fake of no kind".to_owned()),
            (Action::KeepFormat, _) => Some(Mask::KeepFormat(key()?)),
            (Action::ShiftDate, _) => Some(Mask::ShiftDate { days: days(key()?, rule, before)? }),
        })
    }
}

/// How far the dates of this item move: the same for all items, or for all with the same value at `by`.
fn days(key: &MaskKey, rule: &Rule, before: &Map) -> std::result::Result<i64, Reason> {
    let mut of = Vec::new();
    if let Some(by) = &rule.by {
        let value = by.first(before).ok_or_else(|| format!("shift-date by `{by}`: the item has no such attribute"))?;
        leaves(&value, &mut |leaf| of.extend(leaf.identity()), &mut |_| {});
    }
    let number = key.stream("shift-date", &of).below(2 * MOST_DAYS);
    // Never by nothing: 1 to 365 days forward or back.
    let days = i64::try_from(number % MOST_DAYS).unwrap_or(0) + 1;
    Ok(if number < MOST_DAYS { days } else { -days })
}
