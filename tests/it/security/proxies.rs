//! Proxies and CA bundles: remote calls use them, local calls never do, and failures of a proxy are not the endpoint's.

use std::net::TcpListener;
use std::process::Command;

use crate::support::client::numbered;
use crate::support::engine::Engine;
use crate::support::faults::{Fault, Proxy, calls};
use crate::support::http_proxy::HttpProxy;
use crate::support::port::silent_port;
use crate::support::project::{Project, Run, run};
use crate::support::tls::TlsServer;

/// A host that only the proxy can resolve.
const HOST: &str = "dynamodb.example.test";

fn films() -> Engine {
    let engine = Engine::embedded();
    engine.client().create_simple("films");
    engine.client().put("films", numbered(3));

    engine
}

/// A project whose environment `dev` is a remote endpoint.
fn project(scheme: &str) -> Project {
    Project::empty().environment("dev", &format!("{scheme}://{HOST}"), "films")
}

fn dump(project: &Project, variables: &[(&str, &str)]) -> Run {
    run(dump_command(project, variables), Vec::new())
}

fn dump_command(project: &Project, variables: &[(&str, &str)]) -> Command {
    let mut command = project.command("dumpdb", ["--env=dev", "--output=out", "--json", "--yes"]);
    command.envs(variables.iter().copied());

    command
}

#[test]
fn a_remote_endpoint_is_reached_through_the_proxy_named_in_the_plan() {
    let engine = films();
    for variable in ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"] {
        let proxy = HttpProxy::to(&engine.address());
        let project = project("http");
        let named = format!("http://user:pa%40ss@{}", proxy.address());
        let done = dump(&project, &[(variable, &named)]).exits(0);
        let line = format!(
            "proxy {} ({variable}) from the process environment",
            proxy.address()
        );
        assert!(done.output().contains(&line), "{done}");
        done.says(&line).never_says("pa%40ss").never_says("pa@ss");

        assert_eq!(project.json("out/table-metadata.json")["items"], 3);
        assert!(proxy.was_asked(&format!("POST http://{HOST}/ ")));
        // user:pa@ss
        assert!(
            proxy.requests().iter().all(|head| head
                .to_lowercase()
                .contains("proxy-authorization: basic dxnlcjpwyubzcw==")),
            "{:?}",
            proxy.requests()
        );
    }
}

#[test]
fn https_is_tunnelled_and_the_ca_bundle_trusts_the_server() {
    let engine = films();
    let server = TlsServer::named(&[HOST], &engine);
    for variable in ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"] {
        let proxy = HttpProxy::to(server.address());
        let project = project("https");
        let bundle = project.write("ca.pem", server.authority());
        let bundle = bundle.to_str().expect("UTF-8");
        dump(
            &project,
            &[(variable, proxy.address()), ("AWS_CA_BUNDLE", bundle)],
        )
        .exits(0);
        assert_eq!(project.json("out/table-metadata.json")["items"], 3);
        assert!(proxy.was_asked(&format!("CONNECT {HOST}:443 ")));
    }
}

#[test]
fn a_proxy_may_use_tls_itself() {
    let engine = films();
    let proxy = HttpProxy::to(&engine.address());
    let sealed = TlsServer::in_front_of(&["127.0.0.1"], proxy.address());
    let project = project("http");
    let bundle = project.write("ca.pem", sealed.authority());
    let bundle = bundle.to_str().expect("UTF-8");
    dump(
        &project,
        &[("HTTP_PROXY", &sealed.url()), ("AWS_CA_BUNDLE", bundle)],
    )
    .exits(0);
    assert!(proxy.was_asked(&format!("POST http://{HOST}/ ")));

    dump(&project, &[("HTTP_PROXY", &sealed.url())])
        .exits(11)
        .says("no connection to the proxy")
        .says("certificate");
}

