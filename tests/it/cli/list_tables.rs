//! `dumpdb --list-tables`, and the selection of several tables.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use serde_json::{Value, json};

use crate::support::client::numbered;
use crate::support::engine::Engine;
use crate::support::faults::Proxy;
use crate::support::project::Project;
use crate::support::stub::{Answer, Received, Stub};

/// Tables of two environments in one account, one of them with items, behind a proxy without rules.
fn account() -> (Engine, Proxy, Project) {
    let engine = Engine::embedded();
    let client = engine.client();
    for table in ["dev-films", "prod-films", "prod-tmp", "prod-users"] {
        client.create_simple(table);
    }
    client.put("prod-films", numbered(30));
    let proxy = Proxy::with_rules(&engine, []);
    let project = Project::empty().environment("local", proxy.url(), "prod-films");

    (engine, proxy, project)
}

/// The names in the report.
fn names(report: &Value) -> Vec<&str> {
    let tables = report["summary"]["tables"].as_array().expect("tables");
    let names = tables.iter().map(|table| table["table"].as_str());
    names.map(|name| name.expect("a name")).collect()
}

#[test]
fn all_tables_are_listed_and_none_is_read() {
    let (_engine, proxy, project) = account();
    project.dumpdb(["--schema-only"]).exits(0);

    let listed = project.dumpdb(["--list-tables"]).exits(0);
    let lines: Vec<&str> = listed.output().lines().collect();
    let first_words: Vec<&str> = lines
        .iter()
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert_eq!(
        first_words,
        ["Table", "dev-films", "prod-films", "prod-tmp", "prod-users"]
    );
    assert!(
        lines[2].contains("30 ") && lines[2].contains("on-demand"),
        "{listed}"
    );
    assert!(lines[1].ends_with("none"), "{listed}");
    assert_eq!(proxy.count("Scan"), 0);

    // The report has the same tables, and the time of the last dump in full.
    let report = project
        .dumpdb(["--list-tables", "--json"])
        .exits(0)
        .report();
    let films = &report["summary"]["tables"][1];
    assert_eq!(report["outcome"], "done");
    assert_eq!(
        (&films["items"], &films["status"]),
        (&json!(30), &json!("ACTIVE"))
    );
    let time = films["last_dump"].as_str().expect("a time");
    assert!(lines[2].ends_with(&format!("{}Z", &time[..19])), "{listed}");
}

#[test]
fn a_selection_by_name_lists_what_matches() {
    let (_engine, proxy, project) = account();
    for (arguments, expected) in [
        (
            &["--table=prod-*"][..],
            &["prod-films", "prod-tmp", "prod-users"][..],
        ),
        (
            &["--table=prod-*", "--exclude=*-tmp"],
            &["prod-films", "prod-users"],
        ),
        (&["--table=prod-films"], &["prod-films"]),
        (
            &["--table=dev-*,prod-users", "--table=prod-tm?"],
            &["dev-films", "prod-tmp", "prod-users"],
        ),
        (&["--exclude=prod-*"], &["dev-films"]),
        (
            &["--all-tables", "--exclude=dev-*,*-tmp"],
            &["prod-films", "prod-users"],
        ),
    ] {
        let arguments = ["--list-tables", "--json"].iter().chain(arguments);
        let report = project.dumpdb(arguments).exits(0).report();
        assert_eq!(names(&report), expected);
    }

    // A list in the environment is a selection; one table is not.
    let project = project.environment("list", proxy.url(), "prod-films,dev-*");
    let report = project
        .dumpdb(["--env=list", "--list-tables", "--json"])
        .exits(0)
        .report();
    assert_eq!(names(&report), ["dev-films", "prod-films"]);
}

#[test]
fn a_selection_that_matches_nothing_suggests_names() {
    let (_engine, _proxy, project) = account();
    project
        .dumpdb(["--list-tables", "--table=prdo-films*"])
        .exits(11)
        .says("no table of environment local matches \"prdo-films*\"")
        .says("did you mean prod-films");
    project
        .dumpdb(["--list-tables", "--table=prod-*", "--exclude=p*"])
        .exits(11)
        .says("all selected tables of environment local are excluded");

    let empty = Engine::embedded();
    Project::on(&empty, "films")
        .dumpdb(["--list-tables"])
        .exits(11)
        .says("environment local has no tables")
        .says("check its endpoint, region and credentials");
}

