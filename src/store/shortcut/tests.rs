//! Tests of the fast path against a scripted server, with an independent implementation of the signature.

use std::collections::VecDeque;

use std::time::SystemTime;

use aws_credential_types::provider::{ProvideCredentials, future};
use aws_sdk_dynamodb::config::{BehaviorVersion, Region, retry::RetryConfig};
use aws_smithy_runtime_api::client::http::{HttpConnectorFuture, http_client_fn};
use sha2::{Digest, Sha256};

use super::*;
use crate::store::error::ErrorClass;

const TOKEN: &str = "TheSessionToken0123";

/// A server with scripted responses that records its requests.
#[derive(Debug, Clone)]
struct Server {
    endpoint: &'static str,
    /// The session token of the credentials.
    token: Arc<Mutex<Option<&'static str>>>,
    requests: Arc<Mutex<Vec<HttpRequest>>>,
    answers: Arc<Mutex<VecDeque<(u16, &'static str)>>>,
}

impl Default for Server {
    fn default() -> Self {
        let token = Arc::new(Mutex::new(Some(TOKEN)));
        Self {
            endpoint: "http://dynamodb.test:8000",
            token,
            requests: Arc::default(),
            answers: Arc::default(),
        }
    }
}

/// Credentials that expire immediately, so they are requested before every call.
impl ProvideCredentials for Server {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        let token = self.token.lock().unwrap().map(ToOwned::to_owned);
        let expired = Some(SystemTime::UNIX_EPOCH);
        future::ProvideCredentials::ready(Ok(Credentials::new(
            "TheAccessKey",
            "secret",
            token,
            expired,
            "test",
        )))
    }
}

impl HttpConnector for Server {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        self.requests.lock().unwrap().push(request);
        let (status, body) = self.answers.lock().unwrap().pop_front().expect("an answer");
        HttpConnectorFuture::ready(Ok(HttpResponse::new(
            status.try_into().unwrap(),
            SdkBody::from(body),
        )))
    }
}

impl Server {
    fn sdk(&self, answers: impl IntoIterator<Item = (u16, &'static str)>) -> Client {
        self.answers.lock().unwrap().extend(answers);
        let connector = SharedHttpConnector::new(self.clone());
        let config = aws_sdk_dynamodb::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("eu-west-3"))
            .endpoint_url(self.endpoint)
            .credentials_provider(self.clone())
            .retry_config(RetryConfig::disabled())
            .http_client(http_client_fn(move |_, _| connector.clone()));

        Client::from_conf(config.build())
    }

    fn take_requests(&self) -> Vec<HttpRequest> {
        std::mem::take(&mut self.requests.lock().unwrap())
    }
}

