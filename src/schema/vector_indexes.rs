//! Vector indexes, copied verbatim from the description to the request except for read-only fields.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::TableSchema;
use super::document::raw::{Fields, elements_of, raw};

/// The field that holds them, in a description and in a request.
pub(crate) const VECTOR_INDEXES: &str = "VectorIndexes";

/// Facts about a described vector index that a request cannot hold.
const FACTS: [&str; 5] = [
    "Backfilling",
    "IndexArn",
    "IndexSizeBytes",
    "IndexStatus",
    "ItemCount",
];

/// One vector index.
pub(crate) struct VectorIndex {
    pub(crate) name: String,
    /// The attributes it is searched by, which may have definitions in addition to those of keys.
    pub(crate) search_attributes: Vec<String>,
    /// The index as a request holds it.
    pub(crate) request: Box<RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DescribedVectorIndex {
    #[serde(default)]
    index_name: String,
    #[serde(default, deserialize_with = "super::description::null_is_default")]
    search_schema: Vec<SearchElement>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SearchElement {
    attribute_name: String,
}

/// The state of a described vector index.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct VectorIndexState {
    #[serde(default)]
    pub(crate) index_name: String,
    pub(crate) index_status: Option<String>,
    pub(crate) backfilling: Option<bool>,
}

/// The states of the vector indexes of `schema`; those that cannot be read are left out.
pub(crate) fn states(schema: &TableSchema) -> Vec<VectorIndexState> {
    let elements = schema.table_field(VECTOR_INDEXES).and_then(elements_of);
    let elements = elements.unwrap_or_default().into_iter();
    elements
        .filter_map(|element| serde_json::from_str(element.get()).ok())
        .collect()
}

/// The vector indexes of `schema`, in document order.
pub(crate) fn indexes(schema: &TableSchema) -> Vec<VectorIndex> {
    let elements = schema
        .table_field(VECTOR_INDEXES)
        .and_then(elements_of)
        .unwrap_or_default();
    let index = |element: &RawValue| {
        // An index that cannot be read is left out here; `not_recreated` counts it.
        let DescribedVectorIndex {
            index_name,
            search_schema,
        } = serde_json::from_str(element.get()).ok()?;
        let mut request = Fields::to_edit(element);
        request
            .0
            .retain(|(name, value)| !FACTS.contains(&name.as_str()) && value.get() != "null");
        let search_attributes = search_schema
            .into_iter()
            .map(|element| element.attribute_name)
            .collect();
        Some(VectorIndex {
            name: index_name,
            search_attributes,
            request: raw(&request),
        })
    };

    elements.into_iter().filter_map(index).collect()
}