#[test]
fn an_invalid_selection_is_refused_before_anything_is_requested() {
    let (_engine, proxy, project) = account();
    for (arguments, message) in [
        (
            &["--list-tables", "--table=films,films"][..],
            "names \"films\" twice",
        ),
        (&["--list-tables", "--table=films,"], "empty entry"),
        (
            &["--list-tables", "--table=a/b*,films"],
            "neither a table name nor a pattern",
        ),
        (
            &["--list-tables", "--exclude=a/b*"],
            "neither a table name nor a pattern",
        ),
        (
            &["--list-tables", "--table=films", "--exclude=x*"],
            "names one table, but --exclude",
        ),
        (
            &["--list-tables", "--table=films", "--all-tables"],
            "cannot be used with",
        ),
        (&["--list-tables", "--with-tag=team"], "KEY=VALUE"),
        (
            &["--list-tables", "--output=-"],
            "looks for the last dumps in a folder",
        ),
        (&["--list-tables", "--transform=."], "cannot be used with"),
    ] {
        project.dumpdb(arguments).exits(2).says(message);
    }
    assert!(proxy.calls().is_empty());
}

#[test]
fn commands_for_one_table_refuse_a_list_and_name_the_option() {
    let (_engine, _proxy, project) = account();
    for arguments in [
        &["--table=prod-*"][..],
        &["--table=prod-films", "--table=prod-users"],
    ] {
        project
            .restoredb(arguments)
            .exits(2)
            .says("--table is a list or a pattern, but this command handles one table")
            .says("name one table with --table");
    }
}

#[test]
fn the_plans_of_several_tables_show_the_cap_on_all_of_them() {
    let (_engine, _proxy, project) = account();
    let arguments = ["--table=prod-*", "--output=set"];
    project
        .dumpdb(
            arguments
                .iter()
                .chain(&["--dry-run", "--max-total-rcu=1500"]),
        )
        .exits(0)
        .says("at most 1,500 per second in total");

    project.dumpdb(arguments).exits(0);
    project
        .restoredb([
            "--source=set",
            "--add-prefix=copy-",
            "--dry-run",
            "--max-total-wcu=1500",
        ])
        .exits(0)
        .says("at most 1,500 write units per second in total");
}

/// How an endpoint of AWS answers requests about tables. The tables have no items.
fn answer_as_dynamodb(
    call: &Received,
    tables: &[String],
    tags: fn(&str) -> Value,
    describe: fn(&str) -> Answer,
) -> Answer {
    let body: Value = serde_json::from_str(&call.body).expect("a JSON body");
    if let Some(arn) = body["ResourceArn"].as_str() {
        let table = arn.rsplit_once('/').expect("the ARN of a table").1;
        return (200, json!({ "Tags": tags(table) }).to_string());
    }

    if let Some(table) = body["TableName"].as_str() {
        return describe(table);
    }

    // Pages of 100 names, as of AWS.
    let start = body["ExclusiveStartTableName"].as_str();
    let first = start.map_or(0, |start| {
        tables
            .iter()
            .position(|table| table == start)
            .expect("a table")
            + 1
    });
    let page = &tables[first..tables.len().min(first + 100)];
    let mut answer = json!({ "TableNames": page });
    if first + page.len() < tables.len() {
        answer["LastEvaluatedTableName"] = json!(page.last());
    }

    (200, answer.to_string())
}

fn description(table: &str) -> Answer {
    let table = json!({ "Table": {
        "TableName": table,
        "TableArn": format!("arn:aws:dynamodb:us-east-1:000000000000:table/{table}"),
        "TableStatus": "ACTIVE",
        "ItemCount": 0,
        "TableSizeBytes": 0,
        "KeySchema": [{ "AttributeName": "id", "KeyType": "HASH" }],
        "AttributeDefinitions": [{ "AttributeName": "id", "AttributeType": "S" }],
        "BillingModeSummary": { "BillingMode": "PAY_PER_REQUEST" },
    }});

    (200, table.to_string())
}

fn error(code: &str, message: &str) -> Answer {
    let body =
        json!({ "__type": format!("com.amazonaws.dynamodb.v20120810#{code}"), "message": message });

    (400, body.to_string())
}

#[test]
fn every_table_of_a_large_account_is_listed() {
    let tables: Vec<String> = (0..1_234)
        .map(|number| format!("table-{number:04}"))
        .collect();
    let expected = tables.clone();
    let dynamodb =
        Stub::answering(move |call| answer_as_dynamodb(call, &tables, |_| json!([]), description));
    let project = Project::empty().environment("local", dynamodb.url(), "films");

    let report = project
        .dumpdb(["--list-tables", "--json"])
        .exits(0)
        .report();
    assert_eq!(names(&report), expected);
}

