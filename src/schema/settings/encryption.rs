//! Encryption with a KMS key.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::actions::update_table;
use super::operation::Operation;
use super::spec::{
    CreationField, DefaultRule, SettingActions, SettingCall, SettingDifference, SettingSpec,
    SettingTarget, When,
};
use crate::schema::TableSchema;
use crate::schema::description::Description;
use crate::schema::document::known_fields::{KnownFields, plain};
use crate::schema::document::raw::raw;
use crate::schema::document::section::{Reading, Section};
use crate::schema::document::views::SectionView;
use crate::schema::json_body::JsonBody;

/// AWS's managed key; a request that names it is equal to one with `Enabled` only.
const AWS_MANAGED_KEY: &str = "alias/aws/dynamodb";

const FIELD: &str = "SSESpecification";
const LABEL: &str = "encryption";
const AWS_OWNED: &str = "AWS-owned key";

pub(crate) static SPEC: SettingSpec = SettingSpec {
    absent: AWS_OWNED,
    sections: &[SECTION],
    is_described: true,
    when: When::Creation,
    default: DefaultRule::SameTable(
        "the key belongs to the dumped account; a new table gets a key owned by AWS",
    ),
    creation: Some(CreationField {
        is_required: true,
        ..CreationField::new(FIELD, &["sse", "kms", "encryption"], creation_value)
    }),
    table_fields: KnownFields {
        plain: &[],
        nested: &[
            (
                "SSEDescription",
                &plain(&[
                    "InaccessibleEncryptionDateTime",
                    "KMSMasterKeyArn",
                    "SSEType",
                    "Status",
                ]),
            ),
            (FIELD, &plain(&["Enabled", "KMSMasterKeyId", "SSEType"])),
        ],
    },
    differences: Some(differences),
    is_requested,
    is_shown,
    ..SettingSpec::new("kms", LABEL, words, actions)
};

/// `KeyMetadata` of the key. The description of a table with AWS's managed key looks like that of a table with a customer's.
const SECTION: Section = Section::new(
    "EncryptionKey",
    LABEL,
    Reading::Key(Operation::kms("DescribeKey"), "KeyMetadata"),
    &plain(&[
        "AWSAccountId",
        "Arn",
        "CloudHsmClusterId",
        "CreationDate",
        "CurrentKeyMaterialId",
        "CustomKeyStoreId",
        "CustomerMasterKeySpec",
        "DeletionDate",
        "Description",
        "Enabled",
        "EncryptionAlgorithms",
        "ExpirationModel",
        "KeyAgreementAlgorithms",
        "KeyId",
        "KeyManager",
        "KeySpec",
        "KeyState",
        "KeyUsage",
        "MacAlgorithms",
        "MultiRegion",
        "MultiRegionConfiguration",
        "Origin",
        "PendingDeletionWindowInDays",
        "SigningAlgorithms",
        "ValidTo",
        "XksKeyConfiguration",
    ]),
);

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct KeyMetadata {
    key_manager: Option<String>,
}

/// Owner of the key that encrypts a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encryption<'a> {
    /// A key that AWS owns; the default.
    AwsOwned,
    /// The account's `aws/dynamodb` key.
    AwsManaged,
    /// A KMS key of the account, with its ARN or id where known.
    Kms(Option<&'a str>),
}

impl Description {
    /// Whose key encrypts the table, as far as a description or a request tells: a description does not distinguish
    /// [`AwsManaged`](Encryption::AwsManaged) from [`Kms`](Encryption::Kms).
    #[must_use]
    pub fn encryption(&self) -> Encryption<'_> {
        if let Some(described) = &self.sse_description {
            let is_off = matches!(described.status.as_deref(), Some("DISABLED" | "DISABLING"));
            // Either field may be missing in a description.
            let is_kms = described.sse_type.as_deref() == Some("KMS")
                || described.kms_master_key_arn.is_some();
            if is_kms && !is_off {
                return Encryption::Kms(described.kms_master_key_arn.as_deref());
            }
        }

