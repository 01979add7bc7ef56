//! The DynamoDB engine of a test: embedded in this process, or the one at `DYNADUMP_TEST_ENDPOINT`.
//!
//! An engine in this process belongs to one test and ends with it. A named engine is shared by all tests, so that every
//! table has a name of its own there and is deleted at the end. What an engine cannot do is known by its name
//! (`DYNADUMP_TEST_ENGINE`): tests ask [`Engine::can`] and never the name.

use std::env;
use std::process;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use dynoxide::Database;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use super::client::Client;

/// What differs between engines, as far as a test must know it.
#[derive(Debug, Clone, Copy)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a capability of its own"
)]
pub(crate) struct Capabilities {
    /// `DescribeTable` counts the items at once.
    pub(crate) counts_items: bool,
    /// A GSI key may have several attributes.
    pub(crate) multi_attribute_keys: bool,
    /// An item of exactly 409,600 bytes is taken, measured in UTF-8.
    pub(crate) measures_in_utf8: bool,
    /// Time to live, tags and other settings beside keys, indexes and throughput are kept.
    pub(crate) keeps_settings: bool,
    /// It has the operations for resource policies and Kinesis destinations.
    pub(crate) has_policies: bool,
    /// It has on-demand backups.
    pub(crate) has_backups: bool,
    /// An access key of 12 digits is an account with tables of its own.
    pub(crate) has_accounts: bool,
}

/// A running engine.
pub(crate) struct Engine {
    url: String,
    capabilities: Capabilities,
    /// Tables to delete at the end; of a shared engine only.
    borrowed: Mutex<Vec<String>>,
    own: Option<(Database, Runtime)>,
}

impl Engine {
    /// The engine that all tests share, if one is named; else one for this test alone.
    pub(crate) fn any() -> Self {
        match env::var("DYNADUMP_TEST_ENDPOINT") {
            Ok(url) if !url.is_empty() => Self {
                url: url.trim_end_matches('/').to_owned(),
                capabilities: capabilities(&env::var("DYNADUMP_TEST_ENGINE").unwrap_or_default()),
                borrowed: Mutex::default(),
                own: None,
            },
            _ => Self::embedded(),
        }
    }

    /// An engine in this process, for this test alone.
    pub(crate) fn embedded() -> Self {
        let database = Database::memory().expect("an empty database in memory");
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime for the engine");

        let listener = runtime
            .block_on(TcpListener::bind(("127.0.0.1", 0)))
            .expect("a port on loopback");
        let url = format!(
            "http://{}",
            listener
                .local_addr()
                .expect("a bound listener has an address")
        );

        runtime.spawn(dynoxide::server::serve_with_shutdown(
            listener,
            database.clone(),
            std::future::pending(),
        ));

        Self {
            url,
            capabilities: capabilities("embedded"),
            borrowed: Mutex::default(),
            own: Some((database, runtime)),
        }
    }

    /// `ministack` with `AUTH=true`, which checks signatures and policies: `.ci/run engines` starts it and names its URL.
    pub(crate) fn with_auth() -> Self {
        let url = env::var("DYNADUMP_TEST_AUTH_ENDPOINT");
        let url = url.expect("DYNADUMP_TEST_AUTH_ENDPOINT: the URL of ministack with AUTH=true");

        Self {
            url: url.trim_end_matches('/').to_owned(),
            capabilities: capabilities("ministack"),
            borrowed: Mutex::default(),
            own: None,
        }
    }

    /// Where it listens.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Host and port.
    pub(crate) fn address(&self) -> String {
        let url = self.url.trim_start_matches("http://");
        url.trim_end_matches('/').to_owned()
    }

    /// The same place under an address that does not look like this machine. Only for an engine in this process.
    pub(crate) fn distant_url(&self) -> String {
        self.url.replace("127.0.0.1", "0.0.0.0")
    }

    /// What it can do.
    pub(crate) fn can(&self) -> Capabilities {
        self.capabilities
    }

    /// The engine's own handle, to fill it fast. Only an engine in this process has one.
    pub(crate) fn database(&self) -> &Database {
        &self.own.as_ref().expect("an engine in this process").0
    }

    /// A table name that no other test uses. The table, once it exists, ends with the test.
    pub(crate) fn table(&self, stem: &str) -> String {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        if self.own.is_some() {
            return stem.to_owned();
        }

        let name = format!(
            "{stem}-{}-{}",
            process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        );

        self.ends_with_test(name.clone());

        name
    }

    /// A table with this name, once it exists, ends with the test.
    pub(crate) fn ends_with_test(&self, table: String) {
        if self.own.is_none() {
            self.borrowed
                .lock()
                .expect("no test panics while it holds the names")
                .push(table);
        }
    }

    /// An independent client of this engine.
    pub(crate) fn client(&self) -> Client {
        Client::at(&self.url)
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if let Some((_, runtime)) = self.own.take() {
            runtime.shutdown_background();
        }

        let borrowed = std::mem::take(
            &mut *self
                .borrowed
                .lock()
                .expect("no test panics while it holds the names"),
        );

        if !borrowed.is_empty() {
            let client = self.client();
            for table in &borrowed {
                client.delete_if_there(table);
            }
        }
    }
}

fn capabilities(engine: &str) -> Capabilities {
    let all = Capabilities {
        counts_items: true,
        multi_attribute_keys: true,
        measures_in_utf8: true,
        keeps_settings: true,
        has_policies: true,
        has_backups: true,
        has_accounts: true,
    };

    match engine {
        "ministack" => all,
        "embedded" => Capabilities {
            has_policies: false,
            has_backups: false,
            has_accounts: false,
            ..all
        },
        "dynalite" => Capabilities {
            counts_items: false,
            multi_attribute_keys: false,
            measures_in_utf8: false,
            keeps_settings: false,
            has_policies: false,
            has_backups: false,
            has_accounts: false,
        },
        other => panic!("DYNADUMP_TEST_ENGINE={other:?}: expected embedded, ministack or dynalite"),
    }
}
