//! What somebody should know before a restore, and what they are asked.

use serde::Deserialize;

use super::boost::Boosting;
use super::resume::Taken;
use super::{OnConflict, RestoreRequest, SourceFacts, TableAction};
use crate::backup::Source;
use crate::environment::Question;
use crate::ops::identity::AccountRegion;
use crate::ops::table_location::TableLocation;
use crate::schema::{OverriddenSchema, Section, TableSchema};

/// What a restore meets.
pub(crate) struct Concerns<'a> {
    pub(crate) action: &'a TableAction,
    /// The target table as it is.
    pub(crate) existing: Option<&'a TableSchema>,
    pub(crate) target: &'a TableLocation,
    pub(crate) facts: &'a SourceFacts,
}

impl Concerns<'_> {
    pub(crate) fn warnings(
        &self,
        request: &RestoreRequest,
        unfinished: Option<&Taken>,
        backups: Option<usize>,
    ) -> Vec<String> {
        let mut warnings = Vec::new();
        if let Some(existing) = self.existing.filter(|_| *self.action != TableAction::Keep) {
            warnings.extend(
                unfinished
                    .filter(|_| request.content.includes_items())
                    .and_then(|taken| self.warning_of_unfinished(taken)),
            );

            let busy =
                Some(existing).filter(|existing| !existing.is_active() && !self.action.creates());
            warnings.extend(busy.map(|existing| {
                format!(
                    "the table is not ready and is waited for: {}",
                    existing.activity()
                )
            }));

            match self.action {
                TableAction::Add { .. } if request.content.includes_items() => {
                    warn_of_items(
                        &mut warnings,
                        existing,
                        unfinished.is_some_and(|taken| !taken.is_other)
                            || request.on_conflict != OnConflict::Overwrite,
                    );
                }
                TableAction::Replace { .. } => {
                    warnings.extend(backups.filter(|count| *count > 0).map(|count| {
                        format!(
                            "{count} on-demand backup{} of the old table stay",
                            if count == 1 { "" } else { "s" }
                        )
                    }));
                }
                _ => {}
            }
        }

        if !self.facts.complete {
            warnings.push(format!(
                "the dump is not a whole table{}",
                self.reasons_of_incompleteness()
            ));
        }

        warnings
    }

    fn reasons_of_incompleteness(&self) -> String {
        let reasons = self.facts.partial.join(", ");
        if reasons.is_empty() {
            reasons
        } else {
            format!(" ({reasons})")
        }
    }

    /// The risk of replacing a table from a source that is known to lack items.
    fn incomplete_source(&self) -> Option<String> {
        let what = match self.facts.salvage {
            Some(_) => "the dump is damaged".to_owned(),
            None if self.facts.complete => return None,
            None => format!("the dump is incomplete{}", self.reasons_of_incompleteness()),
        };

        Some(format!(
            "{what}: the new table will lack the items that the dump lacks"
        ))
    }

    /// What may come between a boost and its end.
    fn warnings_of_boost(&self, boost: Option<&Boosting>, has_marker: bool) -> Vec<String> {
        let mut warnings = Vec::new();
        if boost.is_some_and(Boosting::raises) {
            let scales = self
                .existing
                .and_then(|existing| existing.section(Section::AutoScaling))
                .is_some();
            if scales && matches!(self.action, TableAction::Add { .. }) {
                warnings.push(
                    "the table has auto scaling, which may change the boosted capacity".into(),
                );
            }

            if !has_marker {
                warnings.push(
                    "there is no folder for state: the boost stays if this run is killed".into(),
                );
            }
        }

        warnings
    }

    /// What is to be known of a boost, and of changes to a schema that come to nothing.
    pub(crate) fn further_warnings(
        &self,
        boost: Option<&Boosting>,
        has_marker: bool,
        unapplied: Option<&OverriddenSchema>,
    ) -> Vec<String> {
        let mut warnings = self.warnings_of_boost(boost, has_marker);
        warnings.extend(self.warning_of_overrides(unapplied));
        warnings
    }

    /// What is said of a schema whose changes come to nothing.
    fn warning_of_overrides(&self, unapplied: Option<&OverriddenSchema>) -> Option<String> {
        let is_said = unapplied
            .is_some_and(|wanted| wanted.has_overrides && !wanted.notes.is_empty())
            && *self.action != TableAction::Keep;
        is_said.then(|| {
            "the table exists: its settings stay, whatever is to be changed on the way".into()
        })
    }

    /// A restore that did not end and is not continued.
    fn warning_of_unfinished(&self, taken: &Taken) -> Option<String> {
        if taken.checkpoint.is_some() {
            return None;
        }

        let stays = taken.is_other && !self.action.creates();
        let then = if stays {
            "the items that it wrote stay"
        } else {
            "every item is written again"
        };

        let reason = taken
            .why_not
            .as_ref()
            .map_or_else(String::new, |reason| format!(" ({reason})"));
        Some(format!(
            "an earlier restore into this table did not end; {then}{reason}"
        ))
    }

    pub(crate) fn questions(&self, backups: Option<usize>, source: &Source) -> Vec<Question> {
        let mut questions = Vec::new();
        if self.facts.environment.is_none()
            && source.damage().is_some_and(|damage| damage.lacks_metadata)
        {
            let risk = "the damaged dump does not say which environment it is from";
            questions.push(Question::OtherRisk(risk.to_owned()));
        }

        if let Some((source, target)) = crossing(self.facts, self.target) {
            questions.push(Question::CrossEnvironment { source, target });
        }

        if !self.target.local {
            questions.push(Question::RemoteTarget {
                place: self.target.location(),
            });
        }

        if let (TableAction::Replace { .. }, Some(existing)) = (self.action, self.existing) {
            let losses = losses(existing, backups);
            questions.push(Question::ReplaceTable {
                table: self.target.table.clone(),
                losses,
            });
            questions.extend(self.incomplete_source().map(Question::OtherRisk));
        }

        questions
    }
}

