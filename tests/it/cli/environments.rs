//! Selection of the environment, and the errors if it is missing or ambiguous.

use std::process::Stdio;

use serde_json::{Value, json};

use crate::support::client::numbered;
use crate::support::engine::Engine;
use crate::support::faults::Proxy;
use crate::support::project::{Project, REGION, Run, run};

/// An address that nothing listens at.
const NOWHERE: &str = "http://127.0.0.1:9";

fn dump(project: &Project, arguments: &[&str]) -> Run {
    project.dumpdb(arguments.iter().chain(&["--output", "out"]))
}

#[test]
fn local_is_the_default_and_envs_is_found_from_a_folder_below() {
    let engine = Engine::any();
    let table = engine.table("films");
    engine.client().create_simple(&table);
    let project = Project::on(&engine, &table);
    project.write("deep/er/readme", "");
    let mut command = project.command("dumpdb", ["--output", "out"]);
    command.current_dir(project.path("deep/er"));
    run(command, Vec::new()).exits(0);
    assert_eq!(
        project.json("deep/er/out/table-metadata.json")["environment"],
        "local"
    );
}

#[test]
fn any_name_and_any_folder_will_do() {
    let engine = Engine::any();
    let table = engine.table("films");
    engine.client().create_simple(&table);
    let project = Project::empty().environment("qa-2.eu", engine.url(), &table);
    dump(&project, &["--env", "qa-2.eu"]).exits(0);
    let elsewhere = Project::empty();
    let folder = project.path("envs");
    dump(
        &elsewhere,
        &[
            "--env=qa-2.eu",
            "--envs-dir",
            folder.to_str().expect("a UTF-8 path"),
        ],
    )
    .exits(0);

    assert_eq!(
        elsewhere.json("out/table-metadata.json")["environment"],
        "qa-2.eu"
    );
}

#[test]
fn flags_override_the_file_and_the_file_overrides_the_process_environment() {
    let engine = Engine::any();
    let table = engine.table("films");
    engine.client().create_simple(&table);
    let project = Project::empty().environment("local", engine.url(), "not-this-one");
    let mut command = project.command("dumpdb", ["--output", "out", "--table", &table]);
    command
        .env("AWS_REGION", "xx-nowhere-1")
        .env("AWS_ENDPOINT_URL", NOWHERE)
        .env("DYNAMODB_TABLE", "nor-this-one");
    run(command, Vec::new()).exits(0);
    let metadata = project.json("out/table-metadata.json");
    assert_eq!(
        (metadata["table"].as_str(), metadata["region"].as_str()),
        (Some(table.as_str()), Some(REGION))
    );
}

#[test]
fn without_a_file_flags_and_the_process_environment_suffice_and_the_plan_names_them() {
    let engine = Engine::any();
    let table = engine.table("films");
    engine.client().create_simple(&table);
    let project = Project::empty();
    let arguments = [
        "--no-env",
        "--endpoint-url",
        engine.url(),
        "--table",
        &table,
        "--output",
        "out",
    ];

    let mut command = project.command("dumpdb", arguments);
    command
        .env("AWS_REGION", REGION)
        .env("AWS_ACCESS_KEY_ID", "test")
        .env("AWS_SECRET_ACCESS_KEY", "test");
    run(command, Vec::new())
        .exits(0)
        .says("AWS_REGION in the process environment");
}

