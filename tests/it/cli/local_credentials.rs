//! Credentials of profiles and roles at a local endpoint: STS is called there and nowhere else, and services that only AWS has are not
//! called.

use std::process::Command;

use crate::support::engine::Engine;
use crate::support::faults::{Fault, Proxy, Rule, always};
use crate::support::project::{Project, REGION, run};
use crate::support::stub::{Stub, role_session, role_session_document, session_document};

const ROLE: &str = "role_arn = arn:aws:iam::123456789012:role/dump\n";

/// A profile with static keys.
const BASE: &str =
    "[profile base]\naws_access_key_id = BASEKEY\naws_secret_access_key = base-secret\n";

/// A table `films` at a local endpoint that follows `rules`.
fn films(rules: impl Into<Vec<Rule>>) -> (Engine, Proxy) {
    let engine = Engine::embedded();
    engine.client().create_simple("films");
    let proxy = Proxy::with_rules(&engine, rules);

    (engine, proxy)
}

/// The call of STS as a local engine answers it: with a session of `LOCALKEY`.
fn assumes(action: &'static str) -> Rule {
    let body = role_session_document(action, "LOCALKEY");
    let answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/xml\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );

    always(action, Fault::Raw(answer.into_bytes().leak()))
}

/// A dump of `films`.
fn dump_command(project: &Project, arguments: &[&str]) -> Command {
    let common = ["--table=films", "--output=out"];
    let mut command = project.command("dumpdb", common.iter().chain(arguments));
    command.env("AWS_REGION", REGION);

    command
}

#[test]
fn roles_of_profiles_are_assumed_at_the_local_endpoint_wherever_sts_is_configured() {
    let project = Project::empty();
    let token = project.write("token", "the-token");
    let web_identity = format!(
        "[profile ops]\n{ROLE}web_identity_token_file = {}\n",
        token.display()
    );
    let role = format!("{BASE}[profile ops]\n{ROLE}source_profile = base\n");
    let two_roles = format!(
        "{BASE}[profile middle]\n{ROLE}source_profile = base\n[profile ops]\n{ROLE}source_profile = middle\n"
    );
    let of_process = format!("[profile ops]\n{ROLE}credential_source = Environment\n");

    for (config, action) in [
        (role, "AssumeRole"),
        (two_roles, "AssumeRole"),
        (of_process, "AssumeRole"),
        (web_identity, "AssumeRoleWithWebIdentity"),
    ] {
        let elsewhere = Stub::answering(|call| role_session(call, "OTHERKEY"));
        let services = format!(
            "services = far\n[services far]\nsts =\n  endpoint_url = {}\n",
            elsewhere.url()
        );
        for (more, variable) in [
            // Without any setting, STS is at AWS.
            ("", None),
            ("", Some("AWS_ENDPOINT_URL_STS")),
            (services.as_str(), None),
        ] {
            let (_engine, proxy) = films([assumes(action)]);
            project.write(".aws/config", format!("{config}{more}"));
            let url = format!("--endpoint-url={}", proxy.url());
            let mut command = dump_command(&project, &["--no-env", "--profile=ops", &url]);
            command
                .env("AWS_ACCESS_KEY_ID", "BASEKEY")
                .env("AWS_SECRET_ACCESS_KEY", "base-secret")
                .envs(variable.map(|key| (key, elsewhere.url())));
            drop(run(command, Vec::new()).exits(0));

            let calls = proxy.calls();
            assert!(proxy.count(action) > 0, "{config}{more}: {calls:?}");
            let signer = &calls.last().expect("calls were made").credential;
            assert!(signer.contains("LOCALKEY"), "{config}{more}: {signer}");
            assert!(elsewhere.received().is_empty(), "{config}{more}");
        }
    }
}

#[test]
fn a_local_endpoint_is_the_endpoint_of_sts_wherever_it_is_named() {
    let elsewhere = Stub::answering(|call| role_session(call, "OTHERKEY"));
    let (_engine, proxy) = films([assumes("AssumeRole")]);
    let url = proxy.url();
    let project = Project::empty();
    project.write(
        "envs/.env.dev",
        format!("AWS_PROFILE=ops\nAWS_ENDPOINT_URL_DYNAMODB={url}\n"),
    );
    project.write(
        "envs/.env.local",
        format!("AWS_PROFILE=ops\nLOCAL_AWS_ENDPOINT={url}\n"),
    );
    let of_profile = format!("endpoint_url = {url}\n");
    let of_services =
        format!("services = near\n[services near]\ndynamodb =\n  endpoint_url = {url}\n");

    for (more, arguments, variables) in [
        ("", &["--env=dev"][..], &[][..]),
        ("", &["--env=local"], &[]),
        (&of_profile, &["--no-env", "--profile=ops"], &[]),
        (&of_services, &["--no-env", "--profile=ops"], &[]),
        (
            "",
            &["--no-env", "--profile=ops"],
            &[("AWS_ENDPOINT_URL_DYNAMODB", url)],
        ),
        (
            "",
            &["--no-env", "--profile=ops"],
            &[("AWS_ENDPOINT_URL", url)],
        ),
    ] {
        project.write(
            ".aws/config",
            format!("{BASE}[profile ops]\n{ROLE}source_profile = base\n{more}"),
        );
        let before = proxy.count("AssumeRole");
        let mut command = dump_command(&project, &[arguments, &["--yes"]].concat());
        command
            .env("AWS_ENDPOINT_URL_STS", elsewhere.url())
            .envs(variables.iter().copied());
        drop(run(command, Vec::new()).exits(0));

        assert!(
            proxy.count("AssumeRole") > before,
            "{more} {arguments:?} {variables:?}"
        );
    }

    assert!(elsewhere.received().is_empty());
}

