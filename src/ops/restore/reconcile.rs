//! What follows from the schema that is wanted and the table that exists: whether they fit, what is created, what is applied.

use super::boost::{Boosting, Left};
use super::settings::Settings;
use super::{PlannedBoost, RestoreRequest, TableAction};
use crate::backup::{self, Source};
use crate::environment::Environment;
use crate::error::{Error, Result};
use crate::item::KeySchema;
use crate::schema::{Difference, KeyMismatch, OverriddenSchema, TableSchema, differences};

/// The schema the table is to have: the file's or the dump's, with what is to be changed on the way.
pub(crate) fn wanted_schema(
    request: &RestoreRequest,
    source: &Source,
) -> Result<Option<OverriddenSchema>> {
    let schema = match &request.schema {
        Some(file) => Some(backup::read_schema(file)?),
        None => source.schema().cloned(),
    };
    schema
        .map(|schema| schema.overridden(&request.overrides))
        .transpose()
}

/// What a restore is out for.
pub(crate) struct Aim<'a> {
    pub(crate) request: &'a RestoreRequest,
    /// The target table.
    pub(crate) table: &'a str,
    /// Whether the table's settings are this restore's business.
    pub(crate) applies: bool,
    /// Whether the target takes the place of the very table that was dumped.
    pub(crate) same_table: bool,
}

/// What follows.
#[derive(Default)]
pub(crate) struct Settled {
    /// The key that items must have.
    pub(crate) key: Option<KeySchema>,
    /// Settings that stay as they are although the schema has others.
    pub(crate) differences: Vec<Difference>,
    /// Settings that are brought to the table.
    pub(crate) settings: Settings,
}

impl Settled {
    pub(crate) fn of(
        aim: &Aim<'_>,
        action: &TableAction,
        wanted: Option<&OverriddenSchema>,
        existing: Option<&TableSchema>,
        environment: &Environment,
    ) -> Result<Self> {
        let wanted = wanted.map(|wanted| &wanted.schema);
        if matches!(action, TableAction::Replace { .. }) {
            wanted.map_or(Ok(()), TableSchema::check_creatable)?;
        }

        match (action, existing) {
            (TableAction::Keep, _) => Ok(Self::default()),
            (TableAction::Add { .. }, Some(existing)) => Self::added(aim, wanted, existing),
            _ => Self::created(aim, action, wanted, environment),
        }
    }

    /// The boost of the table. An existing table is raised from what it has, and has at the end what its settings say: its own,
    /// unless they are this restore's business.
    pub(crate) fn boost(
        &mut self,
        aim: &Aim<'_>,
        action: &TableAction,
        wanted: Option<&OverriddenSchema>,
        existing: Option<&TableSchema>,
        left: Option<Left>,
    ) -> Result<(Option<Boosting>, Option<PlannedBoost>)> {
        let wanted = wanted.map(|wanted| &wanted.schema);
        let (base, left) = match action {
            TableAction::Keep => return Ok((None, left.map(|left| left.stays()))),
            TableAction::Add { .. } => (existing, left),
            TableAction::Create | TableAction::CreateWhenDeleted | TableAction::Replace { .. } => {
                (wanted, None)
            }
        };

        let Some(base) = base else {
            return Ok((None, None));
        };

        // Indexes that only the table has keep what they have.
        let applied = wanted.filter(|_| aim.applies);
        let kept =
            applied.filter(|wanted| wanted.description().is_provisioned() && !action.creates());
        let kept = kept.map(|wanted| base.billed_as(wanted)).transpose()?;
        let back = kept.as_ref().or(applied).unwrap_or(base);
        let boost = aim
            .request
            .boost
            .filter(|_| aim.request.content.includes_items());
        let (boosting, planned) = Boosting::plan(boost, left, base, back)?;
        if let Some(boosting) = &boosting {
            let creates = !matches!(action, TableAction::Add { .. });
            let creation = creates
                .then(|| boosting.creation(aim.table, &aim.request.settings, aim.same_table));
            self.settings.leave_billing_to_boost(creation.transpose()?);
        }

        Ok((boosting, planned))
    }

    fn added(aim: &Aim<'_>, wanted: Option<&TableSchema>, existing: &TableSchema) -> Result<Self> {
        let mut found = wanted
            .map(|wanted| differences(wanted, existing))
            .unwrap_or_default();
        if let Some(key) = found.key {
            return Err(Error::schema_mismatch(format!(
                "the key schema of table {} is not the dump's",
                aim.table
            ))
            .with_details(side_by_side(&key))
            .with_hint(
                "restore under another name with --table, or replace the table with --replace",
            ));
        }

        let settings = match wanted.filter(|_| aim.applies) {
            Some(wanted) => Settings::of(
                aim.request,
                wanted,
                Some(existing),
                aim.table,
                aim.same_table,
            )?,
            None => Settings::default(),
        };

        if aim.applies {
            found
                .settings
                .retain(|difference| stays(&difference.setting));
        }

        Ok(Self {
            key: Some(existing.key_schema()?),
            differences: found.settings,
            settings,
        })
    }

    fn created(
        aim: &Aim<'_>,
        action: &TableAction,
        wanted: Option<&TableSchema>,
        environment: &Environment,
    ) -> Result<Self> {
        let Aim { request, table, .. } = aim;
        let state = match action {
            TableAction::CreateWhenDeleted => "is being deleted",
            _ => "does not exist",
        };
        if !request.create || !request.content.includes_schema() {
            let flag = if request.create {
                "--data-only"
            } else {
                "--no-create"
            };

            return Err(Error::not_found(format!(
                "table {table} {state} in environment {}",
                environment.name()
            ))
            .with_hint(format!("create it first, or leave out {flag}")));
        }

        let Some(schema) = wanted else {
            return Err(Error::schema_mismatch(format!(
                "table {table} {state} in environment {}, and the source has no schema to create it from",
                environment.name()
            ))
            .with_hint("pass --schema FILE (what `aws dynamodb describe-table` prints), or create the table first"));
        };

        let settings = Settings::of(request, schema, None, table, aim.same_table)?;
        Ok(Self {
            key: Some(schema.key_schema()?),
            differences: Vec::new(),
            settings,
        })
    }
}

/// The indexes of a table that exists are not changed. Whatever else differs is applied or skipped, and listed there.
fn stays(difference: &str) -> bool {
    let of_an_index = difference.starts_with("GSI ") || difference.starts_with("LSI ");
    of_an_index && !difference.ends_with(" throughput")
}

fn side_by_side(key: &KeyMismatch) -> Vec<String> {
    let width = key
        .dump
        .iter()
        .map(|line| line.chars().count())
        .max()
        .unwrap_or(0)
        .max(4)
        + 4;

    let row = |dump: &str, table: &str| format!("{dump:width$}{table}");
    let rows = key
        .dump
        .iter()
        .zip(&key.table)
        .map(|(dump, table)| row(dump, table));

    std::iter::once(row("dump", "table")).chain(rows).collect()
}
