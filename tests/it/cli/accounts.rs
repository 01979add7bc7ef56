//! The account of the credentials: where it comes from, which permissions that needs, and restores into another account.

use serde_json::Value;

use crate::support::client::numbered;
use crate::support::engine::Engine;
use crate::support::faults::{Fault, Proxy, Rule, always};
use crate::support::project::{Project, REGION, Run, run};

/// The account of the dumped table.
const ACCOUNT: &str = "111122223333";

/// STS says that the credentials belong to another account.
const OTHER_ACCOUNT: Fault = Fault::Raw(
    b"HTTP/1.1 200 OK\r\ncontent-type: text/xml\r\nconnection: close\r\n\r\n\
      <GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><GetCallerIdentityResult>\
      <Arn>arn:aws:iam::444455556666:user/eve</Arn><UserId>AIDAEVE</UserId><Account>444455556666</Account>\
      </GetCallerIdentityResult><ResponseMetadata><RequestId>1</RequestId></ResponseMetadata></GetCallerIdentityResponse>",
);

/// A policy of the organization forbids to ask STS.
const STS_DENIED: Fault = Fault::Raw(
    b"HTTP/1.1 403 Forbidden\r\ncontent-type: text/xml\r\nconnection: close\r\n\r\n\
      <ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender</Type>\
      <Code>AccessDenied</Code><Message>User: arn:aws:iam::111122223333:user/eve is not authorized to perform: \
      sts:GetCallerIdentity with an explicit deny in a service control policy</Message></Error>\
      <RequestId>1</RequestId></ErrorResponse>",
);

/// The table is in [`ACCOUNT`].
fn in_the_account(answer: &mut Value) {
    if let Some(table) = answer.get_mut("Table") {
        let name = table["TableName"].as_str().expect("a table has a name");
        table["TableArn"] = format!("arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{name}").into();
    }
}

fn described_there() -> Rule {
    always("DescribeTable", Fault::Changed(in_the_account))
}

/// An engine with the table `films`, and a proxy in front of it.
fn films(rules: impl Into<Vec<Rule>>) -> (Engine, Proxy) {
    let engine = Engine::embedded();
    engine.client().create_simple("films");
    engine.client().put("films", numbered(3));
    let proxy = Proxy::with_rules(&engine, rules);

    (engine, proxy)
}

/// The proxy under an address that does not look like this machine.
fn distant(proxy: &Proxy) -> String {
    proxy.url().replace("127.0.0.1", "0.0.0.0")
}

/// Runs a command with variables of the process.
fn run_with(
    project: &Project,
    program: &str,
    arguments: &[&str],
    variables: &[(&str, &str)],
) -> Run {
    let mut command = project.command(program, arguments);
    command.envs(variables.iter().copied());
    run(command, Vec::new())
}

#[test]
fn waiting_for_an_endpoint_needs_no_permission_to_list_tables() {
    let denied = "User: arn:aws:iam::111122223333:user/eve is not authorized to perform: dynamodb:ListTables on resource: \
                  arn:aws:dynamodb:eu-central-1:111122223333:table/* because no identity-based policy allows the \
                  dynamodb:ListTables action";
    let refused = |code, message| always("ListTables", Fault::Refused(code, message));
    let (_engine, proxy) = films([refused("AccessDeniedException", denied)]);
    let project = Project::empty().environment("dev", proxy.url(), "films");
    let dump = || project.dumpdb(["--env=dev", "--output=out", "--wait=60s"]);
    dump().exits(0);
    assert_eq!(proxy.count("ListTables"), 1);

    proxy.set([refused(
        "UnrecognizedClientException",
        "The security token is invalid.",
    )]);
    dump().exits(10).says("The security token is invalid.");
}

