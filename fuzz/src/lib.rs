//! The modules of dynadump that read untrusted input, compiled from the package's own source files.
//!
//! They depend on neither AWS nor a terminal, so this builds in a minute with everything instrumented. If the code to test is private
//! to its module, the module is assembled here with a public function.
#![allow(
    dead_code,
    missing_docs,
    unused_imports,
    reason = "each target uses a part of what is compiled here"
)]

#[path = "../../src/error.rs"]
pub mod error;
#[path = "../../src/event.rs"]
pub mod event;
#[path = "../../src/field.rs"]
pub mod field;
#[path = "../../src/layout.rs"]
pub mod layout;
#[path = "../../src/limits.rs"]
pub mod limits;
#[path = "../../src/similar.rs"]
pub mod similar;

#[path = "../../src/item/mod.rs"]
pub mod item;
#[path = "../../src/schema/mod.rs"]
pub mod schema;

#[path = "../../src/place/mod.rs"]
pub mod place;

#[path = "../../src/backup/mod.rs"]
pub mod backup;

pub mod environment;
