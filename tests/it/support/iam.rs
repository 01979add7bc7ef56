//! Users and sessions of `ministack` with `AUTH=true`, which checks signatures and policies. Created with plain HTTP: it believes
//! whoever signs as `test`.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};

use super::permissions::Actions;
use super::project::REGION;

/// Credentials as the service issued them.
#[derive(Debug, Clone)]
pub(crate) struct Issued {
    pub(crate) key: String,
    pub(crate) secret: String,
    pub(crate) token: Option<String>,
}

impl Issued {
    /// The lines of an env file.
    pub(crate) fn lines(&self) -> String {
        let token = self.token.as_ref();
        let token = token.map_or(String::new(), |it| format!("AWS_SESSION_TOKEN={it}\n"));

        format!(
            "AWS_ACCESS_KEY_ID={}\nAWS_SECRET_ACCESS_KEY={}\n{token}",
            self.key, self.secret
        )
    }
}

/// A new user of the engine at `url` who may do these and nothing else.
pub(crate) fn user(url: &str, allowed: &Actions) -> Issued {
    let statement = json!({"Effect": "Allow", "Action": allowed, "Resource": "*"});
    user_with(url, &[statement])
}

/// A new user of the engine at `url` with a policy of these statements.
pub(crate) fn user_with(url: &str, statements: &[Value]) -> Issued {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let user = format!("user-{}-{number}", std::process::id());
    let policy = json!({"Version": "2012-10-17", "Statement": statements});

    call(url, "iam", &[("Action", "CreateUser"), ("UserName", &user)]);
    call(
        url,
        "iam",
        &[
            ("Action", "PutUserPolicy"),
            ("UserName", &user),
            ("PolicyName", "allowed"),
            ("PolicyDocument", &policy.to_string()),
        ],
    );
    let answer = call(
        url,
        "iam",
        &[("Action", "CreateAccessKey"), ("UserName", &user)],
    );

    issued(&answer)
}

/// The ARN of a new role that everyone may assume, and that may do these and nothing else.
pub(crate) fn role(url: &str, allowed: &Actions) -> String {
    let role = format!("role-{}", std::process::id());
    let trust = json!({
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": "*"}}],
    });
    let policy = json!({
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": allowed, "Resource": "*"}],
    });

    call(
        url,
        "iam",
        &[
            ("Action", "CreateRole"),
            ("RoleName", &role),
            ("AssumeRolePolicyDocument", &trust.to_string()),
        ],
    );
    call(
        url,
        "iam",
        &[
            ("Action", "PutRolePolicy"),
            ("RoleName", &role),
            ("PolicyName", "allowed"),
            ("PolicyDocument", &policy.to_string()),
        ],
    );

    format!("arn:aws:iam::000000000000:role/{role}")
}

/// A session that ends after this number of seconds.
pub(crate) fn session(url: &str, seconds: i32) -> Issued {
    let seconds = seconds.to_string();
    let answer = call(
        url,
        "sts",
        &[("Action", "GetSessionToken"), ("DurationSeconds", &seconds)],
    );

    issued(&answer)
}

fn issued(answer: &str) -> Issued {
    let element = |name: &str| {
        let (_, rest) = answer.split_once(&format!("<{name}>"))?;
        let (text, _) = rest.split_once('<')?;
        Some(text.to_owned())
    };

    Issued {
        key: element("AccessKeyId").unwrap_or_else(|| panic!("no key in {answer}")),
        secret: element("SecretAccessKey").unwrap_or_else(|| panic!("no secret in {answer}")),
        token: element("SessionToken"),
    }
}

/// Calls an operation of AWS's Query protocol.
fn call(url: &str, service: &str, parameters: &[(&str, &str)]) -> String {
    let parameters: Vec<_> = parameters
        .iter()
        .map(|(name, value)| format!("{name}={}", percent_encoded(value)))
        .collect();
    let body = parameters.join("&");
    let host = url.trim_start_matches("http://");
    let request = format!(
        "POST / HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\ncontent-type: application/x-www-form-urlencoded\r\n\
         content-length: {}\r\nauthorization: AWS4-HMAC-SHA256 Credential=test/20260101/{REGION}/{service}/aws4_request, \
         SignedHeaders=host, Signature=0\r\n\r\n{body}",
        body.len()
    );

    let mut answer = String::new();
    TcpStream::connect(host)
        .and_then(|mut stream| {
            stream.write_all(request.as_bytes())?;
            stream.read_to_string(&mut answer)
        })
        .unwrap_or_else(|error| panic!("{body}: {error}"));
    assert!(answer.starts_with("HTTP/1.1 200"), "{body}: {answer}");

    answer
}

fn percent_encoded(text: &str) -> String {
    let encoded = text.bytes().map(|byte| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
            char::from(byte).to_string()
        }
        _ => format!("%{byte:02X}"),
    });

    encoded.collect()
}
