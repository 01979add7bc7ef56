//! Signatures, sessions and permissions, judged by an engine that checks them: `ministack` with `AUTH=true`.

use std::process::Command;
use std::sync::Once;

use serde_json::json;

use crate::support::client::{numbered, strings};
use crate::support::engine::Engine;
use crate::support::faults::Proxy;
use crate::support::iam::{self, Issued};
use crate::support::permissions::{Actions, allowed, documented, statements};
use crate::support::project::{Project, REGION, Run, run};
use crate::support::wrong_clock;

/// An engine that checks signatures, the proxy in front of it, and a table with items.
struct Stage {
    engine: Engine,
    proxy: Proxy,
    table: String,
}

impl Stage {
    fn new() -> Self {
        static LOADED: Once = Once::new();
        let engine = Engine::with_auth();
        let table = engine.table("films");
        engine.client().create_simple(&table);
        engine.client().put(&table, numbered(60));
        let proxy = Proxy::with_rules(&engine, []);
        let stage = Self {
            engine,
            proxy,
            table,
        };

        // The engine loads its services when they are first called, which takes longer than a dump waits for settings.
        LOADED.call_once(|| {
            let project = Project::on(&stage.engine, &stage.table);
            project.dumpdb(["--output=out"]).exits(0);
        });

        stage
    }

    /// A folder whose `local` environment is the table, with these credentials.
    fn project(&self, credentials: &Issued) -> Project {
        let project = Project::empty();
        self.sign_in(&project, credentials);
        project
    }

    /// Replaces the credentials of a folder.
    fn sign_in(&self, project: &Project, credentials: &Issued) {
        let (url, table) = (self.proxy.url(), &self.table);
        let text = format!(
            "LOCAL_AWS_ENDPOINT={url}\nAWS_REGION={REGION}\nDYNAMODB_TABLE={table}\n{}",
            credentials.lines()
        );
        project.write("envs/.env.local", text);
    }

    fn user(&self, allowed: &Actions) -> Issued {
        iam::user(self.engine.url(), allowed)
    }

    /// A name of a table that does not exist.
    fn other_table(&self) -> String {
        self.engine.table("copy")
    }

    /// The calls since there were this many.
    fn calls_since(&self, before: usize) -> usize {
        self.proxy.calls().len() - before
    }
}

fn any_action() -> Actions {
    Actions::from(["dynamodb:*".to_owned()])
}

/// The actions without one.
fn without(actions: &Actions, one: &str) -> Actions {
    assert!(actions.contains(one), "{one} is not in {actions:?}");
    actions - &Actions::from([one.to_owned()])
}

#[test]
#[ignore = "needs ministack with AUTH=true; .ci/run engines"]
fn the_role_of_a_profile_is_assumed_at_a_local_engine_that_checks_signatures() {
    let stage = Stage::new();
    let role = iam::role(stage.engine.url(), &any_action());
    let project = Project::empty();
    let write_config = |credentials: &Issued| {
        project.write(
            ".aws/config",
            format!(
                "[profile base]\naws_access_key_id = {}\naws_secret_access_key = {}\n[profile ops]\nrole_arn = {role}\n\
                 source_profile = base\n",
                credentials.key, credentials.secret
            ),
        );
    };
    let (url, table) = (stage.proxy.url(), &stage.table);
    let lines = format!(
        "LOCAL_AWS_ENDPOINT={url}\nAWS_REGION={REGION}\nDYNAMODB_TABLE={table}\nAWS_PROFILE=ops\n"
    );
    project.write("envs/.env.local", lines);

    let user = stage.user(&Actions::from(["sts:AssumeRole".to_owned()]));
    write_config(&user);
    project.dumpdb(["--output=out"]).exits(0);
    assert!(stage.proxy.count("AssumeRole") > 0);

    // The signature is checked.
    write_config(&Issued {
        secret: "wrong".to_owned(),
        ..user
    });
    project
        .dumpdb(["--output=other"])
        .exits(10)
        .says("SignatureDoesNotMatch");
}

