//! Overrides: what a restore changes in the schema of a dump before it creates the table.

pub(crate) mod billing;
pub(crate) mod edit;
pub(crate) mod indexes;
pub(crate) mod key_schema;
pub(crate) mod parse;
pub(crate) mod schema_edit;