#[test]
fn a_profile_of_the_shared_configuration_is_used() {
    let engine = Engine::any();
    let table = engine.table("films");
    engine.client().create_simple(&table);
    let project = Project::empty();
    project.write(
        "envs/.env.dev",
        format!(
            "AWS_PROFILE=ops\nDYNAMODB_TABLE={table}\nAWS_ENDPOINT_URL_DYNAMODB={}\n",
            engine.url()
        ),
    );

    project.write(".aws/config", format!("[profile ops]\nregion = {REGION}\n"));
    project.write(
        ".aws/credentials",
        "[ops]\naws_access_key_id = test\naws_secret_access_key = test\n",
    );
    dump(&project, &["--env=dev"]).exits(0);

    // Its region too: another one would be another place, or at least another signature.
    let other = Engine::embedded();
    let proxy = Proxy::with_rules(&other, []);
    project.write(
        "envs/.env.dev",
        format!(
            "AWS_PROFILE=ops\nDYNAMODB_TABLE=films\nAWS_ENDPOINT_URL_DYNAMODB={}\n",
            proxy.url()
        ),
    );

    dump(&project, &["--env=dev"]).exits(11);
    assert!(
        proxy.calls()[0].credential.contains(REGION),
        "{}",
        proxy.calls()[0].credential
    );

    project.write(".aws/config", "[profile ops]\n");
    dump(&project, &["--env=dev"]).exits(11);
    assert!(
        proxy
            .calls()
            .last()
            .expect("calls were made")
            .credential
            .contains("us-east-1")
    );
}

#[test]
fn a_missing_file_is_named_with_the_ones_that_are_there() {
    let project = Project::empty()
        .environment("local", NOWHERE, "films")
        .environment("staging", NOWHERE, "films");
    project.write("envs/.env.prod.example", "DYNAMODB_TABLE=films\n");
    dump(&project, &["--env=stagging"])
        .exits(10)
        .says("envs/.env.stagging")
        .says("staging");
    dump(&project, &["--env=prod"])
        .exits(10)
        .says("envs/.env.prod.example");
    dump(&Project::empty(), &["--env=prod"])
        .exits(10)
        .says("envs");
}

#[test]
fn what_is_wrong_in_a_file_is_named_by_file_line_and_key_and_never_quoted() {
    for (line, wanted) in [
        (
            "AWS_SECRET_ACCESS_KEY=your-aws-secret-access-key",
            "envs/.env.dev line 2: AWS_SECRET_ACCESS_KEY",
        ),
        (
            "AWS_SECRET_ACCESS_KEY='hush",
            "envs/.env.dev line 2: AWS_SECRET_ACCESS_KEY",
        ),
        (
            "AWS_SECRET_ACCESS_KEY=hush hush",
            "envs/.env.dev line 2: AWS_SECRET_ACCESS_KEY",
        ),
        (
            "DYNADUMP_PROTECTD=hush",
            "envs/.env.dev line 2: unknown key DYNADUMP_PROTECTD",
        ),
        (
            "AWS_SECRET_ACCESS_KEY=hush",
            "AWS_SECRET_ACCESS_KEY requires AWS_ACCESS_KEY_ID too",
        ),
    ] {
        let project = Project::empty();
        project.write("envs/.env.dev", format!("DYNAMODB_TABLE=films\n{line}\n"));
        dump(&project, &["--env=dev", "-v"])
            .exits(10)
            .says(wanted)
            .never_says("hush")
            .never_says("your-aws");
    }
}

#[test]
fn a_name_that_another_program_reads_is_refused_and_nothing_is_called() {
    let engine = Engine::embedded();
    let proxy = Proxy::with_rules(&engine, []);
    for (key, ours) in [
        ("DYNAMODB_ENDPOINT", "AWS_ENDPOINT_URL_DYNAMODB"),
        ("AWS_ENDPOINT", "AWS_ENDPOINT_URL"),
        ("LOCALSTACK_ENDPOINT", "LOCAL_AWS_ENDPOINT"),
        ("AWS_DEFAULT_PROFILE", "AWS_PROFILE"),
        ("AWS_SECRET_KEY", "AWS_SECRET_ACCESS_KEY"),
        ("AWS_SECURITY_TOKEN", "AWS_SESSION_TOKEN"),
        ("tableName", "DYNAMODB_TABLE"),
        ("dynamodb_region", "AWS_REGION"),
        ("aws_profile", "AWS_PROFILE"),
    ] {
        let project = Project::empty();
        // Without that line, calls would go to the endpoint of the process with the credentials of the process.
        project.write(
            "envs/.env.dev",
            format!("AWS_REGION={REGION}\n{key}=hush\n"),
        );
        project.write("items.jsonl", "{\"id\":{\"S\":\"a\"}}\n");
        let arguments = [
            "--env=dev",
            "--source=items.jsonl",
            "--table=films",
            "--yes",
        ];

        let mut command = project.command("restoredb", arguments);
        command.env("AWS_ENDPOINT_URL", proxy.url());
        command
            .env("AWS_ACCESS_KEY_ID", "test")
            .env("AWS_SECRET_ACCESS_KEY", "test");
        let run = run(command, Vec::new()).exits(10).never_says("hush");
        run.says(&format!(
            "envs/.env.dev line 2: unsupported key {key}; did you mean {ours}?"
        ));
    }

    assert_eq!(proxy.calls().len(), 0);
}