#[test]
#[ignore = "needs ministack with AUTH=true; .ci/run engines"]
fn the_right_credentials_dump_and_restore() {
    let stage = Stage::new();
    for credentials in [
        stage.user(&any_action()),
        iam::session(stage.engine.url(), 3600),
    ] {
        let copy = stage.other_table();
        let project = stage.project(&credentials);
        project.dumpdb(["--output=out"]).exits(0);
        project
            .restoredb(["--source=out", "--table", &copy])
            .exits(0)
            .says("verified");
        let client = stage.engine.client();
        assert_eq!(client.items(&copy), client.items(&stage.table));
    }
}

#[test]
#[ignore = "needs ministack with AUTH=true; .ci/run engines"]
fn credentials_that_are_rejected_fail_at_the_first_call_and_are_named() {
    let stage = Stage::new();
    let right = stage.user(&any_action());
    let session = iam::session(stage.engine.url(), 3600);
    let wrong_secret = Issued {
        secret: "not-the-secret".to_owned(),
        ..right.clone()
    };
    let unknown = Issued {
        key: "AKIANOBODYNOBODY1234".to_owned(),
        ..right
    };
    let made_up = Issued {
        token: Some("made-up".to_owned()),
        ..session
    };
    // Last, because the engine forgets expired sessions when it creates others.
    let expired = iam::session(stage.engine.url(), -1);

    for (credentials, code) in [
        (expired, "ExpiredTokenException"),
        (wrong_secret, "InvalidSignatureException"),
        (unknown, "UnrecognizedClientException"),
        (made_up, "UnrecognizedClientException"),
    ] {
        let before = stage.proxy.calls().len();
        let project = stage.project(&credentials);
        let run = project.dumpdb(["--output=out"]).exits(10);
        run.says(code)
            .says("static keys, envs/.env.local line 4")
            .never_says(&credentials.secret);
        assert_eq!(stage.calls_since(before), 1, "{code} is not retried");
        assert!(!project.path("out").exists());
    }
}

#[test]
#[ignore = "needs ministack with AUTH=true; .ci/run engines"]
fn a_wrong_clock_costs_one_call() {
    let stage = Stage::new();
    let project = stage.project(&stage.user(&any_action()));
    // DynamoDB allows 15 minutes.
    for (minutes, refused) in [(10, 0), (-10, 0), (20, 1), (-20, 1)] {
        let ahead = |mut command: Command| {
            wrong_clock::set_ahead(&mut command, &project, minutes * 60);
            run(command, Vec::new())
        };
        let retries = |run: &Run| run.stderr.matches("Retrying in").count();

        let dump = ahead(project.command("dumpdb", ["--output=out", "--yes", "-v"])).exits(0);
        assert_eq!(retries(&dump), refused, "{minutes} minutes: {dump}");
        if refused > 0 {
            dump.says("DescribeTable: InvalidSignatureException: Signature ");
        }

        let copy = stage.other_table();
        let arguments = ["--source=out", "--table", &copy, "-v"];
        let restore = ahead(project.command("restoredb", arguments)).exits(0);
        assert_eq!(retries(&restore), refused, "{minutes} minutes: {restore}");
        restore.says("verified");
    }
}

