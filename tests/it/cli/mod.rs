//! Command line: credentials, environments, prompts, reports, printed text, pairs of options.

mod accounts;
mod credentials;
mod doctor;
mod environments;
mod first_use;
mod list_tables;
mod local_credentials;
mod option_pairs;
mod permissions;
mod prices;
mod profile_endpoints;
mod prompts;
mod report;
pub(crate) mod snapshots;
