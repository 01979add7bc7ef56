//! Warnings before a restore, and the questions that must be confirmed.

use super::boost::TemporaryBoost;
use super::reconcile::Reconciliation;
use super::resume::ResumeDecision;
use super::target_state::TargetState;
use super::{OnConflict, RestoreRequest, SourceFacts, TableAction};
use crate::backup::Source;
use crate::environment::Question;
use crate::ops::identity::AccountRegion;
use crate::ops::table_location::TableLocation;
use crate::schema::TableSchema;

/// The facts from which warnings and questions are derived.
pub(crate) struct PlanFacts<'a> {
    pub(crate) request: &'a RestoreRequest,
    pub(crate) facts: &'a SourceFacts,
    pub(crate) state: &'a TargetState,
    pub(crate) reconciliation: &'a Reconciliation,
}

impl PlanFacts<'_> {
    pub(crate) fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if let Some(existing) = &self.state.existing
            && self.state.action != TableAction::Keep
        {
            self.warn_of_existing_table(&mut warnings, existing);
        }

        if !self.facts.complete {
            warnings.push(format!(
                "the dump is not a whole table{}",
                self.incompleteness_reasons()
            ));
        }

        if let Some(boost) = &self.reconciliation.boost {
            self.warn_of_boost(&mut warnings, boost);
        }

        if self.ignores_overrides() {
            warnings.push(
                "the table exists: its settings stay, whatever is to be changed on the way".into(),
            );
        }

        let encryption = self
            .reconciliation
            .settings
            .encryption_warning(self.state.place.local);
        warnings.extend(encryption);

        warnings
    }

    fn warn_of_existing_table(&self, warnings: &mut Vec<String>, existing: &TableSchema) {
        let is_unfinished = self.state.unfinished.is_some();
        let writes_items = self.request.content.includes_items();
        if is_unfinished && writes_items {
            warnings.extend(self.unfinished_warning(&self.state.resume));
        }

        if !existing.is_active() && !self.state.action.creates() {
            warnings.push(format!(
                "the table is not ready and is waited for: {}",
                existing.activity()
            ));
        }

        match self.state.action {
            TableAction::Add { .. } if writes_items => {
                // After an unfinished restore of the same items, the table holds only equal ones.
                let is_overwrite_harmless = (is_unfinished && !self.state.resume.has_other_items)
                    || self.request.on_conflict != OnConflict::Overwrite;
                warn_of_added_items(warnings, existing, is_overwrite_harmless);
            }
            TableAction::Replace { .. } => {
                if let Some(count) = self.state.backups
                    && count > 0
                {
                    warnings.push(format!(
                        "{count} on-demand backup{} of the old table stay",
                        if count == 1 { "" } else { "s" }
                    ));
                }
            }
            _ => {}
        }
    }

    /// The reasons in parentheses, or nothing.
    fn incompleteness_reasons(&self) -> String {
        let reasons = self.facts.partial.join(", ");
        if reasons.is_empty() {
            reasons
        } else {
            format!(" ({reasons})")
        }
    }

    /// The risk of replacing a table from a source that is known to lack items.
    fn incomplete_source_risk(&self) -> Option<String> {
        let reason = match self.facts.salvage {
            Some(_) => "the dump is damaged".to_owned(),
            None if self.facts.complete => return None,
            None => format!("the dump is incomplete{}", self.incompleteness_reasons()),
        };

        Some(format!(
            "{reason}: the new table will lack the items that the dump lacks"
        ))
    }

    /// Warns of what may interfere with a boost, or prevent that it is reverted.
    fn warn_of_boost(&self, warnings: &mut Vec<String>, boost: &TemporaryBoost) {
        if !boost.is_new {
            return;
        }

        let has_auto_scaling = self
            .state
            .existing
            .as_ref()
            .is_some_and(TableSchema::has_auto_scaling);
        if has_auto_scaling && matches!(self.state.action, TableAction::Add { .. }) {
            warnings
                .push("the table has auto scaling, which may change the boosted capacity".into());
        }

        if self.state.journal.is_none() {
            warnings
                .push("there is no folder for state: the boost stays if this run is killed".into());
        }
    }

    /// Whether requested overrides have no effect, because the settings of the existing table are not changed.
    fn ignores_overrides(&self) -> bool {
        let Reconciliation {
            wanted,
            applies_settings,
            ..
        } = self.reconciliation;

        !applies_settings
            && self.state.action != TableAction::Keep
            && wanted
                .as_ref()
                .is_some_and(|wanted| wanted.has_overrides && !wanted.notes.is_empty())
    }

    /// The warning of an unfinished restore that is not resumed.
    fn unfinished_warning(&self, resume: &ResumeDecision) -> Option<String> {
        if resume.progress.is_some() {
            return None;
        }

        let keeps_other_items = resume.has_other_items && !self.state.action.creates();
        let consequence = if keeps_other_items {
            "the items that it wrote stay"
        } else {
            "every item is written again"
        };

        let reason = resume
            .reason
            .as_ref()
            .map_or_else(String::new, |reason| format!(" ({reason})"));
        Some(format!(
            "an earlier restore into this table did not end; {consequence}{reason}"
        ))
    }

    pub(crate) fn questions(&self, source: &Source) -> Vec<Question> {
        let mut questions = Vec::new();
        if self.facts.environment.is_none()
            && source.damage().is_some_and(|damage| damage.lacks_metadata)
        {
            let risk = "the damaged dump does not say which environment it is from";
            questions.push(Question::OtherRisk(risk.to_owned()));
        }

        let place = &self.state.place;
        if let Some((source, target)) = crossed_environments(self.facts, place) {
            questions.push(Question::CrossEnvironment { source, target });
        }

        if !place.local {
            questions.push(Question::RemoteTarget {
                place: place.location(),
            });
        }

        if let (TableAction::Replace { .. }, Some(existing)) =
            (&self.state.action, &self.state.existing)
        {
            questions.push(Question::ReplaceTable {
                table: place.table.clone(),
                losses: losses(existing, self.state.backups),
            });
            questions.extend(self.incomplete_source_risk().map(Question::OtherRisk));
        }

        questions
    }
}

