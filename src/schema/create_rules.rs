//! Checks a schema for what DynamoDB rejects in a `CreateTable` request, independently of the account's quotas. Used before a table is
//! deleted and recreated; in all other cases DynamoDB itself reports the problem, in better words.
//! Reference: <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html>.

use std::ops::RangeInclusive;

use super::TableSchema;
use super::settings::values::Billing;
use crate::error::{Error, Result};
use crate::field::Field;

/// Bytes of an index's name, which are letters, digits, `_`, `-` and `.`.
const INDEX_NAME_BYTES: RangeInclusive<usize> = 3..=255;

/// Bytes of the name of an attribute that is a key.
const KEY_NAME_BYTES: RangeInclusive<usize> = 1..=255;

impl TableSchema {
    /// Checks names of indexes and key attributes, and capacity, without calling DynamoDB.
    ///
    /// # Errors
    ///
    /// [`SchemaMismatch`](crate::error::ErrorKind::SchemaMismatch): no table can be created from this schema.
    pub fn check_creatable(&self) -> Result<()> {
        self.key_schema()?;
        self.first_violation().map_or(Ok(()), |reason| {
            Err(Error::schema_mismatch(format!("the schema does not describe a valid table: {reason}"))
                .with_hint(format!("the existing table was not changed; correct the schema and pass it with {schema} FILE", schema = Field::Schema)))
        })
    }

    fn first_violation(&self) -> Option<String> {
        let names = self.index_names();
        let is_name = |name: &str| {
            let is_of_names = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
            INDEX_NAME_BYTES.contains(&name.len()) && name.bytes().all(is_of_names)
        };
        if let Some(name) = names.iter().find(|name| !is_name(name)) {
            return Some(format!(
                "`{}` is not a valid index name",
                name.escape_debug()
            ));
        }

        // Names must be unique across GSIs, LSIs and vector indexes.
        if let Some((_, name)) = names
            .iter()
            .enumerate()
            .find(|(at, name)| names[..*at].contains(name))
        {
            return Some(format!("two indexes are named `{name}`"));
        }

        let table = &self.description;
        let global = table.global_secondary_indexes.iter();
        let local = table
            .local_secondary_indexes
            .iter()
            .map(|index| &index.key_schema);
        // The limits on names apply to the keys of the table and of all indexes.
        let keys = global
            .clone()
            .map(|index| &index.key_schema)
            .chain(local)
            .chain([&table.key_schema]);

        if let Some(key) = keys
            .flatten()
            .find(|key| !KEY_NAME_BYTES.contains(&key.attribute_name.len()))
        {
            let bytes = key.attribute_name.len();
            return Some(format!(
                "the name of a key attribute has {bytes} bytes, and 1 to 255 are allowed"
            ));
        }

        let Billing::Provisioned(of_table) = table.billing() else {
            return None;
        };

        // DynamoDB's API has signed 64-bit integers for capacity.
        let capacities = global
            .filter_map(|index| table.index_capacity(index))
            .chain([of_table]);
        let units = capacities.flat_map(|capacity| [capacity.read, capacity.write]);
        units
            .max()
            .filter(|units| i64::try_from(*units).is_err())
            .map(|units| format!("a capacity of {units} units"))
    }
}
