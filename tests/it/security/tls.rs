//! TLS: servers without a valid certificate receive nothing, and errors say what is wrong.

use std::net::{Shutdown, TcpListener};
use std::path::PathBuf;
use std::thread;

use crate::support::client::numbered;
use crate::support::engine::Engine;
use crate::support::project::{Project, Run, run};
use crate::support::tls::TlsServer;

fn films() -> Engine {
    let engine = Engine::embedded();
    engine.client().create_simple("films");
    engine.client().put("films", numbered(3));

    engine
}

/// Dumps from `url`; `trusted` is the certificate of an authority that is known.
fn dump(engine: &Engine, url: &str, trusted: Option<&str>) -> (Project, Run) {
    let project = Project::on(engine, "films").environment("sealed", url, "films");
    let mut command = project.command(
        "dumpdb",
        ["--env=sealed", "--output=out", "--give-up-after=1s"],
    );
    if let Some(trusted) = trusted {
        let path: PathBuf = project.write("authority.pem", trusted);
        command.env("SSL_CERT_FILE", path);
    }

    let done = run(command, Vec::new());

    (project, done)
}

#[test]
fn only_a_server_that_proves_its_name_is_talked_to() {
    let engine = films();
    let own = TlsServer::named(&["127.0.0.1"], &engine);
    let (project, done) = dump(&engine, &own.url(), Some(own.authority()));
    done.exits(0);
    assert_eq!(project.json("out/table-metadata.json")["items"], 3);
    assert!(own.handshakes() > 0);

    for (server, trusted) in [
        // Nobody knows its authority.
        (TlsServer::named(&["127.0.0.1"], &engine), None),
        // Its authority is known and names another.
        (TlsServer::named(&["dynamodb.example"], &engine), Some(())),
    ] {
        let authority = trusted.map(|()| server.authority());
        let (project, done) = dump(&engine, &server.url(), authority);
        done.exits(11).says("certificate").says("hint: ");
        assert_eq!(server.handshakes(), 0, "nothing may be said to it");

        assert!(!project.path("out").exists());
    }
}

#[test]
fn a_certificate_that_is_its_own_authority_is_refused_with_the_command_for_a_proper_one() {
    let engine = films();
    let server = TlsServer::self_signed("127.0.0.1", true, &engine);
    let (_, done) = dump(&engine, &server.url(), Some(server.authority()));
    done.exits(11)
        .says("the certificate of a certificate authority (CA)")
        .says("openssl req -x509")
        .says("basicConstraints=critical,CA:FALSE");

    let server = TlsServer::self_signed("127.0.0.1", false, &engine);
    let (_, done) = dump(&engine, &server.url(), Some(server.authority()));
    done.exits(0);
}

#[test]
fn a_missing_file_of_certificates_is_named() {
    let engine = films();
    let server = TlsServer::named(&["127.0.0.1"], &engine);
    for (variable, path, what) in [
        ("SSL_CERT_FILE", "missing.pem", "which does not exist"),
        (
            "SSL_CERT_FILE",
            "empty.pem",
            "which contains no readable CA certificate",
        ),
        ("SSL_CERT_DIR", "missing", "which does not exist"),
    ] {
        let project = Project::on(&engine, "films").environment("sealed", &server.url(), "films");
        project.write("empty.pem", "");
        let path = project.path(path);
        let mut command = project.command("dumpdb", ["--env=sealed", "--output=out"]);
        command.env(variable, &path);
        run(command, Vec::new())
            .exits(10)
            .says(&format!("{variable} names {}, {what}", path.display()))
            .says("install the package ca-certificates");

        // Without TLS, certificates are of no interest.
        let mut command = project.command("dumpdb", ["--output=plain"]);
        command.env(variable, &path);
        run(command, Vec::new()).exits(0);
    }
}

#[test]
fn a_plain_http_url_of_a_tls_server_fails_immediately_and_names_the_right_one() {
    let engine = films();
    let server = TlsServer::named(&["127.0.0.1"], &engine);
    let project = Project::on(&engine, "films");
    let url = format!("http://{}", server.address());
    let project = project.environment("sealed", &url, "films");
    project
        .dumpdb(["--env=sealed", "--output=out"])
        .exits(10)
        .says(&format!(
            "{} speaks TLS, but its URL begins with http://",
            server.address()
        ))
        .says(&format!("use https://{}", server.address()))
        .never_says("Retry");
}

#[test]
fn a_web_server_that_expects_tls_is_recognized_by_its_port() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    // As nginx answers.
    thread::spawn(move || {
        use std::io::{Read as _, Write as _};

        for connection in listener.incoming() {
            let mut connection = connection.expect("a connection");
            let mut start = [0; 4096];
            let read = connection.read(&mut start).unwrap_or(0);
            let answer: &[u8] = if start[..read].starts_with(&[22, 3]) {
                &[21, 3, 3, 0, 2, 2, 40]
            } else {
                b"HTTP/1.1 400 Bad Request\r\ncontent-type: text/html\r\ncontent-length: 7\r\nconnection: close\r\n\r\n<html/>"
            };
            let _ = connection.write_all(answer);
            let _ = connection.shutdown(Shutdown::Write);
        }
    });

    let url = format!("http://{address}");
    let project = Project::empty().environment("sealed", &url, "films");
    project
        .dumpdb(["--env=sealed", "--output=out"])
        .exits(10)
        .says(&format!("{address} speaks TLS"));
}
