//! Shared helpers: engines, an independent client, a project folder, a fault-injecting proxy, processes, a terminal, items.

pub(crate) mod arbitrary;
pub(crate) mod backups;
pub(crate) mod bucket;
pub(crate) mod client;
pub(crate) mod described;
pub(crate) mod engine;
#[cfg(target_os = "linux")]
pub(crate) mod failpoint;
pub(crate) mod faults;
pub(crate) mod films;
pub(crate) mod guide;
pub(crate) mod http_proxy;
pub(crate) mod iam;
pub(crate) mod journal;
pub(crate) mod json_schema;
pub(crate) mod permissions;
pub(crate) mod port;
pub(crate) mod process;
pub(crate) mod project;
pub(crate) mod pty;
pub(crate) mod served;
pub(crate) mod sets;
pub(crate) mod snapshot;
pub(crate) mod stub;
pub(crate) mod tls;
pub(crate) mod wrong_clock;