        match &self.sse_specification {
            Some(requested) if requested.enabled == Some(true) => {
                match requested.kms_master_key_id.as_deref() {
                    None | Some(AWS_MANAGED_KEY) => Encryption::AwsManaged,
                    key => Encryption::Kms(key),
                }
            }
            _ => Encryption::AwsOwned,
        }
    }
}

/// Whose key encrypts the table. A key whose metadata is unknown counts as a customer's.
pub(crate) fn encryption(schema: &TableSchema) -> Encryption<'_> {
    let metadata = schema.view::<KeyMetadata>(SECTION).read();
    let is_managed = metadata.is_some_and(|key| key.key_manager.as_deref() == Some("AWS"));
    match schema.description.encryption() {
        Encryption::Kms(_) if is_managed => Encryption::AwsManaged,
        encryption => encryption,
    }
}

/// A KMS key; without a name, AWS's managed key of the account.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct EncryptionRequest<'a> {
    enabled: bool,
    #[serde(rename = "SSEType")]
    kind: &'static str,
    #[serde(rename = "KMSMasterKeyId", skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
}

fn request(schema: &TableSchema) -> Option<EncryptionRequest<'_>> {
    let key = match encryption(schema) {
        Encryption::AwsOwned => return None,
        // Without a key id, AWS uses its managed key of the account.
        Encryption::AwsManaged => None,
        Encryption::Kms(key) => key,
    };

    Some(EncryptionRequest {
        enabled: true,
        kind: "KMS",
        key,
    })
}

/// The owner of the key, if it is not AWS.
fn key_words(schema: &TableSchema) -> Option<String> {
    match encryption(schema) {
        Encryption::AwsOwned => None,
        Encryption::AwsManaged => Some("AWS-managed KMS key".to_owned()),
        Encryption::Kms(None) => Some("KMS key".to_owned()),
        Encryption::Kms(Some(key)) => Some(format!("KMS key {key}")),
    }
}

fn words(schema: &TableSchema) -> SectionView<String> {
    SectionView::from_option(key_words(schema))
}

/// KMS keys always differ between regions and accounts; only the use of KMS is a choice that can be compared.
fn differences(dump: &TableSchema, table: &TableSchema) -> Vec<SettingDifference> {
    let (dump, table) = (key_words(dump), key_words(table));
    if dump.is_some() == table.is_some() {
        return Vec::new();
    }

    let or_owned = |words: Option<String>| words.unwrap_or_else(|| AWS_OWNED.to_owned());
    SettingDifference::between(LABEL, or_owned(dump), or_owned(table))
        .into_iter()
        .collect()
}

/// The key of a description is that of the dumped table's account, while every account has AWS's managed key. A request names the
/// key of this target, in a flag or in a file.
fn is_requested(schema: &TableSchema) -> bool {
    let table = &schema.description;
    let is_of_request = table.sse_specification.is_some() && table.sse_description.is_none();
    is_of_request || encryption(schema) == Encryption::AwsManaged
}

fn creation_value(schema: &TableSchema) -> Option<Box<RawValue>> {
    request(schema).map(|request| raw(&request))
}

fn actions(schema: &TableSchema, target: &SettingTarget<'_>) -> SettingActions {
    let (Some(request), Some(key)) = (request(schema), key_words(schema)) else {
        return SettingActions::default();
    };

    // The same key is the same, even if its metadata is known on one side only.
    let described = schema.description.encryption();
    let has_key = |table: &TableSchema| table.description.encryption() == described;
    if target.existing.is_some_and(has_key) {
        return SettingActions::default();
    }

    let body = JsonBody::for_table(target.table).with(FIELD, &request);
    SettingActions::one(update_table(&SPEC, format!("encryption with {key}"), &body))
}

fn is_shown(table: &TableSchema, _: &SettingCall) -> bool {
    table.description.encryption() != Encryption::AwsOwned
}
