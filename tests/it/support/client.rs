//! An independent client: the typed AWS SDK, which shares no code with the raw requests under test.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Display;
use std::time::{Duration, Instant};

use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_dynamodb::operation::create_table::builders::CreateTableFluentBuilder;
use aws_sdk_dynamodb::operation::describe_table::DescribeTableError;
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, IndexStatus, KeySchemaElement, KeyType,
    PutRequest, ScalarAttributeType, TableDescription, TableStatus, WriteRequest,
};
use aws_smithy_http_client::Builder as HttpClient;
use tokio::runtime::Runtime;

use super::project::REGION;

/// One item.
pub(crate) type Item = HashMap<String, AttributeValue>;

/// Items by the text of their key.
pub(crate) type Items = BTreeMap<String, Item>;

/// A client with a runtime of its own, so that tests stay synchronous.
pub(crate) struct Client {
    sdk: aws_sdk_dynamodb::Client,
    runtime: Runtime,
}

impl Client {
    /// A client of the engine at `url`.
    pub(crate) fn at(url: &str) -> Self {
        Self::with_key(url, "test")
    }

    /// A client with this access key.
    pub(crate) fn with_key(url: &str, key: &str) -> Self {
        let config = aws_sdk_dynamodb::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .http_client(HttpClient::new().build_http())
            .credentials_provider(Credentials::new(key, "test", None, None, "test"))
            .region(Region::new(REGION))
            .endpoint_url(url)
            .build();

        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        Self {
            sdk: aws_sdk_dynamodb::Client::from_conf(config),
            runtime: runtime.expect("a runtime for the client"),
        }
    }

    /// Makes any call of the SDK, and waits for its end.
    pub(crate) fn ask<F: Future>(
        &self,
        call: impl FnOnce(&aws_sdk_dynamodb::Client) -> F,
    ) -> F::Output {
        self.runtime.block_on(call(&self.sdk))
    }

    /// Creates a table with the string key `id`, on demand.
    pub(crate) fn create_simple(&self, table: &str) {
        self.create(table, |table| {
            table
                .billing_mode(BillingMode::PayPerRequest)
                .attribute_definitions(attribute("id", ScalarAttributeType::S))
                .key_schema(partition("id"))
        });
    }

    /// Creates a table and waits until it is there.
    pub(crate) fn create(
        &self,
        table: &str,
        shape: impl FnOnce(CreateTableFluentBuilder) -> CreateTableFluentBuilder,
    ) {
        let request = shape(self.sdk.create_table().table_name(table));
        self.runtime
            .block_on(request.send())
            .unwrap_or_else(|error| panic!("creating {table}: {error:?}"));
        self.wait_until_active(table);
    }

    /// Waits until table and indexes are active.
    pub(crate) fn wait_until_active(&self, table: &str) {
        let active = |description: &TableDescription| {
            description.table_status() == Some(&TableStatus::Active)
                && description
                    .global_secondary_indexes()
                    .iter()
                    .all(|index| index.index_status() == Some(&IndexStatus::Active))
        };

        poll(&format!("{table} is active"), || {
            self.describe(table).is_some_and(|table| active(&table))
        });
    }

    /// Writes `items`.
    pub(crate) fn put(&self, table: &str, items: impl IntoIterator<Item = Item>) {
        let mut requests: Vec<_> = items.into_iter().map(put_request).collect();
        while !requests.is_empty() {
            let batch: Vec<_> = requests.drain(..requests.len().min(25)).collect();
            let written = self.runtime.block_on(
                self.sdk
                    .batch_write_item()
                    .request_items(table, batch)
                    .send(),
            );

            let left = written
                .unwrap_or_else(|error| panic!("writing to {table}: {error:?}"))
                .unprocessed_items;
            requests.extend(left.unwrap_or_default().into_values().flatten());
        }
    }

    /// Writes one item by itself: a batch of large ones would be too large.
    pub(crate) fn put_one(&self, table: &str, item: Item) {
        let put = self
            .sdk
            .put_item()
            .table_name(table)
            .set_item(Some(item))
            .send();

        self.runtime
            .block_on(put)
            .unwrap_or_else(|error| panic!("writing to {table}: {error:?}"));
    }