/// What happens to items that are written into a table that exists.
fn warn_of_items(warnings: &mut Vec<String>, existing: &TableSchema, is_harmless: bool) {
    if existing.description().stream().is_some() {
        warnings
            .push("the table has a live stream: its consumers will see every restored item".into());
    }

    if let Some(attribute) = existing.ttl_attribute() {
        warnings.push(format!(
            "the table has TTL on {attribute}: items whose time has passed may expire at once"
        ));
    }

    if existing.description().item_count.unwrap_or(0) > 0 && !is_harmless {
        warnings.push("items with the same key are overwritten, newer ones too".into());
    }
}

/// What dies with a table that is replaced.
fn losses(existing: &TableSchema, backups: Option<usize>) -> Vec<String> {
    let history = point_in_time_recovery(existing);
    let settings = match history {
        Some(_) => "its settings and tags",
        None => "its settings, tags and point-in-time history",
    };
    let mut losses = vec![settings.to_owned()];
    if existing.description().stream().is_some() {
        losses.push("its stream, with every record not read yet".to_owned());
    }

    match (history, backups) {
        (Some(true), _) => losses
            .push("its point-in-time history (AWS keeps one last backup for 35 days)".to_owned()),
        (Some(false), Some(0)) => {
            losses.push("every way back: there is no backup of it".to_owned());
        }
        (Some(false) | None, _) => {}
    }

    losses
}

/// Whether the table can be restored to a point in time; `None` where that is not known.
fn point_in_time_recovery(existing: &TableSchema) -> Option<bool> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Backups {
        point_in_time_recovery_description: Option<Recovery>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Recovery {
        point_in_time_recovery_status: String,
    }

    let section = existing.section(Section::ContinuousBackups)?;
    let backups: Backups = serde_json::from_str(section.get()).ok()?;
    let recovery = backups.point_in_time_recovery_description;

    Some(recovery.is_some_and(|recovery| recovery.point_in_time_recovery_status == "ENABLED"))
}

/// The two sides of a restore that leaves its environment. One name can stand for two places (`no-env` always can), so account
/// and region count too, where both sides tell them.
fn crossing(facts: &SourceFacts, target: &TableLocation) -> Option<(String, String)> {
    let source = facts.environment.as_ref()?;
    if *source != target.environment {
        return Some((source.clone(), target.environment.clone()));
    }

    let [from, to] = [
        (&facts.account, &facts.region),
        (&target.account, &target.region),
    ]
    .map(|(account, region)| AccountRegion {
        account: account.as_deref(),
        region: region.as_deref(),
    });

    from.differs_from(to)
        .then(|| (format!("{source} ({from})"), format!("{source} ({to})")))
}
