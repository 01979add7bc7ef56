//! `dumpdb --doctor`: every kind of failure is a row that says what to do, and nothing is changed.

use std::collections::BTreeSet;
use std::net::TcpListener;

use serde_json::Value;

use crate::support::client::numbered;
use crate::support::engine::Engine;
use crate::support::faults::{Fault, Proxy, Rule, always};
use crate::support::http_proxy::HttpProxy;
use crate::support::port::silent_port;
use crate::support::project::{Project, REGION, Run, run};
use crate::support::snapshot::assert_output;
use crate::support::tls::TlsServer;
use crate::support::wrong_clock;

/// STS says that the credentials belong to another account.
const OTHER_ACCOUNT: Fault = Fault::Raw(
    b"HTTP/1.1 200 OK\r\ncontent-type: text/xml\r\nconnection: close\r\n\r\n\
      <GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><GetCallerIdentityResult>\
      <Arn>arn:aws:iam::444455556666:user/eve</Arn><UserId>AIDAEVE</UserId><Account>444455556666</Account>\
      </GetCallerIdentityResult><ResponseMetadata><RequestId>1</RequestId></ResponseMetadata></GetCallerIdentityResponse>",
);

/// What the doctor may call.
const READS: [&str; 12] = [
    "",
    "DescribeTable",
    "ListTables",
    "ListBackups",
    "Scan",
    "DescribeTimeToLive",
    "ListTagsOfResource",
    "DescribeContinuousBackups",
    "GetResourcePolicy",
    "DescribeContributorInsights",
    "DescribeKinesisStreamingDestination",
    "GetCallerIdentity",
];

/// What a call of auto scaling and of STS is called.
const OTHER_READS: [&str; 2] = ["DescribeScalableTargets", "DescribeScalingPolicies"];

fn films(rules: impl Into<Vec<Rule>>) -> (Engine, Proxy) {
    let engine = Engine::embedded();
    engine.client().create_simple("films");
    engine.client().put("films", numbered(3));
    let proxy = Proxy::with_rules(&engine, rules);

    (engine, proxy)
}

fn doctor(project: &Project, more: &[&str], variables: &[(&str, &str)]) -> Run {
    let arguments = [&["--env=dev", "--doctor", "--json"], more].concat();
    let mut command = project.command("dumpdb", arguments);
    command.envs(variables.iter().copied());

    run(command, Vec::new())
}

/// The state and finding of each check with this name.
#[track_caller]
fn checks(run: &Run, name: &str) -> Vec<(String, String)> {
    let report = run.report();
    let checks = report["summary"]["checks"].as_array().expect("checks");
    let named = checks.iter().filter(|check| check["name"] == name);
    let text = |value: &Value| value.as_str().expect("a text").to_owned();

    named
        .map(|check| (text(&check["state"]), text(&check["finding"])))
        .collect()
}

/// Asserts the state of the only check with this name, and a part of what was found.
#[track_caller]
fn has(run: &Run, name: &str, state: &str, part: &str) {
    let found = checks(run, name);
    assert!(
        matches!(&found[..], [(found, finding)] if found == state && finding.contains(part)),
        "expected {name} to be {state}: {part}\nfound {found:?}\n{run}"
    );
}

#[test]
fn the_rows_of_the_built_in_environment() {
    let project = Project::empty();
    let done = project.dumpdb(["--env=demo", "--doctor"]).exits(0);
    assert_output("doctor-of-the-demo", &done);
    assert!(!project.path(".local").exists(), "nothing is created");
    assert!(!project.path("backups").exists(), "nothing is created");
}

#[test]
fn a_working_environment_has_no_problem_and_only_reads_are_called() {
    let (engine, proxy) = films([]);
    let project = Project::empty().environment("dev", proxy.url(), "films");
    let done = doctor(&project, &[], &[]).exits(0);
    has(&done, "films", "ok", "3 items");
    has(&done, "Dump", "ok", "dynamodb:Scan are allowed");
    has(&done, "Clock", "ok", "within a minute");
    has(&done, "Restore", "skipped", "dynamodb:BatchWriteItem");
    has(&done, "Protection", "ok", "off");
    assert_eq!(done.report()["outcome"], "done");

    let called: BTreeSet<_> = proxy.calls().into_iter().map(|it| it.operation).collect();
    let reads: BTreeSet<_> = READS
        .into_iter()
        .chain(OTHER_READS)
        .map(ToOwned::to_owned)
        .collect();
    assert!(called.is_subset(&reads), "{called:?}");
    assert!(called.contains("Scan"), "{called:?}");
    assert!(!project.path(".local").exists(), "nothing is created");

    let project = project.environment("prod", engine.url(), "films");
    project
        .dumpdb(["--env=prod", "--doctor"])
        .exits(0)
        .says("no problems");
    let quiet = project
        .dumpdb(["--env=prod", "--doctor", "--quiet"])
        .exits(0);
    assert!(!quiet.output().contains("  ok  "), "{quiet}");
}

