//! Errors that the client corrects before it retries: clock skew, expired credentials, a table that is not ready. And the message
//! if there is no progress.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::support::client::poll;
use crate::support::engine::Engine;
use crate::support::faults::{Call, Fault, Proxy, always, calls};
use crate::support::project::{Project, dump_of, run};
use crate::support::stub::{Stub, role_session, sts_refusal};

/// Eight pages of a table: enough for something to happen in their middle.
fn table_of_pages() -> (Engine, Project) {
    let (engine, project) = dump_of(0);
    let text = "x".repeat(300_000);
    for n in 0..24 {
        let item = crate::support::client::strings([("id", &format!("{n}")), ("text", &text)]);
        engine.client().put_one("films", item);
    }

    (engine, project)
}

#[test]
fn a_clock_that_is_wrong() {
    let (engine, project) = dump_of(60);
    for ahead in [-3600, 3600, 86_400] {
        let operations = ["DescribeTable", "Scan", "CreateTable", "BatchWriteItem"];
        let proxy = Proxy::with_rules(
            &engine,
            operations.map(|operation| always(operation, Fault::Clock(ahead))),
        );
        let project = Project::empty().environment("dev", proxy.url(), "films");
        project.dumpdb(["--env=dev", "--output=out"]).exits(0);
        let refused = proxy.count("DescribeTable");
        assert!(refused > 1, "the first call was refused");
        let items = [
            "--env=dev",
            "--source=out",
            "--table=copy",
            "--yes",
            "--replace",
        ];

        project.restoredb(items).exits(0);
        assert_eq!(
            engine.client().items("copy"),
            engine.client().items("films")
        );
    }

    // A server that takes no time at all.
    let skewed = Fault::Refused(
        "RequestTimeTooSkewed",
        "The difference between the request time and ours is too large.",
    );
    let proxy = Proxy::with_rules(&engine, [always("DescribeTable", skewed)]);
    let project = project.environment("dev", proxy.url(), "films");
    project
        .dumpdb(["--env=dev", "--output=x"])
        .exits(10)
        .says("clock");
}

#[test]
fn credentials_that_expire_during_a_run_are_renewed() {
    let (engine, project) = table_of_pages();
    let proxy = Proxy::with_rules(
        &engine,
        [calls("Scan", 4..=usize::MAX, Fault::ExpiredKey("FIRST"))],
    );

    // What a login tool does: another key each time it is asked.
    let script = project.path("login.sh");
    let count = project.write("logins", "");
    project.write(
        "login.sh",
        format!(
            "printf x >> {count}\nif [ \"$(cat {count})\" = x ]; then key=FIRST; else key=SECOND; fi\n\
             printf '{{\"Version\":1,\"AccessKeyId\":\"%s\",\"SecretAccessKey\":\"secret\"}}' $key\n",
            count = count.display()
        ),
    );

    project.write(
        ".aws/config",
        format!(
            "[profile ops]\ncredential_process = /bin/sh {}\n",
            script.display()
        ),
    );

    project.write(
        "envs/.env.dev",
        format!("LOCAL_AWS_ENDPOINT={}\nAWS_REGION=eu-central-1\nAWS_PROFILE=ops\nDYNAMODB_TABLE=films\n", proxy.url()),
    );
    let run = project
        .dumpdb(["--env=dev", "--output=again", "--segments=1"])
        .exits(0);
    assert_eq!(project.text("logins").len(), 2, "{run}");
    let signed = |key| move |call: &&Call| call.credential.contains(key);
    assert!(
        proxy.calls().iter().filter(signed("SECOND")).count() >= 4,
        "{run}"
    );
    assert_eq!(
        project.text("again/table-data.json").lines().count(),
        24 + 2
    );
}

#[test]
fn credentials_that_are_refused_for_a_moment() {
    let (engine, project) = table_of_pages();
    let unknown = Fault::Refused(
        "UnrecognizedClientException",
        "The security token included in the request is invalid.",
    );
    let proxy = Proxy::with_rules(&engine, [calls("Scan", 3..=4, unknown)]);
    let project = project.environment("dev", proxy.url(), "films");
    project.dumpdb(["--env=dev", "--output=again"]).exits(0);
    assert_eq!(
        project.text("again/table-data.json").lines().count(),
        24 + 2
    );
}

