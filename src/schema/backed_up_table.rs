//! The table of an on-demand backup. DynamoDB describes its key, billing and indexes, but not the types of key attributes, and of all
//! other settings only encryption, stream and TTL.
//! Reference: <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BackupDescription.html>.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::description::{AttributeDefinition, Description, KeyElement};
use super::document::known_fields::element_name;
use super::document::raw::{Fields, elements_of, raw};
use super::document::section::{Captured, Section};
use super::json_body::JsonBody;
use super::{TableSchema, unreadable};
use crate::error::Result;

const DEFINITIONS: &str = "AttributeDefinitions";

/// The fields of `SourceTableDetails` that a description of a table has under the same name.
const DETAILS: [&str; 7] = [
    "TableName",
    "TableArn",
    "TableId",
    "TableSizeBytes",
    "ItemCount",
    "ProvisionedThroughput",
    "OnDemandThroughput",
];

/// The same for `SourceTableFeatureDetails`.
const FEATURES: [&str; 3] = [
    "GlobalSecondaryIndexes",
    "LocalSecondaryIndexes",
    "SSEDescription",
];

/// The table of an on-demand backup.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct BackedUpTable {
    #[serde(default, rename = "SourceTableDetails")]
    details: Option<Fields<Box<RawValue>>>,
    #[serde(default, rename = "SourceTableFeatureDetails")]
    features: Option<Fields<Box<RawValue>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DescribedBackup {
    backup_description: BackedUpTable,
}

impl BackedUpTable {
    /// The response to `DescribeBackup`.
    ///
    /// # Errors
    /// It is not JSON of that response.
    pub(crate) fn from_description(response: &[u8]) -> serde_json::Result<Self> {
        let described: DescribedBackup = serde_json::from_slice(response)?;
        Ok(described.backup_description)
    }

    /// The schema of the table: what the backup contains, and everything else as in `live`, the table of today. `None` if the endpoint
    /// describes no key and there is no such table.
    ///
    /// # Errors
    /// The description is not one of a table.
    pub(crate) fn schema(&self, live: Option<&TableSchema>) -> Result<Option<TableSchema>> {
        let live = live.filter(|live| self.has_key_of(live));
        let details = self.details.as_ref();
        let Some(key) = details.and_then(|details| details.get("KeySchema")) else {
            return Ok(live.cloned());
        };

        let mut table = match live {
            Some(live) => Fields::to_edit(&live.table),
            None => Fields(Vec::new()),
        };
        table.set("KeySchema", &key);
        if let Some(details) = details {
            copy(&mut table, details, &DETAILS);
            copy_billing_mode(&mut table, details);
        }

        if let Some(features) = &self.features {
            table.remove("SSESpecification");
            copy(&mut table, features, &FEATURES);
            if let (None, Some(stream)) = (live, features.get("StreamDescription")) {
                table.set("StreamSpecification", &stream);
            }
        }

        define_key_attributes(&mut table)?;
        let sections = live.map_or_else(|| self.sections(), |live| live.sections.clone());

        Ok(Some(TableSchema {
            description: parsed(&table)?,
            table: raw(&table),
            sections,
        }))
    }

    /// Whether the table of today has the key of the backup, as far as that is known.
    fn has_key_of(&self, live: &TableSchema) -> bool {
        let key = self.details.as_ref();
        let key = key.and_then(|details| details.get("KeySchema"));
        let key = key.and_then(|key| serde_json::from_str::<Vec<KeyElement>>(key.get()).ok());

        key.is_none_or(|key| key == live.description.key_schema)
    }

