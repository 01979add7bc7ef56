//! Handling of SIGINT (Ctrl-C), SIGTERM and SIGHUP: the first signal cancels the operation, the second aborts it.
//!
//! SIGHUP is not handled if it is ignored: a handler would undo `nohup`. SIGXFSZ is caught and ignored: by default, it kills a process
//! whose file exceeds `ulimit -f`; if it is ignored, the write fails with an error, like on a full disk.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rustix::process::Signal as SignalNumber;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::output::Console;
use crate::error::{Error, ErrorKind, Result};

/// Signals within this time after the first one count as the same: `timeout` and others signal the process and then its group, so
/// the process receives the signal twice.
const REPEAT_WINDOW: Duration = Duration::from_millis(50);

/// Listeners for the signals that end a command.
struct ShutdownSignals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Option<Signal>,
    /// Never awaited: a listener is enough to replace the default action.
    _file_limit: Signal,
}

impl ShutdownSignals {
    fn listen() -> Result<Self> {
        let listen = |kind| {
            signal(kind)
                .map_err(|error| Error::failed("cannot listen for signals").with_source(error))
        };
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            hangup: if hangup_is_ignored() {
                None
            } else {
                Some(listen(SignalKind::hangup())?)
            },
            _file_limit: listen(SignalKind::from_raw(SignalNumber::XFSZ.as_raw()))?,
        })
    }

    /// Discards further signals during [`REPEAT_WINDOW`].
    async fn drain_repeats(&mut self) {
        let all = async {
            loop {
                self.next().await;
            }
        };

        let _: Result<(), _> = tokio::time::timeout(REPEAT_WINDOW, all).await;
    }

    /// Waits for the next signal.
    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            () = receive(self.hangup.as_mut()) => {}
        }
    }
}

/// Waits for a signal; forever if there is no listener.
async fn receive(signal: Option<&mut Signal>) {
    match signal {
        Some(signal) => {
            signal.recv().await;
        }
        None => std::future::pending().await,
    }
}

/// Whether SIGHUP was ignored when this process started. If the system does not tell, `true`, so that `nohup` keeps working.
fn hangup_is_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    // A hexadecimal mask: bit n-1 is signal n (proc_pid_status(5)).
    let ignored = status
        .lines()
        .find_map(|line| u64::from_str_radix(line.strip_prefix("SigIgn:")?.trim(), 16).ok());
    ignored.is_none_or(|ignored| ignored >> (SignalNumber::HUP.as_raw() - 1) & 1 == 1)
}

/// Waits for `work` and for signals: the first cancels `cancel`, which `work` observes, the second aborts `work`. It is the regular end of
/// a server. `abort_hint` is the hint of the error after an abort.
///
/// # Errors
/// Errors of `work`; [`ErrorKind::Interrupted`] after a second signal.
pub(crate) async fn supervise<T>(
    mut work: JoinHandle<Result<T>>,
    console: &Arc<Console>,
    is_server: bool,
    cancel: &CancellationToken,
    abort_hint: &OnceLock<String>,
) -> Result<T> {
    let mut signals = ShutdownSignals::listen()?;
    loop {
        tokio::select! {
            done = &mut work => return done.unwrap_or_else(|error| {
                Err(Error::failed("the command stopped unexpectedly; this is a bug").with_source(error))
            }),
            () = signals.next() => {
                if cancel.is_cancelled() {
                    // The second signal: do not wait for requests in flight.
                    work.abort();
                    return Err(aborted(abort_hint.get()));
                }

                // A prompt ends immediately, so there is nothing to wait for and no message.
                let was_prompting = console.is_prompting();
                cancel.cancel();
                signals.drain_repeats().await;

                if is_server {
                    console.info("Stopping. Press Ctrl-C again to stop immediately.");
                } else if !was_prompting {
                    console.warning("Interrupted: finishing in-flight requests. Press Ctrl-C again to stop immediately.");
                }
            }
        }
    }
}

/// Waits for `work`, which changes nothing and can therefore be dropped at any time.
///
/// # Errors
/// Errors of `work`; [`ErrorKind::Interrupted`] if `cancel` is cancelled.
pub(crate) async fn unless_cancelled<T>(
    cancel: &CancellationToken,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    tokio::select! {
        biased;
        () = cancel.cancelled() => Err(interrupted_without_changes()),
        done = work => done,
    }
}

/// The error of a command that was interrupted before it changed anything.
pub(crate) fn interrupted_without_changes() -> Error {
    Error::new(ErrorKind::Interrupted, "interrupted; nothing was changed")
}

/// The error of a command that was aborted by a second signal.
fn aborted(abort_hint: Option<&String>) -> Error {
    let hint = abort_hint.map_or(
        "unfinished work is marked as such; run the same command again",
        String::as_str,
    );
    Error::new(
        ErrorKind::Interrupted,
        "interrupted twice: stopped immediately",
    )
    .with_hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn cancelled_work_is_dropped() {
        let cancel = CancellationToken::new();
        assert_eq!(unless_cancelled(&cancel, async { Ok(7) }).await.unwrap(), 7);
        cancel.cancel();
        let error = unless_cancelled(&cancel, std::future::pending::<Result<()>>())
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Interrupted);
    }
}