    /// Everything in the table, in a form that can be compared.
    pub(crate) fn items(&self, table: &str) -> Items {
        let description = self
            .describe(table)
            .unwrap_or_else(|| panic!("{table} is not there"));
        let keys: Vec<_> = description
            .key_schema()
            .iter()
            .map(KeySchemaElement::attribute_name)
            .collect();

        let mut found = Items::new();
        let mut start = None;
        loop {
            let page = self
                .sdk
                .scan()
                .table_name(table)
                .consistent_read(true)
                .set_exclusive_start_key(start)
                .send();

            let page = self
                .runtime
                .block_on(page)
                .unwrap_or_else(|error| panic!("scanning {table}: {error:?}"));
            for item in page.items.unwrap_or_default() {
                let key = keys
                    .iter()
                    .map(|key| format!("{:?}", item[*key]))
                    .collect::<Vec<_>>()
                    .join(" / ");

                let item = item
                    .into_iter()
                    .map(|(name, value)| (name, in_order(value)))
                    .collect();
                assert!(
                    found.insert(key.clone(), item).is_none(),
                    "{table} holds {key} twice"
                );
            }

            start = page.last_evaluated_key;

            if start.is_none() {
                return found;
            }
        }
    }

    /// What the engine says about the table; `None` if it does not exist.
    pub(crate) fn describe(&self, table: &str) -> Option<TableDescription> {
        match self
            .runtime
            .block_on(self.sdk.describe_table().table_name(table).send())
        {
            Ok(answer) => answer.table,
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(DescribeTableError::is_resource_not_found_exception) =>
            {
                None
            }
            Err(error) => panic!("describing {table}: {error:?}"),
        }
    }

    /// Deletes the table if it exists, as far as that can be done: for the end of a test.
    pub(crate) fn delete_if_there(&self, table: &str) {
        self.lift_protection(table);
        let _ = self
            .runtime
            .block_on(self.sdk.delete_table().table_name(table).send());
    }

    /// Takes deletion protection from the table, where there is any.
    pub(crate) fn lift_protection(&self, table: &str) {
        let _ = self.ask(|sdk| {
            sdk.update_table()
                .table_name(table)
                .deletion_protection_enabled(false)
                .send()
        });
    }
}

/// Calls `done` until it is, for at most five minutes: a machine may be slow.
pub(crate) fn poll(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_mins(5);
    while !done() {
        assert!(Instant::now() < deadline, "gave up waiting until {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The definition of an attribute that a key uses.
pub(crate) fn attribute(name: &str, kind: ScalarAttributeType) -> AttributeDefinition {
    let definition = AttributeDefinition::builder()
        .attribute_name(name)
        .attribute_type(kind)
        .build();
    definition.expect("name and type are given")
}

/// A partition key.
pub(crate) fn partition(name: &str) -> KeySchemaElement {
    key(name, KeyType::Hash)
}

/// A sort key.
pub(crate) fn sort(name: &str) -> KeySchemaElement {
    key(name, KeyType::Range)
}

fn key(name: &str, kind: KeyType) -> KeySchemaElement {
    KeySchemaElement::builder()
        .attribute_name(name)
        .key_type(kind)
        .build()
        .expect("name and type are given")
}

/// An item of string attributes.
pub(crate) fn strings<const N: usize>(attributes: [(&str, &str); N]) -> Item {
    attributes
        .into_iter()
        .map(|(name, value)| (name.to_owned(), s(value)))
        .collect()
}

/// `count` small items with the key `id`, the same ones each time.
pub(crate) fn numbered(count: usize) -> Vec<Item> {
    (0..count)
        .map(|n| {
            strings([
                ("id", &format!("item-{n:06}")),
                ("text", &format!("the text of item {n} ü 🎬")),
            ])
        })
        .collect()
}

/// A string.
pub(crate) fn s(text: impl Into<String>) -> AttributeValue {
    AttributeValue::S(text.into())
}

/// A number.
pub(crate) fn n(text: impl Display) -> AttributeValue {
    AttributeValue::N(text.to_string())
}

/// Bytes.
pub(crate) fn b(bytes: impl Into<Vec<u8>>) -> AttributeValue {
    AttributeValue::B(Blob::new(bytes))
}

fn put_request(item: Item) -> WriteRequest {
    let put = PutRequest::builder()
        .set_item(Some(item))
        .build()
        .expect("the item is given");
    WriteRequest::builder().put_request(put).build()
}

/// The same value with its sets in order: DynamoDB's sets have none.
fn in_order(value: AttributeValue) -> AttributeValue {
    match value {
        AttributeValue::Ss(mut set) => {
            set.sort_unstable();
            AttributeValue::Ss(set)
        }
        AttributeValue::Ns(mut set) => {
            set.sort_unstable();
            AttributeValue::Ns(set)
        }
        AttributeValue::Bs(mut set) => {
            set.sort_unstable_by(|one, other| one.as_ref().cmp(other.as_ref()));
            AttributeValue::Bs(set)
        }
        AttributeValue::L(list) => AttributeValue::L(list.into_iter().map(in_order).collect()),
        AttributeValue::M(map) => AttributeValue::M(
            map.into_iter()
                .map(|(name, value)| (name, in_order(value)))
                .collect(),
        ),
        other => other,
    }
}