/// Warns of the effects of writing items into an existing table.
fn warn_of_added_items(
    warnings: &mut Vec<String>,
    existing: &TableSchema,
    is_overwrite_harmless: bool,
) {
    if existing.description().stream().is_some() {
        warnings
            .push("the table has a live stream: its consumers will see every restored item".into());
    }

    if let Some(attribute) = existing.ttl_attribute() {
        warnings.push(format!(
            "the table has TTL on {attribute}: items whose time has passed may expire at once"
        ));
    }

    if existing.description().item_count.unwrap_or(0) > 0 && !is_overwrite_harmless {
        warnings.push("items with the same key are overwritten, newer ones too".into());
    }
}

/// Everything that is lost with a table that is replaced.
fn losses(existing: &TableSchema, backups: Option<usize>) -> Vec<String> {
    let has_pitr = existing.has_point_in_time_recovery();
    let settings = match has_pitr {
        Some(_) => "its settings and tags",
        None => "its settings, tags and point-in-time history",
    };
    let mut losses = vec![settings.to_owned()];
    if existing.description().stream().is_some() {
        losses.push("its stream, with every record not read yet".to_owned());
    }

    match (has_pitr, backups) {
        (Some(true), _) => losses
            .push("its point-in-time history (AWS keeps one last backup for 35 days)".to_owned()),
        (Some(false), Some(0)) => {
            losses.push("every way back: there is no backup of it".to_owned());
        }
        (Some(false) | None, _) => {}
    }

    losses
}

/// Source and target environment, if they differ. Because one name may stand for two places (`no-env` always may), account and region
/// are compared as well, as far as they are known. Local engines invent accounts.
fn crossed_environments(facts: &SourceFacts, target: &TableLocation) -> Option<(String, String)> {
    let source = facts.environment.as_deref();
    if let Some(source) = source
        && source != target.environment
    {
        return Some((source.to_owned(), target.environment.clone()));
    }

    // A local target may stand for any region, unless the dump is of an environment with the same name.
    let [from, to] = [
        (&facts.account, &facts.region),
        (&target.account, &target.region),
    ]
    .map(|(account, region)| AccountRegion {
        account: account.as_deref().filter(|_| !target.local),
        region: region
            .as_deref()
            .filter(|_| source.is_some() || !target.local),
    });

    from.differs_from(to).then(|| {
        let source = source.unwrap_or("unknown environment");
        (
            format!("{source} ({from})"),
            format!("{} ({to})", target.environment),
        )
    })
}