#[test]
fn every_service_of_aws_is_called_through_the_proxy() {
    let engine = films();
    let dynamodb = "dynamodb.eu-central-1.amazonaws.com";
    let scaling = "application-autoscaling.eu-central-1.amazonaws.com";
    let sts = "sts.eu-central-1.amazonaws.com";
    let portal = "portal.sso.eu-central-1.amazonaws.com";
    let server = TlsServer::named(&[dynamodb, scaling, sts, portal], &engine);

    let keys = "AWS_ACCESS_KEY_ID=test\nAWS_SECRET_ACCESS_KEY=test\n";
    for (lines, expected) in [
        (keys.to_owned(), &[dynamodb, scaling][..]),
        (format!("{keys}DYNADUMP_ACCOUNT=123456789012\n"), &[sts]),
        (
            format!("{keys}AWS_ROLE_ARN=arn:aws:iam::123456789012:role/reader\n"),
            &[sts],
        ),
        ("AWS_PROFILE=sso\n".to_owned(), &[portal]),
    ] {
        let proxy = HttpProxy::to(server.address());
        let project = Project::empty();
        project.write(
            "envs/.env.dev",
            format!("DYNAMODB_TABLE=films\nAWS_REGION=eu-central-1\n{lines}"),
        );
        let bundle = project.write("ca.pem", server.authority());
        project.write(
            ".aws/config",
            format!(
                "[profile sso]\nsso_start_url = https://example.awsapps.com/start\nsso_region = eu-central-1\n\
                 sso_account_id = 123456789012\nsso_role_name = reader\nregion = eu-central-1\nca_bundle = {}\n",
                bundle.display()
            ),
        );
        // The SHA-1 of the start URL.
        project.write(
            ".aws/sso/cache/e8be5486177c5b5392bd9aa76563515b29358e6e.json",
            r#"{"accessToken":"token","expiresAt":"2099-01-01T00:00:00Z"}"#,
        );
        let mut variables = vec![("HTTPS_PROXY", proxy.address())];
        let bundle = bundle.to_str().expect("UTF-8");
        if !lines.contains("AWS_PROFILE") {
            variables.push(("AWS_CA_BUNDLE", bundle));
        }

        let done = dump(&project, &variables);
        for host in expected {
            assert!(
                proxy.was_asked(&format!("CONNECT {host}:443 ")),
                "{host}: {:?}\n{done}",
                proxy.requests()
            );
        }
    }
}

#[test]
fn a_service_that_the_proxy_does_not_allow_is_named_and_the_dump_continues() {
    let engine = films();
    let server = TlsServer::named(&["dynamodb.eu-central-1.amazonaws.com"], &engine);
    let proxy = HttpProxy::refusing(server.address(), |_, head| head.contains("autoscaling"));
    let project = Project::empty();
    project.write(
        "envs/.env.dev",
        "DYNAMODB_TABLE=films\nAWS_REGION=eu-central-1\nAWS_ACCESS_KEY_ID=test\nAWS_SECRET_ACCESS_KEY=test\n",
    );
    let bundle = project.write("ca.pem", server.authority());
    let bundle = bundle.to_str().expect("UTF-8");
    dump(
        &project,
        &[("HTTPS_PROXY", proxy.address()), ("AWS_CA_BUNDLE", bundle)],
    )
    .exits(0)
    .says("refused to connect to application-autoscaling.eu-central-1.amazonaws.com");

    let refused = proxy.requests();
    let refused = refused.iter().filter(|head| head.contains("autoscaling"));
    assert_eq!(refused.count(), 2, "two operations without a retry");
}

#[test]
fn hosts_in_no_proxy_are_connected_to_directly() {
    let engine = films();
    let proxy = HttpProxy::to(&engine.address());
    let url = engine.distant_url();
    let project = Project::empty().environment("dev", &url, "films");
    for variable in ["NO_PROXY", "no_proxy"] {
        dump(
            &project,
            &[("ALL_PROXY", proxy.address()), (variable, "0.0.0.0")],
        )
        .exits(0)
        .never_says("proxy");
    }

    assert_eq!(proxy.requests().len(), 0);
    dump(&project, &[("ALL_PROXY", proxy.address())]).exits(0);
    assert!(!proxy.requests().is_empty());
}

#[test]
fn a_local_environment_uses_neither_proxy_nor_ca_bundle() {
    let engine = films();
    let proxy = HttpProxy::answering("403 Forbidden");
    let project = Project::on(&engine, "films");
    let mut command = project.command("dumpdb", ["--output=out"]);
    for variable in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy"] {
        command.env(variable, proxy.address());
    }

    command.env("AWS_CA_BUNDLE", project.path("missing.pem"));
    run(command, Vec::new()).exits(0).never_says("proxy");
    assert_eq!(proxy.requests().len(), 0);
}

