//! The connections that carry requests: directly or through a proxy, with TLS where the URL asks for it.
//!
//! Remote hosts are reached as the AWS SDKs and the AWS CLI do it: through the proxy in `HTTPS_PROXY`, `HTTP_PROXY` or `ALL_PROXY`
//! unless `NO_PROXY` excludes the host, and trusting the certificates in `AWS_CA_BUNDLE` or the profile's `ca_bundle`. Nothing of
//! that applies to a local environment, whose requests never go to another host than its endpoint's.

mod connector;
mod failure;
mod handshake;
mod local;
mod proxy;
mod tls_probe;
mod trust;
mod url;
mod zone;

pub(super) use connector::Network;
pub(crate) use connector::Route;
pub(super) use failure::{FailureKind, NetworkFailure};
pub(super) use url::{address, bare_host};
pub(super) use zone::zone_hint;