#[test]
fn an_empty_value_is_refused_in_a_remote_environment() {
    let engine = Engine::embedded();
    engine.client().create_simple("films");
    let proxy = Proxy::with_rules(&engine, []);
    let distant = proxy.url().replace("127.0.0.1", "0.0.0.0");
    let project = Project::empty();
    let endpoint = |url: &str| {
        format!("LOCAL_AWS_ENDPOINT={url}\nDYNAMODB_TABLE=films\nAWS_REGION={REGION}\n")
    };
    project.write(
        "envs/.env.dev",
        format!(
            "{}AWS_ACCESS_KEY_ID=\nAWS_SECRET_ACCESS_KEY=\n",
            endpoint(&distant)
        ),
    );

    dump(&project, &["--env=dev"])
        .exits(10)
        .says("envs/.env.dev line 4: AWS_ACCESS_KEY_ID is empty");

    // A CI secret that does not exist, with the keys of another account in the default profile.
    project.write("envs/.env.dev", endpoint(&distant));
    project.write(
        ".aws/credentials",
        "[default]\naws_access_key_id = test\naws_secret_access_key = test\n",
    );
    let mut command = project.command("dumpdb", ["--env=dev", "--output=out"]);
    command
        .env("AWS_ACCESS_KEY_ID", "")
        .env("AWS_SECRET_ACCESS_KEY", "");
    run(command, Vec::new())
        .exits(10)
        .says("AWS_ACCESS_KEY_ID in the process environment: it is empty");
    assert_eq!(proxy.calls().len(), 0);
    project.write(
        "envs/.env.dev",
        format!(
            "{}AWS_ACCESS_KEY_ID=\nAWS_SECRET_ACCESS_KEY=\n",
            endpoint(proxy.url())
        ),
    );

    dump(&project, &["--env=dev"]).exits(0);
}

#[test]
fn local_without_an_endpoint_is_refused() {
    let project = Project::empty();
    project.write(
        "envs/.env.local",
        "DYNAMODB_TABLE=films\nAWS_REGION=eu-central-1\n",
    );
    dump(&project, &[])
        .exits(10)
        .says("does not set an endpoint (LOCAL_AWS_ENDPOINT)");
}

#[test]
fn a_local_endpoint_of_a_production_environment_is_pointed_out_once() {
    const WARNING: &str = "This variable is for local engines";
    let engine = Engine::embedded();
    engine.client().create_simple("films");
    let project = Project::empty()
        .environment("prod-eu", engine.url(), "films")
        .environment("dev", engine.url(), "films");
    project.write(
        "envs/.env.prod",
        format!(
            "AWS_ENDPOINT_URL={}\nAWS_REGION={REGION}\nDYNAMODB_TABLE=films\n",
            engine.url()
        ),
    );
    project.write("items.jsonl", "{\"id\":{\"S\":\"a\"}}\n");

    let warnings = |run: &Run| {
        let warnings = run.report()["warnings"].clone();
        let warnings = warnings.as_array().expect("a list of warnings");
        let is_it = |text: &&Value| text.as_str().is_some_and(|text| text.contains(WARNING));
        (
            warnings.iter().filter(is_it).count(),
            run.stderr.matches("for local engines").count(),
        )
    };
    let wanted = format!(
        "[WARNING] The endpoint of environment prod-eu is {} (LOCAL_AWS_ENDPOINT in envs/.env.prod-eu line 1).",
        engine.url()
    );
    let of_prod = dump(&project, &["--dry-run", "--json", "--env=prod-eu"]);
    assert_eq!(warnings(&of_prod.exits(0).says(&wanted)), (1, 1));
    let restore = project.restoredb([
        "--env=prod-eu",
        "--source=items.jsonl",
        "--dry-run",
        "--json",
    ]);
    assert_eq!(warnings(&restore.exits(0).says(&wanted)), (1, 1));

    // Neither another environment, nor another setting.
    for env in ["--env=dev", "--env=prod"] {
        let run = dump(&project, &["--dry-run", "--json", env]).exits(0);
        assert_eq!(warnings(&run), (0, 0), "{env}");
    }
    let mut command = project.command("dumpdb", ["--output=out", "--dry-run", "--env=prod-us"]);
    project.write(
        "envs/.env.prod-us",
        format!("AWS_REGION={REGION}\nDYNAMODB_TABLE=films\n"),
    );
    command.env("LOCAL_AWS_ENDPOINT", engine.url());
    run(command, Vec::new())
        .exits(0)
        .says("(LOCAL_AWS_ENDPOINT in the process environment)");
}

