//! Reads the body of a response: its size is bounded, its length and `x-amz-crc32` are checked, and gzip is decompressed.

use std::time::Duration;

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use bytes::Bytes;
use tokio::time::Instant;

use super::buffers::{into_shared_bytes, take_buffer};
use super::context::RequestContext;
use super::error::RequestError;
use super::gzip::{decompress, is_gzip};

/// Longest time that a body may make no progress. A shorter timeout of the request halves it.
const MAX_STALL: Duration = Duration::from_secs(30);

/// Bytes per second below which a body counts as stalled: a page of 1 MB would take four minutes.
const MIN_BYTES_PER_SECOND: usize = 4096;

/// A response whose body has not been read.
#[derive(Debug)]
pub(crate) struct Response {
    body: SdkBody,
    crc32: Option<u32>,
    length: Option<usize>,
    is_gzip: bool,
    stall: Duration,
    max_bytes: usize,
    /// In a box, so that the futures of calls stay small.
    context: Box<RequestContext>,
}

/// The body of a response, decompressed.
#[derive(Debug)]
pub(crate) struct ResponseBody {
    pub(crate) text: Bytes,
    /// Bytes on the wire.
    pub(crate) received: u64,
    /// The request, for errors in the body.
    pub(crate) context: Box<RequestContext>,
}

impl Response {
    /// Takes the body out of an HTTP response to a request that may take as long as `attempt`.
    pub(super) fn new(
        response: HttpResponse,
        attempt: Duration,
        max_bytes: usize,
        context: Box<RequestContext>,
    ) -> Self {
        let number = |name: &str| {
            response
                .headers()
                .get(name)
                .and_then(|value| value.parse::<u64>().ok())
        };
        let crc32 = number("x-amz-crc32").and_then(|value| u32::try_from(value).ok());
        let length = number("content-length").and_then(|value| usize::try_from(value).ok());
        let is_gzip = is_gzip(response.headers().get("content-encoding"));

        Self {
            body: response.into_body(),
            crc32,
            length,
            is_gzip,
            stall: MAX_STALL.min(attempt / 2),
            max_bytes,
            context,
        }
    }

    /// Reads all of the body.
    ///
    /// # Errors
    /// The body is damaged, incomplete, too long, or made no progress for too long.
    pub(crate) async fn read(self) -> Result<ResponseBody, RequestError> {
        let context = self.context.clone();
        match self.read_body().await {
            Ok((text, received)) => Ok(ResponseBody {
                text,
                received,
                context,
            }),
            Err(error) => Err(error.in_context(&context)),
        }
    }

    /// The body, decompressed, and its length on the wire.
    async fn read_body(self) -> Result<(Bytes, u64), RequestError> {
        let (is_gzip, max_bytes) = (self.is_gzip, self.max_bytes);
        let body = self.collect().await?;
        let received = body.len() as u64;
        let text = if is_gzip {
            decompress(body, max_bytes).await?
        } else {
            body
        };

        Ok((text, received))
    }

    /// Reads the body as it was transferred.
    async fn collect(self) -> Result<Bytes, RequestError> {
        let mut hasher = crc32fast::Hasher::new();
        let mut body = take_buffer(self.length.unwrap_or(0).min(self.max_bytes));
        let mut stream = ByteStream::new(self.body);
        let mut window_start = Instant::now();
        let mut bytes_at_window_start = 0;
        loop {
            let deadline = window_start + self.stall;
            let Ok(next) = tokio::time::timeout_at(deadline, stream.next()).await else {
                let received = body.len() - bytes_at_window_start;
                let minimum = MIN_BYTES_PER_SECOND as u128 * self.stall.as_millis();
                if (received as u128 * 1000) < minimum {
                    return Err(RequestError::damaged_response("the response ended early"));
                }

                window_start = Instant::now();
                bytes_at_window_start = body.len();
                continue;
            };

            match next {
                None => break,
                Some(Err(error)) => {
                    return Err(RequestError::damaged_response(
                        "the connection was closed during the response",
                    )
                    .with_source(error));
                }
                Some(Ok(chunk)) => {
                    if body.len() + chunk.len() > self.max_bytes {
                        return Err(RequestError::oversized_response(self.max_bytes));
                    }

                    hasher.update(&chunk);
                    body.extend_from_slice(&chunk);
                }
            }
        }

        if self.length.is_some_and(|length| length != body.len()) {
            return Err(RequestError::damaged_response(
                "the response is shorter than its Content-Length",
            ));
        }

        if self.crc32.is_some_and(|sent| sent != hasher.finalize()) {
            return Err(RequestError::damaged_response(
                "the response does not match its x-amz-crc32 checksum",
            ));
        }

        Ok(into_shared_bytes(body))
    }
}
