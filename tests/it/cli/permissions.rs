//! The table of permissions in docs/permissions.md, compared with the sources and with the calls that the commands make.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::structure::layers::sources;
use crate::support::client::{numbered, strings};
use crate::support::faults::Proxy;
use crate::support::permissions;
use crate::support::project::{REGION, dump_of, run};

/// Calls that are made to engines alone.
const OF_ENGINES: [&str; 1] = ["ListStreams"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The operations that the sources use: those of the store, and those that settings name.
fn used() -> BTreeSet<String> {
    let constructors = [
        "::dynamodb(\"",
        "::streams(\"",
        "::auto_scaling(\"",
        "::kms(\"",
    ];
    let mut used = BTreeSet::new();
    for file in sources(&root().join("src")) {
        let text = fs::read_to_string(&file).expect("a source file");
        let is_tests = file.ends_with("tests.rs");
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        for constructor in constructors.iter().filter(|_| !is_tests) {
            let names = code.split(constructor).skip(1);
            used.extend(names.filter_map(|rest| rest.split('"').next().map(ToOwned::to_owned)));
        }
    }

    used
}

/// The operations in the table, by command.
fn documented() -> BTreeMap<String, BTreeSet<String>> {
    let operation = |action: &String| {
        let (_, operation) = action.split_once(':').expect("a service and an operation");
        operation.to_owned()
    };

    permissions::documented()
        .into_iter()
        .map(|(command, needs)| (command, needs.all().iter().map(operation).collect()))
        .collect()
}

#[test]
fn the_table_names_the_operations_that_are_used_and_nothing_else() {
    let (used, documented) = (used(), documented());
    let used: BTreeSet<_> = used
        .iter()
        .map(String::as_str)
        .filter(|name| !OF_ENGINES.contains(name))
        .collect();

    let documented: BTreeSet<_> = documented.values().flatten().map(String::as_str).collect();
    assert!(used.len() > 20, "{used:?}");
    let lacking: Vec<_> = used.difference(&documented).collect();
    let idle: Vec<_> = documented.difference(&used).collect();
    assert!(
        lacking.is_empty() && idle.is_empty(),
        "not in the table: {lacking:?}; never used: {idle:?}"
    );
}

#[test]
fn printed_policies_have_the_actions_of_the_table_and_nothing_is_called() {
    let documented = permissions::documented();
    let (engine, project) = dump_of(3);
    let proxy = Proxy::with_rules(&engine, []);
    let project = project.environment("dev", proxy.url(), "films");
    let printed = |program: &str, variants: &[&[&str]]| {
        let mut actions = permissions::Actions::new();
        for more in variants {
            let arguments = ["--env=dev", "--print-iam-policy"].iter().chain(*more);
            let policy = run(project.command(program, arguments), Vec::new()).exits(0);
            let statements = permissions::statements(&policy);
            let table = format!("arn:aws:dynamodb:{REGION}:*:table/films");
            assert!(
                more.contains(&"--all-tables")
                    || statements[0]["Resource"]
                        .as_array()
                        .is_some_and(|arns| arns.contains(&json!(table))),
                "{policy}"
            );
            actions.extend(permissions::allowed(&statements));
        }

        actions
    };

    let dumping = printed("dumpdb", &[&[], &["--all-tables"]]);
    assert_eq!(dumping, documented["dumpdb"].all());
    let backing_up = printed("dumpdb", &[&["--route=backup"]]);
    assert!(backing_up.is_superset(&documented["dumpdb"].backups));
    assert!(backing_up.contains("dynamodb:CreateBackup"));
    assert!(!backing_up.contains("dynamodb:Scan"));

    let comparing = printed("verifydb", &[&["--source=out"]]);
    assert_eq!(comparing, documented["verifydb"].command);
    let settings = printed("verifydb", &[&["--source=out", "--schema-only"]]);
    assert!(settings.is_superset(&documented["dumpdb"].settings));
    assert!(!settings.contains("dynamodb:Scan"));

    let restoring = printed(
        "restoredb",
        &[
            &["--source=out"],
            &["--source=out", "--on-conflict=fail"],
            &["--source=out", "--replace"],
            &["--source=out", "--verify=full"],
            &["--source=out", "--boost-write-capacity=on-demand"],
        ],
    );
    let allowed = &documented["restoredb"].all() | &documented["dumpdb"].settings;
    assert!(restoring.is_subset(&allowed), "{restoring:?}");
    assert!(restoring.is_superset(&documented["restoredb"].settings));

    let adding = printed(
        "restoredb",
        &[&["--source=out", "--data-only", "--verify=none"]],
    );
    assert_eq!(
        adding.iter().map(String::as_str).collect::<Vec<_>>(),
        ["dynamodb:BatchWriteItem", "dynamodb:DescribeTable"]
    );

    let from_backup = printed("restoredb", &[&["--backup=latest", "--from-table=films"]]);
    let to_point = printed(
        "restoredb",
        &[&[
            "--point-in-time=latest",
            "--from-table=films",
            "--table=copy",
        ]],
    );
    for (actions, call) in [
        (&from_backup, "dynamodb:RestoreTableFromBackup"),
        (&to_point, "dynamodb:RestoreTableToPointInTime"),
    ] {
        assert!(actions.contains(call), "{actions:?}");
        assert!(!actions.contains("dynamodb:CreateTable"), "{actions:?}");
    }

    let from_any = &from_backup | &to_point;
    let backups = &documented["restoredb"].backups;
    assert!(from_any.is_superset(backups), "{from_any:?}");
    assert!(from_any.is_subset(&(&allowed | backups)), "{from_any:?}");
    assert!(from_backup.contains("dynamodb:ListBackups"));
    assert!(!to_point.contains("dynamodb:RestoreTableFromBackup"));
    assert!(proxy.calls().is_empty(), "{:?}", proxy.calls());
}

#[test]
fn the_policies_of_a_copy_by_backup_allow_no_scan_of_the_source() {
    let (engine, project) = dump_of(3);
    let project = project.environment("dev", engine.url(), "films");
    let policies = |more: &[&str]| {
        let arguments = [
            &["--from=dev", "--map=films=copy", "--print-iam-policy"],
            more,
        ]
        .concat();
        let printed = run(project.command("copydb", arguments), Vec::new()).exits(0);
        let policies: Value = serde_json::from_slice(&printed.stdout).expect("JSON");
        ["source", "target"].map(|side| {
            let statements = policies[side]["Statement"].as_array().expect("statements");
            permissions::allowed(statements)
        })
    };

    let [source, target] = policies(&["--route=backup", "--delete-backup"]);
    assert!(!source.contains("dynamodb:Scan"), "{source:?}");
    for action in ["dynamodb:CreateBackup", "dynamodb:DeleteBackup"] {
        assert!(source.contains(action), "{source:?}");
    }

    assert!(
        target.contains("dynamodb:RestoreTableFromBackup"),
        "{target:?}"
    );
    assert!(!target.contains("dynamodb:CreateTable"), "{target:?}");

    // AWS asks for a permission on the backup, whose ARN has the name of the source.
    let printing = [
        "--from=dev",
        "--map=films=copy",
        "--route=backup",
        "--print-iam-policy",
    ];
    let printed = run(project.command("copydb", printing), Vec::new()).exits(0);
    let both_sides: Value = serde_json::from_slice(&printed.stdout).expect("JSON");
    let backups = json!({
        "Sid": "Backups",
        "Effect": "Allow",
        "Action": ["dynamodb:DescribeBackup", "dynamodb:RestoreTableFromBackup"],
        "Resource": [format!("arn:aws:dynamodb:{REGION}:*:table/films/backup/*")],
    });
    let statements = both_sides["target"]["Statement"]
        .as_array()
        .expect("statements");
    assert!(statements.contains(&backups), "{printed}");

    let documented = permissions::documented();
    let both = &source | &target;
    assert!(both.is_superset(&documented["copydb"].backups), "{both:?}");

    let [source, _] = policies(&["--to=dev"]);
    assert!(source.contains("dynamodb:Scan"), "{source:?}");
}

#[test]
fn the_policies_of_a_copy_of_several_tables_name_their_patterns() {
    let (engine, project) = dump_of(3);
    let project = project.environment("dev", engine.url(), "films");
    for (map, target) in [
        ("--map=prod-*=dev-*", "dev-*"),
        ("--map=prod-a*=dev-*", "*"),
    ] {
        let sides = ["--from=dev", "--to=dev", "--table=prod-*", map];
        let printing = sides.iter().chain(&["--print-iam-policy"]);
        let printed = run(project.command("copydb", printing), Vec::new()).exits(0);
        let policies: Value = serde_json::from_slice(&printed.stdout).expect("JSON");
        for (side, name) in [("source", "prod-*"), ("target", target)] {
            let arn = format!("arn:aws:dynamodb:{REGION}:*:table/{name}");
            let resources = &policies[side]["Statement"][0]["Resource"];
            assert_eq!(*resources, json!([format!("{arn}/*"), arn]), "{printed}");
        }
    }
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

    let proxy = Proxy::with_rules(&engine, []);
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
        "verifydb",
        &["--env=dev", "--source=out", "--table=copy", "--schema-only"],
        &settings,
    );
}
