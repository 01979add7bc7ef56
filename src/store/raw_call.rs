//! Macros that send an SDK operation with a ready-made JSON body and return the response body unparsed.

/// Sends an SDK operation with the given body, or with the given
/// [`RawExchange`](crate::store::seam::RawExchange). Evaluates to the exchange, which holds the
/// unread response.
macro_rules! raw_send {
    ($client:expr, $operation:ident $(.$input:ident($($value:expr),+))*, $body:expr $(, $interceptor:expr)*) => {{
        let exchange = $crate::store::seam::RawExchange::from($body);
        let redactor = $crate::store::redact::Redactor::default();
        let call = $client.$operation()$(.$input($($value),+))*.customize();
        let call = call.interceptor(exchange.clone()).interceptor(redactor.clone())$(.interceptor($interceptor))*;
        call.send().await.map_err(|error| redactor.redact(RequestError::from_sdk_error(error)))?;
        exchange
    }};
}

/// Like `raw_send`, and reads the body of the response.
macro_rules! raw_call {
    ($($call:tt)*) => { $crate::store::raw_call::raw_send!($($call)*).into_body().await };
}

pub(crate) use {raw_call, raw_send};
