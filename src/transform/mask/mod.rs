//! Masks: hides values before they leave, by rules, and checks that they are hidden.
//!
//! Everything derives from the value and a key, so that the same person stays the same across items, tables and runs. An item that a rule
//! cannot mask is rejected, never let through; so is one in which the value of a masked place is found elsewhere. The values of the item
//! as it was read count, too: earlier steps may have moved them.

mod dates;
mod fakes;
mod format;
mod leaks;
mod path;
mod rules;
mod secret;
#[cfg(test)]
mod tests;
mod values;

use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use jaq_json::{Map, Rc, Val};

use self::leaks::SensitiveValues;
use self::path::Edit;
pub use self::rules::MaskRules;
use self::rules::{MaskAction, MaskRule};
pub use self::secret::MaskKey;
use self::values::{ValueMask, visit_scalars};
use super::check::check_item;
use super::document::{self, ErrorMessage, string_value};
use super::jq::ConditionEvaluator;
use super::outcome::{Outcome, RejectReason};
use super::stage::{Stage, StageWorker};
use crate::error::{Error, Result};

/// Shown in place of masked values of items as they were read.
const PLACEHOLDER: &str = "[masked]";

/// How far dates move at most, in either direction.
const MAX_SHIFT_DAYS: u64 = 365;

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
        let (Ok(Val::Obj(read)), Ok(Val::Obj(part))) =
            (document::parse(read), document::parse(part))
        else {
            return true;
        };

        self.originals(&read).survivor(&part).is_some()
    }

    /// The item `read` as it may be shown, with [`PLACEHOLDER`] for masked values and wherever a copy of one is found. Conditions of
    /// rules count as satisfied.
    pub(crate) fn displayable_item(&self, read: &[u8]) -> Bytes {
        let Ok(Val::Obj(read)) = document::parse(read) else {
            return Bytes::from(format!("{PLACEHOLDER:?}"));
        };

        let originals = self.originals(&read);
        let mut shown = (*read).clone();
        for rule in &self.rules.rules {
            let mut replace = |value: &mut Val| {
                *value = string_value(PLACEHOLDER);
                Ok(Edit::Keep)
            };
            // This edit never fails.
            let _ = rule.path.visit(&mut shown, &mut replace);
        }

        let replace = |(name, value): (Val, Val)| {
            let name = if originals.is_in_name(&name) {
                string_value(PLACEHOLDER)
            } else {
                name
            };

            (
                name,
                if originals.is_in_value(&value) {
                    string_value(PLACEHOLDER)
                } else {
                    value
                },
            )
        };

        let shown: Map = shown.into_iter().map(replace).collect();

        document::write(&shown, &read).unwrap_or_else(|_| Bytes::from(format!("{PLACEHOLDER:?}")))
    }

    /// The values at all masked paths of an item.
    fn originals(&self, read: &Map) -> SensitiveValues {
        let mut originals = SensitiveValues::default();
        self.rules
            .rules
            .iter()
            .for_each(|rule| rule.path.add_to(&mut originals, read));
        originals
    }

    /// What tells the key from others, and from which it cannot be had.
    pub(crate) fn key_fingerprint(&self) -> Option<String> {
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
    fn worker(&self) -> Box<dyn StageWorker + '_> {
        let evaluators = self
            .rules
            .rules
            .iter()
            .map(|rule| rule.when.as_ref().map(|when| when.evaluator()))
            .collect();

        Box::new(MaskWorker {
            masks: self,
            evaluators,
        })
    }
}

struct MaskWorker<'a> {
    masks: &'a Masks,
    /// For each rule, what asks its condition.
    evaluators: Vec<Option<ConditionEvaluator<'a>>>,
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
    originals: SensitiveValues,
    /// Masked places whose mask keeps parts of the value, before and after.
    kept: Vec<(Val, Val)>,
}

impl StageWorker for MaskWorker<'_> {
    fn apply(&mut self, item: &Bytes, read: &Bytes) -> Outcome {
        self.outcome(item, read)
            .unwrap_or_else(|reason| Outcome::Rejected(reason.with_prefix("--mask: ")))
    }
}

