//! Options of `restoredb` about table settings: which settings are restored, and when.

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};

use super::heading;
use crate::error::{Error, Result};
use crate::schema::{LaterIndexes, Overrides, Setting, SettingChoice};

/// Options about table settings.
#[derive(Debug, Args)]
#[command(next_help_heading = heading::TABLE_SETTINGS)]
pub(crate) struct SettingArgs {
    #[arg(long, help = with_help(), value_name = "NAME,…", value_delimiter = ',', value_parser = setting_parser(), hide_possible_values = true)]
    with: Vec<Setting>,

    /// Skip these settings (names as for --with)
    #[arg(long, value_name = "NAME,…", value_delimiter = ',', value_parser = setting_parser(), hide_possible_values = true)]
    without: Vec<Setting>,

    /// Apply these settings before the items are written, not after (names as for --with)
    #[arg(long, value_name = "NAME,…", value_delimiter = ',', value_parser = setting_parser(), hide_possible_values = true)]
    settings_first: Vec<Setting>,

    /// Create the GSIs of a new table after its items; items that do not fit the key of an index are
    /// then in the table, but not in the index
    #[arg(long)]
    pub(super) indexes_after: bool,

    /// Apply the settings to an existing table, too; GSIs that it lacks are created
    #[arg(long)]
    pub(super) apply_settings: bool,
}

/// Help of `--with`.
fn with_help() -> String {
    let names: Vec<_> = Setting::choices().map(Setting::name).collect();
    format!(
        "Restore these settings even if they would be skipped: {}",
        names.join(", ")
    )
}

/// A parser for names of settings; its errors list all names.
fn setting_parser() -> impl TypedValueParser<Value = Setting> {
    PossibleValuesParser::new(Setting::choices().map(Setting::name)).map(|name| {
        name.parse()
            .expect("only names of settings are possible values")
    })
}

impl SettingArgs {
    /// The chosen settings, after a check together with the `overrides`. `creates`: whether the command may create a table.
    ///
    /// # Errors
    /// Options cannot be used together or have no effect.
    pub(super) fn resolve(&self, overrides: &Overrides, creates: bool) -> Result<SettingChoice> {
        let choice = SettingChoice {
            with: self.with.clone(),
            without: self.without.clone(),
            first: self.settings_first.clone(),
            later_indexes: if self.indexes_after {
                LaterIndexes::All
            } else {
                LaterIndexes::default()
            },
        };

        check_choice(&choice, overrides)?;
        if !creates {
            self.check_without_creation(overrides)?;
        }

        Ok(choice)
    }

    /// Rejects auto scaling before the items together with a boost, because it would change the boosted capacity.
    pub(super) fn check_with_boost(&self) -> Result<()> {
        if self.settings_first.contains(&Setting::AUTOSCALING) {
            return Err(Error::usage(
                "--settings-first autoscaling and --boost-write-capacity cannot be used together",
            )
            .with_hint("auto scaling would change the boosted capacity; omit one of them"));
        }

        Ok(())
    }

    /// Rejects options that have no effect if the table is not created: its settings change only with `--apply-settings`, its key and
    /// indexes never.
    fn check_without_creation(&self, overrides: &Overrides) -> Result<()> {
        let lists = [&self.with, &self.without, &self.settings_first];
        let is_chosen = self.indexes_after || lists.iter().any(|list| !list.is_empty());
        if (is_chosen || *overrides != Overrides::default()) && !self.apply_settings {
            return Err(
                Error::usage("--no-create does not change the settings of a table").with_hint(
                    "add --apply-settings to change them, or omit the options about settings",
                ),
            );
        }

        let Overrides {
            drop_indexes,
            only_indexes,
            key_schema,
            ..
        } = overrides;

        if !drop_indexes.is_empty() || !only_indexes.is_empty() || key_schema.is_some() {
            return Err(
                Error::usage("--no-create does not change the key and indexes of a table")
                    .with_hint("omit the options that change them, or omit --no-create"),
            );
        }

        Ok(())
    }
}

/// Rejects settings that one option requests and `--without` excludes.
fn check_choice(choice: &SettingChoice, overrides: &Overrides) -> Result<()> {
    let with = choice.with.iter();
    let with = with.map(|setting| (*setting, format!("--with {setting}")));
    let first = choice.first.iter();
    let first = first.map(|setting| (*setting, format!("--settings-first {setting}")));
    let overridden = [
        (Setting::KMS, "--set kms-key", overrides.kms_key.is_some()),
        (
            Setting::CLASS,
            "--set table-class",
            overrides.table_class.is_some(),
        ),
        (Setting::TAGS, "--set tag", !overrides.add_tags.is_empty()),
    ];
    let overridden = overridden
        .into_iter()
        .filter(|(_, _, is_given)| *is_given)
        .map(|(setting, flag, _)| (setting, flag.to_owned()));

    let mut requested = with.chain(first).chain(overridden);
    match requested.find(|(setting, _)| choice.without.contains(setting)) {
        Some((setting, flag)) => Err(Error::usage(format!(
            "{flag} and --without {setting} cannot be used together"
        ))
        .with_hint("omit one of them")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