#[test]
fn a_profile_is_not_sent_to_the_local_endpoint_by_accident() {
    let project = Project::empty().environment("local", NOWHERE, "films");
    for flag in ["--profile=ops", "--region=eu-west-1"] {
        dump(&project, &[flag]).exits(2).says("--no-env");
    }
}

#[test]
fn an_account_that_must_be_another_stops_everything() {
    let project = Project::empty();
    let file = "LOCAL_AWS_ENDPOINT=embedded:films.db\nAWS_REGION=eu-central-1\nDYNAMODB_TABLE=films\nDYNADUMP_ACCOUNT=123456789012\n";
    project.write("envs/.env.dev", file);
    project.write("items.jsonl", "{\"id\":{\"S\":\"a\"}}\n");
    project
        .restoredb(["--env=dev", "--source", "items.jsonl"])
        .exits(10)
        .says("must be account 123456789012");
}

#[test]
fn a_restore_that_is_refused_does_not_create_a_database() {
    let project = Project::empty();
    let table = "DYNAMODB_TABLE=films\nDYNADUMP_PROTECTED=true\n";
    project.write(
        "envs/.env.dev",
        format!("LOCAL_AWS_ENDPOINT=embedded:new/films.db\nAWS_REGION={REGION}\n{table}"),
    );
    project.write("items.jsonl", "{\"id\":{\"S\":\"a\"}}\n");
    let attribute = json!({"AttributeName": "id", "AttributeType": "S"});
    let key = json!({"AttributeName": "id", "KeyType": "HASH"});
    let table =
        json!({"TableName": "films", "KeySchema": [key], "AttributeDefinitions": [attribute]});
    project.write("schema.json", json!({"Table": table}).to_string());
    project.write("damaged.jsonl", "{\"id\":\n");
    let refused: [(&[&str], i32); 6] = [
        (&["--source=items.jsonl", "--schema=schema.json"], 4),
        (
            &["--source=items.jsonl", "--schema=schema.json", "--dry-run"],
            0,
        ),
        (
            &["--source=items.jsonl", "--no-create", "--confirm=films"],
            11,
        ),
        (&["--source=items.jsonl"], 13),
        (
            &[
                "--source=damaged.jsonl",
                "--schema=schema.json",
                "--confirm=films",
            ],
            12,
        ),
        (&["--source=missing"], 11),
    ];

    for (arguments, code) in refused {
        project
            .restoredb(["--env=dev"].iter().chain(arguments))
            .exits(code);
        assert!(!project.path("new").exists(), "{arguments:?}");
    }

    project
        .restoredb([
            "--env=dev",
            "--source=items.jsonl",
            "--schema=schema.json",
            "--confirm=films",
        ])
        .exits(0);

    assert!(project.path("new/films.db").is_file());
}

