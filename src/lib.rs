//! Dump DynamoDB tables to folders of plain files, restore them, copy and compare them.
//!
//! The commands `dumpdb`, `restoredb`, `copydb`, `verifydb` and `servedb` are thin layers over this library. Use it to dump or restore
//! from your own program, to read dumps without DynamoDB, or to change items with Rust functions on the way.
//!
//! * Items are bytes: what DynamoDB sends is what a dump contains. Nothing is decoded that nobody looks into.
//! * Each operation that changes something has two calls: a *plan*, which changes nothing, and a *run*, which executes it.
//! * Writing requires a [`Confirmation`](environment::Confirmation), which only the answers to the questions of a plan can create.
//! * Memory does not grow with the table. Every item is accounted for. Runs can be cancelled and resumed.
//!
//! # Quick start
//!
//! Restore a dump, and dump the table again. The environment here is the embedded engine with one database file; any other works in the same
//! way.
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
//! # Connecting
//!
//! An [`EnvironmentRequest`](environment::EnvironmentRequest) has what the command line has: the name of an env file or none, profile, region,
//! endpoint, role. [`resolve_environment`](store::resolve_environment) combines it with the env file, the
//! [process environment](environment::ProcessEnvironment) and the AWS configuration, and says where each value comes from. It never changes
//! the process environment.
//!
//! | you have | set |
//! | --- | --- |
//! | `envs/.env.prod` | `name: "prod"` |
//! | an AWS profile | `no_env: true`, `profile`, `region` |
//! | an emulator | `no_env: true`, `endpoint_url: "http://localhost:8000"` |
//! | nothing, in a test | `no_env: true`, `endpoint_url: "embedded:films.db"` |
//!
//! A [`Reader`](store::Reader) can only read: a dump or a comparison cannot change a table. A [`Writer`](store::Writer) is a reader with a
//! confirmation.
//!
//! # Read a dump
//!
//! A dump needs neither DynamoDB nor an async runtime. [`Source`](backup::Source) opens dumps, output of `aws dynamodb scan`, JSON Lines and
//! others, compressed or not:
//!
//! ```
//! use dynadump::backup::{Source, SourceSpec};
//!
//! # fn main() -> dynadump::error::Result<()> {
//! let source = Source::open(&SourceSpec::path(concat!(env!("CARGO_MANIFEST_DIR"), "/envs/sample")))?;
//! assert_eq!(source.table_name(), Some("FilmCatalogue"));
//!
//! let mut items = source.items()?;
//! let mut count = 0;
//! while let Some(located) = items.next_item()? {
//!     assert!(located.text.starts_with(b"{"));   // DynamoDB JSON, as DynamoDB sent it
//!     count += 1;
//! }
//! assert_eq!(count, 312);
//! # Ok(())
//! # }
//! ```
//!
//! # Check and compare
//!
//! [`verify::dump`](ops::verify::dump) checks checksums, counts, items and keys of a dump, [`verify::table_with_dump`](ops::verify::table_with_dump)
//! compares a table with it, and [`verify::tables`](ops::verify::tables) compares two tables. They change nothing, so they need no plan.
//!
//! ```
//! use std::sync::Arc;
//!
//! use dynadump::backup::SourceSpec;
//! use dynadump::event::SilentReporter;
//! use dynadump::ops::verify::{self, DumpCheckOptions};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> dynadump::error::Result<()> {
//! let dump = SourceSpec::path(concat!(env!("CARGO_MANIFEST_DIR"), "/envs/sample"));
//! let verdict = verify::dump(dump, DumpCheckOptions::default(), Arc::new(SilentReporter)).await?;
//! assert!(verdict.is_whole(), "{:?}", verdict.findings);
//! assert_eq!(verdict.items, Some(312));
//! # Ok(())
//! # }
//! ```
//!
//! # Progress and cancellation
//!
//! Operations print nothing. They report [events](event::Event) to a [`Reporter`](event::Reporter): phases with their expected sizes, progress, warnings, retries.
//!
//! ```
//! use std::sync::atomic::{AtomicU64, Ordering};
//!
//! use dynadump::event::{Event, Reporter};
//!
//! #[derive(Default)]
//! struct Progress {
//!     items: AtomicU64,
//! }
//!
//! impl Reporter for Progress {
//!     fn report(&self, event: Event) {
//!         match event {
//!             Event::Phase { .. } => self.items.store(0, Ordering::Relaxed),
//!             Event::Progress { items, .. } => drop(self.items.fetch_add(items, Ordering::Relaxed)),
//!             Event::Warning(text) => eprintln!("{text}"),
//!             _ => {}
//!         }
//!     }
//! }
//!
//! let progress = Progress::default();
//! progress.report(Event::Progress { items: 5, bytes: 120 });
//! assert_eq!(progress.items.into_inner(), 5);
//! ```
//!
//! The last argument of a run is a `CancellationToken` of `tokio_util`; `Default::default()` is one that is never cancelled. A cancelled
//! operation finishes its requests in flight, saves its progress and returns an error of the kind
//! [`Interrupted`](error::ErrorKind::Interrupted). The same request with `resume: true` continues it.
//!
//! # Copy
//!
//! [`copy::plan`](ops::copy::plan) plans a restore whose source is a [live table](ops::copy::TableScan), and
//! [`restore::run`](ops::restore::run) runs it.
//!
//! # Transform items
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
//! # Errors
//!
//! An [`Error`](error::Error) has a [kind](error::ErrorKind), a message, causes, and usually a hint for the user. Messages contain no
//! secrets. A rejected item is not an error, unless `strict` is set: it is counted in the summary and listed in a file, and
//! `is_whole` of the summary is false.
//!
//! # Features
//!
//! | feature | default | contents |
//! | --- | --- | --- |
//! | `cli` | yes | the command line: arguments, prompts, texts |
//! | `embedded` | yes | the embedded engine (`embedded:` endpoints, `servedb`) |
//! | `package` | no | the program `dynadump`, which is all commands in one file |
//!
//! A library needs neither: `default-features = false`.
//!
//! # Modules
//!
//! Each module may use only those before it: [`item`], [`schema`], [`environment`], [`place`],
//! [`backup`], [`store`], [`transform`], [`ops`], `cli`. All of them may use [`error`], [`event`],
//! [`field`], `layout`, [`limits`] and `similar`. The pages in `docs/` describe formats, options and rules for users.

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
