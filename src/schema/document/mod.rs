//! The documents that DynamoDB sends, kept verbatim: raw fields, sections, and typed views of the parts that are read.

pub(crate) mod known_fields;
pub(crate) mod raw;
pub(crate) mod section;
pub(crate) mod views;
