//! Reconciles the wanted schema with the existing table: whether their keys match, what is created, which settings are applied.

use super::boost::{LeftoverBoost, PlannedBoost, TemporaryBoost};
use super::index_violations::uncounted_keys;
use super::settings::Settings;
use super::table_ttl::TableTtl;
use super::target_state::TargetState;
use crate::backup::{self, ItemCounter};
use crate::error::Result;
use crate::item::KeySchema;
use crate::ops::guard::{self, BoostChange};
use crate::ops::identity::is_dumped_table;
use crate::ops::restore::{RestoreRequest, TableAction};
use crate::ops::source::ItemSource;
use crate::schema::{
    Difference, IndexDifference, KeyMismatch, OverriddenSchema, Setting, SettingCall, Subject,
    TableSchema, differences,
};
use crate::store::Reader;

/// The wanted schema: from the schema file or the dump, with the overrides.
pub(crate) fn wanted_schema(
    request: &RestoreRequest,
    source: &ItemSource,
) -> Result<Option<OverriddenSchema>> {
    let schema = match &request.schema {
        Some(file) => Some(backup::read_schema(file)?),
        None => source.schema().cloned(),
    };
    schema
        .map(|schema| schema.overridden(&request.overrides))
        .transpose()
}

/// Result of the reconciliation: the changes to the table.
pub(crate) struct Reconciliation {
    pub(crate) wanted: Option<OverriddenSchema>,
    /// Whether the restore applies the settings of the wanted schema.
    pub(crate) applies_settings: bool,
    /// Whether the table takes the place of the dumped one.
    pub(crate) same_table: bool,
    /// The key that items must have.
    pub(crate) key: Option<KeySchema>,
    /// Settings that differ from the wanted schema and are not changed.
    pub(crate) differences: Vec<Difference>,
    /// Both keys, if the existing table has another one.
    pub(crate) key_mismatch: Option<KeyMismatch>,
    pub(crate) settings: Settings,
    pub(crate) boost: Option<TemporaryBoost>,
    pub(crate) planned_boost: Option<PlannedBoost>,
    /// The TTL that the table will have, once the settings are final.
    pub(crate) ttl: Option<TableTtl>,
}

impl Reconciliation {
    /// # Errors
    /// The schema cannot be read or overridden; the table cannot be created from it.
    pub(crate) async fn new(
        store: &Reader,
        request: &RestoreRequest,
        source: &ItemSource,
        state: &mut TargetState,
    ) -> Result<Self> {
        let leftover_boost = state.leftover_boost.take();
        let wanted = wanted_schema(request, source)?;
        // A table is never copied to itself.
        let same_table = match source {
            ItemSource::Dump(dump) => {
                is_dumped_table(
                    store,
                    dump,
                    wanted.as_ref(),
                    state.existing.as_ref(),
                    &state.place,
                )
                .await
            }
            ItemSource::Table(_) => false,
            // A backup is in the account and region of the target.
            ItemSource::Backup(backup) => backup.table == state.place.table,
        };

        let applies_settings = !state.action.keeps()
            && request.content.includes_schema()
            && (state.is_own || request.apply_settings);
        let inputs = ReconcileInputs {
            request,
            table: &state.place.table,
            action: &state.action,
            wanted: wanted.as_ref().map(|wanted| &wanted.schema),
            existing: state.existing.as_ref(),
            applies_settings,
            same_table,
        };

        let mut changes = inputs.table_changes()?;
        let (boost, planned_boost) = inputs.boost(leftover_boost, &mut changes.settings)?;

        Ok(Self {
            applies_settings,
            same_table,
            key: changes.key,
            differences: changes.differences,
            key_mismatch: changes.key_mismatch,
            settings: changes.settings,
            boost,
            planned_boost,
            ttl: None,
            wanted,
        })
    }

    /// The facts for the guard.
    pub(crate) fn facts(&self) -> guard::TableChanges<'_> {
        let boost = self.boost.as_ref().map(|boost| {
            if boost.is_new {
                BoostChange::Raised
            } else {
                BoostChange::Reverted
            }
        });

