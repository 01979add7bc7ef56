//! Worker that masks items on one thread.

use std::sync::atomic::Ordering;

use bytes::Bytes;
use jaq_json::{Map, Rc, Val};

use super::super::check::check_item;
use super::super::document::{self, ErrorMessage, string_value};
use super::super::item_step::ItemWorker;
use super::super::jq::ConditionEvaluator;
use super::super::outcome::{Outcome, RejectReason};
use super::Masks;
use super::leaks::SensitiveValues;
use super::path::Edit;
use super::rules::{MaskAction, MaskRule};
use super::scalar::visit_scalars;
use super::secret::MaskKey;
use super::values::ValueMask;
use crate::field::Field;

/// Maximum number of days by which dates are shifted, in either direction.
const MAX_SHIFT_DAYS: u64 = 365;

type MaskResult<T> = Result<T, RejectReason>;

/// Applies the rules to items.
pub(crate) struct MaskWorker<'a> {
    masks: &'a Masks,
    /// The condition of each rule.
    conditions: Vec<Option<ConditionEvaluator<'a>>>,
}

/// A parsed item: the document for conditions, and its attributes.
struct ParsedItem<'a> {
    document: &'a Val,
    attributes: &'a Map,
}

/// State of one item while it is masked.
struct ItemMasking<'a> {
    /// The item that earlier steps made.
    input: ParsedItem<'a>,
    /// The item as read from the source; `None` if earlier steps did not change it.
    original: Option<ParsedItem<'a>>,
    masked: Map,
    /// The item without the values at masked paths.
    rest: Map,
    /// Values at masked paths, of both the original and the input.
    sensitive: SensitiveValues,
    /// Values whose mask keeps parts of them.
    partly_kept: Vec<MaskedPair>,
}

/// A value before and after masking.
struct MaskedPair {
    before: Val,
    after: Val,
}

impl ItemWorker for MaskWorker<'_> {
    fn apply(&mut self, item: &Bytes, original: &Bytes) -> Outcome {
        self.mask_item(item, original)
            .unwrap_or_else(|reason| Outcome::Rejected(reason.with_context(Field::Mask)))
    }
}

impl<'a> MaskWorker<'a> {
    pub(crate) fn new(masks: &'a Masks) -> Self {
        let conditions = masks
            .rules
            .rules
            .iter()
            .map(|rule| rule.when.as_ref().map(|when| when.evaluator()))
            .collect();

        Self { masks, conditions }
    }

    fn mask_item(&self, item: &Bytes, original: &Bytes) -> MaskResult<Outcome> {
        let document = document::parse(item)?;
        let original_document = if item == original {
            None
        } else {
            Some(document::parse(original)?)
        };

        let input = ParsedItem::new(&document)?;
        let attributes = input.attributes;
        let mut masking = ItemMasking {
            input,
            original: original_document
                .as_ref()
                .map(ParsedItem::new)
                .transpose()?,
            masked: attributes.clone(),
            rest: attributes.clone(),
            sensitive: SensitiveValues::default(),
            partly_kept: Vec::new(),
        };

        let mut is_changed = false;
        let rules = self
            .masks
            .rules
            .rules
            .iter()
            .zip(&self.conditions)
            .zip(&self.masks.matched);

        for ((rule, condition), matched) in rules {
            if self.apply_rule(rule, condition.as_ref(), &mut masking)? {
                is_changed = true;
                matched.fetch_add(1, Ordering::Relaxed);
            }
        }

        // Needed even if nothing was masked: an earlier step may have moved a sensitive value.
        masking.check_leaks()?;
        if !is_changed {
            return Ok(Outcome::Unchanged);
        }

        let masked =
            document::write(&masking.masked, attributes).map_err(RejectReason::Internal)?;
        check_item(&masked, item).map_err(RejectReason::Internal)?;

        Ok(Outcome::Changed(masked))
    }

    /// Applies one rule and collects the sensitive values of the original item. Returns whether it
    /// masked a value.
    fn apply_rule(
        &self,
        rule: &MaskRule,
        condition: Option<&ConditionEvaluator<'_>>,
        masking: &mut ItemMasking<'_>,
    ) -> MaskResult<bool> {
        let matches = |item: &Map| rule.path.matches(item).map_err(RejectReason::Internal);
        // Conditions and `by` are evaluated only if there is a value to mask: they may fail on
        // other items.
        let in_input = (condition.is_none() && rule.by.is_none()) || matches(&masking.masked)?;
        let in_original = masking
            .original
            .as_ref()
            .map_or(Ok(false), |original| matches(original.attributes))?;
        if !in_input && !in_original {
            return Ok(false);
        }

        let original = if in_original {
            masking.original.as_ref()
        } else {
            None
        };
        if let Some(condition) = condition {
            let holds = match condition.holds(masking.input.document) {
                Err(reason) if in_input => {
                    let context = format!("the condition of the rule for `{}`", rule.path);
                    return Err(reason.with_context(context));
                }
                // The input has nothing to mask, so the original decides.
                holds => holds.unwrap_or(false),
            };

            // A condition that fails on the original counts as true, so that its values stay
            // hidden.
            let holds_for_original =
                || original.is_some_and(|item| condition.holds(item.document).unwrap_or(true));
            if !holds && !holds_for_original() {
                return Ok(false);
            }
        }

        if let Some(original) = original {
            rule.path
                .collect(&mut masking.sensitive, original.attributes);
        }

        if in_input {
            self.mask_values(rule, masking)
        } else {
            Ok(false)
        }
    }

