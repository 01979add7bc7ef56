//! A connection: its facts, and the findings.

use crate::environment::{Endpoint, ValueSource};
use crate::field::Field;
use crate::ops::guard::{Connection, Findings, connection};

use super::lines;

fn findings(facts: &Connection) -> Vec<String> {
    let mut findings = Findings::default();
    let result = findings.extend(facts, connection::RULES);
    lines(result.map(|()| findings))
}

const UNENCRYPTED: &str = "warning: The connection to http://db.example.com is not encrypted. Others on the network can read and \
                           change items, and reuse the session token.";

#[test]
fn each_finding_follows_from_its_facts() {
    // Without encryption, protected, allowed.
    for (facts, expected) in [
        ([false, false, false], None),
        ([false, true, false], None),
        ([true, false, false], Some(UNENCRYPTED)),
        (
            [true, true, false],
            Some(
                "refused (Environment): the connection to the protected environment prod would not be encrypted: \
                 http://db.example.com",
            ),
        ),
        ([true, true, true], Some(UNENCRYPTED)),
    ] {
        let [is_plain_text, is_protected, allows_plain_text] = facts;
        let found = findings(&Connection {
            environment: "prod".to_owned(),
            endpoint: "http://db.example.com".to_owned(),
            is_plain_text,
            is_protected,
            allows_plain_text,
            ..Connection::default()
        });
        assert_eq!(found, Vec::from_iter(expected), "{facts:?}");
    }
}

#[test]
fn only_http_to_another_host_is_unencrypted() {
    for (url, expected) in [
        ("http://db.example.com", true),
        ("HTTP://10.0.0.5:8000", true),
        ("https://db.example.com", false),
        ("http://localhost:8000", false),
        ("http://127.0.0.1:8000", false),
        ("http://[::1]:8000", false),
    ] {
        let endpoint = Endpoint::Url {
            url: url.to_owned(),
            every_service: true,
            source: ValueSource::Field(Field::EndpointUrl),
        };
        assert_eq!(endpoint.is_plain_text(), expected, "{url}");
    }

    assert!(!Endpoint::Aws.is_plain_text());
}
