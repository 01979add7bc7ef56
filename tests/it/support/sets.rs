//! Sets of dumps.

use std::collections::BTreeMap;

use chrono::Utc;
use dynadump::backup::{MemberOutcome, SetDraft, SetTarget};
use dynadump::place::Access;

use super::project::Project;

/// Dumps these tables of `local` into a set.
pub(crate) fn dump_set(project: &Project, set: &str, tables: &[&str]) {
    let names: Vec<String> = tables.iter().map(|table| (*table).to_owned()).collect();
    let target = SetTarget::inspect(&project.path(set), &names, false).expect("a free folder");
    let draft = SetDraft {
        environment: "local".to_owned(),
        region: None,
        endpoint: None,
        started_at: Utc::now(),
        options_sha256: "00".repeat(32),
        tables: names.clone(),
    };
    let writer = target
        .begin(draft, Access::Shared, None)
        .expect("a folder that can be written");
    for table in tables {
        let arguments = [
            format!("--table={table}"),
            format!("--output={set}/{table}"),
        ];
        project.dumpdb(arguments).exits(0);
    }

    let outcomes: BTreeMap<_, _> = names
        .into_iter()
        .map(|name| (name, MemberOutcome::Dumped))
        .collect();
    writer.finish(&outcomes, false).expect("a finished set");
}
