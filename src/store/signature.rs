//! Signs calls that go the same way: AWS Signature Version 4, see
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>.
//!
//! The SDK's signer copies, sorts and normalises the headers of every call anew, which takes it as long as hashing the body.
//! Here what is signed is one text, with gaps for what differs. Keys and signatures are the SDK's functions. It is used only
//! where it has made of one of the SDK's own calls the very signature that the SDK made of it: [`Signer::agrees`].

use aws_credential_types::Credentials;
use aws_sigv4::sign::v4::{calculate_signature, generate_signing_key};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use chrono::{DateTime, NaiveDateTime, Utc};
use sha2::{Digest, Sha256};

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const TIME: &str = "%Y%m%dT%H%M%SZ";

/// Bytes of a date that are its day.
const DAY: usize = 8;

/// Bytes of the headers of most calls.
const USUAL: usize = 1024;

/// The header that only temporary credentials have. It is signed.
const TOKEN: &str = "x-amz-security-token";

/// What the signatures of calls to one endpoint have in common.
pub(crate) struct Signer {
    host: String,
    path: String,
    /// Names of the headers that are signed where a call has them, in order.
    names: Vec<String>,
    region: String,
    service: String,
}

impl Signer {
    /// How the SDK signed a request; `None` where that is not clear.
    pub(crate) fn of(request: &HttpRequest) -> Option<Self> {
        let authorization = request
            .headers()
            .get("authorization")?
            .strip_prefix(ALGORITHM)?;
        let (scope, rest) = authorization
            .strip_prefix(" Credential=")?
            .split_once(", SignedHeaders=")?;
        let (names, _) = rest.split_once(", Signature=")?;
        let mut names: Vec<String> = names.split(';').map(ToOwned::to_owned).collect();
        names.push(TOKEN.to_owned());
        names.sort();
        names.dedup();

        // <access key id>/<day>/<region>/<service>/aws4_request
        let mut scope = scope.rsplit('/').skip(1);
        let (service, region) = (scope.next()?.to_owned(), scope.next()?.to_owned());
        let (_, place) = request.uri().split_once("://")?;
        let (host, path) = place.split_once('/')?;
        Some(Self {
            host: host.to_owned(),
            path: format!("/{path}"),
            names,
            region,
            service,
        })
    }

    /// When a request was signed.
    pub(crate) fn time(request: &HttpRequest) -> Option<DateTime<Utc>> {
        let time = request.headers().get("x-amz-date")?;
        NaiveDateTime::parse_from_str(time, TIME)
            .ok()
            .map(|time| time.and_utc())
    }

    /// Whether the SDK signed this request with these credentials as it would be signed here.
    pub(crate) fn agrees(&self, request: &HttpRequest, credentials: &Credentials) -> bool {
        let signed =
            Self::time(request).and_then(|time| self.authorization(request, credentials, time));
        signed.is_some() && signed.as_deref() == request.headers().get("authorization")
    }

    /// Puts in what [`sign`](Self::sign) exchanges, so that a copy of the request need not grow.
    pub(crate) fn make_room_in(request: &mut HttpRequest) {
        for name in ["x-amz-date", "authorization"] {
            request.headers_mut().insert(name, "");
        }
    }

    /// Signs a request whose body is in memory; `None` where it is not.
    pub(crate) fn sign(
        &self,
        request: &mut HttpRequest,
        credentials: &Credentials,
        now: DateTime<Utc>,
    ) -> Option<()> {
        let headers = request.headers_mut();
        headers.insert("x-amz-date", now.format(TIME).to_string());
        if let Some(token) = credentials.session_token() {
            headers.insert(TOKEN, token.to_owned());
        }

        let authorization = self.authorization(request, credentials, now)?;
        request.headers_mut().insert("authorization", authorization);

        Some(())
    }

    /// The header that says who sends a request dated `time`, and proves it.
    fn authorization(
        &self,
        request: &HttpRequest,
        credentials: &Credentials,
        time: DateTime<Utc>,
    ) -> Option<String> {
        let headers = request.headers();
        let value = |name: &str| {
            if name == "host" {
                Some(self.host.as_str())
            } else {
                headers.get(name)
            }
        };

        let date = headers.get("x-amz-date")?;
        let (mut names, mut canonical) =
            (String::with_capacity(USUAL), String::with_capacity(USUAL));
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

        let (
            Self {
                region, service, ..
            },
            id,
        ) = (self, credentials.access_key_id());

        let scope = [date.get(..DAY)?, region, service, "aws4_request"].join("/");
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
            id,
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
