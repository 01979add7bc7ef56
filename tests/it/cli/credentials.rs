//! Credentials from the shared AWS files, containers and instances, and the error if there are none.

use std::process::Command;

use crate::support::engine::Engine;
use crate::support::faults::Proxy;
use crate::support::project::{Project, Run, run};
use crate::support::stub::{Stub, role_session, session_document, sts_refusal};

/// A region that nothing but the profile under test names.
const PROFILE_REGION: &str = "eu-west-3";

const ROLE: &str = "arn:aws:iam::123456789012:role/dump";

/// A profile with static keys.
const BASE: &str =
    "[profile base]\naws_access_key_id = BASEKEY\naws_secret_access_key = base-secret\n";

fn films() -> (Engine, Proxy) {
    let engine = Engine::embedded();
    engine.client().create_simple("films");
    let proxy = Proxy::with_rules(&engine, []);

    (engine, proxy)
}

/// A dump of `films` at `url`, with a shared configuration.
fn dump_command(project: &Project, config: &str, url: &str, arguments: &[&str]) -> Command {
    project.write(".aws/config", config);
    let common = [
        "--no-env",
        "--allow-insecure-endpoint",
        "--table=films",
        "--output=out",
        "--endpoint-url",
        url,
    ];

    project.command("dumpdb", common.iter().chain(arguments))
}

fn finish(command: Command) -> Run {
    run(command, Vec::new())
}

/// The address of a proxy as a remote endpoint.
fn remote(proxy: &Proxy) -> String {
    proxy.url().replace("127.0.0.1", "0.0.0.0")
}

/// The key and the region that the last call was signed with.
fn signed_with(proxy: &Proxy) -> String {
    proxy
        .calls()
        .last()
        .expect("calls were made")
        .credential
        .clone()
}

#[test]
fn the_region_of_a_profile_is_used_to_assume_its_role() {
    let (_engine, proxy) = films();
    let with_region = |text: &str| format!("{BASE}[profile ops]\nrole_arn = {ROLE}\n{text}");
    let configs = [
        with_region(&format!(
            "source_profile = base\nregion = {PROFILE_REGION}\n"
        )),
        with_region(&format!(
            "credential_source = Environment\nregion = {PROFILE_REGION}\n"
        )),
        // The region of the source profile applies too.
        format!(
            "{BASE}region = {PROFILE_REGION}\n[profile ops]\nrole_arn = {ROLE}\nsource_profile = base\n"
        ),
    ];
    for config in configs {
        let sts = Stub::answering(|call| role_session(call, "ROLEKEY"));
        let project = Project::empty();
        let mut command = dump_command(&project, &config, &remote(&proxy), &["--profile=ops"]);
        command
            .env("AWS_ENDPOINT_URL_STS", sts.url())
            .env("AWS_ACCESS_KEY_ID", "BASEKEY")
            .env("AWS_SECRET_ACCESS_KEY", "base-secret");
        finish(command).exits(0);

        let calls = sts.received();
        assert!(calls[0].body.contains("Action=AssumeRole&"), "{calls:?}");
        let signer = &calls[0].authorization;
        assert!(
            signer.contains("BASEKEY") && signer.contains(PROFILE_REGION),
            "{signer}\n{config}"
        );
        let signer = signed_with(&proxy);
        assert!(
            signer.contains("ROLEKEY") && signer.contains(PROFILE_REGION),
            "{signer}\n{config}"
        );
    }
}

#[test]
fn the_region_of_a_profile_is_used_for_its_web_identity() {
    let (_engine, proxy) = films();
    let sts = Stub::answering(|call| role_session(call, "WEBKEY"));
    let project = Project::empty();
    let token = project.write("token", "the-token");
    // The endpoint of STS is in the configuration too.
    let config = format!(
        "[profile ci]\nrole_arn = {ROLE}\nweb_identity_token_file = {}\nregion = {PROFILE_REGION}\nservices = stub\n\
         [services stub]\nsts =\n  endpoint_url = {}\n",
        token.display(),
        sts.url()
    );
    finish(dump_command(
        &project,
        &config,
        &remote(&proxy),
        &["--profile=ci"],
    ))
    .exits(0);

    let calls = sts.received();
    let is_web_identity = calls[0].body.contains("Action=AssumeRoleWithWebIdentity");
    assert!(
        is_web_identity && calls[0].body.contains("the-token"),
        "{calls:?}"
    );
    let signer = signed_with(&proxy);
    assert!(
        signer.contains("WEBKEY") && signer.contains(PROFILE_REGION),
        "{signer}"
    );
}