#[test]
fn the_required_account_is_checked_against_the_table_if_sts_is_denied() {
    let (_engine, proxy) = films([always("GetCallerIdentity", STS_DENIED), described_there()]);
    let environment = |account: &str| {
        Project::empty().environment_with(
            "dev",
            &distant(&proxy),
            &format!("DYNAMODB_TABLE=films\nDYNADUMP_ACCOUNT={account}\n"),
        )
    };
    let project = environment(ACCOUNT);
    project.dumpdb(["--env=dev", "--output=out"]).exits(0);

    // The table does not exist after it was deleted, which is not a reason to doubt the account.
    project
        .restoredb(["--env=dev", "--source=out", "--replace", "--yes"])
        .exits(0);
    project.verifydb(["--env=dev", "--source=out"]).exits(0);
    let (scans, writes) = (proxy.count("Scan"), proxy.count("BatchWriteItem"));

    environment("999900001111")
        .dumpdb(["--env=dev", "--output=out"])
        .exits(10)
        .says("must be account 999900001111")
        .says("table films is in account 111122223333");
    project.write(
        "envs/.env.qa",
        project
            .text("envs/.env.dev")
            .replace(ACCOUNT, "999900001111"),
    );
    project
        .restoredb([
            "--env=qa",
            "--source=out",
            "--confirm=films",
            "--allow-insecure-endpoint",
        ])
        .exits(10)
        .says("table films is in account 111122223333");
    assert_eq!(
        (proxy.count("Scan"), proxy.count("BatchWriteItem")),
        (scans, writes)
    );
}

#[test]
fn no_table_is_created_if_nothing_names_the_account() {
    let (engine, proxy) = films([described_there()]);
    let project = Project::empty().environment("dev", &distant(&proxy), "films");
    project.dumpdb(["--env=dev", "--output=out"]).exits(0);
    let lines = format!("DYNAMODB_TABLE=copy\nDYNADUMP_ACCOUNT={ACCOUNT}\n");
    let project = project.environment_with("qa", &distant(&proxy), &lines);

    for (fault, reason) in [
        (STS_DENIED, "AccessDenied"),
        (Fault::SilentReporter, "timed out"),
    ] {
        proxy.set([always("GetCallerIdentity", fault), described_there()]);
        for more in ["--confirm=copy", "--dry-run"] {
            project
                .restoredb([
                    "--env=qa",
                    "--source=out",
                    "--allow-insecure-endpoint",
                    more,
                ])
                .exits(10)
                .says("environment qa must be account 111122223333 (envs/.env.qa line 6)")
                .says("table copy does not exist")
                .says(reason)
                .says("sts:GetCallerIdentity")
                .says("create the table first");
        }
    }

    assert!(engine.client().describe("copy").is_none());
}

#[test]
fn credentials_that_name_their_account_need_no_sts() {
    let (_engine, proxy) = films([always("GetCallerIdentity", STS_DENIED)]);
    let project = Project::empty();
    let keys = "aws_access_key_id = test\naws_secret_access_key = test\n";
    project.write(
        ".aws/config",
        format!(
            "[profile ops]\n{keys}aws_account_id = {ACCOUNT}\n[profile job]\ncredential_process = /bin/cat job.json\n"
        ),
    );
    project.write(
        "job.json",
        format!(
            r#"{{"Version": 1, "AccessKeyId": "test", "SecretAccessKey": "test", "AccountId": "{ACCOUNT}"}}"#
        ),
    );
    let static_keys = [
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("AWS_ACCOUNT_ID", ACCOUNT),
    ];
    let credentials: [&[(&str, &str)]; 3] = [
        &[("AWS_PROFILE", "ops")],
        &[("AWS_PROFILE", "job")],
        &static_keys,
    ];

    for variables in credentials {
        for (account, code) in [(ACCOUNT, 0), ("999900001111", 10)] {
            project.write(
                "envs/.env.dev",
                format!(
                    "AWS_ENDPOINT_URL={}\nAWS_REGION={REGION}\nDYNAMODB_TABLE=films\nDYNADUMP_ACCOUNT={account}\n",
                    distant(&proxy)
                ),
            );

            let dump = run_with(
                &project,
                "dumpdb",
                &["--env=dev", "--output=out"],
                variables,
            );
            let dump = dump.exits(code);
            if code != 0 {
                dump.says("its credentials belong to 111122223333");
            }
        }
    }

    assert_eq!(proxy.count("GetCallerIdentity"), 0);
}