#[test]
fn a_proxy_that_refuses_ends_the_run_immediately_and_is_named() {
    for (scheme, variable) in [("https", "HTTPS_PROXY"), ("http", "HTTP_PROXY")] {
        for (status, message) in [
            (
                "407 Proxy Authentication Required",
                "requires a valid user name and password (HTTP 407)",
            ),
            (
                "403 Forbidden",
                "refused to connect to dynamodb.example.test",
            ),
        ] {
            let proxy = HttpProxy::answering(status);
            let named = format!("http://user:s3cr3t-password@{}", proxy.address());
            dump(&project(scheme), &[(variable, &named)])
                .exits(10)
                .says(&format!(
                    "the proxy {} ({variable}) {message}",
                    proxy.address()
                ))
                .says("hint: ")
                .never_says("s3cr3t");
            assert_eq!(proxy.requests().len(), 1, "{scheme} {status}: no retry");
        }
    }
}

#[test]
fn a_proxy_that_cannot_open_the_tunnel_ends_the_first_call() {
    let proxy = HttpProxy::answering("503 Service Unavailable");
    dump(&project("https"), &[("HTTPS_PROXY", proxy.address())])
        .exits(10)
        .says("refused to connect to dynamodb.example.test");
    assert_eq!(proxy.requests().len(), 1);
}

#[test]
fn a_proxy_that_cannot_reach_a_plain_http_endpoint_is_named_at_the_end() {
    let proxy = HttpProxy::answering("503 Service Unavailable");
    let project = project("http");
    let mut command = dump_command(&project, &[("HTTP_PROXY", proxy.address())]);
    command.arg("--give-up-after=1s");
    run(command, Vec::new()).exits(1).says(&format!(
        "the proxy {} (HTTP_PROXY) answered HTTP 503 for {HOST}",
        proxy.address()
    ));
    assert!(
        proxy.requests().len() > 1,
        "such a failure may be temporary"
    );
}

#[test]
fn a_proxy_that_never_answers_is_named() {
    let proxy = HttpProxy::silent();
    dump(&project("https"), &[("HTTPS_PROXY", proxy.address())])
        .exits(11)
        .says(&format!(
            "no connection to {HOST} through the proxy {} (HTTPS_PROXY) in time",
            proxy.address()
        ));
}

#[test]
fn a_proxy_that_has_worked_may_fail_for_a_moment() {
    let engine = films();
    let cut = Proxy::with_rules(&engine, [calls("Scan", 1..=1, Fault::CutBeforeCall)]);
    let server = TlsServer::in_front_of(&[HOST], cut.url().trim_start_matches("http://"));
    let proxy = HttpProxy::refusing(server.address(), |number, _| number == 2);
    let project = project("https");
    let bundle = project.write("ca.pem", server.authority());
    let bundle = bundle.to_str().expect("UTF-8");
    dump(
        &project,
        &[("HTTPS_PROXY", proxy.address()), ("AWS_CA_BUNDLE", bundle)],
    )
    .exits(0);
    assert!(proxy.requests().len() > 2, "{:?}", proxy.requests());
}

#[test]
fn a_dead_proxy_is_named_and_not_the_endpoint() {
    let (_socket, closed) = silent_port();
    let closed = closed.to_string();

    for scheme in ["https", "http"] {
        for address in [closed.as_str(), "proxy.example.invalid:3128"] {
            let named = format!("http://user:s3cr3t-password@{address}");
            dump(&project(scheme), &[("ALL_PROXY", &named)])
                .exits(11)
                .says(&format!("no connection to the proxy {address} (ALL_PROXY)"))
                .never_says("s3cr3t")
                .never_says("no response from");
        }
    }
}

#[test]
fn a_socks_proxy_is_refused_without_a_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    for (scheme, variable) in [("https", "HTTPS_PROXY"), ("http", "ALL_PROXY")] {
        let named = format!("socks5://user:s3cr3t-password@{address}");
        dump(&project(scheme), &[(variable, &named)])
            .exits(10)
            .says(&format!(
                "the proxy {address} ({variable}) is a SOCKS proxy"
            ))
            .never_says("s3cr3t");
    }

    listener.set_nonblocking(true).expect("a socket");
    assert!(listener.accept().is_err(), "nothing was sent to it");
}

#[test]
fn credentials_that_need_a_dead_proxy_name_the_proxy() {
    let proxy = HttpProxy::answering("403 Forbidden");
    let project = Project::empty();
    project.write(
        "envs/.env.dev",
        "DYNAMODB_TABLE=films\nAWS_REGION=eu-central-1\nAWS_ACCESS_KEY_ID=test\nAWS_SECRET_ACCESS_KEY=test\n\
         AWS_ROLE_ARN=arn:aws:iam::123456789012:role/reader\n",
    );
    dump(&project, &[("HTTPS_PROXY", proxy.address())])
        .exits(10)
        .says("(HTTPS_PROXY) refused to connect to sts.eu-central-1.amazonaws.com");
}