#[test]
fn credentials_that_stay_refused_end_the_run() {
    let (engine, project) = table_of_pages();
    let unknown = Fault::Refused(
        "UnrecognizedClientException",
        "The security token included in the request is invalid.",
    );
    let proxy = Proxy::with_rules(&engine, [calls("Scan", 3..=usize::MAX, unknown)]);
    let project = project.environment("dev", proxy.url(), "films");
    let run = project
        .dumpdb(["--env=dev", "--output=again", "--give-up-after=2s"])
        .exits(10);
    run.says("invalid")
        .says("aws sso login")
        .says("2s without progress");
}

#[test]
fn expired_keys_in_an_env_file_end_a_dump_that_can_be_resumed_with_new_ones() {
    let (engine, project) = table_of_pages();
    let proxy = Proxy::with_rules(
        &engine,
        [calls("Scan", 5..=usize::MAX, Fault::ExpiredKey("test"))],
    );
    let project = project.environment("dev", proxy.url(), "films");
    let run = project
        .dumpdb(["--env=dev", "--output=again", "--segments=1"])
        .exits(10);
    run.says("ExpiredTokenException")
        .says("get new credentials to replace the expired ones: static keys, envs/.env.dev line 3")
        .says("Resume with: ")
        .says("dumpdb --env=dev --output=again --segments=1 --resume")
        .never_says("without progress");
    assert_eq!(proxy.count("Scan"), 5, "no retry");

    let path = "envs/.env.dev";
    project.write(path, project.text(path).replace("=test\n", "=other-key\n"));
    project
        .dumpdb(["--env=dev", "--output=again", "--segments=1", "--resume"])
        .exits(0);
    assert_eq!(proxy.count("Scan"), 5 + 4, "four pages were kept");
    assert_eq!(
        project.text("again/table-data.json").lines().count(),
        24 + 2
    );
}

#[test]
fn expired_keys_in_an_env_file_end_a_restore_that_can_be_resumed_with_new_ones() {
    let (engine, project) = dump_of(200);
    let proxy = Proxy::with_rules(
        &engine,
        [calls(
            "BatchWriteItem",
            4..=usize::MAX,
            Fault::ExpiredKey("test"),
        )],
    );
    let project = project.environment("dev", proxy.url(), "copy");
    let arguments = [
        "--env=dev",
        "--source=out",
        "--yes",
        "--batch-size=25",
        "--concurrency=1",
    ];
    let run = project.restoredb(arguments).exits(10);
    run.says("ExpiredTokenException")
        .says("static keys, envs/.env.dev line 3")
        .says("Resume with: ")
        .says("--resume")
        .never_says("without progress");
    assert!(
        proxy.count("BatchWriteItem") <= 200 / 25,
        "no batch is sent twice"
    );

    let path = "envs/.env.dev";
    project.write(path, project.text(path).replace("=test\n", "=other-key\n"));
    project
        .restoredb(arguments.iter().chain(&["--resume"]))
        .exits(0);
    assert_eq!(
        engine.client().items("copy"),
        engine.client().items("films")
    );
}

/// A profile `ops` with these static keys.
fn profile_with_keys(id: &str) -> String {
    format!("[ops]\naws_access_key_id = {id}\naws_secret_access_key = s\naws_session_token = t\n")
}

fn environment_with_profile(proxy: &Proxy) -> String {
    format!(
        "LOCAL_AWS_ENDPOINT={}\nAWS_REGION=eu-central-1\nDYNAMODB_TABLE=films\nAWS_PROFILE=ops\n",
        proxy.url()
    )
}

const DUMP: [&str; 3] = ["--env=dev", "--output=again", "--segments=1"];

#[test]
fn expired_keys_in_a_profile_end_the_run() {
    let (engine, project) = table_of_pages();
    let expired = Fault::ExpiredKey("FIRST");
    let proxy = Proxy::with_rules(&engine, [calls("Scan", 4..=usize::MAX, expired)]);
    project.write(".aws/credentials", profile_with_keys("FIRST"));
    project.write("envs/.env.dev", environment_with_profile(&proxy));
    project
        .dumpdb(DUMP)
        .exits(10)
        .says("get new credentials to replace the expired ones: profile ops, ~/.aws/credentials")
        .says("Resume with: ")
        .never_says("without progress");
    assert_eq!(proxy.count("Scan"), 4, "no retry");
}

#[test]
fn keys_that_were_replaced_in_a_profile_during_the_run_are_used() {
    let (engine, project) = table_of_pages();
    let proxy = Proxy::with_rules(&engine, [calls("Scan", 3..=usize::MAX, Fault::Status(503))]);
    project.write(".aws/credentials", profile_with_keys("FIRST"));
    project.write("envs/.env.dev", environment_with_profile(&proxy));
    std::thread::scope(|scope| {
        let run = scope.spawn(|| project.dumpdb(DUMP));
        poll("the dump reads", || proxy.seen("Scan") > 3);
        project.write(".aws/credentials", profile_with_keys("SECOND"));
        proxy.set([always("Scan", Fault::ExpiredKey("FIRST"))]);
        run.join().expect("the dump ends").exits(0);
    });

    let last = proxy.calls().pop().expect("calls were made");
    assert!(last.credential.contains("SECOND"), "{}", last.credential);
}

