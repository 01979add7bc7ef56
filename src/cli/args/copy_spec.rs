//! The JSON file of `--spec`: the tables, the backup and the capacity of a copy by backup.

use std::path::Path;

use serde_json::{Map, Value};

use crate::backup::read_text;
use crate::error::{Error, Result};
use crate::ops::set::TableMapping;
use crate::schema::{BillingMode, Overrides};
use crate::similar::did_you_mean;

const ORIGIN: &str = "originTableName";
const TARGET: &str = "targetTableName";
const BACKUP: &str = "backupName";
const READ: &str = "desiredReadCapacityUnits";
const WRITE: &str = "desiredWriteCapacityUnits";
const KEYS: [&str; 5] = [ORIGIN, TARGET, BACKUP, READ, WRITE];

/// The content of the file.
#[derive(Debug)]
pub(super) struct CopySpec {
    /// Its path, for errors.
    file: String,
    origin_table: Option<String>,
    target_table: Option<String>,
    pub(super) backup_name: Option<String>,
    read_capacity: Option<u64>,
    write_capacity: Option<u64>,
}

impl CopySpec {
    /// Reads the file.
    ///
    /// # Errors
    /// It cannot be read; it is not a JSON object; it has an unknown key, or a value of another type.
    pub(super) fn read(path: &Path) -> Result<Self> {
        Self::parse(&path.display().to_string(), &read_text(path)?)
    }

    fn parse(file: &str, text: &str) -> Result<Self> {
        let fields: Map<String, Value> = serde_json::from_str(text).map_err(|error| {
            Error::usage(format!("`{file}` is not a JSON object"))
                .with_hint(format!("its keys are {}", KEYS.join(", ")))
                .with_source(error)
        })?;
        if let Some(key) = fields.keys().find(|key| !KEYS.contains(&key.as_str())) {
            let hint = did_you_mean(key, KEYS);
            let hint = hint.unwrap_or_else(|| format!("its keys are {}", KEYS.join(", ")));
            return Err(Error::usage(format!("`{file}`: unknown key {key}")).with_hint(hint));
        }

        let wrong = |key: &str, expected: &str, value: &Value| {
            Error::usage(format!("`{file}`: {key} is {value}"))
                .with_hint(format!("write {expected}"))
        };
        let name = |key: &str| match fields.get(key) {
            None => Ok(None),
            Some(Value::String(name)) if !name.is_empty() => Ok(Some(name.clone())),
            Some(value) => Err(wrong(key, "a name in quotation marks", value)),
        };
        let units = |key: &str| match fields.get(key) {
            None => Ok(None),
            Some(value) => match value.as_u64() {
                Some(units) if units > 0 => Ok(Some(units)),
                _ => Err(wrong(key, "a whole number of at least 1", value)),
            },
        };

        Ok(Self {
            file: file.to_owned(),
            origin_table: name(ORIGIN)?,
            target_table: name(TARGET)?,
            backup_name: name(BACKUP)?,
            read_capacity: units(READ)?,
            write_capacity: units(WRITE)?,
        })
    }

    /// The capacity of the target, which is then provisioned.
    pub(super) fn overrides(&self) -> Overrides {
        let has_capacity = self.read_capacity.is_some() || self.write_capacity.is_some();

        Overrides {
            billing_mode: has_capacity.then_some(BillingMode::Provisioned),
            read_capacity: self.read_capacity,
            write_capacity: self.write_capacity,
            ..Overrides::default()
        }
    }

    /// Names the source and the target, unless options do.
    ///
    /// # Errors
    /// Neither the file nor an option names one of them; the name is not valid.
    pub(super) fn name_tables(
        &self,
        table: &mut Option<String>,
        mapping: &mut TableMapping,
    ) -> Result<()> {
        if table.is_none() {
            table.clone_from(&self.origin_table);
        }

        let Some(source) = &*table else {
            return Err(self.missing(ORIGIN, "--table NAME"));
        };

        if mapping.is_identity() {
            let Some(target) = &self.target_table else {
                return Err(self.missing(TARGET, "--map FROM=TO"));
            };
            mapping.rules.push(format!("{source}={target}").parse()?);
        }

        Ok(())
    }

    fn missing(&self, key: &str, option: &str) -> Error {
        Error::usage(format!("`{}`: {key} is missing", self.file))
            .with_hint(format!("add it, or pass {option}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<CopySpec> {
        CopySpec::parse("input.json", text)
    }

    #[test]
    fn the_input_of_a_workflow_is_accepted_as_it_is() {
        let spec = parse(
            r#"{"originTableName": "clients", "backupName": "nightly", "targetTableName": "clients_restored",
                "desiredReadCapacityUnits": 3, "desiredWriteCapacityUnits": 4}"#,
        )
        .unwrap();
        assert_eq!(spec.origin_table.as_deref(), Some("clients"));
        assert_eq!(spec.target_table.as_deref(), Some("clients_restored"));
        assert_eq!(spec.backup_name.as_deref(), Some("nightly"));
        let overrides = spec.overrides();
        assert_eq!(
            (
                overrides.billing_mode,
                overrides.read_capacity,
                overrides.write_capacity
            ),
            (Some(BillingMode::Provisioned), Some(3), Some(4))
        );
        assert!(parse("{}").unwrap().overrides().billing_mode.is_none());
    }

    #[test]
    fn unknown_keys_and_other_types_are_refused_with_file_and_key() {
        for (text, problem) in [
            (r#"{"originTable": "clients"}"#, "unknown key originTable"),
            (r#"{"originTableName": 3}"#, "originTableName is 3"),
            (r#"{"targetTableName": ""}"#, "targetTableName is \"\""),
            (r#"{"backupName": null}"#, "backupName is null"),
            (
                r#"{"desiredReadCapacityUnits": "3"}"#,
                "desiredReadCapacityUnits is \"3\"",
            ),
            (
                r#"{"desiredWriteCapacityUnits": 0}"#,
                "desiredWriteCapacityUnits is 0",
            ),
            (
                r#"{"desiredWriteCapacityUnits": 2.5}"#,
                "desiredWriteCapacityUnits is 2.5",
            ),
            ("[]", "is not a JSON object"),
            ("{", "is not a JSON object"),
        ] {
            let error = parse(text).unwrap_err();
            assert_eq!(error.kind(), crate::error::ErrorKind::Usage);
            let message = error.to_string();
            assert!(message.contains("input.json"), "{message}");
            assert!(message.contains(problem), "{message}");
            assert!(error.hint().is_some(), "{message}");
        }
    }
}