#[test]
fn credentials_are_fetched_once_even_if_sts_denies_the_account() {
    let (_engine, proxy) = films([always("GetCallerIdentity", STS_DENIED), described_there()]);
    let project = Project::empty();
    project.write(
        ".aws/config",
        "[profile job]\ncredential_process = /bin/sh job.sh\n",
    );
    project.write(
        "job.sh",
        "echo asked >> asked\necho '{\"Version\": 1, \"AccessKeyId\": \"test\", \"SecretAccessKey\": \"test\"}'\n",
    );
    project.write(
        "envs/.env.dev",
        format!(
            "AWS_ENDPOINT_URL={}\nAWS_PROFILE=job\nAWS_REGION={REGION}\nDYNAMODB_TABLE=films\nDYNADUMP_ACCOUNT={ACCOUNT}\n",
            distant(&proxy)
        ),
    );

    project.dumpdb(["--env=dev", "--output=out"]).exits(0);
    assert_eq!(proxy.count("GetCallerIdentity"), 1);
    assert_eq!(project.text("asked"), "asked\n");
}

/// A dump `out` of `films` in [`ACCOUNT`] and environment `dev`, and an engine without tables behind a proxy.
fn dump_for_elsewhere(rules: impl Into<Vec<Rule>>) -> (Project, Engine, Proxy) {
    let (_engine, proxy) = films([described_there()]);
    let project = Project::empty().environment("dev", &distant(&proxy), "films");
    project.dumpdb(["--env=dev", "--output=out"]).exits(0);
    let elsewhere = Engine::embedded();
    let proxy = Proxy::with_rules(&elsewhere, rules);

    (project, elsewhere, proxy)
}

#[test]
fn a_missing_table_in_another_account_is_another_environment_with_any_name() {
    let (project, elsewhere, proxy) =
        dump_for_elsewhere([always("GetCallerIdentity", OTHER_ACCOUNT)]);
    let project = project.environment("dev", &distant(&proxy), "films");
    let restore =
        |more: &[&str]| project.restoredb(["--env=dev", "--source=out"].iter().chain(more));

    let refused = restore(&[])
        .exits(4)
        .says("account 444455556666 in eu-central-1")
        .says("[WARNING] Cross-environment restore detected!");
    refused.says(
        "[WARNING] Source: dev (111122223333 eu-central-1) → Target: dev (444455556666 eu-central-1)",
    );
    restore(&["--confirm=other"]).exits(4);
    assert!(elsewhere.client().describe("films").is_none());
    restore(&["--yes"]).exits(0);
    assert_eq!(elsewhere.client().items("films").len(), 3);
}

#[test]
fn without_an_environment_the_account_of_a_missing_table_counts_too() {
    let (project, elsewhere, proxy) =
        dump_for_elsewhere([always("GetCallerIdentity", OTHER_ACCOUNT)]);
    let run_at = |proxy: &Proxy, program: &str, arguments: &[&str]| {
        let url = distant(proxy);
        let variables = [
            ("AWS_ENDPOINT_URL", url.as_str()),
            ("AWS_REGION", REGION),
            ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", "test"),
        ];

        let arguments = [arguments, &["--allow-insecure-endpoint"]].concat();
        run_with(&project, program, &arguments, &variables)
    };

    let (_engine, source) = films([described_there()]);
    let dump = ["--no-env", "--table=films", "--output=own"];
    run_at(&source, "dumpdb", &dump).exits(0);

    let restore = |more: &[&str]| {
        let arguments = [&["--no-env", "--source=own", "--table=films"], more].concat();
        run_at(&proxy, "restoredb", &arguments)
    };
    let expected = "[WARNING] Source: no-env (111122223333 eu-central-1) → Target: no-env (444455556666 eu-central-1)";
    drop(restore(&[]).exits(4).says(expected));
    drop(restore(&["--yes"]).exits(4).says("--confirm=films"));
    assert!(elsewhere.client().describe("films").is_none());
    drop(restore(&["--confirm=films"]).exits(0).says(expected));
}