#[test]
fn a_session_of_a_role_that_expires_is_renewed_until_the_keys_that_assume_it_expire() {
    let (engine, project) = table_of_pages();
    let expired = |key| Fault::ExpiredKey(key);
    let proxy = Proxy::with_rules(
        &engine,
        [
            calls("Scan", 4..=7, expired("ROLE1")),
            calls("Scan", 8..=usize::MAX, expired("ROLE2")),
        ],
    );
    let sessions = AtomicU32::new(0);
    let sts = Stub::answering(
        move |call| match sessions.fetch_add(1, Ordering::SeqCst) + 1 {
            number @ 1..=2 => role_session(call, &format!("ROLE{number}")),
            _ => sts_refusal(
                "ExpiredToken",
                "The security token included in the request is expired",
            ),
        },
    );
    let role =
        "[profile ops]\nrole_arn = arn:aws:iam::123456789012:role/dump\nsource_profile = base\n";
    project.write(".aws/config", role);
    project.write(
        ".aws/credentials",
        profile_with_keys("BASE").replace("[ops]", "[base]"),
    );

    // A local environment would assume the role at its own endpoint.
    let remote = environment_with_profile(&proxy).replace("127.0.0.1", "0.0.0.0");
    project.write("envs/.env.dev", remote);
    let mut command = project.command("dumpdb", DUMP);
    command.env("AWS_ENDPOINT_URL_STS", sts.url());
    run(command, Vec::new())
        .exits(10)
        .says("ExpiredTokenException")
        .says("Resume with: ")
        .never_says("without progress");
    let signed = |key| move |call: &Call| call.credential.contains(key);
    assert!(proxy.calls().iter().any(signed("ROLE2")));
    assert_eq!(sts.received().len(), 3);
}

#[test]
fn a_table_that_is_not_ready_for_a_moment() {
    let absent = Fault::Refused("ResourceNotFoundException", "Requested resource not found");
    let busy = Fault::Refused("ResourceInUseException", "Table is being updated");
    let (engine, project) = table_of_pages();
    let proxy = Proxy::with_rules(
        &engine,
        [
            calls("Scan", 3..=5, absent.clone()),
            calls("Scan", 7..=8, busy.clone()),
        ],
    );

    let project = project.environment("dev", proxy.url(), "films");
    project.dumpdb(["--env=dev", "--output=again"]).exits(0);
    assert_eq!(
        project.text("again/table-data.json").lines().count(),
        24 + 2
    );

    let rules = [
        calls("BatchWriteItem", 1..=2, absent),
        calls("BatchWriteItem", 4..=5, busy),
    ];
    let proxy = Proxy::with_rules(&engine, rules);
    let project = project.environment("test", proxy.url(), "copy");
    project
        .restoredb(["--env=test", "--source=again", "--yes"])
        .exits(0);
    assert_eq!(
        engine.client().items("copy"),
        engine.client().items("films")
    );
}

#[test]
fn a_table_that_is_gone_ends_the_run() {
    let absent = Fault::Refused("ResourceNotFoundException", "Requested resource not found");
    let (engine, project) = table_of_pages();
    let rules = [
        calls("Scan", 3..=usize::MAX, absent.clone()),
        calls("DescribeTable", 2..=usize::MAX, absent),
    ];
    let proxy = Proxy::with_rules(&engine, rules);
    let project = project.environment("dev", proxy.url(), "films");
    let run = project.dumpdb(["--env=dev", "--output=again"]).exits(11);
    run.says("films").says("the table no longer exists");
    assert!(!project.path("again").exists());
}

#[test]
fn lack_of_progress_is_reported() {
    let (engine, project) = dump_of(60);
    let proxy = Proxy::with_rules(&engine, [always("BatchWriteItem", Fault::TableThrottled)]);
    let project = project.environment("dev", proxy.url(), "copy");
    let run = project
        .restoredb(["--source=out", "--env=dev", "--yes", "--give-up-after=2s"])
        .exits(1);
    run.says("No progress on table copy for")
        .says("BatchWriteItem: ProvisionedThroughputExceededException")
        .says("Giving up after 2s");
}
