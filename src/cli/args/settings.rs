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
    indexes_after: bool,

    /// Apply the settings to an existing table, too; GSIs that it lacks are created
    #[arg(long)]
    apply_settings: bool,
}

/// Resolved options about settings.
#[derive(Debug, Default)]
pub(crate) struct ResolvedSettings {
    pub(crate) choice: SettingChoice,
    pub(crate) overrides: Overrides,
    pub(crate) apply: bool,
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
    /// Checks the options together with the `overrides`. `creates`: whether the command may create a table.
    ///
    /// # Errors
    /// Options cannot be used together or have no effect.
    pub(crate) fn resolve(self, overrides: Overrides, creates: bool) -> Result<ResolvedSettings> {
        let choice = SettingChoice {
            with: self.with,
            without: self.without,
            first: self.settings_first,
            later_indexes: if self.indexes_after {
                LaterIndexes::All
            } else {
                LaterIndexes::default()
            },
        };

        let resolved = ResolvedSettings {
            choice,
            overrides,
            apply: self.apply_settings,
        };

        resolved.check_choice()?;

        if !creates {
            resolved.check_without_creation()?;
        }

        Ok(resolved)
    }
}

impl ResolvedSettings {
    /// Rejects settings that one option includes and `--without` excludes.
    fn check_choice(&self) -> Result<()> {
        let SettingChoice {
            with,
            without,
            first,
            later_indexes: _,
        } = &self.choice;

        let overrides = &self.overrides;
        // Each setting that is requested, with the option that requests it.
        let mut requested: Vec<_> = with
            .iter()
            .map(|setting| (*setting, format!("--with {setting}")))
            .collect();
        requested.extend(
            first
                .iter()
                .map(|setting| (*setting, format!("--settings-first {setting}"))),
        );

        requested.extend(
            overrides
                .kms_key
                .iter()
                .map(|_| (Setting::KMS, "--set kms-key".to_owned())),
        );

        requested.extend(
            overrides
                .table_class
                .map(|_| (Setting::CLASS, "--set table-class".to_owned())),
        );

        requested.extend(
            overrides
                .add_tags
                .keys()
                .map(|_| (Setting::TAGS, "--set tag".to_owned())),
        );

        match requested
            .into_iter()
            .find(|(setting, _)| without.contains(setting))
        {
            Some((setting, flag)) => Err(Error::usage(format!(
                "{flag} and --without {setting} cannot be used together"
            ))
            .with_hint("omit one of them")),
            None => Ok(()),
        }
    }

    /// Rejects auto scaling before the items together with a boost, because it would change the boosted capacity.
    pub(crate) fn check_with_boost(&self) -> Result<()> {
        if self.choice.first.contains(&Setting::AUTOSCALING) {
            return Err(Error::usage(
                "--settings-first autoscaling and --boost-write-capacity cannot be used together",
            )
            .with_hint("auto scaling would change the boosted capacity; omit one of them"));
        }

        Ok(())
    }

    /// Rejects options that have no effect if the table is not created: its settings change only with `--apply-settings`, its key and
    /// indexes never.
    fn check_without_creation(&self) -> Result<()> {
        let is_chosen = !(self.choice.with.is_empty()
            && self.choice.without.is_empty()
            && self.choice.first.is_empty()
            && self.choice.later_indexes == LaterIndexes::default());
        if (is_chosen || self.overrides != Overrides::default()) && !self.apply {
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
        } = &self.overrides;

        if !drop_indexes.is_empty() || !only_indexes.is_empty() || key_schema.is_some() {
            return Err(
                Error::usage("--no-create does not change the key and indexes of a table")
                    .with_hint("omit the options that change them, or omit --no-create"),
            );
        }

        Ok(())
    }
}

#[cfg(test)]
mod tests;