#[test]
fn a_profile_of_a_service_that_only_aws_has_is_refused_at_a_local_endpoint_without_any_call() {
    const SSO: &str = "sso_session = corp\nsso_account_id = 123456789012\nsso_role_name = dump\n\
        [sso-session corp]\nsso_region = us-east-1\nsso_start_url = https://corp.awsapps.com/start\n";

    let project = Project::empty();
    // The SHA-1 of the name of the session.
    project.write(
        ".aws/sso/cache/ee0bfd2552fbd840c02cc48b6e823320543c450f.json",
        r#"{"accessToken":"the-token","expiresAt":"2099-01-01T00:00:00Z"}"#,
    );
    let (_engine, proxy) = films([assumes("AssumeRole")]);
    let elsewhere = Stub::answering(|_| (200, session_document("OTHERKEY")));
    project.write(
        "envs/.env.local",
        format!("LOCAL_AWS_ENDPOINT={}\nAWS_PROFILE=ops\n", proxy.url()),
    );
    let of_host = |source: &str| format!("[profile ops]\n{ROLE}credential_source = {source}\n");

    for (config, profile, provider) in [
        (format!("[profile ops]\n{SSO}"), "ops", "SSO"),
        (
            format!("[profile ops]\n{ROLE}source_profile = login\n[profile login]\n{SSO}"),
            "login",
            "SSO",
        ),
        (of_host("EcsContainer"), "ops", "a container or instance"),
        (
            of_host("Ec2InstanceMetadata"),
            "ops",
            "a container or instance",
        ),
    ] {
        project.write(".aws/config", config);
        let mut command = dump_command(&project, &[]);
        command
            .env("AWS_ENDPOINT_URL_SSO", elsewhere.url())
            .env("AWS_ENDPOINT_URL_STS", elsewhere.url())
            .env("AWS_CONTAINER_CREDENTIALS_FULL_URI", elsewhere.url())
            .env("AWS_EC2_METADATA_DISABLED", "false")
            .env("AWS_EC2_METADATA_SERVICE_ENDPOINT", elsewhere.url());
        run(command, Vec::new())
            .exits(10)
            .says(&format!(
                "profile \"{profile}\" (~/.aws/config) gets its credentials from {provider}, but a local environment calls only its own \
                 endpoint ({})",
                proxy.url()
            ))
            .says("hint: remove profile ops (envs/.env.local line 2) or use static keys")
            .never_says("the-token");
    }

    assert!(
        elsewhere.received().is_empty(),
        "{:?}",
        elsewhere.received()
    );
    assert!(proxy.calls().is_empty(), "{:?}", proxy.calls());
}

#[test]
fn a_role_at_a_local_endpoint_without_sts_names_the_sts_endpoint() {
    let (_engine, proxy) = films([]);
    let project = Project::empty();
    project.write(
        ".aws/config",
        format!("{BASE}[profile ops]\n{ROLE}source_profile = base\n"),
    );
    let arn = ROLE.trim_start_matches("role_arn = ");
    project.write(
        "envs/.env.local",
        format!("LOCAL_AWS_ENDPOINT={}\nAWS_ROLE_ARN={arn}", proxy.url()),
    );
    let url = format!("--endpoint-url={}", proxy.url());

    for (arguments, message) in [
        (
            &["--no-env", "--profile=ops", &url][..],
            "profile \"ops\" (~/.aws/config)",
        ),
        (
            &["--env=local"],
            "cannot assume role arn:aws:iam::123456789012:role/dump",
        ),
    ] {
        run(dump_command(&project, arguments), Vec::new())
            .exits(10)
            .says(message)
            .says(&format!("the role is assumed at {}", proxy.url()))
            .says("if it has no STS")
            .never_says("trust policy")
            .never_says("get-caller-identity");
    }

    assert!(proxy.count("AssumeRole") > 0, "{:?}", proxy.calls());
    assert_eq!(proxy.count("Scan"), 0);
}