#[test]
fn the_region_of_a_profile_selects_the_host_of_sts() {
    let project = Project::empty();
    let token = project.write("token", "the-token");
    let web_identity = format!("web_identity_token_file = {}\n", token.display());
    for credentials in ["source_profile = base\n", &web_identity] {
        let proxy = Stub::answering(|_| (403, String::new()));
        let config = format!(
            "{BASE}[profile ops]\nrole_arn = {ROLE}\nregion = {PROFILE_REGION}\n{credentials}"
        );
        let mut command = dump_command(&project, &config, "http://0.0.0.0:9", &["--profile=ops"]);
        command.env("HTTPS_PROXY", proxy.url());
        finish(command).exits(10);

        let calls = proxy.received();
        let host = format!("CONNECT sts.{PROFILE_REGION}.amazonaws.com:443");
        assert!(calls.iter().any(|call| call.target == host), "{calls:?}");
    }
}

/// Adds the endpoint for container credentials.
fn in_container(command: &mut Command, stub: &Stub) {
    command.env(
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        format!("{}/credentials", stub.url()),
    );
}

/// A server of container credentials and instance metadata.
fn host() -> Stub {
    Stub::answering(|call| match call.target.as_str() {
        "GET /credentials" => (200, session_document("CONTAINERKEY")),
        "PUT /latest/api/token" => (200, "token".to_owned()),
        "GET /latest/meta-data/iam/security-credentials/" => (200, "role".to_owned()),
        "GET /latest/meta-data/iam/security-credentials/role" => {
            (200, session_document("INSTANCEKEY"))
        }
        _ => (404, String::new()),
    })
}

#[test]
fn a_profile_with_only_a_region_uses_host_credentials_if_the_process_environment_names_it() {
    let (_engine, proxy) = films();
    let host = host();
    let config = format!("[profile regional]\nregion = {PROFILE_REGION}\n");
    let project = Project::empty();

    let mut command = dump_command(&project, &config, &remote(&proxy), &[]);
    in_container(&mut command, &host);
    command.env("AWS_PROFILE", "regional");
    finish(command)
        .exits(0)
        .says("credentials container credentials, AWS_CONTAINER_CREDENTIALS_FULL_URI in the process environment");
    let signer = signed_with(&proxy);
    assert!(
        signer.contains("CONTAINERKEY") && signer.contains(PROFILE_REGION),
        "{signer}"
    );

    let mut command = dump_command(&project, &config, &remote(&proxy), &["--yes"]);
    command
        .env("AWS_PROFILE", "regional")
        .env("AWS_EC2_METADATA_DISABLED", "false")
        .env("AWS_EC2_METADATA_SERVICE_ENDPOINT", host.url());
    finish(command)
        .exits(0)
        .says("credentials EC2 instance metadata");
    let signer = signed_with(&proxy);
    assert!(
        signer.contains("INSTANCEKEY") && signer.contains(PROFILE_REGION),
        "{signer}"
    );
}

#[test]
fn a_profile_that_a_flag_or_an_env_file_names_must_have_credentials() {
    let (_engine, proxy) = films();
    let host = host();
    let config = format!("[profile regional]\nregion = {PROFILE_REGION}\n");
    let project = Project::empty();
    let says = |run: Run, source: &str| {
        run.exits(10)
            .says(&format!(
                "profile \"regional\" ({source}) has no credentials in ~/.aws/config"
            ))
            .says("hint: ")
            .says("aws configure --profile regional")
    };

    let mut command = dump_command(&project, &config, &remote(&proxy), &["--profile=regional"]);
    in_container(&mut command, &host);
    says(finish(command), "--profile");

    project.write(
        "envs/.env.dev",
        format!(
            "AWS_PROFILE=regional\nDYNAMODB_TABLE=films\nAWS_ENDPOINT_URL_DYNAMODB={}\n",
            remote(&proxy)
        ),
    );
    let mut command = project.command("dumpdb", ["--env=dev", "--output=out"]);
    in_container(&mut command, &host);
    says(finish(command), "envs/.env.dev line 1");

    assert!(proxy.calls().is_empty() && host.received().is_empty());
}

