//! Everything needed to recreate a table except its items.
//!
//! The document is kept verbatim: the description from DynamoDB is written to a dump byte for byte, fields of a later API included.
//! [`Description`] is a typed view of the fields that this program reads. The `CreateTable` request, the list of settings that are
//! not recreated, the differences between a dump and a table, and descriptions for people are derived from both.
//! Nothing here prints, and nothing is formatted for a terminal: names come from documents and may hold any character.

mod arn;
mod backed_up_table;
mod create;
mod create_rules;
mod description;
mod diff;
mod document;
mod json_body;
mod not_recreated;
mod outline;
mod overrides;
mod restoring_tag;
mod settings;
mod status;
mod table_backup;
mod table_origin;
#[cfg(test)]
mod tests;
mod timestamp;
mod unknown_fields;
mod vector_indexes;
mod wording;

pub use arn::account as account_of;
pub(crate) use arn::any_account;
pub(crate) use backed_up_table::BackedUpTable;
pub use create::CreateTable;
pub use description::{
    AttributeDefinition, BillingModeSummary, Description, GlobalIndex, KeyElement, LocalIndex,
    OnDemandThroughput, Projection, ProvisionedThroughput, RestoreSummary, SseDescription,
    SseSpecification, StreamSpecification, TableClassSummary, WarmThroughput,
};
pub use diff::{
    Difference, Differences, IndexDifference, KeyMismatch, KeyPart, Subject, differences,
};
pub use document::section::{Captured, Section};
pub(crate) use document::section::{Reading, Resource};
pub use not_recreated::MissingSetting;
pub use outline::TableOutline;
pub use overrides::edit::OverriddenSchema;
pub use overrides::parse::{BillingMode, Overrides, OverridesFormat, TableClass};
pub(crate) use restoring_tag::restoring_tag_removal;
pub use settings::actions::{STREAM_ARN, TABLE_ARN};
pub use settings::boost::Boost;
pub use settings::encryption::Encryption;
pub use settings::operation::{Operation, SettingService};
pub use settings::plan::{SettingsPlan, SkippedSetting};
pub(crate) use settings::spec::Progress;
pub use settings::spec::{LaterIndexes, Setting, SettingCall, SettingChoice, When};
pub(crate) use settings::tags::RESTORING_TAG;
pub use settings::values::{Billing, Capacity};
pub(crate) use settings::warm_throughput::NEW_ON_DEMAND;
pub(crate) use table_backup::BackupPage;
pub use table_backup::{TableBackup, check_backup_name};
pub(crate) use table_origin::table_of_backup;
pub use table_origin::{RestoreTable, TableOrigin};

use serde::Deserialize;
use serde_json::error::Category;
use serde_json::value::RawValue;

use crate::error::{Error, Result};
use crate::item::{IndexKeys, KeyAttribute, KeySchema, KeyType};
use crate::limits;
use document::raw::Fields;

const TABLE_SECTION: &str = "Table";

/// The same thing as [`TABLE_SECTION`] in the reply of `CreateTable`, `UpdateTable` and `DeleteTable`.
const TABLE_DESCRIPTION_SECTION: &str = "TableDescription";

/// Metadata that botocore adds to a response; it describes the call, not the table.
const RESPONSE_METADATA_SECTION: &str = "ResponseMetadata";

const GOOD_SCHEMA_HINT: &str = "a schema is what `aws dynamodb describe-table` prints, or a CreateTable request (KeySchema, AttributeDefinitions)";

/// The schema of one table: its document, verbatim, and the typed view of it.
#[derive(Debug, Clone)]
pub struct TableSchema {
    table: Box<RawValue>,
    /// All sections except `Table`, in document order.
    sections: Vec<(String, Box<RawValue>)>,
    description: Description,
}

/// A document with the table in its own section.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DescribeTableResponse {
    #[serde(alias = "TableDescription")]
    table: Description,
}

