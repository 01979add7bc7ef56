//! A scripted HTTP server on loopback for the services around DynamoDB: STS, container credentials, instance metadata.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// A request that the server received.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    /// Method and path: `GET /credentials`.
    pub(crate) target: String,
    /// The header `authorization`; empty if there is none.
    pub(crate) authorization: String,
    /// The body: for STS, a form with `Action` and its parameters.
    pub(crate) body: String,
}

/// Status and body of a response.
pub(crate) type Answer = (u16, String);

/// The running server.
pub(crate) struct Stub {
    url: String,
    received: Arc<Mutex<Vec<Received>>>,
}

impl Stub {
    /// Starts a server that answers each request with `answer`.
    pub(crate) fn answering(answer: impl Fn(&Received) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port on loopback");
        let address = listener.local_addr().expect("a bound listener");
        let received = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&received);
        let answer = Arc::new(answer);
        // The thread ends with the test process: nothing can interrupt `accept`.
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (answer, log) = (Arc::clone(&answer), Arc::clone(&log));
                // An error is a client that closed its connection; the test sees what follows from it.
                thread::spawn(move || drop(serve(client, &log, &*answer)));
            }
        });

        Self {
            url: format!("http://{address}"),
            received,
        }
    }

    /// Where it listens.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Every request so far.
    pub(crate) fn received(&self) -> Vec<Received> {
        self.received.lock().expect("no thread panics").clone()
    }
}

/// The answer of STS to `AssumeRole` and `AssumeRoleWithWebIdentity`: a session with this key, valid for an hour.
pub(crate) fn role_session(call: &Received, access_key_id: &str) -> Answer {
    let action = if call.body.contains("Action=AssumeRoleWithWebIdentity") {
        "AssumeRoleWithWebIdentity"
    } else {
        "AssumeRole"
    };

    (200, role_session_document(action, access_key_id))
}

/// The body of that answer.
pub(crate) fn role_session_document(action: &str, access_key_id: &str) -> String {
    let expiration = in_an_hour();
    format!(
        r#"<{action}Response xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><{action}Result>
        <AssumedRoleUser><AssumedRoleId>AROA:x</AssumedRoleId><Arn>arn:aws:sts::123456789012:assumed-role/dump/x</Arn></AssumedRoleUser>
        <Credentials><AccessKeyId>{access_key_id}</AccessKeyId><SecretAccessKey>role-secret</SecretAccessKey>
        <SessionToken>role-token</SessionToken><Expiration>{expiration}</Expiration></Credentials>
        </{action}Result><ResponseMetadata><RequestId>c6104cbe-af31-11e0-8154-cbc7ccf896c7</RequestId></ResponseMetadata></{action}Response>"#
    )
}

/// A refusal of STS.
pub(crate) fn sts_refusal(code: &str, message: &str) -> Answer {
    let body = format!(
        r#"<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type><Code>{code}</Code>
        <Message>{message}</Message></Error><RequestId>c6104cbe-af31-11e0-8154-cbc7ccf896c7</RequestId></ErrorResponse>"#
    );

    (403, body)
}

/// Credentials as the endpoints for containers and instances return them, valid for an hour.
pub(crate) fn session_document(access_key_id: &str) -> String {
    format!(
        r#"{{"Code":"Success","Type":"AWS-HMAC","LastUpdated":"2026-01-01T00:00:00Z","AccessKeyId":"{access_key_id}",
        "SecretAccessKey":"secret","Token":"token","Expiration":"{}"}}"#,
        in_an_hour()
    )
}

fn in_an_hour() -> String {
    (chrono::Utc::now() + chrono::TimeDelta::hours(1))
        .to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
}

fn serve(
    client: TcpStream,
    log: &Mutex<Vec<Received>>,
    answer: &(impl Fn(&Received) -> Answer + ?Sized),
) -> io::Result<()> {
    let mut reader = BufReader::new(client.try_clone()?);
    let mut writer = client;
    while let Some(request) = read_request(&mut reader)? {
        log.lock().expect("no thread panics").push(request.clone());
        let (status, body) = answer(&request);
        // Clients of instance metadata require the lifetime of their token.
        write!(
            writer,
            "HTTP/1.1 {status} Status\r\ncontent-type: text/xml\r\nx-aws-ec2-metadata-token-ttl-seconds: 21600\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len()
        )?;
        writer.flush()?;
    }

    Ok(())
}

/// Reads one request; `None` if the client has closed the connection.
fn read_request(reader: &mut impl BufRead) -> io::Result<Option<Received>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }

    let target = line.rsplit_once(" HTTP/").map_or("", |(target, _)| target);
    let mut received = Received {
        target: target.to_owned(),
        authorization: String::new(),
        body: String::new(),
    };
    let mut length = 0;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header)?;
        let Some((name, value)) = header.trim_end().split_once(':') else {
            break;
        };

        match name.to_ascii_lowercase().as_str() {
            "authorization" => value.trim().clone_into(&mut received.authorization),
            "content-length" => length = value.trim().parse().unwrap_or(0),
            _ => {}
        }
    }

    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    received.body = String::from_utf8_lossy(&body).into_owned();

    Ok(Some(received))
}