#[test]
fn secrets_are_never_printed() {
    let engine = Engine::any();
    let table = engine.table("films");
    let client = engine.client();
    client.create_simple(&table);
    client.put(&table, numbered(3));
    let project = Project::empty();
    let file = format!(
        "LOCAL_AWS_ENDPOINT={}\nAWS_REGION={REGION}\nAWS_ACCESS_KEY_ID=AKIATELLNOONE\nAWS_SECRET_ACCESS_KEY=hush/hush\n\
         AWS_SESSION_TOKEN=hushtoken\nDYNAMODB_TABLE={table}\n",
        engine.url()
    );

    project.write("envs/.env.local", file);

    // An engine that takes accounts for separate places does not show the table; what matters is what is said.
    for arguments in [
        &["-v"][..],
        &["-v", "--json"],
        &["-v", "--table=absent"],
        &["-v", "--dry-run"],
    ] {
        dump(&project, arguments)
            .never_says("hush")
            .never_says("TELLNOONE");
    }

    if project.path("out").exists() {
        for file in project.names("out") {
            let text = String::from_utf8_lossy(&project.bytes(format!("out/{file}"))).into_owned();
            assert!(
                !text.contains("hush") && !text.contains("TELLNOONE"),
                "{file}: {text}"
            );
        }
    }
}

#[test]
fn the_embedded_engine_needs_no_server_and_is_filled_from_its_sample() {
    let project = Project::empty();
    let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/envs/sample");
    let file = format!(
        "LOCAL_AWS_ENDPOINT=embedded:demo.db\nDYNADUMP_SAMPLE={sample}\nAWS_REGION={REGION}\nDYNAMODB_TABLE=FilmCatalogue\n"
    );
    project.write("envs/.env.demo", file);
    // In one segment, the order of an unchanged table is the same each time.
    dump(&project, &["--env=demo", "--segments=1"]).exits(0);
    let committed = std::fs::read(format!("{sample}/table-data.json")).expect("the sample");
    let committed: Value = serde_json::from_slice(&committed).expect("the sample is JSON");
    let dumped = project.json("out/table-data.json");
    assert_eq!(
        (dumped["Count"].as_u64(), &dumped["Count"]),
        (Some(312), &committed["Count"])
    );

    // What is written there stays there.
    let restore = ["--env=demo", "--source=out", "--table=copy"];
    project.restoredb(restore).exits(0);
    project
        .dumpdb([
            "--env=demo",
            "--table=copy",
            "--output=again",
            "--segments=1",
        ])
        .exits(0);
    assert_eq!(project.json("again/table-data.json"), dumped);
}

/// An environment whose database is filled from the sample.
fn sampled() -> Project {
    let project = Project::empty();
    let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/envs/sample");
    let file = format!(
        "LOCAL_AWS_ENDPOINT=embedded:data/demo.db\nDYNADUMP_SAMPLE={sample}\nAWS_REGION={REGION}\nDYNAMODB_TABLE=FilmCatalogue\n"
    );
    project.write("envs/.env.demo", file);

    project
}

