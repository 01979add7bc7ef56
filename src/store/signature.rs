//! Signs similar requests with AWS Signature Version 4, see
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>.
//!
//! The SDK's signer copies, sorts and normalises the headers of every request, which takes as long
//! as hashing the body. Here, the text to sign is a template. Keys and signatures are computed by
//! the SDK's functions. It is used only if it reproduces the signature of one of the SDK's own
//! requests: [`Signer::matches_sdk`].

use aws_credential_types::Credentials;
use aws_sigv4::sign::v4::{calculate_signature, generate_signing_key};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use chrono::{DateTime, NaiveDateTime, Utc};
use sha2::{Digest, Sha256};

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const TIME_FORMAT: &str = "%Y%m%dT%H%M%SZ";

/// Length of the day in a date.
const DAY_LENGTH: usize = 8;

/// Capacity for the headers of most requests.
const HEADER_CAPACITY: usize = 1024;

/// The header of temporary credentials, which is signed.
const TOKEN_HEADER: &str = "x-amz-security-token";

/// The parts that the signatures of requests to one endpoint have in common.
pub(crate) struct Signer {
    host: String,
    path: String,
    /// Names of the headers that are signed if a request has them, sorted.
    names: Vec<String>,
    region: String,
    service: String,
}

impl Signer {
    /// Derives a signer from a request that the SDK signed; `None` if it cannot be parsed.
    pub(crate) fn from_signed_request(request: &HttpRequest) -> Option<Self> {
        let authorization = request
            .headers()
            .get("authorization")?
            .strip_prefix(ALGORITHM)?;
        let (scope, rest) = authorization
            .strip_prefix(" Credential=")?
            .split_once(", SignedHeaders=")?;
        let (names, _) = rest.split_once(", Signature=")?;
        let mut names: Vec<String> = names.split(';').map(ToOwned::to_owned).collect();
        // The credentials may later become temporary ones, even if the first were not.
        names.push(TOKEN_HEADER.to_owned());
        names.sort();
        names.dedup();

        // <access key id>/<day>/<region>/<service>/aws4_request
        let mut scope = scope.rsplit('/').skip(1);
        let (service, region) = (scope.next()?.to_owned(), scope.next()?.to_owned());
        let (_, authority_and_path) = request.uri().split_once("://")?;
        let (host, path) = authority_and_path.split_once('/')?;
        Some(Self {
            host: host.to_owned(),
            path: format!("/{path}"),
            names,
            region,
            service,
        })
    }

    /// The time at which a request was signed.
    pub(crate) fn signing_time(request: &HttpRequest) -> Option<DateTime<Utc>> {
        let time = request.headers().get("x-amz-date")?;
        NaiveDateTime::parse_from_str(time, TIME_FORMAT)
            .ok()
            .map(|time| time.and_utc())
    }

    /// Whether the SDK's signature of this request equals the one computed here.
    pub(crate) fn matches_sdk(&self, request: &HttpRequest, credentials: &Credentials) -> bool {
        let signed = Self::signing_time(request)
            .and_then(|time| self.authorization(request, credentials, time));
        signed.is_some() && signed.as_deref() == request.headers().get("authorization")
    }

    /// Adds the headers that [`sign`](Self::sign) replaces, so that a copy of the request does not
    /// have to grow.
    pub(crate) fn reserve_headers(request: &mut HttpRequest) {
        for name in ["x-amz-date", "authorization"] {
            request.headers_mut().insert(name, "");
        }
    }

    /// Signs a request; `None` if its body is not in memory.
    pub(crate) fn sign(
        &self,
        request: &mut HttpRequest,
        credentials: &Credentials,
        now: DateTime<Utc>,
    ) -> Option<()> {
        let headers = request.headers_mut();
        headers.insert("x-amz-date", now.format(TIME_FORMAT).to_string());
        if let Some(token) = credentials.session_token() {
            headers.insert(TOKEN_HEADER, token.to_owned());
        }

        let authorization = self.authorization(request, credentials, now)?;
        request.headers_mut().insert("authorization", authorization);

        Some(())
    }

    /// Computes the `Authorization` header of a request dated `time`.
    fn authorization(
        &self,
        request: &HttpRequest,
        credentials: &Credentials,
        time: DateTime<Utc>,
    ) -> Option<String> {
        let headers = request.headers();
        // The connection adds `host`, so it is not among the headers yet.
        let value = |name: &str| match name {
            "host" => Some(self.host.as_str()),
            name => headers.get(name),
        };

        let date = headers.get("x-amz-date")?;
        let (mut names, mut canonical) = (
            String::with_capacity(HEADER_CAPACITY),
            String::with_capacity(HEADER_CAPACITY),
        );
        canonical.extend([request.method(), "\n", &self.path, "\n\n"]);

        for (name, value) in self
            .names
            .iter()
            .filter_map(|name| Some((name, value(name)?)))
        {
            canonical.extend([name, ":", value, "\n"]);
            names.extend([if names.is_empty() { "" } else { ";" }, name]);
        }

        canonical.extend([
            "\n",
            &names,
            "\n",
            &hex::encode(Sha256::digest(request.body().bytes()?)),
        ]);

        let Self {
            region, service, ..
        } = self;
        let scope = [date.get(..DAY_LENGTH)?, region, service, "aws4_request"].join("/");
        let to_sign = [
            ALGORITHM,
            date,
            &scope,
            &hex::encode(Sha256::digest(&canonical)),
        ]
        .join("\n");

        let key = generate_signing_key(
            credentials.secret_access_key(),
            time.into(),
            region,
            service,
        );

        let signature = calculate_signature(key, to_sign.as_bytes());
        let parts = [
            ALGORITHM,
            " Credential=",
            credentials.access_key_id(),
            "/",
            &scope,
            ", SignedHeaders=",
            &names,
            ", Signature=",
            &signature,
        ];

        Some(parts.concat())
    }
}