        guard::TableChanges {
            wanted: self.wanted.as_ref(),
            key_mismatch: self.key_mismatch.as_ref(),
            differences: self.differences.len(),
            applies_settings: self.applies_settings,
            has_setting_calls: self.settings.has_calls(),
            creates_with_kms_key: self.settings.creates_with_kms_key(),
            later_indexes: self.settings.later_indexes().collect(),
            boost,
            ttl: self.ttl.as_ref(),
        }
    }

    /// Adds what depends on the endpoint and on all settings: those it does not support are removed, and the TTL is determined.
    pub(crate) async fn complete(
        &mut self,
        store: &Reader,
        request: &RestoreRequest,
        state: &TargetState,
    ) {
        let settings = std::mem::take(&mut self.settings);
        self.settings = settings
            .without_unsupported(store, &state.place.table, &request.settings)
            .await;
        self.ttl = self.ttl_after_restore(state);
    }

    /// The TTL that the table will have; `None` if it will have none, or is not touched.
    fn ttl_after_restore(&self, state: &TargetState) -> Option<TableTtl> {
        if state.action.keeps() {
            return None;
        }

        let kept = state.existing.as_ref().filter(|_| !state.action.creates());
        if let Some(attribute) = kept.and_then(TableSchema::ttl_attribute) {
            return Some(TableTtl {
                attribute,
                is_new: false,
            });
        }

        let mut planned = self.settings.planned().into_iter();
        let is_planned = planned.any(|planned| planned.setting == Setting::TTL);
        let attribute = self.wanted_schema()?.ttl_attribute();
        Some(TableTtl {
            attribute: attribute.filter(|_| is_planned)?,
            is_new: true,
        })
    }

    /// Counts the items of the source that will expire in the table, or that violate the key of one of its indexes.
    pub(crate) fn item_counter(
        &self,
        request: &RestoreRequest,
        source: &ItemSource,
        state: &TargetState,
    ) -> Result<ItemCounter> {
        let added = self.wanted_schema().filter(|_| self.applies_settings);
        let table = match (self.resulting_table(state), added) {
            (Some(table), Some(added)) => Some(table.with_indexes_of(added)?),
            (table, _) => table.cloned(),
        };

        let expiry = self.ttl.as_ref().and_then(|ttl| ttl.expiry(request));
        let keys = uncounted_keys(request, source, table.as_ref());
        Ok(ItemCounter::new(expiry, keys))
    }

    /// The wanted schema, with the overrides.
    pub(crate) fn wanted_schema(&self) -> Option<&TableSchema> {
        self.wanted.as_ref().map(|wanted| &wanted.schema)
    }

    /// The table that the items are written into, without the boost: created from the wanted schema, or the existing one.
    pub(crate) fn resulting_table<'a>(&'a self, state: &'a TargetState) -> Option<&'a TableSchema> {
        if state.action.creates() {
            self.wanted_schema()
        } else {
            state.existing.as_ref()
        }
    }
}

/// Inputs of the reconciliation.
struct ReconcileInputs<'a> {
    request: &'a RestoreRequest,
    table: &'a str,
    action: &'a TableAction,
    wanted: Option<&'a TableSchema>,
    existing: Option<&'a TableSchema>,
    /// Whether the restore applies the settings of the wanted schema.
    applies_settings: bool,
    /// Whether the target replaces the very table that was dumped.
    same_table: bool,
}

/// Changes to the table, except for the boost.
#[derive(Default)]
struct TableChanges {
    key: Option<KeySchema>,
    differences: Vec<Difference>,
    key_mismatch: Option<KeyMismatch>,
    settings: Settings,
}

