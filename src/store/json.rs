//! JSON that several requests and responses have in common.

use serde::Deserialize;

/// The capacity that a request consumed.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ConsumedCapacity {
    pub(crate) capacity_units: Option<f64>,
}

/// Encodes a JSON string, including its quotes.
pub(crate) fn json_string(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
