//! Masks: hides values before they leave, by rules, and checks that they are hidden.
//!
//! Everything derives from the value and a key, so that the same person stays the same across items, tables and runs. An item that a rule
//! cannot mask is rejected, never let through; so is one in which the value of a masked place is found elsewhere. The values of the item
//! as it was read count, too: earlier steps may have moved them.

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
use super::document::{self, Words, text};
use super::jq::Asker;
use super::outcome::{Outcome, Reason};
use super::stage::{Stage, Worker};
use crate::error::{Error, Result};

/// Shown in place of masked values of items as they were read.
const CONCEALED: &str = "[masked]";

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
        if let Some(rule) = rules
            .rules
            .iter()
            .find(|_| key.is_none() && rules.need_key())
        {
            return Err(Error::environment(format!(
                "{}: the rules need a key, and there is none",
                rule.place
            ))
            .with_hint(
                "set DYNADUMP_MASK_KEY or --mask-key-file; `openssl rand -hex 32` makes a key",
            ));
        }

        let matched = rules.rules.iter().map(|_| AtomicU64::new(0)).collect();
        Ok(Self {
            rules,
            key,
            matched,
        })
    }

    /// Which masked values are not searched for in the rest of an item, for plans.
    pub(crate) const EXEMPTION: &str =
        "masked values of fewer than 4 characters, digits or bytes are not searched for elsewhere";

    /// The rules.
    #[must_use]
    pub fn rules(&self) -> &MaskRules {
        &self.rules
    }

    /// Whether a value at a masked path of the item `read` is part of `part`, a map of attributes in DynamoDB JSON. Conditions of rules
    /// count as satisfied.
    pub(crate) fn hides(&self, read: &[u8], part: &[u8]) -> bool {
        let (Ok(Val::Obj(read)), Ok(Val::Obj(part))) = (document::read(read), document::read(part))
        else {
            return true;
        };

        self.originals(&read).survivor(&part).is_some()
    }

    /// The item `read` as it may be shown, with [`CONCEALED`] for masked values and wherever a copy of one is found. Conditions of
    /// rules count as satisfied.
    pub(crate) fn concealed(&self, read: &[u8]) -> Bytes {
        let Ok(Val::Obj(read)) = document::read(read) else {
            return Bytes::from(format!("{CONCEALED:?}"));
        };

        let originals = self.originals(&read);
        let mut shown = (*read).clone();
        for rule in &self.rules.rules {
            let mut conceal = |value: &mut Val| {
                *value = text(CONCEALED);
                Ok(Edit::Keep)
            };
            // This edit never fails.
            let _ = rule.path.visit(&mut shown, &mut conceal);
        }

        let conceal = |(name, value): (Val, Val)| {
            let name = if originals.is_in_name(&name) {
                text(CONCEALED)
            } else {
                name
            };

            (
                name,
                if originals.is_in_value(&value) {
                    text(CONCEALED)
                } else {
                    value
                },
            )
        };

        let shown: Map = shown.into_iter().map(conceal).collect();

        document::write(&shown, &read).unwrap_or_else(|_| Bytes::from(format!("{CONCEALED:?}")))
    }

    /// The values at all masked paths of an item.
    fn originals(&self, read: &Map) -> Originals {
        let mut originals = Originals::default();
        self.rules
            .rules
            .iter()
            .for_each(|rule| rule.path.add_to(&mut originals, read));
        originals
    }

    /// What tells the key from others, and from which it cannot be had.
    pub(crate) fn key_mark(&self) -> Option<String> {
        self.key
            .as_ref()
            .map(|key| hex::encode(&key.hash(b"dynadump: which key is this")[..8]))
    }

    /// Names rules that matched no item so far.
    pub(crate) fn warnings(&self) -> impl Iterator<Item = String> {
        let rules = self.rules.rules.iter().zip(&self.matched);
        rules
            .filter(|(_, matched)| matched.load(Ordering::Relaxed) == 0)
            .map(|(rule, _)| {
                let when = if rule.when.is_some() {
                    " with its condition"
                } else {
                    ""
                };

                format!(
                    "{}: the rule for `{}`{when} matched no item",
                    rule.place, rule.path
                )
            })
    }
}

impl std::fmt::Debug for Masks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Masks")
            .field("rules", &self.rules)
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