/// Adds settings that a dump contains and a restore applies.
fn add_settings(stage: &Stage) {
    use aws_sdk_dynamodb::types::{
        PointInTimeRecoverySpecification, StreamSpecification, StreamViewType, Tag,
        TimeToLiveSpecification,
    };

    let (client, table) = (stage.engine.client(), stage.table.as_str());
    let description = client.describe(table).expect("the table");
    let arn = description.table_arn().expect("an ARN").to_owned();
    let tag = Tag::builder().key("team").value("films").build();
    let ttl = TimeToLiveSpecification::builder()
        .enabled(true)
        .attribute_name("expires");
    let pitr = PointInTimeRecoverySpecification::builder()
        .point_in_time_recovery_enabled(true)
        .build();
    let stream = StreamSpecification::builder()
        .stream_enabled(true)
        .stream_view_type(StreamViewType::NewImage)
        .build();

    let tagged = client.ask(|sdk| {
        sdk.tag_resource()
            .resource_arn(arn)
            .tags(tag.expect("a tag"))
            .send()
    });
    tagged.expect("a tag");
    let expiring = client.ask(|sdk| {
        sdk.update_time_to_live()
            .table_name(table)
            .time_to_live_specification(ttl.build().expect("a setting"))
            .send()
    });
    expiring.expect("TTL");
    let recoverable = client.ask(|sdk| {
        sdk.update_continuous_backups()
            .table_name(table)
            .point_in_time_recovery_specification(pitr.expect("a setting"))
            .send()
    });
    recoverable.expect("PITR");
    let streaming = client.ask(|sdk| {
        sdk.update_table()
            .table_name(table)
            .stream_specification(stream.expect("a setting"))
            .send()
    });
    streaming.expect("a stream");
    client.wait_until_active(table);
}

#[test]
#[ignore = "needs ministack with AUTH=true; .ci/run engines"]
fn the_permissions_in_the_guide_are_enough() {
    let stage = Stage::new();
    add_settings(&stage);
    let documented = documented();
    let (dumpdb, restoredb) = (&documented["dumpdb"], &documented["restoredb"]);
    let allowed = |run: Run| {
        run.exits(0)
            .never_says("AccessDenied")
            .never_says("timed out")
            .never_says("is not authorized")
    };

    let project = stage.project(&stage.user(&dumpdb.all()));
    allowed(project.dumpdb(["--output=out"]));
    let misspelt = stage.table.replacen("films-", "flims-", 1);
    let similar = project.dumpdb(["--output=none", "--table", &misspelt]);
    similar.exits(11).says("did you mean");

    stage.sign_in(&project, &stage.user(&documented["verifydb"].command));
    allowed(project.verifydb(["--source=out", "--env=local"]));

    // A missing table.
    let copy = stage.other_table();
    let restore = |more: &[&str]| {
        let arguments = ["--source=out", "--yes", "--verify=full", "--table", &copy];
        allowed(project.restoredb(arguments.iter().chain(more)))
    };
    stage.sign_in(&project, &stage.user(&restoredb.all()));
    restore(&[]).says("verified");

    // A table that exists.
    let existing = &restoredb.all() | &dumpdb.all();
    stage.sign_in(&project, &stage.user(&existing));
    let client = stage.engine.client();
    client.put(&copy, [strings([("id", "item-000005"), ("text", "newer")])]);
    restore(&["--replace"]).says("verified");
    restore(&["--apply-settings"]);
    restore(&["--on-conflict=skip"]);
    restore(&["--on-conflict=fail"]);
    restore(&[
        "--replace",
        "--boost-write-capacity=50",
        "--billing-mode=provisioned",
        "--write-capacity=5",
        "--read-capacity=5",
    ]);
    let diff = ["--source=out", "--schema-only", "--table", &copy];
    project.verifydb(diff).exits(3).never_says("AccessDenied");
    assert_eq!(client.items(&copy), client.items(&stage.table));

    let comparing = &documented["verifydb"].command | &dumpdb.settings;
    stage.sign_in(&project, &stage.user(&comparing));
    let schema = project.verifydb(["--source=out", "--env=local", "--schema-only"]);
    schema.exits(0).never_says("AccessDenied");
}

/// Actions whose calls name an ARN. The engine does not find the table of such a call, so it allows them only on all resources.
const BY_ARN: [&str; 5] = [
    "dynamodb:GetResourcePolicy",
    "dynamodb:ListTagsOfResource",
    "dynamodb:PutResourcePolicy",
    "dynamodb:TagResource",
    "dynamodb:UntagResource",
];

