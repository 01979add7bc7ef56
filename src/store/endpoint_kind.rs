//! Kinds of endpoints: AWS, another remote endpoint, or an engine on this machine.

use crate::environment::Endpoint;
use crate::schema::Setting;

/// The account ID that engines other than AWS use in ARNs.
pub(super) const EMULATOR_ACCOUNT: &str = "000000000000";

/// The kind of an endpoint, which decides what it may lack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EndpointKind {
    /// An endpoint in one of AWS's domains, which supports every operation.
    Aws,
    /// Another remote endpoint, which may be AWS under a custom domain name.
    Remote,
    /// An engine on this machine or in a container on it.
    Local,
}

impl EndpointKind {
    /// Classifies an endpoint.
    pub(crate) fn from_endpoint(endpoint: &Endpoint) -> Self {
        match endpoint {
            endpoint if endpoint.is_aws() => Self::Aws,
            endpoint if endpoint.is_local() => Self::Local,
            _ => Self::Remote,
        }
    }

    /// The account of all tables, for an engine, which has no accounts.
    pub(crate) fn only_account(self) -> Option<&'static str> {
        (self == Self::Local).then_some(EMULATOR_ACCOUNT)
    }

    /// Whether the endpoint shares the CPU with this process, so that compression of responses cannot pay.
    pub(crate) fn shares_cpu(self) -> bool {
        self == Self::Local
    }

    /// Whether a setting may be accepted without an error and ignored.
    pub(crate) fn may_ignore_settings(self) -> bool {
        self != Self::Aws
    }

    /// Whether a table may be created without a setting that this endpoint rejects. AWS's
    /// rejections are final: a table is never created with another table class than requested. A
    /// remote table is never created without its encryption.
    pub(crate) fn may_omit(self, setting: Setting) -> bool {
        match self {
            Self::Aws => false,
            Self::Remote => !setting.is_required_at_creation(),
            Self::Local => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::ValueSource;
    use crate::field::Field;

    #[test]
    fn nothing_that_aws_refuses_is_left_out_and_no_remote_table_lacks_its_encryption() {
        let endpoint_kind = |url: &str| {
            let source = ValueSource::Field(Field::EndpointUrl);
            EndpointKind::from_endpoint(&Endpoint::Url {
                url: url.to_owned(),
                every_service: true,
                source,
            })
        };

        let settings = ["kms", "class", "tags", "warm-throughput"]
            .map(|name| name.parse::<Setting>().unwrap());

        let lacks = |endpoint_kind: EndpointKind| {
            settings
                .into_iter()
                .filter(|setting| endpoint_kind.may_omit(*setting))
                .collect::<Vec<_>>()
        };

        let aws = EndpointKind::from_endpoint(&Endpoint::Aws);
        assert_eq!(lacks(aws), []);
        assert!(!aws.may_ignore_settings());

        for url in [
            "https://vpce-0a1b-2c3d.dynamodb.eu-west-1.vpce.amazonaws.com",
            "https://dynamodb-fips.us-east-1.amazonaws.com",
            "https://dynamodb.eu-west-1.api.aws",
            "https://dynamodb.cn-north-1.amazonaws.com.cn",
        ] {
            assert_eq!(lacks(endpoint_kind(url)), [], "{url}");
            assert!(!endpoint_kind(url).may_ignore_settings(), "{url}");
        }

        assert_eq!(
            lacks(endpoint_kind("https://dynamodb.corp.internal")),
            settings[1..]
        );
        let local = endpoint_kind("http://localhost:8000");
        assert_eq!(lacks(local), settings);
        assert!(local.may_ignore_settings());
    }
}