impl ReconcileInputs<'_> {
    fn table_changes(&self) -> Result<TableChanges> {
        // The old table must not be deleted if the new one cannot be created.
        if let (TableAction::Replace { .. }, Some(wanted)) = (self.action, self.wanted) {
            wanted.check_creatable()?;
        }

        match (self.action, self.existing) {
            (TableAction::Keep { .. }, _) => Ok(TableChanges::default()),
            (TableAction::Add { .. }, Some(existing)) => self.existing_table(existing),
            _ => self.new_table(),
        }
    }

    /// The boost. An existing table is boosted from its current capacity. Afterwards, it gets the wanted billing if the restore applies
    /// the settings, otherwise its own.
    fn boost(
        &self,
        leftover: Option<LeftoverBoost>,
        settings: &mut Settings,
    ) -> Result<(Option<TemporaryBoost>, Option<PlannedBoost>)> {
        let (base, leftover) = match self.action {
            TableAction::Keep { .. } => {
                return Ok((None, leftover.map(|leftover| leftover.left_in_place())));
            }
            TableAction::Add { .. } => (self.existing, leftover),
            // A leftover boost disappears with the old table.
            TableAction::Create | TableAction::CreateWhenDeleted | TableAction::Replace { .. } => {
                (self.wanted, None)
            }
        };

        let Some(base) = base else {
            return Ok((None, None));
        };

        let applied = self.wanted.filter(|_| self.applies_settings);
        // The table gets its missing indexes while the boost is in force.
        let base = &match applied {
            Some(wanted) => base.with_indexes_of(wanted)?,
            None => base.clone(),
        };

        // Indexes that only the existing table has keep their capacity.
        let with_own_indexes = applied
            .filter(|wanted| wanted.description().is_provisioned() && !self.action.creates())
            .map(|wanted| base.billed_as(wanted))
            .transpose()?;
        let after = with_own_indexes.as_ref().or(applied).unwrap_or(base);
        let requested = self
            .request
            .boost
            .filter(|_| self.request.content.includes_items());
        let (boost, planned) = TemporaryBoost::plan(requested, leftover, base, after)?;

        if let Some(boost) = &boost {
            let creation = if self.action.creates() {
                let choice = &self.request.settings;
                Some(boost.creation(self.table, choice, self.same_table)?)
            } else {
                None
            };

            settings.leave_billing_to_boost(creation);
            if let Some(wanted) = applied {
                settings.indexing = self.index_creations(&boost.boosted, wanted)?;
            }
        }

        Ok((boost, planned))
    }

    /// The calls that create indexes of `wanted` while the table is as in `boosted`.
    fn index_creations(
        &self,
        boosted: &TableSchema,
        wanted: &TableSchema,
    ) -> Result<Vec<SettingCall>> {
        let boosted = boosted.with_indexes_of(wanted)?;
        let existing = self.existing.filter(|_| !self.action.creates());
        let choice = &self.request.settings;
        let mut calls = boosted
            .settings_plan(self.table, choice, self.same_table, existing)
            .indexing;
        calls.retain(|call| call.setting == Setting::INDEXES);

        Ok(calls)
    }

    /// The changes to a table that exists.
    fn existing_table(&self, existing: &TableSchema) -> Result<TableChanges> {
        let mut found = self
            .wanted
            .map(|wanted| differences(wanted, existing))
            .unwrap_or_default();
        // The guard refuses another key.
        if found.key.is_some() {
            return Ok(TableChanges {
                key_mismatch: found.key,
                ..TableChanges::default()
            });
        }

        let settings = match self.wanted {
            Some(wanted) if self.applies_settings => Settings::plan(
                self.request,
                wanted,
                Some(existing),
                self.table,
                self.same_table,
            )?,
            Some(wanted) => {
                Settings::unchanged(self.request, wanted, existing, self.table, self.same_table)
            }
            None => Settings::default(),
        };

        if self.applies_settings {
            found
                .settings
                .retain(|difference| is_not_applied(difference.subject));
        }

        Ok(TableChanges {
            key: Some(existing.key_schema()?),
            differences: found.settings,
            key_mismatch: None,
            settings,
        })
    }

    /// The creation of a table that does not exist, or is replaced.
    fn new_table(&self) -> Result<TableChanges> {
        // The guard refuses to create a table without a schema.
        let Some(schema) = self.wanted else {
            return Ok(TableChanges::default());
        };

        let settings = Settings::plan(self.request, schema, None, self.table, self.same_table)?;
        Ok(TableChanges {
            key: Some(schema.key_schema()?),
            settings,
            ..TableChanges::default()
        })
    }
}

/// Whether a difference is about an index, except for its throughput and for a GSI that is missing: other indexes of an existing table
/// are not changed. All other differences are applied, or listed as skipped settings.
fn is_not_applied(subject: Subject) -> bool {
    match subject {
        Subject::Index(how) => !matches!(
            how,
            IndexDifference::Throughput | IndexDifference::MissingGsi
        ),
        Subject::Key | Subject::Setting(_) => false,
    }
}