/// A user with the policies that a command prints.
fn user_with_printed_policy(stage: &Stage, project: &Project, line: &[&str]) -> Issued {
    let arguments = line[1..].iter().chain(&["--print-iam-policy"]);
    let printed = run(project.command(line[0], arguments), Vec::new()).exits(0);
    let mut printed = statements(&printed);
    let by_arn = allowed(&printed).into_iter();
    let by_arn: Actions = by_arn
        .filter(|action| BY_ARN.contains(&action.as_str()))
        .collect();
    if !by_arn.is_empty() {
        printed.push(json!({"Effect": "Allow", "Action": by_arn, "Resource": "*"}));
    }

    iam::user_with(stage.engine.url(), &printed)
}

#[test]
#[ignore = "needs ministack with AUTH=true; .ci/run engines"]
fn the_printed_policy_of_each_command_is_enough() {
    let stage = Stage::new();
    add_settings(&stage);
    let project = stage.project(&stage.user(&any_action()));
    let table = stage.table.as_str();
    let [copy, other, third] = ["copy", "other", "third"].map(|stem| stage.engine.table(stem));
    // Only this test has tables with this stem.
    let several = stage.engine.table("several");
    stage.engine.client().create_simple(&several);
    stage.engine.client().put(&several, numbered(3));
    let pattern = "--table=several-*".to_owned();
    let map_pattern = format!("--map=several-*={third}");
    let map_set = format!("--map={table}={copy}");
    let to_copy = format!("--table={copy}");
    let to_other = format!("--map={table}={other}");
    let restore = ["restoredb", "--source=out", "--yes", &to_copy];
    let copying = ["copydb", "--from=local", "--to=local", "--yes"];
    let comparing = ["verifydb", "--env=local", "--source=out"];
    let against = format!("--against-table={other}");
    let two = format!("--table={table},{other}");

    for line in [
        vec!["dumpdb", "--output=out"],
        comparing.to_vec(),
        [&comparing[..], &["--schema-only"]].concat(),
        restore.to_vec(),
        [&restore[..], &["--replace"]].concat(),
        [&restore[..], &["--apply-settings"]].concat(),
        [&restore[..], &["--on-conflict=skip"]].concat(),
        [&restore[..], &["--data-only"]].concat(),
        [&copying[..], &[&to_other]].concat(),
        [&copying[..], &[&to_other, "--replace", "--sample=50%"]].concat(),
        [
            &copying[..],
            &[&to_other, "--delete-extra", "--verify=full"],
        ]
        .concat(),
        vec!["verifydb", "--env=local", &against],
        vec!["verifydb", "--env=local", &against, "--schema-only"],
        vec!["dumpdb", "--output=set", &two],
        vec!["restoredb", "--source=set", "--yes", &map_set],
        [&copying[..], &[&pattern, &map_pattern]].concat(),
        vec!["dumpdb", "--list-tables", &pattern],
    ] {
        stage.sign_in(&project, &user_with_printed_policy(&stage, &project, &line));
        let made = run(project.command(line[0], &line[1..]), Vec::new());
        made.exits(0)
            .never_says("AccessDenied")
            .never_says("is not authorized");
    }
}

#[test]
#[ignore = "needs ministack with AUTH=true; .ci/run engines"]
fn the_doctor_names_each_read_action_that_is_missing() {
    let stage = Stage::new();
    add_settings(&stage);
    let dumping = documented()["dumpdb"].all();
    let project = stage.project(&stage.user(&dumping));
    let done = project.dumpdb(["--doctor"]).exits(0);
    assert!(
        done.output().contains("dynamodb:Scan are allowed"),
        "{done}"
    );

    for action in &dumping {
        // The table is not encrypted with a key of its own, and the engine does not check policies for auto scaling.
        if !action.starts_with("dynamodb:") {
            continue;
        }

        stage.sign_in(&project, &stage.user(&without(&dumping, action)));
        let is_needed = ["dynamodb:DescribeTable", "dynamodb:Scan"].contains(&action.as_str());
        let done = project
            .dumpdb(["--doctor", "--quiet"])
            .exits(if is_needed { 10 } else { 0 });
        assert!(done.output().contains(action), "{action}: {done}");
    }
}