impl MaskWorker<'_> {
    fn outcome(&self, item: &Bytes, read: &Bytes) -> std::result::Result<Outcome, RejectReason> {
        let document = document::parse(item)?;
        let source = if item == read {
            None
        } else {
            Some(document::parse(read)?)
        };

        let made = Input::of(&document)?;
        let before = made.attributes;
        let mut sheet = Sheet {
            made,
            read: source.as_ref().map(Input::of).transpose()?,
            masked: before.clone(),
            rest: before.clone(),
            originals: SensitiveValues::default(),
            kept: Vec::new(),
        };

        let mut changed = false;
        let rules = self
            .masks
            .rules
            .rules
            .iter()
            .zip(&self.evaluators)
            .zip(&self.masks.matched);

        for ((rule, evaluator), matched) in rules {
            if self.apply_rule(rule, evaluator.as_ref(), &mut sheet)? {
                changed = true;
                matched.fetch_add(1, Ordering::Relaxed);
            }
        }

        sheet.check_survivors()?;
        if !changed {
            return Ok(Outcome::Unchanged);
        }

        let masked = document::write(&sheet.masked, before).map_err(RejectReason::Internal)?;
        check_item(&masked, item).map_err(RejectReason::Internal)?;

        Ok(Outcome::Changed(masked))
    }

    /// Applies one rule to the item; whether it found a place. Notes the values at its path in the item as read.
    fn apply_rule(
        &self,
        rule: &MaskRule,
        evaluator: Option<&ConditionEvaluator<'_>>,
        sheet: &mut Sheet<'_>,
    ) -> std::result::Result<bool, RejectReason> {
        let reaches = |item: &Map| rule.path.matches(item).map_err(RejectReason::Internal);
        // An item with nothing to mask needs neither to satisfy a condition nor to have what dates are moved by.
        let found_now = (evaluator.is_none() && rule.by.is_none()) || reaches(&sheet.masked)?;
        let in_source = sheet
            .read
            .as_ref()
            .map_or(Ok(false), |read| reaches(read.attributes))?;
        if !found_now && !in_source {
            return Ok(false);
        }

        if let Some(evaluator) = evaluator {
            let holds = match evaluator.holds(sheet.made.document) {
                Err(reason) if found_now => {
                    return Err(reason
                        .with_prefix(&format!("the condition of the rule for `{}`: ", rule.path)));
                }
                // An item as made with nothing to mask: the item as read decides.
                holds => holds.unwrap_or(false),
            };

            let read = sheet.read.as_ref().filter(|_| in_source);

            // A condition that fails on the item as read hides its values.
            if !holds && !read.is_some_and(|read| evaluator.holds(read.document).unwrap_or(true)) {
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
    fn mask(
        &self,
        rule: &MaskRule,
        sheet: &mut Sheet<'_>,
    ) -> std::result::Result<bool, RejectReason> {
        let mask = self
            .value_mask(rule, sheet.made.attributes)
            .map_err(RejectReason::Internal)?;
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
                    if matches!(rule.action, MaskAction::KeepFormat | MaskAction::ShiftDate) {
                        kept.push((original, value.clone()));
                    }
                }
                None if rule.action == MaskAction::Drop => return Ok(Edit::Remove),
                None => {
                    *value = Val::Obj(Rc::new(
                        [(string_value("NULL"), Val::Bool(true))]
                            .into_iter()
                            .collect(),
                    ));
                }
            }

            Ok(Edit::Keep)
        };

        rule.path
            .visit(masked, &mut edit)
            .map_err(RejectReason::Internal)?;

        if found {
            rule.path
                .visit(rest, &mut |_| Ok(Edit::Remove))
                .map_err(RejectReason::Internal)?;
        }

        Ok(found)
    }

    /// The mask of a rule; `None` for those that replace the whole value.
    fn value_mask(
        &self,
        rule: &MaskRule,
        before: &Map,
    ) -> std::result::Result<Option<ValueMask<'_>>, ErrorMessage> {
        let key = || {
            self.masks
                .key
                .as_ref()
                .ok_or_else(|| "there is no mask key".to_owned())
        };

        Ok(match (rule.action, rule.kind) {
            (MaskAction::Null | MaskAction::Drop, _) => None,
            (MaskAction::Redact, _) => Some(ValueMask::Redact),
            (MaskAction::Hash, _) => Some(ValueMask::Hash(key()?)),
            (MaskAction::Fake, Some(fake)) => Some(ValueMask::Fake(fake, key()?)),
            (MaskAction::Fake, None) => return Err("a fake of no kind".to_owned()),
            (MaskAction::KeepFormat, _) => Some(ValueMask::KeepFormat(key()?)),
            (MaskAction::ShiftDate, _) => Some(ValueMask::ShiftDate {
                days: shift_days(key()?, rule, before)?,
            }),
        })
    }
}

impl Sheet<'_> {
    /// # Errors
    /// The value of a masked place is found in what comes out.
    fn check_survivors(&self) -> std::result::Result<(), RejectReason> {
        let Self {
            masked,
            rest,
            originals,
            kept,
            ..
        } = self;

        if let Some(place) = originals.survivor(rest) {
            return Err(RejectReason::internal(format!(
                "a masked value is also in {place}; add a rule for it"
            )));
        }

        if let Some(place) = originals.survivor_in_names(masked) {
            return Err(RejectReason::internal(format!(
                "a masked value is also in {place}; names are not masked: redact or drop the map"
            )));
        }

        if kept
            .iter()
            .any(|(before, after)| originals.survives(before, after))
        {
            return Err(RejectReason::internal(
                "a masked value is also part of a value whose mask keeps that part; redact or hash it",
            ));
        }

        Ok(())
    }
}

impl<'a> Input<'a> {
    fn of(document: &'a Val) -> std::result::Result<Self, RejectReason> {
        let Val::Obj(attributes) = document else {
            return Err(RejectReason::internal("not an item"));
        };

        Ok(Self {
            document,
            attributes,
        })
    }
}

/// How far the dates of this item move: the same for all items, or for all with the same value at `by`.
fn shift_days(
    key: &MaskKey,
    rule: &MaskRule,
    before: &Map,
) -> std::result::Result<i64, ErrorMessage> {
    let mut of = Vec::new();
    if let Some(by) = &rule.by {
        let value = by
            .first(before)
            .ok_or_else(|| format!("shift-date by `{by}`: the item has no such attribute"))?;
        visit_scalars(
            &value,
            &mut |scalar| of.extend(scalar.identity()),
            &mut |_| {},
        );
    }

    let number = key.stream("shift-date", &of).below(2 * MAX_SHIFT_DAYS);

    // Never by nothing: 1 to 365 shift_days forward or back.
    let shift_days = i64::try_from(number % MAX_SHIFT_DAYS).unwrap_or(0) + 1;

    Ok(if number < MAX_SHIFT_DAYS {
        shift_days
    } else {
        -shift_days
    })
}