impl Stage for Masks {
    fn worker(&self) -> Box<dyn Worker + '_> {
        let askers = self
            .rules
            .rules
            .iter()
            .map(|rule| rule.when.as_ref().map(|when| when.asker()))
            .collect();

        Box::new(Masking {
            masks: self,
            askers,
        })
    }
}

struct Masking<'a> {
    masks: &'a Masks,
    /// For each rule, what asks its condition.
    askers: Vec<Option<Asker<'a>>>,
}

/// An item as a document, for conditions, and as its attributes.
struct Input<'a> {
    document: &'a Val,
    attributes: &'a Map,
}

/// An item while it is masked.
struct Sheet<'a> {
    /// As earlier steps made it.
    made: Input<'a>,
    /// As it was read from the source; `None` if earlier steps did not change it.
    read: Option<Input<'a>>,
    masked: Map,
    /// The item without its masked places.
    rest: Map,
    /// Values of the masked places, as read and as earlier steps made them.
    originals: Originals,
    /// Masked places whose mask keeps parts of the value, before and after.
    kept: Vec<(Val, Val)>,
}

impl Worker for Masking<'_> {
    fn apply(&mut self, item: &Bytes, read: &Bytes) -> Outcome {
        self.outcome(item, read)
            .unwrap_or_else(|reason| Outcome::Rejected(reason.after("--mask: ")))
    }
}

impl Masking<'_> {
    fn outcome(&self, item: &Bytes, read: &Bytes) -> std::result::Result<Outcome, Reason> {
        let document = document::read(item)?;
        let source = if item == read {
            None
        } else {
            Some(document::read(read)?)
        };

        let made = Input::of(&document)?;
        let before = made.attributes;
        let mut sheet = Sheet {
            made,
            read: source.as_ref().map(Input::of).transpose()?,
            masked: before.clone(),
            rest: before.clone(),
            originals: Originals::default(),
            kept: Vec::new(),
        };

        let mut changed = false;
        let rules = self
            .masks
            .rules
            .rules
            .iter()
            .zip(&self.askers)
            .zip(&self.masks.matched);

        for ((rule, asker), matched) in rules {
            if self.apply_rule(rule, asker.as_ref(), &mut sheet)? {
                changed = true;
                matched.fetch_add(1, Ordering::Relaxed);
            }
        }

        sheet.check_survivors()?;
        if !changed {
            return Ok(Outcome::Unchanged);
        }

        let masked = document::write(&sheet.masked, before).map_err(Reason::Own)?;
        check(&masked, item).map_err(Reason::Own)?;

        Ok(Outcome::Changed(masked))
    }

    /// Applies one rule to the item; whether it found a place. Notes the values at its path in the item as read.
    fn apply_rule(
        &self,
        rule: &Rule,
        asker: Option<&Asker<'_>>,
        sheet: &mut Sheet<'_>,
    ) -> std::result::Result<bool, Reason> {
        let reaches = |item: &Map| rule.path.leads_somewhere(item).map_err(Reason::Own);
        // An item with nothing to mask needs neither to satisfy a condition nor to have what dates are moved by.
        let found_now = (asker.is_none() && rule.by.is_none()) || reaches(&sheet.masked)?;
        let in_source = sheet
            .read
            .as_ref()
            .map_or(Ok(false), |read| reaches(read.attributes))?;
        if !found_now && !in_source {
            return Ok(false);
        }

        if let Some(asker) = asker {
            let holds = match asker.holds(sheet.made.document) {
                Err(reason) if found_now => {
                    return Err(
                        reason.after(&format!("the condition of the rule for `{}`: ", rule.path))
                    );
                }
                // An item as made with nothing to mask: the item as read decides.
                holds => holds.unwrap_or(false),
            };

            let read = sheet.read.as_ref().filter(|_| in_source);

            // A condition that fails on the item as read hides its values.
            if !holds && !read.is_some_and(|read| asker.holds(read.document).unwrap_or(true)) {
                return Ok(false);
            }
        }

        if let Some(read) = sheet.read.as_ref().filter(|_| in_source) {
            rule.path.add_to(&mut sheet.originals, read.attributes);
        }

        if found_now {
            self.mask(rule, sheet)
        } else {
            Ok(false)
        }
    }

    /// Masks the places of one rule; whether there are any.
    fn mask(&self, rule: &Rule, sheet: &mut Sheet<'_>) -> std::result::Result<bool, Reason> {
        let mask = self
            .mask_of(rule, sheet.made.attributes)
            .map_err(Reason::Own)?;
        let Sheet {
            masked,
            rest,
            originals,
            kept,
            ..
        } = sheet;

        let mut found = false;
        let mut edit = |value: &mut Val| {
            found = true;
            originals.add(value);
            match &mask {
                Some(mask) => {
                    let masked = mask
                        .apply(value)
                        .map_err(|what| format!("attribute {:?} {what}", rule.path.to_string()))?;
                    let original = std::mem::replace(value, masked);
                    if matches!(rule.action, Action::KeepFormat | Action::ShiftDate) {
                        kept.push((original, value.clone()));
                    }
                }
                None if rule.action == Action::Drop => return Ok(Edit::Remove),
                None => {
                    *value = Val::Obj(Rc::new(
                        [(text("NULL"), Val::Bool(true))].into_iter().collect(),
                    ));
                }
            }

            Ok(Edit::Keep)
        };

        rule.path.visit(masked, &mut edit).map_err(Reason::Own)?;

        if found {
            rule.path
                .visit(rest, &mut |_| Ok(Edit::Remove))
                .map_err(Reason::Own)?;
        }

        Ok(found)
    }

    /// The mask of a rule; `None` for those that replace the whole value.
    fn mask_of(&self, rule: &Rule, before: &Map) -> std::result::Result<Option<Mask<'_>>, Words> {
        let key = || {
            self.masks
                .key
                .as_ref()
                .ok_or_else(|| "there is no mask key".to_owned())
        };

        Ok(match (rule.action, rule.kind) {
            (Action::Null | Action::Drop, _) => None,
            (Action::Redact, _) => Some(Mask::Redact),
            (Action::Hash, _) => Some(Mask::Hash(key()?)),
            (Action::Fake, Some(fake)) => Some(Mask::Fake(fake, key()?)),
            (Action::Fake, None) => return Err("a fake of no kind".to_owned()),
            (Action::KeepFormat, _) => Some(Mask::KeepFormat(key()?)),
            (Action::ShiftDate, _) => Some(Mask::ShiftDate {
                days: days(key()?, rule, before)?,
            }),
        })
    }
}