/// A dump of `films` with the profile `ops` at a remote endpoint that must not be called, on a host with credentials.
fn refused(config: &str, sts: Option<&Stub>) -> Run {
    let (_engine, proxy) = films();
    let host = host();
    let project = Project::empty();
    let mut runs: Vec<Run> = Vec::new();
    for arguments in [&["--profile=ops"][..], &[]] {
        let mut command = dump_command(&project, config, &remote(&proxy), arguments);
        in_container(&mut command, &host);
        command.env("AWS_REGION", PROFILE_REGION);
        if arguments.is_empty() {
            command.env("AWS_PROFILE", "ops");
        }

        if let Some(sts) = sts {
            command.env("AWS_ENDPOINT_URL_STS", sts.url());
        }

        runs.push(finish(command).exits(10));
    }

    assert!(proxy.calls().is_empty(), "{:?}", proxy.calls());
    assert!(host.received().is_empty(), "{:?}", host.received());

    let by_process = runs.pop().expect("two runs");
    let by_flag = runs.pop().expect("two runs");
    let (flag, process) = ("(--profile)", "(AWS_PROFILE in the process environment)");
    assert_eq!(by_flag.stderr.replace(flag, process), by_process.stderr);

    by_flag
}

#[test]
fn a_profile_that_does_not_exist_is_named_with_similar_ones() {
    refused(&format!("{BASE}[profile oops]\nregion = x\n"), None)
        .says("profile \"ops\" (--profile) does not exist in ~/.aws/config or ~/.aws/credentials")
        .says("hint: did you mean oops? `aws configure list-profiles` lists all profiles");
    refused(BASE, None).says("hint: `aws configure list-profiles` lists the profiles");
    refused("[ops]\nregion = x\n", None)
        .says("hint: write [profile ops] instead of [ops] in ~/.aws/config");

    let project = Project::empty();
    let config = project.write("my-config", BASE);
    let mut command = dump_command(&project, "", "http://0.0.0.0:9", &["--profile=bse"]);
    command.env("AWS_CONFIG_FILE", &config);
    finish(command)
        .exits(10)
        .says(&format!(
            "does not exist in {} or ~/.aws/credentials",
            config.display()
        ))
        .says("did you mean base?");
}

#[test]
fn a_source_profile_that_cannot_provide_credentials_is_named() {
    let role = |source: &str| format!("[profile ops]\nrole_arn = {ROLE}\n{source}");
    refused(&format!("{BASE}{}", role("source_profile = bse\n")), None)
        .says("profile \"ops\" (~/.aws/config) names source_profile \"bse\", which does not exist in ~/.aws/config")
        .says("hint: did you mean base?");
    refused(&role(""), None)
        .says("profile \"ops\" (~/.aws/config) has a role_arn, but neither source_profile nor credential_source")
        .says("hint: add source_profile = ");
    refused(
        &format!(
            "{}[profile b]\nrole_arn = {ROLE}\nsource_profile = ops\n",
            role("source_profile = b\n")
        ),
        None,
    )
    .says("the source_profile settings form a loop in ~/.aws/config: ops → b → ops");
    refused(
        &format!("{}[profile b]\nregion = x\n", role("source_profile = b\n")),
        None,
    )
    .says("profile \"b\" has no credentials in ~/.aws/config")
    .says("`aws configure --profile b`");
}

const SSO: &str =
    "[profile ops]\nsso_session = corp\nsso_account_id = 123456789012\nsso_role_name = dump\n";
const SSO_SESSION: &str =
    "[sso-session corp]\nsso_region = us-east-1\nsso_start_url = https://corp.awsapps.com/start\n";

