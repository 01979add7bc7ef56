//! Completes errors with the request that they are about, and removes its secrets from them: the only place that does either.

use aws_smithy_runtime_api::box_error::BoxError;

use super::cause::{RootCause, causes};
use super::{ErrorClass, RequestError};
use crate::aws::context::RequestContext;
use crate::aws::redact::RequestSecrets;

/// DynamoDB's longest messages name some attributes. Anything longer does not come from DynamoDB.
const MAX_MESSAGE_CHARS: usize = 2000;

impl RequestError {
    /// Adds what was called, and removes what the request was signed with from all texts. An error that is about another request
    /// stays as it is.
    pub(crate) fn in_context(mut self, context: &RequestContext) -> Self {
        if self.call.is_some() {
            return self;
        }

        let (call, secrets) = (&context.call, &context.secrets);
        let is_missing_service = self.is_unrecognized && self.class == ErrorClass::Other;
        if is_missing_service && call.service != "DynamoDB" {
            self.message = format!("the endpoint does not serve {}", call.service);
        }

        self.message = shortened(secrets.redact(&self.message));
        self.code = self.code.map(|code| secrets.redact(&code));
        self.throttling = self
            .throttling
            .map(|throttling| Box::new(throttling.with_index(|index| secrets.redact(index))));
        self.source = self.source.map(|source| redacted_cause(source, secrets));

        let mut call = call.clone();
        call.request_id = call.request_id.map(|id| secrets.redact(&id));
        self.call = Some(Box::new(call));

        self
    }
}

/// A cause without these secrets; if it has some, only the innermost one of its own causes is kept.
fn redacted_cause(source: BoxError, secrets: &RequestSecrets) -> BoxError {
    let has_secret = causes(&*source).any(|cause| {
        let text = cause.to_string();
        secrets.redact(&text) != text
    });
    if !has_secret {
        return source;
    }

    let root = RootCause::from_error(&*source);
    RootCause(secrets.redact(&root.0)).into()
}

/// Shortens a message that no user would read to the end.
fn shortened(mut message: String) -> String {
    if let Some((end, _)) = message.char_indices().nth(MAX_MESSAGE_CHARS) {
        message.truncate(end);
        message.push('…');
    }

    message
}
