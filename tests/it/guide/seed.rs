//! The project that the pages assume: environments, tables, dumps and files.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::guide::pages;
use crate::support::project::Project;

/// The environments with a table. `local` and `demo` are the files of the repository.
const ENVIRONMENTS: [&str; 3] = ["prod", "staging", "dev"];
/// Tables of `prod`.
const TABLES: [&str; 7] = [
    "orders",
    "users",
    "events",
    "film-actors",
    "film-titles",
    "prod-orders",
    "prod-users",
];
const REKEY: &str = "def rekey(item):\n    return item\n";

/// Writes the env files. They name embedded engines, so `local` needs no server.
pub(super) fn write_environments(project: &Project) {
    for name in ENVIRONMENTS {
        let text = format!(
            "DYNAMODB_TABLE=orders\nAWS_REGION=eu-central-1\nLOCAL_AWS_ENDPOINT=embedded:{name}.db\n"
        );
        project.write(format!("envs/.env.{name}"), text);
    }
    for (name, database) in [("old-account", "prod"), ("new-account", "new")] {
        let text = format!("AWS_REGION=eu-west-1\nLOCAL_AWS_ENDPOINT=embedded:{database}.db\n");
        project.write(format!("envs/.env.{name}"), text);
    }
    project.write(
        "envs/.env.local",
        "LOCAL_AWS_ENDPOINT=embedded:local.db\nAWS_REGION=eu-central-1\n",
    );
}

/// Creates the project.
pub(super) fn seed() -> Project {
    let project = Project::empty().chooses_segments();
    write_environments(&project);
    repository_files(&project);
    files(&project);

    for table in TABLES {
        let arguments = [
            "--env=prod",
            "--source=seed.jsonl",
            "--schema=seed-schema.json",
        ];
        let more = ["--table", table, "--confirm", table, "--verify=none"];
        project.restoredb(arguments.iter().chain(&more)).exits(0);
    }
    fs::remove_file(project.path("seed.jsonl")).expect("the items of the seed");

    dumps(&project);

    project
}

/// Dumps, and the tables of the other environments, which are restored from them.
fn dumps(project: &Project) {
    let dump = |arguments: &[&str]| drop(project.dumpdb(arguments.iter()).exits(0));
    let restore = |arguments: &[&str]| drop(project.restoredb(arguments.iter()).exits(0));

    dump(&["--env=prod", "--output=prod-set", "--all-tables", "--yes"]);
    dump(&["--env=prod", "--output=prod-backup"]);
    dump(&["--env=prod", "--output=backup", "--table=events"]);

    let set = "--source=prod-set";
    restore(&[
        "--env=dev",
        set,
        "--map=prod-*=dev-*",
        "--verify=none",
        "--yes",
    ]);
    restore(&[
        "--env=dev",
        "--source=prod-backup",
        "--table=orders-copy",
        "--yes",
    ]);
    restore(&["--env=staging", "--source=prod-backup", "--yes"]);

    dump(&["--env=staging", "--output=staging"]);
    dump(&["--env=staging", "--output=backups/dynamodb/staging"]);
}

/// What the commands use of the repository.
fn repository_files(project: &Project) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths = vec!["envs/.env.demo".to_owned()];
    for folder in ["envs", "envs/sample", "examples"] {
        for entry in fs::read_dir(root.join(folder)).expect("a folder of the repository") {
            let name = entry.expect("an entry").file_name();
            let path = format!("{folder}/{}", name.to_string_lossy());
            if path.ends_with(".example") || folder != "envs" && root.join(&path).is_file() {
                paths.push(path);
            }
        }
    }

    for path in paths {
        project.write(
            &path,
            fs::read(root.join(&path)).expect("a file of the repository"),
        );
    }
}

/// Files that the commands of the pages name.
fn files(project: &Project) {
    let masking = pages()
        .into_iter()
        .find(|page| page.path == Path::new("docs/masking.md"))
        .expect("docs/masking.md");
    let rules = masking
        .blocks()
        .into_iter()
        .find(|block| block.info == "toml");
    project.write("rules.toml", rules.expect("rules").text);
    project.write("mask.key", "0123456789abcdef0123456789abcdef");
    project.write("t.py", REKEY);
    project.write(
        "migrate.py",
        "def rekey(item):\n    item['sort'] = f\"{item['kind']}#{item['created']}\"\n    return item\n",
    );

    let items: Vec<Value> = (0..60).map(item).collect();
    let mut lines = String::new();
    for item in &items {
        writeln!(lines, "{item}").expect("a line");
    }
    project.write("seed.jsonl", lines);
    let scan = json!({"Items": items, "Count": items.len(), "ScannedCount": items.len()});
    project.write("scan.json", format!("{scan:#}"));
    project.write("seed-schema.json", schema().to_string());
}

/// An item that has all attributes which the pages name.
fn item(number: usize) -> Value {
    let text = |value: String| json!({"S": value});
    json!({
        "pk": text(format!("customer-{}", number % 12)),
        "sk": text(format!("order#{number:04}")),
        "id": text(format!("id-{number:04}")),
        "old_sk": text(format!("old-{number}")),
        "customer_id": text(format!("c{}", number % 12)),
        "owner": text(format!("owner-{}", number % 5)),
        "made": {"N": (1000 + number).to_string()},
        "type": text(if number.is_multiple_of(2) { "person" } else { "company" }.to_owned()),
        "kind": text(if number.is_multiple_of(5) { "refund" } else { "order" }.to_owned()),
        "status": text(if number.is_multiple_of(3) { "open" } else { "paid" }.to_owned()),
        "timestamp": {"N": (1_700_000_000 + number).to_string()},
        "created": {"N": (1_700_000_000 + number).to_string()},
        "year": {"N": (1980 + number).to_string()},
        "title": text(format!("Thirty-{number}")),
        "info": {"M": {"rating": {"N": "4.5"}}},
        "genre": text("drama".to_owned()),
        "country": text("Tanagra".to_owned()),
        "email": text(format!("person{number}@example.org")),
        "born": text(format!("1980-01-{:02}", number % 28 + 1)),
        "note": text(format!("A note of number {number}")),
        "orders": {"L": [{"M": {"address": text(format!("{number} Station Road")), "no": {"N": "1"}}}]},
    })
}

/// The schema of all tables.
fn schema() -> Value {
    let attribute = |name: &str| json!({"AttributeName": name, "AttributeType": "S"});
    let capacity = json!({"ReadCapacityUnits": 500, "WriteCapacityUnits": 500});
    let index = |name: &str| {
        json!({
            "IndexName": format!("by-{name}"),
            "KeySchema": [{"AttributeName": name, "KeyType": "HASH"}],
            "Projection": {"ProjectionType": "ALL"},
            "ProvisionedThroughput": capacity,
        })
    };
    let attributes = ["pk", "sk", "genre", "country"].map(attribute);
    let indexes = ["genre", "country"].map(index);
    json!({"Table": {
        "TableName": "orders",
        "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        "AttributeDefinitions": attributes,
        "ProvisionedThroughput": capacity,
        "GlobalSecondaryIndexes": indexes,
    }})
}