#[test]
fn a_dump_that_names_no_environment_is_from_another_one_if_its_table_is_in_another_account() {
    let (project, elsewhere, proxy) =
        dump_for_elsewhere([always("GetCallerIdentity", OTHER_ACCOUNT)]);
    let project = project.environment("dev", &distant(&proxy), "films");
    // On one line, as older tools write it.
    let data = project.json("out/table-data.json").to_string();
    project.write("old/table-data.json", data);
    project.write(
        "old/table-schema.json",
        project.bytes("out/table-schema.json"),
    );

    project
        .restoredb(["--env=dev", "--source=old"])
        .exits(4)
        .says("Cross-environment restore detected!")
        .says(
            "Source: unknown environment (111122223333 eu-central-1) → Target: dev (444455556666 eu-central-1)",
        );
    assert!(elsewhere.client().describe("films").is_none());
}

#[test]
fn the_same_account_is_not_another_environment_and_an_unknown_one_is_shown() {
    let (project, elsewhere, proxy) = dump_for_elsewhere([]);
    let project = project.environment("dev", &distant(&proxy), "films");
    let plan = |fault, table: &str| {
        proxy.set([always("GetCallerIdentity", fault)]);
        let arguments = ["--env=dev", "--source=out", "--yes", "--table", table];
        project.restoredb(arguments).exits(0)
    };

    for (fault, table) in [(STS_DENIED, "denied"), (Fault::SilentReporter, "silent")] {
        let plan = plan(fault, table).never_says("Cross-environment");
        plan.says("account unknown in eu-central-1")
            .says("Remote target: http://0.0.0.0");
        assert_eq!(elsewhere.client().items(table).len(), 3);
    }

    let lines = "DYNAMODB_TABLE=films\nAWS_ACCOUNT_ID=111122223333\n";
    let project = project.environment_with("dev", &distant(&proxy), lines);
    project
        .restoredb(["--env=dev", "--source=out", "--yes"])
        .exits(0)
        .says("account 111122223333 in eu-central-1")
        .never_says("Cross-environment");
}

#[test]
fn a_local_target_has_no_account_and_is_not_asked_for_one() {
    let (project, elsewhere, proxy) =
        dump_for_elsewhere([always("GetCallerIdentity", OTHER_ACCOUNT)]);
    let project = project.environment("dev", proxy.url(), "films");
    project
        .restoredb(["--env=dev", "--source=out"])
        .exits(0)
        .never_says("Cross-environment")
        .never_says("unknown");
    assert_eq!(proxy.count("GetCallerIdentity"), 0);
    assert_eq!(elsewhere.client().items("films").len(), 3);
}

#[test]
fn a_denied_call_names_the_action_that_aws_denied() {
    let denied = "User: arn:aws:iam::111122223333:user/eve is not authorized to perform: kms:Decrypt on resource: \
                  arn:aws:kms:eu-central-1:111122223333:key/0a1b because no identity-based policy allows the kms:Decrypt action";
    let forbidden = "User: arn:aws:iam::111122223333:user/eve is not authorized to perform: dynamodb:Scan on resource: \
                     arn:aws:dynamodb:eu-central-1:111122223333:table/films with an explicit deny in a service control policy";
    let (_engine, proxy) = films([]);
    // The access key of engines that keep accounts apart is the account.
    let project = Project::empty();
    project.write(
        "envs/.env.dev",
        format!(
            "LOCAL_AWS_ENDPOINT={}\nAWS_REGION={REGION}\nAWS_ACCESS_KEY_ID={ACCOUNT}\nAWS_SECRET_ACCESS_KEY=hush-hush\n\
             DYNAMODB_TABLE=films\n",
            proxy.url()
        ),
    );

    for (code, message, hint) in [
        (
            "AccessDeniedException",
            denied,
            "hint: allow kms:Decrypt on arn:aws:kms:eu-central-1:111122223333:key/0a1b for these credentials",
        ),
        (
            "ValidationException",
            denied,
            "hint: allow kms:Decrypt on arn:aws:kms:eu-central-1:111122223333:key/0a1b for these credentials",
        ),
        (
            "AccessDeniedException",
            forbidden,
            "hint: the service control policy denies dynamodb:Scan on \
             arn:aws:dynamodb:eu-central-1:111122223333:table/films, and no other policy can allow it",
        ),
    ] {
        proxy.set([always("Scan", Fault::Refused(code, message))]);
        project
            .dumpdb(["--env=dev", "--output=out"])
            .exits(10)
            .says(message)
            .says(hint)
            .never_says("hush-hush");
    }
}
