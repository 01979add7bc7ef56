//! Dump DynamoDB tables to folders of plain files, and restore them.
//!
//! The commands `dumpdb`, `restoredb`, `copydb`, `verifydb` and `servedb` are thin layers over this library. Each
//! operation consists of two calls: a *plan*, computed without changing anything, and a *run* that
//! executes it and reports [events](event). Writing requires a
//! [`Confirmation`](environment::Confirmation), which only the answers to the questions of a plan
//! can create.
//!
//! ```
//! use std::sync::Arc;
//!
//! use dynadump::backup::{DumpTarget, SourceSpec};
//! use dynadump::environment::{Answers, Decision, EnvironmentRequest, ProcessEnvironment};
//! use dynadump::error::Result;
//! use dynadump::event::SilentReporter;
//! use dynadump::ops::dump::{self, DumpRequest};
//! use dynadump::ops::restore::{self, RestoreRequest};
//! use dynadump::store::{MissingDatabase, Reader, StoreOptions, Writer, resolve_environment};
//!
//! # #[cfg(feature = "embedded")]
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<()> {
//! # let dir = tempfile::tempdir().expect("a temporary folder");
//! // Any environment works; this one is the embedded engine with one database file.
//! let request = EnvironmentRequest {
//!     no_env: true,
//!     endpoint_url: Some("embedded:films.db".to_owned()),
//!     working_dir: dir.path().to_owned(),
//!     ..EnvironmentRequest::default()
//! };
//! let environment = resolve_environment(&request, &ProcessEnvironment::capture()).await?;
//! let options = StoreOptions { missing_database: MissingDatabase::Create, ..StoreOptions::default() };
//! let reader = Reader::open(&environment, options).await?;
//!
//! // Restore a dump: plan, confirm, run.
//! let source = SourceSpec::path(concat!(env!("CARGO_MANIFEST_DIR"), "/envs/sample"));
//! let plan = restore::plan(&reader, &environment, RestoreRequest::new(source), Arc::new(SilentReporter)).await?;
//! assert_eq!(plan.target.table, "FilmCatalogue");
//! let answers = Answers { yes: true, ..Answers::default() };
//! let Decision::Granted(confirmation) = plan.approval().decide(&answers)? else {
//!     panic!("this target is protected: type its name");
//! };
//! let writer = Writer::new(reader.clone(), confirmation);
//! let restored = restore::run(&writer, plan, Arc::new(SilentReporter), Default::default()).await?;
//! assert!(restored.is_whole());
//!
//! // Dump it again.
//! let target = DumpTarget::folder(dir.path().join("dump"));
//! let plan = dump::plan(&reader, &environment, DumpRequest::new("FilmCatalogue", target)).await?;
//! let dumped = dump::run(&reader, plan, Arc::new(SilentReporter), Default::default()).await?;
//! assert_eq!(dumped.items, restored.items_written);
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "embedded"))]
//! # fn main() {}
//! ```
//!
//! # A step in Rust
//!
//! A [`Transform`](transform::Transform) is part of a request to dump, restore or compare. Besides jq filters, programs and masks, its steps
//! can be Rust functions:
//!
//! ```
//! use bytes::Bytes;
//! use dynadump::backup::SourceSpec;
//! use dynadump::ops::restore::RestoreRequest;
//! use dynadump::transform::{Outcome, Transform};
//! use serde_json::{Value, json};
//!
//! let rekey = |item: &Bytes| {
//!     let Ok(mut item) = serde_json::from_slice::<Value>(item) else {
//!         return Outcome::Rejected("not JSON".to_owned().into());
//!     };
//!     let (Some(kind), Some(year)) = (item["kind"]["S"].as_str(), item["year"]["N"].as_str()) else {
//!         return Outcome::Rejected("no kind or year".to_owned().into());
//!     };
//!     item["sort"] = json!({"S": format!("{kind}#{year}")});
//!     Outcome::Changed(item.to_string().into())
//! };
//! let request = RestoreRequest {
//!     transform: Transform::new().function("rekey", rekey),
//!     ..RestoreRequest::new(SourceSpec::path("backup"))
//! };
//! assert!(request.transform.changes_items());
//! ```
//!
//! # Modules
//!
//! Each module may use only those before it: [`item`], [`schema`], [`environment`], [`place`],
//! [`backup`], [`store`], [`transform`], [`ops`], `cli`. All of them may use [`error`], [`event`],
//! [`field`], `layout`, [`limits`] and `similar`.

mod aws;
pub mod backup;
#[cfg(feature = "cli")]
pub mod cli;
pub mod environment;
pub mod error;
pub mod event;
pub mod field;
pub mod item;
#[cfg_attr(
    not(feature = "cli"),
    expect(
        dead_code,
        reason = "only the command line hides rows and starts sentences"
    )
)]
mod layout;
pub mod limits;
pub mod ops;
pub mod place;
pub mod schema;
mod similar;
pub mod store;
pub mod transform;
