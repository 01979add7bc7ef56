//! A socket that counts its bytes: what really travels, headers and TLS included.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// What went through the stub since it was last asked to forget.
#[derive(Default)]
pub struct Counters {
    pub bytes_in: AtomicU64,
    pub bytes_out: AtomicU64,
    pub calls: AtomicU64,
    pub items_written: AtomicU64,
    pub throttled: AtomicU64,
}

impl Counters {
    /// All of them as JSON.
    #[must_use]
    pub fn report(&self) -> String {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        format!(
            r#"{{"bytes_in":{},"bytes_out":{},"calls":{},"items_written":{},"throttled":{}}}"#,
            of(&self.bytes_in),
            of(&self.bytes_out),
            of(&self.calls),
            of(&self.items_written),
            of(&self.throttled)
        )
    }

    /// Starts again from zero.
    pub fn forget(&self) {
        for counter in [&self.bytes_in, &self.bytes_out, &self.calls, &self.items_written, &self.throttled] {
            counter.store(0, Ordering::Relaxed);
        }
    }
}

/// A connection whose bytes are counted.
pub struct Counted {
    socket: TcpStream,
    counters: Arc<Counters>,
}

impl Counted {
    #[must_use]
    pub fn new(socket: TcpStream, counters: Arc<Counters>) -> Self {
        Self { socket, counters }
    }
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.socket).poll_read(context, buffer))?;
        self.counters.bytes_in.fetch_add((buffer.filled().len() - before) as u64, Ordering::Relaxed);

        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Counted {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.socket).poll_write(context, bytes))?;
        self.counters.bytes_out.fetch_add(written as u64, Ordering::Relaxed);
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.socket).poll_write_vectored(context, slices))?;
        self.counters.bytes_out.fetch_add(written as u64, Ordering::Relaxed);
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}