#[test]
fn an_sso_profile_without_a_login_names_the_command_to_log_in() {
    refused(SSO, None)
        .says("profile \"ops\" (~/.aws/config) names sso_session \"corp\", which does not exist")
        .says("aws configure sso-session");
    let config = format!("{SSO}{SSO_SESSION}");
    refused(&config, None)
        .says("profile \"ops\" (~/.aws/config) is not logged in to SSO, or the login has expired")
        .says("hint: aws sso login --profile ops");

    // The profile with the login is a source of the one that is used.
    let source = config.replace("[profile ops]", "[profile login]");
    refused(
        &format!("{source}[profile ops]\nrole_arn = {ROLE}\nsource_profile = login\n"),
        None,
    )
    .says("profile \"login\" (~/.aws/config) is not logged in to SSO")
    .says("hint: aws sso login --profile login");
}

#[test]
fn only_a_login_that_the_sso_portal_rejects_is_to_be_repeated() {
    let answer = |code: &str, message: &str| (code.to_owned(), message.to_owned());
    let rejected = answer(
        "UnauthorizedException",
        "Session token not found or invalid",
    );
    let forbidden = answer("ForbiddenException", "No access");
    for (expires_at, (code, message), is_login) in [
        ("2020-01-01T00:00:00Z", forbidden.clone(), true),
        ("2099-01-01T00:00:00Z", rejected, true),
        ("2099-01-01T00:00:00Z", forbidden, false),
    ] {
        let project = Project::empty();
        let token = format!(r#"{{"accessToken":"the-token","expiresAt":"{expires_at}"}}"#);
        // The SHA-1 of the name of the session.
        project.write(
            ".aws/sso/cache/ee0bfd2552fbd840c02cc48b6e823320543c450f.json",
            token,
        );
        let body = format!(r#"{{"__type":"{code}","message":"{message}"}}"#);
        let status = if code.starts_with("Unauthorized") {
            401
        } else {
            403
        };
        let portal = Stub::answering(move |_| (status, body.clone()));
        let config = format!("{SSO}region = {PROFILE_REGION}\n{SSO_SESSION}");
        let mut command = dump_command(&project, &config, "http://0.0.0.0:9", &["--profile=ops"]);
        command.env("AWS_ENDPOINT_URL_SSO", portal.url());
        let run = finish(command).exits(10).never_says("the-token");
        if is_login {
            run.says("hint: aws sso login --profile ops");
        } else {
            run.says("profile \"ops\" (~/.aws/config) provides no credentials")
                .says("No access")
                .never_says("aws sso login");
        }
    }
}

#[test]
fn the_error_of_a_profile_with_mfa_explains_how_to_start_a_session() {
    let config = format!(
        "{BASE}[profile ops]\nrole_arn = {ROLE}\nsource_profile = base\nmfa_serial = arn:aws:iam::123456789012:mfa/me\n"
    );
    let denied =
        "User: arn:aws:iam::123456789012:user/me is not authorized to perform: sts:AssumeRole";
    let sts = Stub::answering(move |_| sts_refusal("AccessDenied", denied));
    refused(&config, Some(&sts))
        .says(
            "profile \"ops\" (~/.aws/config) requires an MFA code (mfa_serial of profile \"ops\")",
        )
        .says("prompting for it is not supported")
        .says(denied)
        .says("eval \"$(aws configure export-credentials --profile ops --format env)\"");

    // Without mfa_serial, the role refuses its source.
    let config = config.replace("mfa_serial", "comment");
    refused(&config, Some(&sts))
        .says(&format!(
            "profile \"ops\" (~/.aws/config) cannot assume {ROLE}"
        ))
        .says(&format!("caused by: AccessDenied: {denied}"))
        .says("trust policy");
}

#[test]
fn a_role_that_does_not_enforce_mfa_is_assumed() {
    let (_engine, proxy) = films();
    let sts = Stub::answering(|call| role_session(call, "ROLEKEY"));
    let config = format!(
        "{BASE}[profile ops]\nrole_arn = {ROLE}\nsource_profile = base\nmfa_serial = arn:aws:iam::123456789012:mfa/me\n"
    );
    let project = Project::empty();
    let mut command = dump_command(&project, &config, &remote(&proxy), &["--profile=ops"]);
    command
        .env("AWS_REGION", PROFILE_REGION)
        .env("AWS_ENDPOINT_URL_STS", sts.url());
    finish(command).exits(0);
}

#[test]
fn the_error_of_a_profile_of_aws_login_explains_how_to_use_it() {
    let login = "[profile ops]\nlogin_session = arn:aws:iam::123456789012:user/me\n";
    refused(login, None)
        .says("profile \"ops\" (~/.aws/config) uses `aws login` (login_session), which is not supported")
        .says("credential_process = aws configure export-credentials --profile ops");
    let source = login.replace("ops", "me");
    refused(
        &format!("{source}[profile ops]\nrole_arn = {ROLE}\nsource_profile = me\n"),
        None,
    )
    .says("profile \"me\" (~/.aws/config) uses `aws login`");
}

#[test]
fn a_credential_process_that_fails_is_named_with_its_error() {
    refused(
        "[profile ops]\ncredential_process = echo no vault >&2; exit 3\n",
        None,
    )
    .says("the credential_process of profile \"ops\" (~/.aws/config) failed")
    .says("no vault")
    .says("run its command in a shell");
}

#[test]
fn keys_that_have_expired_before_their_role_is_assumed_are_named() {
    let config = format!("{BASE}[profile ops]\nrole_arn = {ROLE}\nsource_profile = base\n");
    let sts = Stub::answering(|_| {
        sts_refusal(
            "ExpiredToken",
            "The security token included in the request is expired",
        )
    });
    refused(&config, Some(&sts))
        .says("the keys of profile \"base\" (~/.aws/config) have expired")
        .says("hint: replace the keys of profile base");
}

#[test]
fn without_any_credentials_the_commands_that_provide_some_are_named() {
    let project = Project::empty();
    let mut command = dump_command(&project, "", "http://0.0.0.0:9", &[]);
    command.env("AWS_REGION", PROFILE_REGION);
    finish(command)
        .exits(10)
        .says("environment no-env has no AWS credentials: there are neither keys nor a default profile")
        .says("`aws configure sso`")
        .says("--profile or AWS_PROFILE");

    let config = format!("[profile regional]\nregion = {PROFILE_REGION}\n");
    let mut command = dump_command(&project, &config, "http://0.0.0.0:9", &[]);
    command.env("AWS_PROFILE", "regional");
    finish(command).exits(10).says(
        "profile \"regional\" (~/.aws/config) has none, and no container or instance provides any",
    );
}

#[test]
fn a_role_of_the_environment_that_is_refused_is_named_with_its_line() {
    let (_engine, proxy) = films();
    let sts = Stub::answering(|_| {
        sts_refusal("AccessDenied", "not authorized to perform: sts:AssumeRole")
    });
    let project = Project::empty();
    let keys = "AWS_ACCESS_KEY_ID=KEYFORSTS\nAWS_SECRET_ACCESS_KEY=the-secret\n";
    project.write(
        "envs/.env.dev",
        format!(
            "AWS_ROLE_ARN={ROLE}\n{keys}AWS_REGION={PROFILE_REGION}\nDYNAMODB_TABLE=films\nAWS_ENDPOINT_URL_DYNAMODB={}\n",
            remote(&proxy)
        ),
    );
    let mut command = project.command("dumpdb", ["--env=dev", "--output=out"]);
    command.env("AWS_ENDPOINT_URL_STS", sts.url());
    finish(command)
        .exits(10)
        .says(&format!("cannot assume role {ROLE} (envs/.env.dev line 1)"))
        .says("caused by: AccessDenied: not authorized to perform: sts:AssumeRole")
        .says("trust policy");

    // The profile that assumes it has a problem of its own.
    project.write(
        ".aws/config",
        format!("[profile base]\ncredential_process = exit 3\nregion = {PROFILE_REGION}\n"),
    );
    project.write(
        "envs/.env.dev",
        format!("AWS_ROLE_ARN={ROLE}\nAWS_PROFILE=base\nDYNAMODB_TABLE=films\nAWS_ENDPOINT_URL_DYNAMODB={}\n", remote(&proxy)),
    );
    let mut command = project.command("dumpdb", ["--env=dev", "--output=out"]);
    command.env("AWS_ENDPOINT_URL_STS", sts.url());
    finish(command)
        .exits(10)
        .says("the credential_process of profile \"base\" (~/.aws/config) failed");
}
