//! Tests of the request path against a scripted server, and against the requests of the SDK's typed client.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use chrono::{NaiveDateTime, TimeDelta, Utc};

use super::endpoint::Endpoints;
use super::error::ErrorClass;
use super::*;

const TOKEN: &str = "TheSessionToken0123";
const ARN: &str = "arn:aws:dynamodb:eu-west-3:123456789012:table/films";
const ATTEMPT_TIMEOUT: Duration = Duration::from_mins(1);

/// Status, headers and body of a response.
type Answer = (u16, Vec<(&'static str, String)>, Vec<u8>);

/// A server with scripted responses that records its requests. Without a script, it answers `{}`.
#[derive(Debug, Clone, Default)]
struct Server {
    requests: Arc<Mutex<Vec<HttpRequest>>>,
    answers: Arc<Mutex<VecDeque<Answer>>>,
}

impl HttpConnector for Server {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        self.requests.lock().unwrap().push(request);
        let answer = self.answers.lock().unwrap().pop_front();
        let (status, headers, body) = answer.unwrap_or((200, Vec::new(), b"{}".to_vec()));
        let mut response = HttpResponse::new(status.try_into().unwrap(), SdkBody::from(body));
        for (name, value) in headers {
            response.headers_mut().insert(name, value);
        }

        HttpConnectorFuture::ready(Ok(response))
    }
}

impl Server {
    fn answering(answers: impl IntoIterator<Item = Answer>) -> Self {
        let server = Self::default();
        server.answers.lock().unwrap().extend(answers);
        server
    }

    fn refusing(code: &str, message: &str) -> Self {
        Self::answering([refusal(code, message, Vec::new())])
    }

    fn client(&self, config: &SdkConfig) -> AwsClient {
        AwsClient::new(
            config.credentials_provider(),
            SharedHttpConnector::new(self.clone()),
            Endpoints::new(config, config.endpoint_url().map(ToOwned::to_owned)),
            ATTEMPT_TIMEOUT,
        )
    }

    fn take_requests(&self) -> Vec<HttpRequest> {
        std::mem::take(&mut self.requests.lock().unwrap())
    }
}

fn refusal(code: &str, message: &str, headers: Vec<(&'static str, String)>) -> Answer {
    let body = serde_json::json!({"__type": code, "message": message});
    (400, headers, body.to_string().into_bytes())
}

fn credentials(account: Option<&str>) -> Credentials {
    let mut builder = Credentials::builder()
        .access_key_id("TheAccessKey")
        .secret_access_key("secret")
        .session_token(TOKEN)
        .provider_name("test");
    if let Some(account) = account {
        builder = builder.account_id(account);
    }

    builder.build()
}

fn config(region: &str) -> aws_types::sdk_config::Builder {
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(region.to_owned()))
        .credentials_provider(SharedCredentialsProvider::new(credentials(None)))
}

fn describe() -> Request<'static> {
    Request::new(
        ApiOperation::DESCRIBE_TABLE,
        Some("films"),
        Bytes::from_static(br#"{"TableName":"films"}"#),
    )
}

async fn send(client: &AwsClient, request: Request<'_>) -> Result<Bytes, error::RequestError> {
    Ok(client.send(request).await?.read().await?.text)
}

/// Inputs of a signature: method, URL, headers, scope and names of the signed headers. What only the SDK sends is left out.
fn canonical(request: &HttpRequest) -> Vec<String> {
    let is_of_the_sdk = |name: &str| name.starts_with("amz-sdk-") || name.ends_with("user-agent");
    let authorization = request.headers().get("authorization").unwrap();
    let (scope, rest) = authorization.split_once(", SignedHeaders=").unwrap();
    let (names, _) = rest.split_once(", Signature=").unwrap();
    let names: Vec<_> = names
        .split(';')
        .filter(|name| !is_of_the_sdk(name))
        .collect();

    let headers = request.headers().iter();
    let headers = headers.filter(|(name, _)| !is_of_the_sdk(name) && *name != "authorization");
    let mut parts: Vec<_> = headers
        .map(|(name, value)| match name {
            // The requests are signed one after the other.
            "x-amz-date" => format!("{name}: {} characters", value.len()),
            _ => format!("{name}: {value}"),
        })
        .collect();
    parts.sort();
    parts.push(format!("{} {}", request.method(), request.uri()));
    parts.push(scope.to_owned());
    parts.push(names.join(";"));

    parts
}

fn signing_time(request: &HttpRequest) -> SystemTime {
    let date = request.headers().get("x-amz-date").unwrap();
    let time = NaiveDateTime::parse_from_str(date, "%Y%m%dT%H%M%SZ").unwrap();
    time.and_utc().into()
}

/// Sends an operation of the typed client, sends its body again, and compares the two requests.
macro_rules! equals_the_sdk {
    ($server:expr, $client:expr, $operation:expr, $table:expr, $call:expr) => {{
        // The typed client may reject `{}` as a response; only its request matters.
        let _ = $call.send().await;
        let sdk = $server.take_requests().pop().expect("a request");
        let body = Bytes::copy_from_slice(sdk.body().bytes().expect("a body in memory"));
        let sent = send(&$client, Request::new($operation, $table, body)).await;
        sent.expect("a response");
        let ours = $server.take_requests().pop().expect("a request");
        assert_eq!(canonical(&ours), canonical(&sdk));
    }};
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one call per operation")]
async fn requests_equal_those_of_the_sdk() {
    let server = Server::default();
    let connector = SharedHttpConnector::new(server.clone());
    let sdk_config = aws_sdk_dynamodb::config::Builder::from(&config("eu-west-3").build())
        .retry_config(RetryConfig::disabled())
        .http_client(http_client_fn(move |_, _| connector.clone()));
    let sdk = aws_sdk_dynamodb::Client::from_conf(sdk_config.build());
    let client = server.client(&config("eu-west-3").build());

    macro_rules! same {
        ($operation:ident, $table:expr, $call:expr) => {
            equals_the_sdk!(server, client, ApiOperation::$operation, $table, $call)
        };
        ($operation:literal, $table:expr, $call:expr) => {
            equals_the_sdk!(
                server,
                client,
                ApiOperation::dynamodb($operation),
                $table,
                $call
            )
        };
    }

    let films = Some("films");
    same!(LIST_TABLES, None, sdk.list_tables());
    same!(
        BATCH_WRITE_ITEM,
        films,
        sdk.batch_write_item().request_items("films", Vec::new())
    );
    same!(
        "EnableKinesisStreamingDestination",
        films,
        sdk.enable_kinesis_streaming_destination()
            .table_name("films")
            .stream_arn("arn:aws:kinesis:eu-west-3:123456789012:stream/films")
    );
    same!(CREATE_TABLE, films, sdk.create_table().table_name("films"));
    same!(DELETE_TABLE, films, sdk.delete_table().table_name("films"));
    same!(
        "DescribeContinuousBackups",
        films,
        sdk.describe_continuous_backups().table_name("films")
    );
    same!(
        "DescribeContributorInsights",
        films,
        sdk.describe_contributor_insights().table_name("films")
    );
    same!(
        "DescribeKinesisStreamingDestination",
        films,
        sdk.describe_kinesis_streaming_destination()
            .table_name("films")
    );
    same!(
        DESCRIBE_TABLE,
        films,
        sdk.describe_table().table_name("films")
    );
    same!(
        "DescribeTimeToLive",
        films,
        sdk.describe_time_to_live().table_name("films")
    );
    same!(GET_ITEM, films, sdk.get_item().table_name("films"));
    same!("ListBackups", films, sdk.list_backups().table_name("films"));
    same!(PUT_ITEM, films, sdk.put_item().table_name("films"));
    same!(SCAN, films, sdk.scan().table_name("films"));
    same!(
        "UpdateContinuousBackups",
        films,
        sdk.update_continuous_backups().table_name("films")
    );
    same!(
        "UpdateContributorInsights",
        films,
        sdk.update_contributor_insights().table_name("films")
    );
    same!("UpdateTable", films, sdk.update_table().table_name("films"));
    same!(
        "UpdateTimeToLive",
        films,
        sdk.update_time_to_live().table_name("films")
    );

    // With an ARN, the endpoint is the one of its account.
    same!(
        "GetResourcePolicy",
        Some(ARN),
        sdk.get_resource_policy().resource_arn(ARN)
    );
    same!(
        "ListTagsOfResource",
        Some(ARN),
        sdk.list_tags_of_resource().resource_arn(ARN)
    );
    same!(
        "PutResourcePolicy",
        Some(ARN),
        sdk.put_resource_policy().resource_arn(ARN).policy("{}")
    );
    same!(
        "TagResource",
        Some(ARN),
        sdk.tag_resource().resource_arn(ARN)
    );
}

#[tokio::test]
async fn each_service_is_called_at_its_endpoint() {
    let account = SharedCredentialsProvider::new(credentials(Some("123456789012")));
    let local = || config("eu-west-3").endpoint_url("http://localhost:4566/aws");
    for (config, operation, url) in [
        (
            config("eu-west-3"),
            ApiOperation::SCAN,
            "https://dynamodb.eu-west-3.amazonaws.com/",
        ),
        (
            config("cn-north-1"),
            ApiOperation::SCAN,
            "https://dynamodb.cn-north-1.amazonaws.com.cn/",
        ),
        (
            config("eu-west-3").credentials_provider(account.clone()),
            ApiOperation::SCAN,
            "https://123456789012.ddb.eu-west-3.amazonaws.com/",
        ),
        (
            config("us-east-1").use_fips(true),
            ApiOperation::SCAN,
            "https://dynamodb-fips.us-east-1.amazonaws.com/",
        ),
        (
            config("eu-west-3").credentials_provider(account),
            ApiOperation::auto_scaling("DescribeScalableTargets"),
            "https://application-autoscaling.eu-west-3.amazonaws.com/",
        ),
        (
            config("us-east-1").use_fips(true),
            ApiOperation::kms("DescribeKey"),
            "https://kms-fips.us-east-1.amazonaws.com/",
        ),
        (
            config("cn-north-1"),
            ApiOperation::kms("DescribeKey"),
            "https://kms.cn-north-1.amazonaws.com.cn/",
        ),
        (local(), ApiOperation::SCAN, "http://localhost:4566/aws"),
        (
            local(),
            ApiOperation::auto_scaling("DescribeScalableTargets"),
            "http://localhost:4566/aws",
        ),
    ] {
        let server = Server::default();
        let request = Request::new(operation, Some("films"), Bytes::from_static(b"{}"));
        send(&server.client(&config.build()), request)
            .await
            .unwrap();
        assert_eq!(server.take_requests()[0].uri(), url);
    }
}

#[tokio::test]
async fn an_endpoint_is_remembered_only_for_what_it_was_resolved_for() {
    let server = Server::default();
    let client = server.client(&config("eu-west-3").build());
    let films = "https://dynamodb.eu-west-3.amazonaws.com/";
    for (operation, table, url) in [
        (ApiOperation::SCAN, Some("films"), films),
        (ApiOperation::SCAN, Some("films"), films),
        (
            ApiOperation::dynamodb("ListTagsOfResource"),
            Some(ARN),
            "https://123456789012.ddb.eu-west-3.amazonaws.com/",
        ),
        (
            ApiOperation::auto_scaling("DescribeScalableTargets"),
            Some(ARN),
            "https://application-autoscaling.eu-west-3.amazonaws.com/",
        ),
        (ApiOperation::SCAN, None, films),
    ] {
        let request = Request::new(operation, table, Bytes::from_static(b"{}"));
        send(&client, request).await.unwrap();
        assert_eq!(server.take_requests()[0].uri(), url);
    }
}

#[tokio::test]
async fn auto_scaling_is_signed_for_its_own_service() {
    let server = Server::default();
    let operation = ApiOperation::auto_scaling("PutScalingPolicy");
    let request = Request::new(operation, None, Bytes::from_static(b"{}"));
    send(&server.client(&config("eu-west-3").build()), request)
        .await
        .unwrap();

    let sent = server.take_requests().pop().unwrap();
    let header = |name| sent.headers().get(name).unwrap();
    assert_eq!(
        header("x-amz-target"),
        "AnyScaleFrontendService.PutScalingPolicy"
    );
    assert_eq!(header("content-type"), "application/x-amz-json-1.1");
    assert!(header("authorization").contains("/eu-west-3/application-autoscaling/aws4_request"));
}

#[tokio::test]
async fn a_clock_that_is_wrong_is_corrected_by_the_date_of_the_response() {
    for minutes in [10, -10] {
        let ahead = TimeDelta::minutes(minutes);
        let date = (Utc::now() + ahead)
            .format("%a, %d %b %Y %H:%M:%S GMT")
            .to_string();
        let message = "Signature expired: 20260101T000000Z is now earlier";
        let headers = vec![("date", date)];
        let server = Server::answering([refusal("InvalidSignatureException", message, headers)]);
        let client = server.client(&config("eu-west-3").build());

        let error = send(&client, describe()).await.unwrap_err();
        assert_eq!(error.class, ErrorClass::ClockSkew);
        send(&client, describe()).await.unwrap();

        let requests = server.take_requests();
        let before = chrono::DateTime::<Utc>::from(signing_time(&requests[0]));
        let after = chrono::DateTime::<Utc>::from(signing_time(&requests[1]));
        let correction = (after - before - ahead).num_seconds();
        assert!(correction.abs() <= 5, "{minutes}: {correction}");
    }
}

#[tokio::test]
async fn errors_never_repeat_what_a_request_was_signed_with() {
    let server = Server::refusing(
        "InvalidSignatureException",
        "The canonical string should have been x-amz-security-token:TheSessionToken0123 for \
         TheAccessKey/20260101/eu-west-3/dynamodb in arn:aws:dynamodb:eu-west-3:1:table/films",
    );
    let client = server.client(&config("eu-west-3").build());
    let error = send(&client, describe()).await.unwrap_err();
    let text = format!("{error:?} {}", error.code_and_message());
    assert!(
        !text.contains(TOKEN) && !text.contains("TheAccessKey"),
        "{text}"
    );
    assert!(
        text.contains("arn:aws:dynamodb:eu-west-3:1:table/films"),
        "the region of an ARN is not a secret: {text}"
    );
}

#[tokio::test]
async fn an_error_names_the_url_called_and_the_request_id() {
    const ID: &str = "BT2JCLSEHU4QJ5F5NO9ACJMA33VV4KQNSO5AEMVJF66Q9ASUAAJG";
    let account = SharedCredentialsProvider::new(credentials(Some("123456789012")));
    let id = vec![("x-amzn-requestid", ID.to_owned())];
    let server = Server::answering([
        refusal("ValidationException", "no", id.clone()),
        refusal("AccessDeniedException", "no", id),
        (502, Vec::new(), Vec::new()),
    ]);
    let client = server.client(&config("eu-west-3").credentials_provider(account).build());
    let fail = async |operation| {
        let request = Request::new(operation, Some("films"), Bytes::from_static(b"{}"));
        let error = send(&client, request).await.unwrap_err();
        error.into_error("films")
    };

    let refused = fail(ApiOperation::SCAN).await;
    let message = format!("Scan films failed: ValidationException: no (request ID {ID})");
    assert_eq!(refused.to_string(), message);

    let denied = fail(ApiOperation::auto_scaling("PutScalingPolicy")).await;
    let action = "application-autoscaling:PutScalingPolicy";
    assert!(denied.hint().unwrap().contains(action), "{denied:?}");

    let failed = fail(ApiOperation::DESCRIBE_TABLE).await;
    let host = "the endpoint is https://123456789012.ddb.eu-west-3.amazonaws.com";
    assert_eq!(failed.hint(), Some(host));
    assert!(!failed.to_string().contains("request ID"), "{failed}");
}

#[tokio::test]
async fn nothing_of_a_response_shows_what_a_request_was_signed_with() {
    let body = format!(r#"{{"__type":"{TOKEN}","message":"TheAccessKey"}}"#);
    let headers = || vec![("x-amzn-requestid", "TheAccessKey".to_owned())];
    let server = Server::answering([
        (400, headers(), body.clone().into_bytes()),
        (200, headers(), body.into_bytes()),
    ]);
    let client = server.client(&config("eu-west-3").build());
    let refused = send(&client, describe()).await.unwrap_err();
    let answer = client.send(describe()).await.unwrap().read().await.unwrap();
    let unreadable = serde_json::from_slice::<Vec<u8>>(&answer.text).unwrap_err();
    let unreadable = error::RequestError::unreadable_response(unreadable)
        .with_source(format!("unexpected {TOKEN}"))
        .in_context(&answer.context);

    for error in [refused, unreadable] {
        let error = error.into_error("films");
        let text = format!("{error:?} {error} {:?}", error.causes().collect::<Vec<_>>());
        assert!(text.contains("[hidden]"), "{text}");
        assert!(
            !text.contains(TOKEN) && !text.contains("TheAccessKey"),
            "{text}"
        );
    }
}

#[tokio::test]
async fn an_endpoint_is_named_without_user_name_and_password() {
    let server = Server::answering([(502, Vec::new(), Vec::new())]);
    let config = config("eu-west-3").endpoint_url("http://user:hush@localhost:4566/aws/");
    let error = send(&server.client(&config.build()), describe()).await;
    let error = error.unwrap_err().into_error("films");
    assert_eq!(
        error.hint(),
        Some("the endpoint is http://localhost:4566/aws")
    );
}

#[tokio::test]
async fn long_messages_are_shortened() {
    let server = Server::refusing("X", &"ä".repeat(5000));
    let error = send(&server.client(&config("eu-west-3").build()), describe()).await;
    assert_eq!(error.unwrap_err().message.chars().count(), 2001);
}

#[tokio::test]
async fn responses_are_bounded() {
    let mebibytes = |count: usize| vec![b' '; count * 1024 * 1024 + 1];
    let server = Server::answering([
        (200, Vec::new(), mebibytes(16)),
        (400, Vec::new(), mebibytes(1)),
    ]);
    let client = server.client(&config("eu-west-3").build());
    for limit in ["16777216 bytes", "1048576 bytes"] {
        let error = send(&client, describe()).await.unwrap_err();
        assert!(error.message.contains(limit), "{}", error.message);
        assert!(!error.is_retryable());
    }
}

#[tokio::test]
async fn a_service_that_the_endpoint_lacks_is_named() {
    let server = Server::answering([(404, Vec::new(), b"<html>".to_vec())]);
    let operation = ApiOperation::auto_scaling("DescribeScalableTargets");
    let request = Request::new(operation, None, Bytes::from_static(b"{}"));
    let error = send(&server.client(&config("eu-west-3").build()), request)
        .await
        .unwrap_err();
    assert_eq!(
        error.message,
        "the endpoint does not serve Application Auto Scaling"
    );
}