#[test]
#[ignore = "needs ministack with AUTH=true; .ci/run engines"]
fn the_printed_policies_of_a_copy_allow_no_other_table() {
    let stage = Stage::new();
    let project = stage.project(&stage.user(&any_action()));
    let [copy, other] = ["copy", "other"].map(|stem| stage.engine.table(stem));
    let copying = ["copydb", "--from=local", "--to=local", "--yes"];
    let [map, to_other] = [&copy, &other].map(|target| format!("--map={}={target}", stage.table));
    let line = [&copying[..], &[&map]].concat();
    let user = user_with_printed_policy(&stage, &project, &line);
    stage.sign_in(&project, &user);
    run(project.command(line[0], &line[1..]), Vec::new()).exits(0);

    let line = [&copying[..], &[&to_other]].concat();
    run(project.command(line[0], &line[1..]), Vec::new())
        .exits(10)
        .says("is not authorized to perform: dynamodb:");
    assert!(stage.engine.client().describe(&other).is_none());
}

#[test]
#[ignore = "needs ministack with AUTH=true; .ci/run engines"]
fn an_action_that_is_not_allowed_is_named() {
    let stage = Stage::new();
    add_settings(&stage);
    let documented = documented();
    let dumping = documented["dumpdb"].all();
    let restoring = &documented["restoredb"].all() | &dumping;
    let project = stage.project(&stage.user(&dumping));
    project.dumpdb(["--output=out"]).exits(0);

    for action in ["dynamodb:DescribeTable", "dynamodb:Scan"] {
        stage.sign_in(&project, &stage.user(&without(&dumping, action)));
        let run = project.dumpdb(["--output=none"]).exits(10);
        run.says(&format!("allow {action} on"));
    }

    // Settings that may not be read are named, and the dump is made.
    let tags = without(&dumping, "dynamodb:ListTagsOfResource");
    stage.sign_in(&project, &stage.user(&tags));
    let run = project.dumpdb(["--output=partly", "-v"]).exits(0);
    run.says("tags: AccessDeniedException")
        .says("dynamodb:ListTagsOfResource");

    let copy = stage.other_table();
    let client = stage.engine.client();
    let restore = |action: &str, code: i32, more: &[&str]| {
        stage.sign_in(&project, &stage.user(&without(&restoring, action)));
        let arguments = ["--source=out", "--yes", "--table", &copy];
        let run = project.restoredb(arguments.iter().chain(more));
        run.exits(code).says(action);
    };

    // A missing table.
    for action in ["dynamodb:CreateTable", "dynamodb:DescribeTable"] {
        restore(action, 10, &[]);
        assert!(client.describe(&copy).is_none());
    }

    // A table that exists.
    for (action, code, more) in [
        ("dynamodb:DeleteTable", 10, "--replace"),
        ("dynamodb:BatchWriteItem", 10, "--verify=none"),
        ("dynamodb:PutItem", 10, "--on-conflict=skip"),
        ("dynamodb:Scan", 10, "--verify=full"),
        ("dynamodb:UpdateTimeToLive", 3, "--apply-settings"),
        ("dynamodb:TagResource", 3, "--apply-settings"),
        ("dynamodb:UpdateContinuousBackups", 3, "--apply-settings"),
    ] {
        client.delete_if_there(&copy);
        client.create_simple(&copy);
        restore(action, code, &[more]);
        assert!(client.describe(&copy).is_some());
    }
}
