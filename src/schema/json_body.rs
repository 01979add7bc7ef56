//! The JSON body of a call, built field by field; parts from a document stay verbatim.

use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use super::document::raw::{Fields, raw};

/// Builder of a JSON object.
pub(crate) struct JsonBody(Fields<Box<RawValue>>);

impl JsonBody {
    pub(crate) fn new() -> Self {
        Self(Fields(Vec::new()))
    }

    /// A body that begins with `TableName`, as most do.
    pub(crate) fn for_table(table: &str) -> Self {
        Self::new().with("TableName", &table)
    }

    pub(crate) fn with(mut self, name: &str, value: &impl Serialize) -> Self {
        self.0.set(name, value);
        self
    }

    pub(crate) fn with_some(self, name: &str, value: Option<&impl Serialize>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    pub(crate) fn text(&self) -> String {
        raw(self).get().to_owned()
    }
}

impl Serialize for JsonBody {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}
