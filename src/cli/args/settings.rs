//! Options of `restoredb` about table settings: which settings are restored, and overrides of the schema.

use std::path::{Path, PathBuf};

use clap::builder::{NonEmptyStringValueParser, PossibleValuesParser, TypedValueParser};
use clap::{Args, ValueEnum};

use super::value::{index_capacity_arg, tag};
use crate::backup;
use crate::error::{Error, Result};
use crate::schema::{
    BillingMode, Capacity, Overrides, OverridesFormat, Setting, SettingChoice, TableClass,
};

/// Options about table settings.
#[derive(Debug, Args)]
#[command(next_help_heading = "Settings")]
pub(crate) struct SettingArgs {
    /// bring these back although they would be skipped: stream, ttl, tags, pitr, insights,
    /// autoscaling, policy, kinesis, replicas, kms, class, warm-throughput, deletion-protection
    #[arg(long, value_name = "NAME,…", value_delimiter = ',', value_parser = setting_parser(), hide_possible_values = true)]
    with: Vec<Setting>,

    /// leave these out (names as for --with)
    #[arg(long, value_name = "NAME,…", value_delimiter = ',', value_parser = setting_parser(), hide_possible_values = true)]
    without: Vec<Setting>,

    /// apply these before the items are written and not after them (names as for --with)
    #[arg(long, value_name = "NAME,…", value_delimiter = ',', value_parser = setting_parser(), hide_possible_values = true)]
    settings_first: Vec<Setting>,

    /// bring the settings back to a table that exists, too
    #[arg(long)]
    apply_settings: bool,

    /// read overrides from this .json or .toml file; its keys are the options below, which win
    #[arg(long, value_name = "FILE")]
    schema_overrides: Option<PathBuf>,

    /// bill the table by request or by capacity
    #[arg(long, value_name = "MODE", value_enum)]
    billing_mode: Option<BillingModeArg>,

    /// provision so many RCU for the table and for its indexes
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    read_capacity: Option<u64>,

    /// provision so many WCU for the table and for its indexes
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    write_capacity: Option<u64>,

    /// provision so many RCU and WCU for one index; may be repeated
    #[arg(long, value_name = "NAME=R:W", value_parser = index_capacity_arg)]
    index_capacity: Vec<(String, Capacity)>,

    /// let an on-demand table and its indexes take so many read units per second at most
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    max_read_units: Option<u64>,

    /// let an on-demand table and its indexes take so many write units per second at most
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    max_write_units: Option<u64>,

    /// make the table of this class
    #[arg(long, value_name = "CLASS", value_enum)]
    table_class: Option<TableClassArg>,

    /// encrypt the table with this KMS key: ARN, alias or id
    #[arg(long, value_name = "KEY", value_parser = NonEmptyStringValueParser::new())]
    kms_key: Option<String>,

    /// add a tag, or change one; may be repeated
    #[arg(long, value_name = "NAME=VALUE", value_parser = tag)]
    add_tag: Vec<(String, String)>,

    /// leave the dump's tags out
    #[arg(long)]
    no_tags: bool,

    /// create the table without these indexes; all for none at all
    #[arg(long, value_name = "NAME,…", value_delimiter = ',', value_parser = NonEmptyStringValueParser::new())]
    drop_index: Vec<String>,

    /// create the table with these indexes and no other
    #[arg(long, value_name = "NAME,…", value_delimiter = ',', value_parser = NonEmptyStringValueParser::new())]
    only_index: Vec<String>,

