//! The one request path to AWS: signs a JSON body, sends it, and returns the body of the response.
//!
//! Every DynamoDB, DynamoDB Streams and Application Auto Scaling request goes through [`AwsClient::send`]. Bodies pass unparsed in
//! both directions: decoding a Scan page into `AttributeValue`s and encoding it again costs about ten times the CPU of moving its
//! bytes, and loses what this SDK version does not know. Credentials, profiles and endpoint rules are the AWS SDK's; retries belong
//! to `store`.

mod account;
mod buffers;
mod client;
mod clock;
mod config;
mod connection;
mod context;
mod credentials;
pub(crate) mod credentials_source;
mod endpoint;
pub(crate) mod error;
mod explained;
pub(crate) mod gzip;
mod network;
mod operation;
mod profile;
mod redact;
mod response;
mod shared_files;
pub(crate) mod shared_profile;
mod sign;
#[cfg(test)]
mod tests;
mod timeouts;

pub(crate) use account::CallerIdentity;
pub(crate) use client::{AwsClient, Request};
pub(crate) use config::{AwsSettings, ClientFactory, Renewal};
pub(crate) use connection::{Connection, Route, ServerAnswer, addresses, connect};
pub(crate) use context::RequestContext;
pub(crate) use operation::ApiOperation;
pub(crate) use response::ResponseBody;
