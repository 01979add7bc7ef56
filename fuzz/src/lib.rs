//! The parts of dynadump that read what others wrote, compiled from the package's own files.
//!
//! They know neither AWS nor a terminal, so that this builds in a minute, and everything in it is instrumented. Where a part is
//! private to its module, the module is put together here with a door.
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
#[path = "../../src/limits.rs"]
pub mod limits;

#[path = "../../src/item/mod.rs"]
pub mod item;
#[path = "../../src/schema/mod.rs"]
pub mod schema;

#[path = "../../src/place/mod.rs"]
pub mod place;

#[path = "../../src/backup/mod.rs"]
pub mod backup;

pub mod environment;