#[test]
fn a_closed_port_is_a_problem_and_what_depends_on_it_is_skipped() {
    let (_socket, address) = silent_port();
    let project = Project::empty().environment("dev", &format!("http://{address}"), "films");
    let done = doctor(&project, &[], &[]).exits(11);
    has(&done, "Port", "problem", "Connection refused");
    has(&done, "HTTP", "skipped", "does not answer");
    has(&done, "Keys", "ok", "available");
    has(&done, "State directory", "ok", "can be created");
    let skipped = checks(&done, "All");
    assert_eq!(skipped.len(), 2, "{skipped:?}");
    assert_eq!(done.report()["outcome"], "failed");
}

#[test]
fn a_server_that_never_answers_is_not_waited_for() {
    // Connections are accepted by the system.
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port on loopback");
    let address = listener.local_addr().expect("a bound listener");
    let project = Project::empty().environment("dev", &format!("http://{address}"), "films");
    let done = doctor(&project, &[], &[]).exits(11);
    has(&done, "Port", "ok", "accepts connections");
    has(&done, "HTTP", "problem", "timed out");
}

#[test]
fn an_unknown_host_name_is_a_problem_of_its_own() {
    let project = Project::empty().environment("dev", "http://nowhere.invalid:8000", "films");
    let done = doctor(&project, &[], &[]).exits(11);
    has(
        &done,
        "Host name",
        "problem",
        "nowhere.invalid cannot be resolved",
    );
    has(&done, "Port", "skipped", "cannot be resolved");
    has(&done, "Connection", "warning", "is not encrypted");
}

#[test]
fn a_certificate_is_checked_and_its_trust_is_named() {
    let (engine, _proxy) = films([]);
    let server = TlsServer::named(&["127.0.0.1"], &engine);
    let project = Project::empty().environment("dev", &server.url(), "films");
    let done = doctor(&project, &[], &[]).exits(11);
    has(&done, "Port", "ok", "accepts connections");
    has(&done, "TLS", "problem", "is not trusted");

    let path = project.write("authority.pem", server.authority());
    let path = path.to_str().expect("a path of text");
    let done = doctor(&project, &[], &[("SSL_CERT_FILE", path)]).exits(0);
    has(&done, "TLS", "ok", &format!("SSL_CERT_FILE, {path}"));
}

#[test]
fn every_broken_line_of_an_env_file_is_named_and_nothing_is_called() {
    let (_engine, proxy) = films([]);
    let project = Project::empty().environment_with(
        "dev",
        proxy.url(),
        "DYNAMODB_TABEL=films\nAWS_ENDPOINT=http://localhost:1\nDYNADUMP_ACCOUNT=<account>\n",
    );
    let done = doctor(&project, &[], &[]).exits(10);
    let problems = checks(&done, "Env file");
    for (line, what) in [
        (5, "unknown key DYNAMODB_TABEL"),
        (6, "unsupported key AWS_ENDPOINT"),
        (7, "DYNADUMP_ACCOUNT still contains a placeholder"),
    ] {
        let wanted = format!("envs/.env.dev line {line}: {what}");
        assert!(
            problems.iter().any(|(_, found)| found.starts_with(&wanted)),
            "{wanted}: {problems:?}"
        );
    }

    assert_eq!(problems.len(), 3, "{problems:?}");
    assert_eq!(checks(&done, "All").len(), 4);
    has(&done, "Output", "ok", "backups/dynamodb/dev");
    done.says("3 problems (Env file)");
    assert!(proxy.calls().is_empty());

    doctor(&Project::empty(), &[], &[])
        .exits(10)
        .says("environment \"dev\" has no file");
}

#[test]
fn an_unwritable_state_directory_is_a_warning_and_an_unwritable_output_a_problem() {
    let (engine, _proxy) = films([]);
    let project = Project::empty().environment("dev", engine.url(), "films");
    let file = project.write("file", "");
    let file = file.to_str().expect("a path of text");
    let done = doctor(&project, &[], &[("XDG_STATE_HOME", file)]).exits(0);
    has(&done, "State directory", "warning", "it is not a folder");

    let done = doctor(&project, &["--output=file/out"], &[]).exits(11);
    has(&done, "Output", "problem", "it is not a folder");

    project.write("thesis/chapter-1.txt", "ten years");
    let done = doctor(&project, &["--output=thesis"], &[]).exits(10);
    has(&done, "Output", "problem", "thesis");
}

#[test]
fn a_wrong_clock_is_measured() {
    let (engine, _proxy) = films([]);
    let project = Project::empty().environment("dev", engine.url(), "films");
    for (seconds, code, state, part) in [
        (130, 0, "warning", "ahead of the server"),
        (-130, 0, "warning", "behind the server"),
        (1200, 10, "problem", "more than 5 minutes"),
    ] {
        let mut command = project.command("dumpdb", ["--env=dev", "--doctor", "--json"]);
        wrong_clock::set_ahead(&mut command, &project, seconds);
        let done = run(command, Vec::new()).exits(code);
        has(&done, "Clock", state, part);
    }
}