    /// The settings that the backup describes; all others are not known.
    fn sections(&self) -> Vec<(String, Box<RawValue>)> {
        const REASON: &str = "the backup does not contain it, and its table does not exist";

        let ttl = TableSchema::time_to_live_section();
        let described = self.features.as_ref();
        let described = described.and_then(|features| features.get("TimeToLiveDescription"));
        let value = |section: Section| {
            let captured = match described {
                Some(described) if section == ttl => Captured::Document(described.to_owned()),
                None if section == ttl && self.features.is_some() => Captured::Nothing,
                _ => Captured::NotCaptured {
                    reason: REASON.to_owned(),
                    is_unsupported: false,
                    is_denied: false,
                },
            };
            captured.into_value()
        };

        let sections = Section::all().into_iter();
        sections
            .filter_map(|section| Some((section.name().to_owned(), value(section)?)))
            .collect()
    }
}

/// Sets `names` to the values of `from`, and removes those that it lacks.
fn copy(table: &mut Fields<Box<RawValue>>, from: &Fields<Box<RawValue>>, names: &[&str]) {
    for name in names {
        match from.get(name).filter(|value| value.get() != "null") {
            Some(value) => table.set(name, &value),
            None => table.remove(name),
        }
    }
}

/// A description has the billing mode in another form.
fn copy_billing_mode(table: &mut Fields<Box<RawValue>>, details: &Fields<Box<RawValue>>) {
    table.remove("BillingMode");
    match details.get("BillingMode") {
        Some(mode) => table.set(
            "BillingModeSummary",
            &JsonBody::new().with("BillingMode", &mode),
        ),
        None => table.remove("BillingModeSummary"),
    }
}

/// Defines the key attributes of table and indexes that have no definition. Their type is not known before the table is restored; until
/// then, it counts as S.
fn define_key_attributes(table: &mut Fields<Box<RawValue>>) -> Result<()> {
    let known = table.get(DEFINITIONS).and_then(elements_of);
    let mut definitions: Vec<Box<RawValue>> = known
        .unwrap_or_default()
        .into_iter()
        .map(ToOwned::to_owned)
        .collect();
    table.set(DEFINITIONS, &definitions);

    let description = parsed(table)?;
    for name in key_attributes(&description) {
        let mut names = definitions.iter().filter_map(|known| element_name(known));
        if !names.any(|known| known == *name) {
            definitions.push(raw(&AttributeDefinition {
                attribute_name: name.clone(),
                attribute_type: "S".to_owned(),
            }));
        }
    }

    table.set(DEFINITIONS, &definitions);

    Ok(())
}

/// The attributes in the keys of the table and its indexes.
fn key_attributes(table: &Description) -> impl Iterator<Item = &String> {
    let global = table.global_secondary_indexes.iter();
    let local = table.local_secondary_indexes.iter();
    let keys = std::iter::once(&table.key_schema)
        .chain(global.map(|index| &index.key_schema))
        .chain(local.map(|index| &index.key_schema));

    keys.flatten().map(|element| &element.attribute_name)
}

fn parsed(table: &Fields<Box<RawValue>>) -> Result<Description> {
    serde_json::from_str(raw(table).get()).map_err(|cause| unreadable(&cause))
}