    /// create the table with another key: partition key and, if there is one, sort key, each with
    /// its type S, N or B, for example 'owner:S,made:N'; items that lack it are rejected
    #[arg(long, value_name = "KEY", value_parser = NonEmptyStringValueParser::new())]
    key_schema: Option<String>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum BillingModeArg {
    OnDemand,
    Provisioned,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum TableClassArg {
    Standard,
    StandardInfrequentAccess,
}

/// Resolved options about settings.
#[derive(Debug, Default)]
pub(crate) struct ResolvedSettings {
    pub(crate) choice: SettingChoice,
    pub(crate) overrides: Overrides,
    pub(crate) apply: bool,
}

/// A parser for names of settings; its errors list all names.
fn setting_parser() -> impl TypedValueParser<Value = Setting> {
    PossibleValuesParser::new(Setting::ALL.map(Setting::name)).map(|name| {
        name.parse()
            .expect("only names of settings are possible values")
    })
}

impl SettingArgs {
    /// Checks the options and reads the file of overrides. `creates`: whether the command may create a table.
    ///
    /// # Errors
    /// Options contradict each other or have no effect; the file of overrides cannot be read.
    pub(crate) fn resolve(self, creates: bool) -> Result<ResolvedSettings> {
        let file = self
            .schema_overrides
            .as_deref()
            .map(read_overrides)
            .transpose()?
            .unwrap_or_default();

        let choice = SettingChoice {
            with: self.with.clone(),
            without: self.without.clone(),
            first: self.settings_first.clone(),
        };

        let apply = self.apply_settings;
        let resolved = ResolvedSettings {
            choice,
            // Options take precedence over the file.
            overrides: self.overrides().merge(file),
            apply,
        };

        resolved.check_choice()?;

        if !creates {
            resolved.check_without_creation()?;
        }

        Ok(resolved)
    }

    fn overrides(self) -> Overrides {
        Overrides {
            billing_mode: self.billing_mode.map(|mode| match mode {
                BillingModeArg::OnDemand => BillingMode::OnDemand,
                BillingModeArg::Provisioned => BillingMode::Provisioned,
            }),
            read_capacity: self.read_capacity,
            write_capacity: self.write_capacity,
            index_capacity: self.index_capacity.into_iter().collect(),
            max_read_units: self.max_read_units,
            max_write_units: self.max_write_units,
            table_class: self.table_class.map(|class| match class {
                TableClassArg::Standard => TableClass::Standard,
                TableClassArg::StandardInfrequentAccess => TableClass::StandardInfrequentAccess,
            }),
            kms_key: self.kms_key,
            add_tags: self.add_tag.into_iter().collect(),
            no_tags: self.no_tags,
            drop_indexes: self.drop_index,
            only_indexes: self.only_index,
            key_schema: self.key_schema,
        }
    }
}

impl ResolvedSettings {
    /// Rejects settings that one option includes and `--without` excludes.
    fn check_choice(&self) -> Result<()> {
        let SettingChoice {
            with,
            without,
            first,
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
                .map(|_| (Setting::Kms, "--kms-key".to_owned())),
        );

        requested.extend(
            overrides
                .table_class
                .map(|_| (Setting::Class, "--table-class".to_owned())),
        );

        requested.extend(
            overrides
                .add_tags
                .keys()
                .map(|_| (Setting::Tags, "--add-tag".to_owned())),
        );

        match requested
            .into_iter()
            .find(|(setting, _)| without.contains(setting))
        {
            Some((setting, flag)) => Err(Error::usage(format!(
                "{flag} and --without {setting} contradict each other"
            ))
            .with_hint("leave one of them out")),
            None => Ok(()),
        }
    }

    /// Rejects auto scaling before the items together with a boost, because it would change the boosted capacity.
    pub(crate) fn check_with_boost(&self) -> Result<()> {
        if self.choice.first.contains(&Setting::Autoscaling) {
            return Err(Error::usage(
                "--settings-first autoscaling and --boost-write-capacity contradict each other",
            )
            .with_hint("auto scaling would change the boosted capacity; leave one of them out"));
        }

        Ok(())
    }

    /// Rejects options that have no effect if the table is not created: its settings change only with `--apply-settings`, its key and
    /// indexes never.
    fn check_without_creation(&self) -> Result<()> {
        let is_chosen = !(self.choice.with.is_empty()
            && self.choice.without.is_empty()
            && self.choice.first.is_empty());
        if (is_chosen || self.overrides != Overrides::default()) && !self.apply {
            return Err(Error::usage(
                "--no-create leaves the settings of a table as they are, so there are none to choose",
            )
            .with_hint("add --apply-settings to change them, or leave out the options about settings"));
        }

        let Overrides {
            drop_indexes,
            only_indexes,
            key_schema,
            ..
        } = &self.overrides;

        if !drop_indexes.is_empty() || !only_indexes.is_empty() || key_schema.is_some() {
            return Err(
                Error::usage("--no-create leaves key and indexes of a table as they are")
                    .with_hint("leave out the options that change them, or leave out --no-create"),
            );
        }

        Ok(())
    }
}

/// Reads a file of overrides; its extension selects the format.
fn read_overrides(path: &Path) -> Result<Overrides> {
    let format = match path.extension().and_then(|ending| ending.to_str()) {
        Some("json") => OverridesFormat::Json,
        Some("toml") => OverridesFormat::Toml,
        _ => {
            return Err(Error::usage(format!(
                "--schema-overrides {} is neither .json nor .toml",
                path.display()
            ))
            .with_hint("give the file the ending of its notation"));
        }
    };

    Overrides::parse(&backup::read_text(path)?, format).map_err(|error| {
        let located = Error::usage(format!("{}: {error}", path.display()));
        match error.hint() {
            Some(hint) => located.with_hint(hint),
            None => located,
        }
    })
}

#[cfg(test)]
mod tests;