fn was_sent_by_the_sdk(request: &HttpRequest) -> bool {
    request.headers().contains_key("amz-sdk-invocation-id")
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

fn hmac(key: &[u8], text: &str) -> [u8; 32] {
    let padded = |with: u8| {
        (0..64)
            .map(|at| key.get(at).copied().unwrap_or(0) ^ with)
            .collect::<Vec<u8>>()
    };

    sha256(
        &[
            padded(0x5c),
            sha256(&[padded(0x36), text.into()].concat()).to_vec(),
        ]
        .concat(),
    )
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect::<Vec<_>>()
        .concat()
}

/// The signature of a request, computed as AWS documents it.
fn signature(request: &HttpRequest) -> String {
    let header = |name: &str| match name {
        "host" => "dynamodb.test:8000",
        name => request.headers().get(name).expect(name),
    };
    let signed = header("authorization")
        .split("SignedHeaders=")
        .nth(1)
        .unwrap()
        .split(',')
        .next()
        .unwrap();

    for needed in ["host", "x-amz-date", "x-amz-target"] {
        assert!(
            signed.split(';').any(|name| name == needed),
            "{needed} in {signed}"
        );
    }

    assert_eq!(
        signed.contains("x-amz-security-token"),
        request.headers().contains_key("x-amz-security-token")
    );
    let headers = signed
        .split(';')
        .map(|name| format!("{name}:{}\n", header(name)))
        .collect::<Vec<_>>()
        .concat();

    let body = hex(&sha256(request.body().bytes().expect("a body in memory")));
    let path = request
        .uri()
        .strip_prefix("http://dynamodb.test:8000")
        .unwrap();
    let canonical = format!(
        "{}\n{path}\n\n{headers}\n{signed}\n{body}",
        request.method()
    );
    let (date, day) = (header("x-amz-date"), &header("x-amz-date")[..8]);
    let scope = format!("{day}/eu-west-3/dynamodb/aws4_request");
    let to_sign = format!(
        "AWS4-HMAC-SHA256\n{date}\n{scope}\n{}",
        hex(&sha256(canonical.as_bytes()))
    );
    let parts = [day, "eu-west-3", "dynamodb", "aws4_request", &to_sign];
    let signature = parts.iter().fold(b"AWS4secret".to_vec(), |key, part| {
        hmac(&key, part).to_vec()
    });
    format!(
        "AWS4-HMAC-SHA256 Credential=TheAccessKey/{scope}, SignedHeaders={signed}, Signature={}",
        hex(&signature)
    )
}

#[tokio::test]
async fn every_call_carries_its_own_body_and_is_signed_for_it() {
    let (server, fast_path) = (Server::default(), BatchWriteFastPath::default());
    let sdk = server.sdk([(200, "first"), (200, "second"), (200, "third")]);
    for (body, answer) in [
        ("{}", "first"),
        (r#"{"RequestItems":{}}"#, "second"),
        (r#"{"a":"é"}"#, "third"),
    ] {
        let answered = fast_path
            .batch_write_item(&sdk, "films", Bytes::from(body))
            .await
            .unwrap();
        assert_eq!(answered, answer);
    }

    let requests = server.take_requests();
    for (request, body) in requests
        .iter()
        .zip(["{}", r#"{"RequestItems":{}}"#, r#"{"a":"é"}"#])
    {
        assert_eq!(request.body().bytes(), Some(body.as_bytes()));
        assert_eq!(
            request.headers().get("content-length"),
            Some(body.len().to_string().as_str())
        );
        assert_eq!(
            request.headers().get("x-amz-target"),
            Some("DynamoDB_20120810.BatchWriteItem")
        );
        assert_eq!(
            request.headers().get("authorization"),
            Some(signature(request).as_str())
        );
        assert_eq!(request.uri(), "http://dynamodb.test:8000/");
    }

    assert_eq!(
        requests.iter().map(was_sent_by_the_sdk).collect::<Vec<_>>(),
        [true, false, false]
    );
}

#[tokio::test]
async fn changed_credentials_are_used_for_signing() {
    let (server, fast_path) = (Server::default(), BatchWriteFastPath::default());
    let sdk = server.sdk([(200, "{}"); 4]);
    let tokens = [None, Some(TOKEN), Some("AnotherToken0123"), None];
    for token in tokens {
        *server.token.lock().unwrap() = token;
        fast_path
            .batch_write_item(&sdk, "films", Bytes::from("{}"))
            .await
            .unwrap();
    }

    let requests = server.take_requests();
    for (request, token) in requests.iter().zip(tokens) {
        assert_eq!(request.headers().get("x-amz-security-token"), token);
        assert_eq!(
            request.headers().get("authorization"),
            Some(signature(request).as_str())
        );
    }

    assert_eq!(
        requests.iter().map(was_sent_by_the_sdk).collect::<Vec<_>>(),
        [true, false, false, false]
    );
}

#[tokio::test]
async fn an_endpoint_may_have_a_path() {
    let (server, fast_path) = (
        Server {
            endpoint: "http://dynamodb.test:8000/behind",
            ..Server::default()
        },
        BatchWriteFastPath::default(),
    );

    let sdk = server.sdk([(200, "{}"), (200, "{}")]);
    for _ in 0..2 {
        fast_path
            .batch_write_item(&sdk, "films", Bytes::from("{}"))
            .await
            .unwrap();
    }

    let requests = server.take_requests();
    for request in &requests {
        assert_eq!(
            request.headers().get("authorization"),
            Some(signature(request).as_str()),
            "{}",
            request.uri()
        );
    }

    assert_eq!(
        requests.iter().map(was_sent_by_the_sdk).collect::<Vec<_>>(),
        [true, false]
    );
}

/// The SDK leaves the default port out of the host header.
#[tokio::test]
async fn where_the_sdk_signs_differently_it_sends_all_calls() {
    let (server, fast_path) = (
        Server {
            endpoint: "http://dynamodb.test:80",
            ..Server::default()
        },
        BatchWriteFastPath::default(),
    );

    let sdk = server.sdk([(200, "{}"), (200, "{}")]);
    for _ in 0..2 {
        fast_path
            .batch_write_item(&sdk, "films", Bytes::from("{}"))
            .await
            .unwrap();
    }

    assert!(server.take_requests().iter().all(was_sent_by_the_sdk));
}

/// Makes five calls, of which the second and third get this response; returns their errors, and
/// which calls the SDK sent.
async fn refused_twice(
    status: u16,
    refusal: &'static str,
) -> (Vec<(ErrorClass, String)>, [bool; 5]) {
    let (server, fast_path) = (Server::default(), BatchWriteFastPath::default());
    let sdk = server.sdk([
        (200, "{}"),
        (status, refusal),
        (status, refusal),
        (200, "{}"),
        (200, "{}"),
    ]);

    let mut answers = Vec::new();
    for _ in 0..5 {
        answers.push(
            fast_path
                .batch_write_item(&sdk, "films", Bytes::from("{}"))
                .await,
        );
    }

    assert_eq!(
        answers.iter().map(Result::is_ok).collect::<Vec<_>>(),
        [true, false, false, true, true]
    );
    let faults = answers
        .into_iter()
        .filter_map(Result::err)
        .map(|error| (error.class, error.code_and_message()))
        .collect();

    let sent_by_sdk: Vec<bool> = server
        .take_requests()
        .iter()
        .map(was_sent_by_the_sdk)
        .collect();

    (faults, sent_by_sdk.try_into().unwrap())
}

#[tokio::test]
async fn an_error_is_parsed_as_the_sdk_does_and_disables_the_fast_path() {
    let refusal =
        r#"{"__type":"com.amazonaws.dynamodb.v20120810#InternalServerError","message":"mine"}"#;
    let (faults, sent_by_sdk) = refused_twice(500, refusal).await;
    let read = (
        ErrorClass::Transient,
        "InternalServerError: mine".to_owned(),
    );
    assert_eq!(faults, [read.clone(), read]);
    assert_eq!(sent_by_sdk, [true, false, true, true, false]);
}

#[tokio::test]
async fn a_throttled_call_does_not_disable_the_fast_path() {
    const REFUSAL: &str = r#"{"__type":"com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException",
        "message":"slower"}"#;

    let (faults, sent_by_sdk) = refused_twice(400, REFUSAL).await;
    let read = (
        ErrorClass::Throttled,
        "ProvisionedThroughputExceededException: slower".to_owned(),
    );
    assert_eq!(faults, [read.clone(), read]);
    assert_eq!(sent_by_sdk, [true, false, false, false, false]);
}

#[tokio::test]
async fn a_call_that_fails_leaves_nothing_behind() {
    const REFUSAL: &str =
        r#"{"__type":"ProvisionedThroughputExceededException","message":"slower"}"#;

    let (server, fast_path) = (Server::default(), BatchWriteFastPath::default());
    let sdk = server.sdk([(500, "{}"), (400, REFUSAL)]);
    for _ in 0..2 {
        let body = Bytes::from(b"{}".to_vec());
        assert!(
            fast_path
                .batch_write_item(&sdk, "films", body.clone())
                .await
                .is_err()
        );

        assert!(server.take_requests().iter().all(was_sent_by_the_sdk));
        assert!(body.is_unique(), "somebody still holds the call");
    }
}

#[tokio::test]
async fn another_table_does_not_use_the_template_of_the_first() {
    let (server, fast_path) = (Server::default(), BatchWriteFastPath::default());
    let sdk = server.sdk([(200, "{}"), (200, "{}")]);
    for table in ["films", "books"] {
        fast_path
            .batch_write_item(&sdk, table, Bytes::from("{}"))
            .await
            .unwrap();
    }

    assert!(server.take_requests().iter().all(was_sent_by_the_sdk));
}

#[tokio::test]
async fn secrets_of_a_rejected_call_are_redacted() {
    const ECHO: &str = r#"{"__type":"InvalidSignatureException","message":"sent TheSessionToken0123 of TheAccessKey"}"#;

    let (server, fast_path) = (Server::default(), BatchWriteFastPath::default());
    let sdk = server.sdk([(200, "{}"), (403, ECHO)]);
    fast_path
        .batch_write_item(&sdk, "films", Bytes::from("{}"))
        .await
        .unwrap();
    let error = fast_path
        .batch_write_item(&sdk, "films", Bytes::from("{}"))
        .await
        .unwrap_err();
    assert_eq!(
        error.code_and_message(),
        "InvalidSignatureException: sent [hidden] of [hidden]"
    );
    let observer = FirstCallObserver {
        table: "films".to_owned(),
        recording: Weak::new(),
    };
    assert!(!format!("{observer:?}").contains("films"));
}
