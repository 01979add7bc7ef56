//! Endpoints that a profile of the shared AWS configuration names: plan, report and metadata name the endpoint that is really
//! called, and it decides what is asked before a write.

use aws_sdk_dynamodb::types::{ProvisionedThroughput, ScalarAttributeType};

use crate::support::client::{attribute, numbered, partition};
use crate::support::engine::Engine;
use crate::support::faults::Proxy;
use crate::support::project::{Project, REGION, Run, run};

const KEYS: &str = "aws_access_key_id = fromprofile\naws_secret_access_key = hush\n";

/// A region that no host belongs to.
const NO_REGION: &str = "xx-nowhere-1";

/// A table `films` behind a proxy, and an empty project whose AWS configuration is in files with other names than usual.
fn stage() -> (Engine, Proxy, Project) {
    let engine = Engine::embedded();
    let units = ProvisionedThroughput::builder()
        .read_capacity_units(500)
        .write_capacity_units(500)
        .build();
    engine.client().create("films", |table| {
        table
            .provisioned_throughput(units.expect("both units are given"))
            .attribute_definitions(attribute("id", ScalarAttributeType::S))
            .key_schema(partition("id"))
    });
    engine.client().put("films", numbered(5));
    let proxy = Proxy::with_rules(&engine, []);

    (engine, proxy, Project::empty())
}

/// Runs a command with the AWS configuration in `aws.ini`.
fn run_with(
    project: &Project,
    program: &str,
    arguments: &[&str],
    variables: &[(&str, &str)],
) -> Run {
    let mut command = project.command(program, arguments);
    command.env("AWS_CONFIG_FILE", project.path("aws.ini"));
    command.envs(variables.iter().copied());
    run(command, Vec::new())
}

fn dump(project: &Project, arguments: &[&str], variables: &[(&str, &str)]) -> Run {
    let all = [&["--table=films", "--output=out", "--yes"], arguments].concat();
    run_with(project, "dumpdb", &all, variables)
}

fn restore(project: &Project, arguments: &[&str]) -> Run {
    let all = [
        &["--table=films", "--source=items.jsonl", "--batch-size=2"],
        arguments,
    ];
    run_with(project, "restoredb", &all.concat(), &[])
}

#[test]
fn the_endpoint_of_a_profile_is_in_plan_report_and_metadata() {
    let (_engine, proxy, project) = stage();
    let url = proxy.url();
    let own = format!("endpoint_url = {url}\nregion = {REGION}\n{KEYS}");
    let of_services = format!(
        "region = {REGION}\nservices = near\nendpoint_url = http://127.0.0.1:9\n{KEYS}\n[services near]\ndynamodb =\n  endpoint_url = {url}\n"
    );

    for (config, arguments, variables, source) in [
        (
            format!("[profile ops]\n{own}"),
            &["--no-env", "--profile=ops"][..],
            &[][..],
            "endpoint_url of profile ops",
        ),
        (
            format!("[profile ops]\n{own}"),
            &["--no-env"],
            &[("AWS_PROFILE", "ops")],
            "endpoint_url of profile ops",
        ),
        (
            format!("[default]\n{own}"),
            &["--no-env"],
            &[],
            "endpoint_url of profile default",
        ),
        (
            format!("[profile ops]\n{of_services}"),
            &["--no-env", "--profile=ops"],
            &[],
            "dynamodb endpoint_url of services near (profile ops)",
        ),
    ] {
        project.write("aws.ini", config);
        let before = proxy.calls().len();
        let note = format!(
            "endpoint from {source}, {}",
            project.path("aws.ini").display()
        );
        dump(&project, arguments, variables)
            .exits(0)
            .says(&format!("endpoint {url}"))
            .says(&note)
            .never_says("named by default")
            .never_says("hush");
        assert_eq!(
            project.json("out/table-metadata.json")["endpoint"].as_str(),
            Some(url)
        );

        let report = dump(
            &project,
            &[arguments, &["--json", "--dry-run"]].concat(),
            variables,
        );
        let plan = &report.exits(0).report()["plan"]["source"];
        assert_eq!(
            (&plan["endpoint"], &plan["local"], &plan["sources"][0]),
            (&url.into(), &true.into(), &note.into())
        );
        let calls = proxy.calls();
        assert!(calls[before..].iter().any(|call| call.operation == "Scan"));
        // A local endpoint applies to every service.
        assert!(
            calls[before..]
                .iter()
                .any(|call| call.operation == "DescribeScalableTargets"),
            "{calls:?}"
        );
        // Keys and region of the profile, which the table of a local engine depends on.
        assert!(
            calls[before..].iter().all(|call| {
                call.credential.contains("fromprofile") && call.credential.contains(REGION)
            }),
            "{calls:?}"
        );
    }
}