#[test]
fn first_commands_that_run_together_share_one_database() {
    let project = sampled();
    let dump = |number: usize| {
        let output = format!("--output=out-{number}");
        let mut command = project.command("dumpdb", ["--env=demo", &output]);
        command
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("dumpdb starts")
    };

    let running: Vec<_> = (0..4).map(dump).collect();
    for (number, child) in running.into_iter().enumerate() {
        let ended = child.wait_with_output().expect("dumpdb ends");
        let errors = String::from_utf8_lossy(&ended.stderr);
        assert!(ended.status.success(), "{errors}");
        let metadata = project.json(format!("out-{number}/table-metadata.json"));
        assert_eq!(metadata["items"], 312);
    }

    let left: Vec<_> = project
        .names("data")
        .into_iter()
        .filter(|name| name.ends_with(".partial"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_plan_of_a_restore_does_not_create_the_database() {
    let project = sampled();
    project
        .restoredb(["--env=demo", "--source=envs/none", "--dry-run"])
        .exits(11);
    let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/envs/sample");
    let source = format!("--source={sample}");
    project
        .restoredb(["--env=demo", &source, "--dry-run"])
        .says("312 items");
    assert!(!project.path("data").exists());
}

#[test]
fn a_restore_into_an_in_memory_database_is_refused() {
    let project = Project::empty();
    project.write(
        "envs/.env.dev",
        "LOCAL_AWS_ENDPOINT=embedded:\nAWS_REGION=eu-central-1\nDYNAMODB_TABLE=films\n",
    );
    project.write("items.jsonl", "{\"id\":{\"S\":\"a\"}}\n");
    project
        .restoredb(["--env=dev", "--source=items.jsonl"])
        .exits(2)
        .says("is lost when the command ends")
        .says("embedded:local.db");
}

/// The credentials that a plan names, in text and in the report.
fn credentials_of(project: &Project, arguments: &[&str], variables: &[(&str, &str)]) -> String {
    let plan = |json: &[&str]| {
        let mut command = project.command(
            "dumpdb",
            ["--output=out", "--dry-run"]
                .iter()
                .chain(arguments)
                .chain(json),
        );

        command.envs(variables.iter().copied());
        run(command, Vec::new()).exits(0)
    };

    let report = plan(&["--json"]).report();
    let credentials = report["plan"]["source"]["credentials"]
        .as_str()
        .expect("the plan names them")
        .to_owned();
    drop(
        plan(&[])
            .says(&format!("credentials {credentials}"))
            .never_says("hush"),
    );

    credentials
}

#[test]
fn every_plan_names_its_credentials() {
    let engine = Engine::embedded();
    engine.client().create_simple("films");
    let keys = "aws_access_key_id = id\naws_secret_access_key = hush\n";
    let distant = engine.distant_url();
    let base = format!("AWS_ENDPOINT_URL={distant}\nAWS_REGION={REGION}\nDYNAMODB_TABLE=films\n");
    let project = Project::empty();
    let file = |lines: &str| project.write("envs/.env.dev", format!("{base}{lines}"));
    let of = |lines: &str, arguments: &[&str], variables: &[(&str, &str)]| {
        file(lines);
        credentials_of(&project, &[&["--env=dev"], arguments].concat(), variables)
    };
    project.write(
        ".aws/credentials",
        format!("[default]\n{keys}[ops]\n{keys}"),
    );
    project.write(
        ".aws/config",
        format!("[profile ci]\n{keys}[profile job]\ncredential_process = /bin/cat job.json\n"),
    );
    let job = r#"{"Version": 1, "AccessKeyId": "id", "SecretAccessKey": "hush"}"#;
    project.write("job.json", job);

    assert_eq!(of("", &[], &[]), "profile default, ~/.aws/credentials");
    assert_eq!(
        of("AWS_PROFILE=ops\n", &[], &[]),
        "profile ops, ~/.aws/credentials (named by envs/.env.dev line 4)"
    );
    assert_eq!(
        of("", &["--profile=ci"], &[]),
        "profile ci, ~/.aws/config (named by --profile)"
    );
    assert_eq!(
        of("", &[], &[("AWS_PROFILE", "job")]),
        "profile job (credential process), ~/.aws/config (named by AWS_PROFILE in the process environment)"
    );
    let pair = "AWS_ACCESS_KEY_ID=id\nAWS_SECRET_ACCESS_KEY=hush\n";
    assert_eq!(
        of(pair, &[], &[("AWS_PROFILE", "ops")]),
        "static keys, envs/.env.dev line 4"
    );
    assert_eq!(
        of(
            "",
            &[],
            &[
                ("AWS_ACCESS_KEY_ID", "id"),
                ("AWS_SECRET_ACCESS_KEY", "hush")
            ]
        ),
        "static keys, AWS_ACCESS_KEY_ID in the process environment"
    );

    project.write(
        "envs/.env.dev",
        format!(
            "LOCAL_AWS_ENDPOINT={}\nDYNAMODB_TABLE=films\n",
            engine.url()
        ),
    );

    assert_eq!(
        credentials_of(&project, &["--env=dev"], &[]),
        "test keys of a local endpoint"
    );
}