impl TableSchema {
    /// Reads a schema: a `DescribeTable` response, a `table-schema.json`, a bare `Table` object, or a `CreateTable` request.
    ///
    /// # Errors
    ///
    /// [`Damaged`](crate::error::ErrorKind::Damaged) when the document is not JSON or is larger than
    /// [`limits::DOCUMENT_BYTES`]; [`SchemaMismatch`](crate::error::ErrorKind::SchemaMismatch) when it is not a schema, naming
    /// the field that is missing or of another type than DynamoDB's.
    pub fn parse(document: &[u8]) -> Result<Self> {
        if document.len() as u64 > limits::DOCUMENT_BYTES {
            return Err(Error::damaged(format!(
                "the table schema is larger than {} bytes",
                limits::DOCUMENT_BYTES
            )));
        }

        // A UTF-8 byte order mark, which JSON does not allow.
        let document = document.strip_prefix(b"\xef\xbb\xbf").unwrap_or(document);
        let Fields(mut sections) = serde_json::from_slice::<Fields<Box<RawValue>>>(document)
            .map_err(|cause| unreadable(&cause))?;
        let is_table = |name: &str| name == TABLE_SECTION || name == TABLE_DESCRIPTION_SECTION;

        if let Some(position) = sections.iter().position(|(name, _)| is_table(name)) {
            // Parsed from the whole document, so that an error has the line and column in it.
            let DescribeTableResponse { table: description } =
                serde_json::from_slice(document).map_err(|cause| unreadable(&cause))?;
            let (_, table) = sections.remove(position);
            sections.retain(|(name, _)| name != RESPONSE_METADATA_SECTION);
            Ok(Self {
                table,
                sections,
                description,
            })
        } else if sections.iter().any(|(name, _)| name == "KeySchema") {
            // The whole document is the table.
            let description =
                serde_json::from_slice(document).map_err(|cause| unreadable(&cause))?;
            let table = serde_json::from_slice(document).map_err(|cause| unreadable(&cause))?;
            Ok(Self {
                table,
                sections: Vec::new(),
                description,
            })
        } else {
            Err(
                Error::schema_mismatch("the table schema has neither `Table` nor `KeySchema`")
                    .with_hint(GOOD_SCHEMA_HINT),
            )
        }
    }

    /// The text of `table-schema.json`: one section per line, the described table byte for byte as it came.
    #[must_use]
    pub fn to_document(&self) -> Vec<u8> {
        let mut document = format!("{{\n\"{TABLE_SECTION}\": {}", self.table.get());
        for (name, section) in &self.sections {
            // Names of sections come from documents and may need escapes.
            let name = serde_json::Value::from(name.as_str());
            document.extend([",\n", &name.to_string(), ": ", section.get()]);
        }

        document.push_str("\n}\n");

        document.into_bytes()
    }

    /// The typed view of the table.
    #[must_use]
    pub fn description(&self) -> &Description {
        &self.description
    }

    /// The table's name; `None` only in a request written by hand.
    #[must_use]
    pub fn table_name(&self) -> Option<&str> {
        self.description.table_name.as_deref()
    }

    /// The AWS account in the table's ARN, if it is one an account can have: engines write `000000000000`.
    #[must_use]
    pub fn account(&self) -> Option<&str> {
        arn::account(self.description.table_arn.as_deref()?)
    }

    /// Whether this table is not the one that `other` describes, even if both have the same name. `false` if unknown.
    #[must_use]
    pub fn is_different_table(&self, other: &Self) -> bool {
        let (one, two) = (&self.description, &other.description);
        // An endpoint may report no table id; the creation time is the next best evidence.
        match (&one.table_id, &two.table_id) {
            (Some(one), Some(two)) => one != two,
            _ => one
                .creation_date_time
                .as_ref()
                .zip(two.creation_date_time.as_ref())
                .is_some_and(|(one, two)| one != two),
        }
    }

    /// Whether the table is being deleted.
    #[must_use]
    pub fn is_being_deleted(&self) -> bool {
        self.description.table_status.as_deref() == Some("DELETING")
    }

    /// The GSIs that are being deleted.
    pub(crate) fn deleting_indexes(&self) -> impl Iterator<Item = &str> {
        let indexes = self.description.global_secondary_indexes.iter();
        indexes
            .filter(|index| index.is_being_deleted())
            .map(|index| index.index_name.as_str())
    }

    /// The AWS region in the table's ARN, if it has the form of one: engines write `dynoxide` or `ddblocal`.
    #[must_use]
    pub fn region(&self) -> Option<&str> {
        arn::region(self.description.table_arn.as_deref()?)
    }