    /// Masks the values that the path of a rule selects. Returns whether there are any.
    fn mask_values(&self, rule: &MaskRule, masking: &mut ItemMasking<'_>) -> MaskResult<bool> {
        let mask = self
            .value_mask(rule, masking.input.attributes)
            .map_err(RejectReason::Internal)?;
        let ItemMasking {
            masked,
            rest,
            sensitive,
            partly_kept,
            ..
        } = masking;

        let mut found = false;
        let mut edit = |value: &mut Val| {
            found = true;
            sensitive.add(value);
            match &mask {
                Some(mask) => {
                    let after = mask
                        .apply(value)
                        .map_err(|what| format!("attribute {:?} {what}", rule.path.to_string()))?;
                    let before = std::mem::replace(value, after);
                    if matches!(rule.action, MaskAction::KeepFormat | MaskAction::ShiftDate) {
                        let after = value.clone();
                        partly_kept.push(MaskedPair { before, after });
                    }
                }
                None if rule.action == MaskAction::Drop => return Ok(Edit::Remove),
                None => *value = null_value(),
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

    /// The mask of a rule; `None` if the action replaces the whole value.
    fn value_mask(
        &self,
        rule: &MaskRule,
        attributes: &Map,
    ) -> Result<Option<ValueMask<'_>>, ErrorMessage> {
        // `Masks::new` has checked that there is a key if a rule needs one.
        let key = || {
            self.masks
                .key
                .as_ref()
                .ok_or_else(|| "no mask key".to_owned())
        };

        Ok(match (rule.action, rule.kind) {
            (MaskAction::Null | MaskAction::Drop, _) => None,
            (MaskAction::Redact, _) => Some(ValueMask::Redact),
            (MaskAction::Hash, _) => Some(ValueMask::Hash(key()?)),
            (MaskAction::Fake, Some(kind)) => Some(ValueMask::Fake(kind, key()?)),
            (MaskAction::Fake, None) => return Err("a fake without a kind".to_owned()),
            (MaskAction::KeepFormat, _) => Some(ValueMask::KeepFormat(key()?)),
            (MaskAction::ShiftDate, _) => Some(ValueMask::ShiftDate {
                days: shift_days(key()?, rule, attributes)?,
            }),
        })
    }
}

/// The null value in DynamoDB JSON.
fn null_value() -> Val {
    let members = [(string_value("NULL"), Val::Bool(true))];
    Val::Obj(Rc::new(members.into_iter().collect()))
}

impl ItemMasking<'_> {
    /// # Errors
    /// The masked item still contains a sensitive value.
    fn check_leaks(&self) -> MaskResult<()> {
        if let Some(leak) = self.sensitive.find_leak(&self.rest) {
            return Err(RejectReason::internal(format!(
                "a masked value is also in {leak}; add a rule for it"
            )));
        }

        if let Some(leak) = self.sensitive.find_leak_in_names(&self.masked) {
            return Err(RejectReason::internal(format!(
                "a masked value is also in {leak}; names are not masked: redact or drop the map"
            )));
        }

        let is_kept = |pair: &MaskedPair| self.sensitive.is_kept(&pair.before, &pair.after);
        if self.partly_kept.iter().any(is_kept) {
            return Err(RejectReason::internal(
                "a masked value is also part of a value whose mask keeps that part; redact or hash it",
            ));
        }

        Ok(())
    }
}

impl<'a> ParsedItem<'a> {
    fn new(document: &'a Val) -> MaskResult<Self> {
        let Val::Obj(attributes) = document else {
            return Err(RejectReason::internal("not an item"));
        };

        Ok(Self {
            document,
            attributes,
        })
    }
}

/// Number of days by which the dates of an item are shifted: the same for all items, or for all
/// with the same value at `by`.
fn shift_days(key: &MaskKey, rule: &MaskRule, attributes: &Map) -> Result<i64, ErrorMessage> {
    let mut seed = Vec::new();
    if let Some(by) = &rule.by {
        let value = by
            .first(attributes)
            .ok_or_else(|| format!("shift-date by `{by}`: the item has no such attribute"))?;
        visit_scalars(
            &value,
            &mut |scalar| seed.extend(scalar.canonical_bytes()),
            &mut |_| {},
        );
    }

    let number = key.stream("shift-date", &seed).below(2 * MAX_SHIFT_DAYS);

    // From 1 to 365 days in either direction. A shift by 0 days would keep the date.
    let days = i64::try_from(number % MAX_SHIFT_DAYS).unwrap_or(0) + 1;

    Ok(if number < MAX_SHIFT_DAYS { days } else { -days })
}