#[test]
fn a_proxy_that_inspects_tls_is_suspected_for_every_service() {
    let engine = films();
    let (dynamodb, sts) = (
        "dynamodb.eu-central-1.amazonaws.com",
        "sts.eu-central-1.amazonaws.com",
    );
    let server = TlsServer::named(&[dynamodb, sts], &engine);
    let proxy = HttpProxy::to(server.address());
    for (line, host) in [
        ("", dynamodb),
        // Without STS, the table is asked for the account.
        ("DYNADUMP_ACCOUNT=123456789012", dynamodb),
        ("AWS_ROLE_ARN=arn:aws:iam::123456789012:role/reader", sts),
    ] {
        let project = Project::empty();
        project.write(
            "envs/.env.dev",
            format!(
                "DYNAMODB_TABLE=films\nAWS_REGION=eu-central-1\nAWS_ACCESS_KEY_ID=test\nAWS_SECRET_ACCESS_KEY=test\n{line}\n"
            ),
        );
        dump(&project, &[("HTTPS_PROXY", proxy.address())])
            .exits(11)
            .says(&format!("the certificate of https://{host} is not trusted"))
            .says(&format!(
                "if the proxy {} (HTTPS_PROXY) inspects TLS, set AWS_CA_BUNDLE",
                proxy.address()
            ));
    }

    assert_eq!(server.handshakes(), 0, "nothing may be said to it");
}

#[test]
fn a_ca_bundle_replaces_the_certificates_of_the_machine() {
    let engine = films();
    let server = TlsServer::named(&[HOST], &engine);
    let other = TlsServer::named(&[HOST], &engine);
    let proxy = HttpProxy::to(server.address());
    let project = project("https");
    let own = project.write("own.pem", server.authority());
    let other = project.write("other.pem", other.authority());

    let with = |system: &std::path::Path, bundle: Option<&std::path::Path>| {
        let mut command = dump_command(&project, &[("HTTPS_PROXY", proxy.address())]);
        command.env("SSL_CERT_FILE", system);
        if let Some(bundle) = bundle {
            command.env("AWS_CA_BUNDLE", bundle);
        }

        run(command, Vec::new())
    };

    with(&own, None).exits(0);
    with(&own, Some(&other))
        .exits(11)
        .says("certificate")
        .says("AWS_CA_BUNDLE");
    with(&other, Some(&own)).exits(0);
    with(&project.path("missing.pem"), Some(&own)).exits(0);
}

#[test]
fn a_ca_bundle_that_cannot_be_used_is_an_error_that_names_it() {
    let project = project("https");
    project.write("empty.pem", "");
    project.write(
        "text.pem",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    );
    for (file, what) in [
        ("missing.pem", "which cannot be read"),
        ("envs", "which cannot be read"),
        ("empty.pem", "which contains no PEM certificate"),
        ("text.pem", "which contains no PEM certificate"),
    ] {
        let path = project.path(file);
        let path = path.to_str().expect("UTF-8");
        dump(&project, &[("AWS_CA_BUNDLE", path)])
            .exits(10)
            .says(&format!("AWS_CA_BUNDLE names {path}, {what}"));

        project.write(".aws/config", format!("[default]\nca_bundle = {path}\n"));
        dump(&project, &[]).exits(10).says(&format!(
            "ca_bundle of profile default names {path}, {what}"
        ));
        project.write(".aws/config", "");
    }
}

#[test]
fn an_availability_zone_in_place_of_a_region_is_suspected() {
    let project = Project::empty();
    project.write(
        "envs/.env.dev",
        "DYNAMODB_TABLE=films\nAWS_REGION=us-east-1a\nAWS_ACCESS_KEY_ID=test\nAWS_SECRET_ACCESS_KEY=test\n",
    );
    dump(&project, &[])
        .exits(11)
        .says("us-east-1a looks like an availability zone; its region is us-east-1");

    let proxy = HttpProxy::answering("503 Service Unavailable");
    dump(&project, &[("HTTPS_PROXY", proxy.address())])
        .exits(10)
        .says("us-east-1a looks like an availability zone; its region is us-east-1");
}