#[test]
fn the_endpoint_of_a_profile_decides_protection_and_confirmation() {
    let (engine, proxy, project) = stage();
    project.write("items.jsonl", "{\"id\":{\"S\":\"a\"}}\n");
    let remote = proxy.url().replace("127.0.0.1", "0.0.0.0");
    let profile = |name: &str, url: &str| {
        format!("[profile {name}]\nendpoint_url = {url}\nregion = {REGION}\n{KEYS}")
    };
    let config = [profile("near", proxy.url()), profile("far", &remote)].concat();
    project.write("aws.ini", config);
    for name in ["prod", "dev", "local"] {
        project.write(format!("envs/.env.{name}"), "AWS_PROFILE=near\n");
        project.write(format!("envs/.env.{name}-far"), "AWS_PROFILE=far\n");
    }
    project.write("envs/.env.local", "AWS_PROFILE=far\n");

    // A production environment stays protected wherever it is.
    for name in ["prod", "prod-far"] {
        let env = format!("--env={name}");
        drop(
            restore(&project, &[&env, "--yes", "--allow-insecure-endpoint"])
                .exits(4)
                .says("--confirm=films"),
        );
    }
    // Remote: every write asks.
    for name in ["dev-far", "local"] {
        let env = format!("--env={name}");
        drop(restore(&project, &[&env]).exits(4).says("--yes"));
        let plan = restore(&project, &[&env, "--dry-run", "--json"])
            .exits(0)
            .report();
        assert_eq!(plan["plan"]["target"]["local"], false, "{name}");
    }
    let writes = |proxy: &Proxy| {
        let calls = proxy.calls();
        calls
            .iter()
            .filter(|call| call.operation == "BatchWriteItem")
            .count()
    };
    assert_eq!(writes(&proxy), 0);

    drop(restore(&project, &["--env=dev"]).exits(0));
    assert_eq!(writes(&proxy), 1);
    drop(restore(&project, &["--env=local", "--yes"]).exits(0));
    assert_eq!(
        (writes(&proxy), engine.client().items("films").len()),
        (2, 6)
    );
}

#[test]
fn ignored_endpoints_are_neither_called_nor_named() {
    let (_engine, proxy, project) = stage();
    let config = |more: &str| {
        let url = proxy.url();
        project.write(
            "aws.ini",
            format!("[default]\nendpoint_url = {url}\nregion = {NO_REGION}\n{more}{KEYS}"),
        );
    };
    let ignore = ("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true");
    let variable = ("AWS_ENDPOINT_URL", proxy.url());
    let arguments = ["--no-env", "--give-up-after=1s"];

    config("");
    for variables in [&[ignore][..], &[ignore, variable]] {
        drop(
            dump(&project, &arguments, variables)
                .exits(11)
                .says(NO_REGION),
        );
    }
    config("ignore_configured_endpoint_urls = true\n");
    for variables in [&[][..], &[variable]] {
        drop(
            dump(&project, &arguments, variables)
                .exits(11)
                .says(NO_REGION),
        );
    }
    assert_eq!(proxy.calls().len(), 0);

    // The variable has precedence over the profile, and an explicit endpoint over both.
    let observe = ("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "false");
    drop(dump(&project, &arguments, &[observe]).exits(0));
    let flag = format!("--endpoint-url={}", proxy.url());
    drop(dump(&project, &["--no-env", &flag], &[ignore]).exits(0));
}

#[test]
fn an_endpoint_that_is_named_elsewhere_has_precedence_over_that_of_a_profile() {
    let (_engine, proxy, project) = stage();
    let (_other, profiles_own, _) = stage();
    let url = profiles_own.url();
    project.write(
        "aws.ini",
        format!("[default]\nendpoint_url = {url}\nservices = x\nregion = {REGION}\n{KEYS}[services x]\ndynamodb =\n  endpoint_url = {url}\n"),
    );
    project.write(
        "envs/.env.dev",
        format!("AWS_ENDPOINT_URL={}\nAWS_PROFILE=default\n", proxy.url()),
    );
    let flag = format!("--endpoint-url={}", proxy.url());
    for (arguments, variables) in [
        (&["--no-env", &flag][..], &[][..]),
        (&["--env=dev"], &[]),
        (&["--no-env"], &[("AWS_ENDPOINT_URL", proxy.url())]),
        (&["--no-env"], &[("AWS_ENDPOINT_URL_DYNAMODB", proxy.url())]),
    ] {
        let before = proxy.calls().len();
        drop(dump(&project, arguments, variables).exits(0));
        assert!(proxy.calls().len() > before, "{arguments:?} {variables:?}");
    }

    assert_eq!(profiles_own.calls().len(), 0);
}

#[test]
fn an_endpoint_of_a_profile_that_is_not_a_url_is_refused_before_any_call() {
    let (_engine, proxy, project) = stage();
    for url in [
        "localhost:8000",
        "embedded:films.db",
        "http://user:hush@localhost",
    ] {
        project.write(
            "aws.ini",
            format!("[default]\nendpoint_url = {url}\nregion = {REGION}\n{KEYS}"),
        );
        dump(&project, &["--no-env"], &[])
            .exits(10)
            .says("endpoint_url of profile default")
            .never_says("hush");
    }
    let broken = format!("[default]\nendpoint_url\nregion = {REGION}\n{KEYS}");
    let path = project.write("aws.ini", broken);
    dump(&project, &["--no-env"], &[])
        .exits(10)
        .says(&format!("{} on line 2", path.display()))
        .never_says("hush");

    // With another endpoint, the configuration is not asked.
    let flag = format!("--endpoint-url={}", proxy.url());
    drop(dump(&project, &["--no-env", &flag], &[]).exits(0));
}