    /// The table's key.
    ///
    /// # Errors
    ///
    /// [`SchemaMismatch`](crate::error::ErrorKind::SchemaMismatch) when there is not exactly one partition key and at most one
    /// sort key, or when an attribute has no definition of type S, N or B.
    pub fn key_schema(&self) -> Result<KeySchema> {
        let key = &self.description.key_schema;
        let of_kind = |kind| {
            key.iter()
                .filter(move |element| element.key_type == kind)
                .collect::<Vec<_>>()
        };

        let (partition, sort) = (of_kind("HASH"), of_kind("RANGE"));
        // The sum of both counts is smaller if an element is neither HASH nor RANGE.
        let ([partition], [] | [_], true) = (
            &partition[..],
            &sort[..],
            partition.len() + sort.len() == key.len(),
        ) else {
            return Err(Error::schema_mismatch(
                "the schema's KeySchema is not one HASH and at most one RANGE attribute",
            )
            .with_hint(GOOD_SCHEMA_HINT));
        };

        Ok(KeySchema {
            partition: self.key_attribute(partition)?,
            sort: sort
                .first()
                .map(|sort| self.key_attribute(sort))
                .transpose()?,
        })
    }

    /// The attributes that are part of an index key but not of the table's key, if their definition has a type that keys can have.
    #[must_use]
    pub fn index_keys(&self) -> Vec<KeyAttribute> {
        let of_table = |name: &str| {
            self.description
                .key_schema
                .iter()
                .any(|element| element.attribute_name == name)
        };

        let definitions = self.description.attribute_definitions.iter();
        let of_index = definitions.filter(|definition| !of_table(&definition.attribute_name));
        let element = |name: &str| KeyElement {
            attribute_name: name.to_owned(),
            key_type: String::new(),
        };
        // Definitions of a type that keys cannot have are skipped.
        of_index
            .filter_map(|definition| {
                self.key_attribute(&element(&definition.attribute_name))
                    .ok()
            })
            .collect()
    }

    /// The keys of GSIs and LSIs. Empty if there are more than can be checked, or if a key attribute has no definition.
    #[must_use]
    pub fn index_key_schemas(&self) -> IndexKeys {
        let global = self.description.global_secondary_indexes.iter();
        let global = global.map(|index| (&index.index_name, &index.key_schema));
        let local = self.description.local_secondary_indexes.iter();
        let local = local.map(|index| (&index.index_name, &index.key_schema));

        let keys = global
            .chain(local)
            .try_fold(IndexKeys::default(), |keys, (name, key)| {
                let of_kind = |kind| {
                    let elements = key.iter().filter(move |element| element.key_type == kind);
                    elements
                        .map(|element| self.key_attribute(element).ok())
                        .collect::<Option<Vec<_>>>()
                };
                keys.with_index(name, of_kind("HASH")?, of_kind("RANGE")?)
            });

        keys.unwrap_or_default()
    }

    /// Whether the table has an index of any kind by this name.
    pub(crate) fn has_index(&self, name: &str) -> bool {
        self.index_names().iter().any(|index| index == name)
    }

    /// The names of GSIs, LSIs and vector indexes.
    pub(crate) fn index_names(&self) -> Vec<String> {
        let global = self
            .description
            .global_secondary_indexes
            .iter()
            .map(|index| index.index_name.clone());

        let local = self
            .description
            .local_secondary_indexes
            .iter()
            .map(|index| index.index_name.clone());

        global
            .chain(local)
            .chain(
                vector_indexes::indexes(self)
                    .into_iter()
                    .map(|index| index.name),
            )
            .collect()
    }

    fn key_attribute(&self, element: &KeyElement) -> Result<KeyAttribute> {
        let definition = self.description.definition_of(element, "the table")?;
        let kind = match definition.attribute_type.as_str() {
            "S" => KeyType::S,
            "N" => KeyType::N,
            "B" => KeyType::B,
            other => {
                return Err(Error::schema_mismatch(format!(
                    "key attribute `{}` has type `{other}`; keys are S, N or B",
                    element.attribute_name
                )));
            }
        };

        Ok(KeyAttribute {
            name: element.attribute_name.clone(),
            kind,
        })
    }
}

fn unreadable(cause: &serde_json::Error) -> Error {
    // JSON of the wrong form is a schema mismatch; text that is not JSON is damage.
    let error = match cause.classify() {
        Category::Data => {
            Error::schema_mismatch(format!("this is not the schema of a table: {cause}"))
        }
        Category::Io | Category::Syntax | Category::Eof => {
            Error::damaged(format!("the table schema is not valid JSON: {cause}"))
        }
    };

    error.with_hint(GOOD_SCHEMA_HINT)
}