#[test]
fn missing_permissions_are_named() {
    let refused =
        |operation, message| always(operation, Fault::Refused("AccessDeniedException", message));
    let (_engine, proxy) = films([
        refused(
            "DescribeTimeToLive",
            "User: arn:aws:iam::111122223333:user/eve is not authorized to perform: dynamodb:DescribeTimeToLive",
        ),
        refused(
            "ListTables",
            "User: arn:aws:iam::111122223333:user/eve is not authorized to perform: dynamodb:ListTables",
        ),
    ]);
    let project = Project::empty().environment("dev", proxy.url(), "films");
    let done = doctor(&project, &[], &[]).exits(0);
    has(
        &done,
        "Dump TTL",
        "warning",
        "dynamodb:DescribeTimeToLive is missing",
    );
    has(
        &done,
        "List tables",
        "warning",
        "dynamodb:ListTables is missing",
    );
    done.says("`dumpdb --env=dev --print-iam-policy` prints the policy");
    doctor(&project, &["--table=film*"], &[]).exits(10);

    proxy.set([refused(
        "Scan",
        "User: arn:aws:iam::111122223333:user/eve is not authorized to perform: dynamodb:Scan",
    )]);
    let done = doctor(&project, &[], &[]).exits(10);
    has(&done, "Dump", "problem", "dynamodb:Scan");
    done.says("allow dynamodb:Scan on");
}

#[test]
fn missing_tables_are_named_with_similar_ones() {
    let (engine, _proxy) = films([]);
    engine.client().create_simple("orders");
    let project = Project::empty().environment("dev", engine.url(), "flims");
    let done = doctor(&project, &[], &[]).exits(11);
    has(&done, "flims", "problem", "does not exist");
    done.says("did you mean films?");

    let done = doctor(&project, &["--table=films,orders,gone"], &[]).exits(11);
    has(&done, "Tables", "ok", "3 tables");
    has(&done, "gone", "problem", "does not exist");
    let done = doctor(&project, &["--all-tables"], &[]).exits(0);
    has(&done, "Tables", "ok", "films, orders");

    let project = Project::empty().environment_with("dev", engine.url(), "");
    let done = doctor(&project, &[], &[]).exits(0);
    has(&done, "Table", "skipped", "no table is named");
}

#[test]
fn the_account_of_the_credentials_is_compared_before_the_table_is_read() {
    let (_engine, proxy) = films([always("GetCallerIdentity", OTHER_ACCOUNT)]);
    let url = proxy.url().replace("127.0.0.1", "0.0.0.0");
    let project = Project::empty().environment_with(
        "dev",
        &url,
        "DYNAMODB_TABLE=films\nDYNADUMP_ACCOUNT=111122223333\n",
    );
    let done = doctor(&project, &[], &[]).exits(10);
    has(
        &done,
        "Identity",
        "ok",
        "arn:aws:iam::444455556666:user/eve",
    );
    assert!(
        checks(&done, "Account")
            .iter()
            .any(|(state, finding)| state == "problem" && finding.contains("444455556666")),
        "{done}"
    );
    assert_eq!(proxy.count("DescribeTable") + proxy.count("Scan"), 0);
}

#[test]
fn the_proxy_and_hosts_that_it_does_not_serve_are_named() {
    let (engine, _proxy) = films([]);
    let proxy = HttpProxy::to(&engine.address());
    let project = Project::empty().environment("dev", "http://dynamodb.example.test", "films");
    let named = format!("http://user:pa%40ss@{}", proxy.address());
    let done = doctor(&project, &[], &[("HTTP_PROXY", &named)]).exits(0);
    has(
        &done,
        "Proxy",
        "ok",
        &format!("{} (HTTP_PROXY)", proxy.address()),
    );
    done.never_says("pa%40ss").never_says("pa@ss");

    let variables = [("HTTP_PROXY", named.as_str()), ("NO_PROXY", "example.test")];
    let done = doctor(&project, &[], &variables).exits(11);
    has(&done, "Proxy", "ok", "NO_PROXY excludes the host");
    has(&done, "Host name", "problem", "cannot be resolved");
}

#[test]
fn a_connection_without_encryption_to_production_is_refused_before_anything_is_sent() {
    let (_engine, proxy) = films([]);
    let url = proxy.url().replace("127.0.0.1", "0.0.0.0");
    let project = Project::empty();
    project.write(
        "envs/.env.dev",
        format!("AWS_ENDPOINT_URL={url}\nAWS_REGION={REGION}\nDYNADUMP_PROTECTED=true\nDYNAMODB_TABLE=films\nAWS_ACCESS_KEY_ID=test\nAWS_SECRET_ACCESS_KEY=test\n"),
    );
    let done = doctor(&project, &[], &[]).exits(10);
    has(&done, "Connection", "problem", "would not be encrypted");
    has(
        &done,
        "Protection",
        "ok",
        "DYNADUMP_PROTECTED in envs/.env.dev line 3",
    );
    assert!(proxy.calls().is_empty());
}
