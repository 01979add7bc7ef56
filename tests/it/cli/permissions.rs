//! README's table of permissions, held against the sources and against what the commands really call.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use crate::support::client::{numbered, strings};
use crate::support::faults::Proxy;
use crate::support::project::dump_of;

/// What every call of the SDK is made with, and the macros that make it.
const CALL: &str = ".customize()";
const RAW_CALLS: [&str; 2] = ["raw_call!(", "raw_send!("];

/// How names of operations begin; others in a chain of calls are inputs.
const VERBS: [&str; 12] = [
    "batch_",
    "create_",
    "delete_",
    "describe_",
    "enable_",
    "get_",
    "list_",
    "put_",
    "register_",
    "scan",
    "tag_",
    "update_",
];

/// Calls that need no permission: AWS answers them to everybody.
const FREE: [&str; 1] = ["GetCallerIdentity"];

/// Calls that are made to engines alone.
const OF_ENGINES: [&str; 1] = ["ListStreams"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn camel(name: &str) -> String {
    let word = |word: &str| word[..1].to_uppercase() + &word[1..];
    name.split('_')
        .filter(|word| !word.is_empty())
        .map(word)
        .collect()
}

/// The operations that the sources of the store call, tests left out.
fn called() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for file in fs::read_dir(root().join("src/store")).expect("the store's sources") {
        let path = file.expect("an entry").path();
        if path.extension().is_none_or(|extension| extension != "rs") {
            continue;
        }

        let text = fs::read_to_string(&path).expect("a source file can be read");
        let text = text.split("#[cfg(test)]").next().unwrap_or_default();
        let name = |text: &str| {
            let end =
                text.find(|character: char| !character.is_ascii_lowercase() && character != '_');
            text[..end.unwrap_or(text.len())].to_owned()
        };

        let raw = RAW_CALLS.iter().flat_map(|raw| text.split(raw).skip(1));
        found.extend(raw.filter_map(|rest| Some(name(rest.split_once(',')?.1.trim_start()))));
        let ends = text.match_indices(CALL).map(|(at, _)| &text[..at]);
        let statements = ends.map(|before| before.rsplit([';', '{']).next().unwrap_or_default());
        found.extend(
            statements.flat_map(|statement| statement.split('.').map(name).collect::<Vec<_>>()),
        );
    }

    let is_operation = |name: &String| VERBS.iter().any(|verb| name.starts_with(verb));
    found
        .iter()
        .filter(|name| is_operation(name))
        .map(|name| camel(name))
        .collect()
}

/// The actions in the table, by command. What AWS asks for beyond the calls themselves is left out.
fn documented() -> BTreeMap<String, BTreeSet<String>> {
    let readme = fs::read_to_string(root().join("README.md")).expect("README.md");
    let section = readme
        .split("## Permissions")
        .nth(1)
        .and_then(|rest| rest.split("\n## ").next());
    let mut rows: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut command = String::new();
    for row in section
        .expect("a section on permissions")
        .lines()
        .filter(|line| line.starts_with("| "))
        .skip(2)
    {
        let (what, needs) = row[2..].split_once(" | ").expect("two columns");
        if let Some(name) = what.strip_prefix('`') {
            name.trim_end_matches('`').clone_into(&mut command);
        } else if what.contains("AWS asks for more") {
            continue;
        }

        let of_service = |service: &'static str| needs.split(service).skip(1);
        let actions = of_service("`dynamodb:").chain(of_service("`application-autoscaling:"));
        let actions = actions
            .filter_map(|rest| rest.split('`').next())
            .map(ToOwned::to_owned);
        rows.entry(command.clone()).or_default().extend(actions);
    }

    rows
}

#[test]
fn the_table_names_what_the_store_calls_and_nothing_else() {
    let (called, documented) = (called(), documented());
    let called: BTreeSet<_> = called
        .iter()
        .map(String::as_str)
        .filter(|name| !FREE.contains(name))
        .collect();

    let documented: BTreeSet<_> = documented.values().flatten().map(String::as_str).collect();
    assert!(called.len() > 20, "{called:?}");
    let lacking: Vec<_> = called.difference(&documented).collect();
    let idle: Vec<_> = documented.difference(&called).collect();
    assert!(
        lacking.is_empty() && idle.is_empty(),
        "not in the table: {lacking:?}; never called: {idle:?}"
    );
}

#[test]
fn a_command_calls_no_more_than_its_rows_allow() {
    let documented = documented();
    let allowed = |command: &str| {
        documented[command]
            .iter()
            .map(String::as_str)
            .collect::<BTreeSet<_>>()
    };

    let (engine, project) = dump_of(20);
    for table in ["copy", "there"] {
        engine.client().create_simple(table);
        engine.client().put(table, numbered(3));
        engine
            .client()
            .put(table, [strings([("id", "item-000005"), ("text", "newer")])]);
    }

    let proxy = Proxy::of(&engine, []);
    let project = project.environment("dev", proxy.url(), "films");
    let mut seen = 0;
    let mut made = |command: &str, arguments: &[&str], allowed: &BTreeSet<&str>| {
        match command {
            "dumpdb" => project.dumpdb(arguments),
            "verifydb" => project.verifydb(arguments),
            _ => project.restoredb(arguments),
        };
        let calls: BTreeSet<_> = proxy
            .calls()
            .into_iter()
            .skip(seen)
            .map(|call| call.operation)
            .collect();

        seen = proxy.calls().len();
        assert!(!calls.is_empty(), "{command} {arguments:?} calls nothing");
        let more: Vec<_> = calls
            .iter()
            .filter(|name| !allowed.contains(name.as_str()))
            .collect();
        let more: Vec<_> = more
            .iter()
            .filter(|name| !OF_ENGINES.contains(&name.as_str()))
            .collect();
        assert!(more.is_empty(), "{command} {arguments:?} calls {more:?}");
    };

    made(
        "dumpdb",
        &["--env=dev", "--output=again"],
        &allowed("dumpdb"),
    );

    made(
        "dumpdb",
        &["--env=dev", "--table=flims", "--output=none"],
        &allowed("dumpdb"),
    );

    made(
        "verifydb",
        &["--env=dev", "--source=out"],
        &allowed("verifydb"),
    );

    let settings = allowed("verifydb")
        .union(&allowed("dumpdb"))
        .copied()
        .collect();
    made(
        "verifydb",
        &["--env=dev", "--source=out", "--schema-only"],
        &settings,
    );

    // For a table that exists it makes the reading calls of `dumpdb`, too.
    let restoring = allowed("restoredb")
        .union(&allowed("dumpdb"))
        .copied()
        .collect();
    for more in [
        &["--table=new"][..],
        &["--table=copy", "--on-conflict=fail"],
        &["--table=copy", "--on-conflict=skip", "--verify=none"],
        &["--table=copy", "--apply-settings"],
        &["--table=there", "--replace"],
        &[
            "--table=boosted",
            "--boost-write-capacity=50",
            "--billing-mode=provisioned",
            "--write-capacity=5",
            "--read-capacity=5",
        ],
    ] {
        let arguments: Vec<_> = ["--env=dev", "--source=out", "--yes"]
            .iter()
            .chain(more)
            .copied()
            .collect();

        made("restoredb", &arguments, &restoring);
    }

    made(
        "restoredb",
        &["--env=dev", "--source=out", "--table=copy", "--diff-schema"],
        &restoring,
    );
}
