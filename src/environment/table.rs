//! Validation of the table setting. A list or a pattern is valid, but not for every command.

use super::{Sourced, ValueSource};
use crate::error::{Error, Result};
use crate::field::Field;

/// Length of a table name, in bytes (AWS: 3 to 255,
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/HowItWorks.NamingRulesDataTypes.html>).
const NAME_BYTES: std::ops::RangeInclusive<usize> = 3..=255;

/// The one table that the setting names.
pub(crate) fn single(table: &Sourced<String>) -> Result<&str> {
    let name = table.value.as_str();
    // An ARN contains a region and an account, which could contradict the other settings.
    if name.starts_with("arn:") {
        return Err(table_error(
            table,
            &format!(
                "is an ARN; give the table's name, and its region as {} or AWS_REGION",
                Field::Region
            ),
        ));
    }

    if name.contains([',', '*', '?']) {
        return Err(table_error(
            table,
            "is a list or a pattern, but this command handles one table",
        )
        .with_hint(format!("name one table with {table}", table = Field::Table)));
    }

    if !is_table_name(name) {
        return Err(table_error(
            table,
            "is not a valid table name: 3 to 255 letters, digits, `_`, `-` and `.`",
        ));
    }

    Ok(name)
}

/// Whether DynamoDB accepts a table with this name.
pub(crate) fn is_table_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);

    NAME_BYTES.contains(&name.len()) && name.bytes().all(allowed)
}

/// Creates a usage error about the table setting, regardless of the source of the setting.
pub(crate) fn table_error(table: &Sourced<String>, what: &str) -> Error {
    match &table.source {
        ValueSource::Field(_) => table.source.error(what),
        other => Error::usage(other.error(what).to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn one_table_per_run() {
        let check = |name: &str, source: &ValueSource| {
            single(&Sourced {
                value: name.to_owned(),
                source: source.clone(),
            })
            .map(str::to_owned)
        };

        let flag = ValueSource::Field(Field::Table);
        for name in ["abc", "a-b_c.D9", &"x".repeat(255)] {
            assert_eq!(check(name, &flag).unwrap(), name);
        }

        for name in [
            "ab",
            &"x".repeat(256),
            "a b",
            "täble",
            "a/b",
            "../x",
            "a,b",
            "a*",
            "a?c",
            "arn:aws:dynamodb:::table/x",
        ] {
            for source in [&flag, &ValueSource::Process("DYNAMODB_TABLE")] {
                assert_eq!(
                    check(name, source).unwrap_err().kind(),
                    ErrorKind::Usage,
                    "{name}"
                );
            }
        }

        assert_eq!(
            check("users,orders", &flag).unwrap_err().to_string(),
            "`table` is a list or a pattern, but this command handles one table"
        );
    }
}