impl TableSchema {
    /// This table with the types of key attributes that `other` has.
    ///
    /// # Errors
    /// As for [`parse`](Self::parse).
    pub(crate) fn with_key_types_of(&self, other: &Self) -> Result<Self> {
        let own = self.description.attribute_definitions.iter();
        let others = &other.description.attribute_definitions;
        let definitions = own.map(|own| {
            let mut others = others.iter();
            others
                .find(|other| other.attribute_name == own.attribute_name)
                .unwrap_or(own)
        });

        let mut table = Fields::to_edit(&self.table);
        table.set(DEFINITIONS, &definitions.collect::<Vec<_>>());

        Ok(Self {
            description: parsed(&table)?,
            table: raw(&table),
            sections: self.sections.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::schema::SettingChoice;

    fn described() -> Value {
        json!({"BackupDescription": {
            "BackupDetails": {"BackupArn": "arn:b"},
            "SourceTableDetails": {
                "TableName": "films",
                "TableId": "id-1",
                "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
                "BillingMode": "PROVISIONED",
                "ProvisionedThroughput": {"ReadCapacityUnits": 7, "WriteCapacityUnits": 9},
                "ItemCount": 3,
            },
            "SourceTableFeatureDetails": {
                "GlobalSecondaryIndexes": [{
                    "IndexName": "by-year",
                    "KeySchema": [{"AttributeName": "year", "KeyType": "HASH"}],
                    "Projection": {"ProjectionType": "ALL"},
                    "ProvisionedThroughput": {"ReadCapacityUnits": 1, "WriteCapacityUnits": 2},
                }],
                "TimeToLiveDescription": {"AttributeName": "expires", "TimeToLiveStatus": "ENABLED"},
            },
        }})
    }

    fn live() -> TableSchema {
        let live = json!({
            "Table": {
                "TableName": "films",
                "TableId": "id-1",
                "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
                "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "N"}],
                "BillingModeSummary": {"BillingMode": "PAY_PER_REQUEST"},
                "DeletionProtectionEnabled": true,
            },
            "Tags": [{"Key": "owner", "Value": "archive"}],
        });
        TableSchema::parse(live.to_string().as_bytes()).unwrap()
    }

    fn schema(described: &Value, live: Option<&TableSchema>) -> Option<TableSchema> {
        let text = described.to_string();
        let table = BackedUpTable::from_description(text.as_bytes()).unwrap();
        table.schema(live).unwrap()
    }

    #[test]
    fn key_billing_and_indexes_are_those_of_the_backup_and_all_else_that_of_the_table() {
        let found = schema(&described(), Some(&live())).unwrap();
        let outline = found.outline();
        assert_eq!(
            outline.keys,
            [("partition key".to_owned(), "id (N)".to_owned())]
        );
        assert_eq!(outline.billing, "provisioned 7 RCU / 9 WCU");
        assert_eq!(outline.indexes.len(), 1);
        assert!(found.description().is_deletion_protected());
        assert!(found.not_captured().is_empty());
        assert_eq!(found.tags().read().unwrap().len(), 1);
    }

    #[test]
    fn without_the_table_the_backup_has_ttl_and_all_other_settings_are_named() {
        let found = schema(&described(), None).unwrap();
        assert_eq!(found.ttl_attribute().as_deref(), Some("expires"));
        let unknown = found.not_captured();
        assert_eq!(unknown.len(), Section::all().len() - 1);

        // A table can be created from it, although the types of its key are not known.
        let create = found.creation("copy", &SettingChoice::default(), false);
        assert!(create.is_ok());

        let mut described = described();
        described["BackupDescription"]["SourceTableFeatureDetails"] = json!({});
        let found = schema(&described, None).unwrap();
        assert_eq!(found.ttl_attribute(), None);
        assert!(found.description().global_secondary_indexes.is_empty());
    }

    #[test]
    fn a_table_with_another_key_is_not_the_one_in_the_backup() {
        let mut described = described();
        described["BackupDescription"]["SourceTableDetails"]["KeySchema"][0]["AttributeName"] =
            json!("other");
        let found = schema(&described, Some(&live())).unwrap();
        assert_eq!(found.description().key_schema[0].attribute_name, "other");
        assert!(!found.description().is_deletion_protected());
    }

    #[test]
    fn an_endpoint_that_describes_no_key_leaves_the_table_of_today() {
        let described = json!({"BackupDescription": {"SourceTableDetails": {"TableName": "x"}}});
        let found = schema(&described, Some(&live())).unwrap();
        assert_eq!(found.to_document(), live().to_document());
        assert!(schema(&described, None).is_none());
    }

    #[test]
    fn types_of_keys_are_those_of_the_restored_table() {
        let guessed = schema(&described(), None).unwrap();
        let typed = guessed.with_key_types_of(&live()).unwrap();
        assert_eq!(typed.outline().keys[0].1, "id (N)");
        assert_eq!(typed.index_keys().len(), 1);
    }
}
