//! Ctrl-C, SIGTERM and SIGHUP (the terminal is gone): the first asks the operation to stop cleanly, the second leaves at once.
//!
//! SIGHUP is left alone where it is ignored: a handler would undo `nohup`. SIGXFSZ is heard and not heeded: else a file that grows beyond the
//! process's limit (`ulimit -f`) would kill it without a word, where the write can fail as on a full disk.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rustix::process::Signal as SignalNumber;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::output::Console;
use crate::error::{Error, ErrorKind, Result};

/// What comes within this time of the first signal is the same wish: `timeout` and others signal the command and then its group,
/// which is the command once more.
const REPEAT_WINDOW: Duration = Duration::from_millis(50);

/// The signals that end a command.
struct ShutdownSignals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Option<Signal>,
    /// Not waited for: to listen is enough for the signal to do nothing.
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

    /// Lets go by what came along with a signal.
    async fn drain_repeats(&mut self) {
        let all = async {
            loop {
                self.next().await;
            }
        };

        let _: Result<(), _> = tokio::time::timeout(REPEAT_WINDOW, all).await;
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            () = receive(self.hangup.as_mut()) => {}
        }
    }
}

async fn receive(signal: Option<&mut Signal>) {
    match signal {
        Some(signal) => {
            signal.recv().await;
        }
        None => std::future::pending().await,
    }
}

/// Whether whoever started this command has SIGHUP ignored. Where the system does not tell, it is left alone, too.
fn hangup_is_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status
        .lines()
        .find_map(|line| u64::from_str_radix(line.strip_prefix("SigIgn:")?.trim(), 16).ok());
    ignored.is_none_or(|ignored| ignored >> (SignalNumber::HUP.as_raw() - 1) & 1 == 1)
}

/// Waits for `work`, which watches `cancel`, and for the signals. `abort_hint` is what to do next when it is left at once.
///
/// # Errors
/// The work's own; [`ErrorKind::Interrupted`] after a second signal.
pub(crate) async fn supervise<T>(
    mut work: JoinHandle<Result<T>>,
    console: &Arc<Console>,
    cancel: &CancellationToken,
    abort_hint: &OnceLock<String>,
) -> Result<T> {
    let mut signals = ShutdownSignals::listen()?;
    loop {
        tokio::select! {
            done = &mut work => return done.unwrap_or_else(|error| {
                Err(Error::failed("the command was cut off by an error in the program").with_source(error))
            }),
            () = signals.next() => {
                if cancel.is_cancelled() {
                    work.abort();
                    return Err(aborted(abort_hint.get()));
                }
                // A question is left at once, and its line is not to be written into.
                let was_asking = console.is_prompting();
                cancel.cancel();
                signals.drain_repeats().await;
                if !was_asking {
                    console.warning("interrupted: stopping cleanly; once more to stop at once");
                }
            }
        }
    }
}

/// Waits for `work` that changes nothing and can therefore be left at any time.
///
/// # Errors
/// The work's own; [`ErrorKind::Interrupted`] when `cancel` fires.
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

/// The failure of a command that was interrupted before it changed anything.
pub(crate) fn interrupted_without_changes() -> Error {
    Error::new(ErrorKind::Interrupted, "interrupted; nothing was changed")
}

fn aborted(abort_hint: Option<&String>) -> Error {
    let hint = abort_hint.map_or(
        "what is unfinished is marked as such; run the same command again",
        String::as_str,
    );
    Error::new(ErrorKind::Interrupted, "interrupted twice: stopped at once").with_hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_that_can_be_left_is_left() {
        let cancel = CancellationToken::new();
        assert_eq!(unless_cancelled(&cancel, async { Ok(7) }).await.unwrap(), 7);
        cancel.cancel();
        let error = unless_cancelled(&cancel, std::future::pending::<Result<()>>())
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Interrupted);
    }
}