impl Sheet<'_> {
    /// # Errors
    /// The value of a masked place is found in what comes out.
    fn check_survivors(&self) -> std::result::Result<(), Reason> {
        let Self {
            masked,
            rest,
            originals,
            kept,
            ..
        } = self;

        if let Some(place) = originals.survivor(rest) {
            return Err(Reason::own(format!(
                "a masked value is also in {place}; add a rule for it"
            )));
        }

        if let Some(place) = originals.survivor_in_names(masked) {
            return Err(Reason::own(format!(
                "a masked value is also in {place}; names are not masked: redact or drop the map"
            )));
        }

        if kept
            .iter()
            .any(|(before, after)| originals.survives(before, after))
        {
            return Err(Reason::own(
                "a masked value is also part of a value whose mask keeps that part; redact or hash it",
            ));
        }

        Ok(())
    }
}

impl<'a> Input<'a> {
    fn of(document: &'a Val) -> std::result::Result<Self, Reason> {
        let Val::Obj(attributes) = document else {
            return Err(Reason::own("not an item"));
        };

        Ok(Self {
            document,
            attributes,
        })
    }
}

/// How far the dates of this item move: the same for all items, or for all with the same value at `by`.
fn days(key: &MaskKey, rule: &Rule, before: &Map) -> std::result::Result<i64, Words> {
    let mut of = Vec::new();
    if let Some(by) = &rule.by {
        let value = by
            .first(before)
            .ok_or_else(|| format!("shift-date by `{by}`: the item has no such attribute"))?;
        leaves(&value, &mut |leaf| of.extend(leaf.identity()), &mut |_| {});
    }

    let number = key.stream("shift-date", &of).below(2 * MOST_DAYS);

    // Never by nothing: 1 to 365 days forward or back.
    let days = i64::try_from(number % MOST_DAYS).unwrap_or(0) + 1;

    Ok(if number < MOST_DAYS { days } else { -days })
}