#[test]
fn a_table_without_a_description_is_listed_with_the_reason() {
    let tables = ["denied", "films", "gone"].map(str::to_owned);
    let dynamodb = Stub::answering(move |call| {
        answer_as_dynamodb(
            call,
            &tables,
            |_| json!([]),
            |table| match table {
                "denied" => error("AccessDeniedException", "User is not authorized"),
                "gone" => error("ResourceNotFoundException", "Table: gone not found"),
                table => description(table),
            },
        )
    });
    let project = Project::empty().environment("local", dynamodb.url(), "films");

    let listed = project
        .dumpdb(["--list-tables"])
        .exits(0)
        .says("[WARNING] Not described:")
        .says("denied: ");
    let lines: Vec<&str> = listed.output().lines().collect();
    assert!(lines[1].starts_with("denied  not described"), "{listed}");
    assert!(lines[2].starts_with("films   0 "), "{listed}");
    assert!(lines[3].starts_with("gone    does not exist"), "{listed}");

    // If no table can be described, the error is not one of the tables.
    let denied = Stub::answering(|call| {
        answer_as_dynamodb(
            call,
            &["films".to_owned()],
            |_| json!([]),
            |_| error("AccessDeniedException", "User is not authorized"),
        )
    });
    let project = project.environment("denied", denied.url(), "films");
    project
        .dumpdb(["--env=denied", "--list-tables"])
        .exits(10)
        .says("DescribeTable films");
}

#[test]
fn no_table_is_refused_more_than_three_times_in_a_row_at_the_rate_of_aws() {
    let tables: Vec<String> = (0..40).map(|number| format!("table-{number}")).collect();
    let started = Instant::now();
    // Accepted calls, and refusals by table. A bucket of ten calls that refills by ten per second.
    let counts = Arc::new(Mutex::new((0_u32, BTreeMap::<String, u32>::new())));
    let seen = Arc::clone(&counts);
    let dynamodb = Stub::answering(move |call| {
        if call.body.contains("ResourceArn") {
            let (accepted, refused) = &mut *counts.lock().expect("no thread panics");
            let allowed = 10.0 + 10.0 * started.elapsed().as_secs_f64();
            if f64::from(*accepted) + 1.0 > allowed {
                *refused.entry(call.body.clone()).or_default() += 1;
                return error("ThrottlingException", "Rate exceeded");
            }

            *accepted += 1;
        }

        answer_as_dynamodb(
            call,
            &tables,
            |_| json!([{ "Key": "a", "Value": "b" }]),
            description,
        )
    });
    let project = Project::empty().environment("local", dynamodb.url(), "films");

    let arguments = ["--list-tables", "--with-tag=a=b", "--json"];
    let report = project.dumpdb(arguments).exits(0).report();
    assert_eq!(names(&report).len(), 40);

    let counts = seen.lock().expect("no thread panics");
    assert!(!counts.1.is_empty(), "the rate was never reached");
    assert!(
        counts.1.values().all(|refused| *refused <= 3),
        "{:?}",
        counts.1
    );
}

#[test]
fn tags_select_the_tables_that_have_all_of_them() {
    let tables = ["a-films", "a-users", "b-films"].map(str::to_owned);
    let dynamodb = Stub::answering(move |call| {
        let tags = |table: &str| match table {
            "a-films" => {
                json!([{ "Key": "team", "Value": "billing" }, { "Key": "tier", "Value": "1" }])
            }
            "a-users" => json!([{ "Key": "team", "Value": "Billing" }]),
            _ => json!([{ "Key": "team", "Value": "billing" }]),
        };
        answer_as_dynamodb(call, &tables, tags, description)
    });
    let project = Project::empty().environment("local", dynamodb.url(), "films");

    for (arguments, expected) in [
        (
            &["--with-tag=team=billing"][..],
            &["a-films", "b-films"][..],
        ),
        (
            &["--with-tag=team=billing", "--with-tag=tier=1"],
            &["a-films"],
        ),
    ] {
        let arguments = ["--list-tables", "--json"].iter().chain(arguments);
        let report = project.dumpdb(arguments).exits(0).report();
        assert_eq!(names(&report), expected);
    }

    // Only the tags of tables with a matching name are requested.
    let before = dynamodb.received().len();
    let arguments = ["--list-tables", "--table=b-*", "--with-tag=team=billing"];
    project.dumpdb(arguments).exits(0);
    let received = dynamodb.received().split_off(before);
    let tags = received
        .iter()
        .filter(|call| call.body.contains("ResourceArn"));
    assert_eq!(tags.count(), 1);

    project
        .dumpdb(["--list-tables", "--with-tag=team=sales"])
        .exits(11)
        .says("none of the selected tables of environment local has the tags team=sales");
}
