//! Child processes: start and signal.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use super::faults::Proxy;

/// Starts a command and discards its output.
pub(crate) fn spawn_silent(mut command: Command) -> Child {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the command starts")
}

/// Starts a command whose messages are read later, see [`stopped`].
pub(crate) fn spawn_with_messages(mut command: Command) -> Child {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command starts")
}

/// Interrupts a command whose calls `proxy` holds, and releases them once it knows. Says how it ended, with its messages.
pub(crate) fn stopped(mut child: Child, signal: Signal, proxy: &Proxy) -> (ExitStatus, String) {
    let stderr = child.stderr.take().expect("stderr is piped");
    send_signal(&child, signal);

    let mut messages = String::new();
    for line in BufReader::new(stderr).lines() {
        let line = line.expect("messages are text");
        if line.contains("Interrupted: finishing in-flight requests") {
            proxy.release();
        }

        messages += &line;
        messages.push('\n');
    }

    let status = child.wait().expect("a child can be waited for");
    (status, messages)
}

/// Sends a signal to a child that has not been waited for.
pub(crate) fn send_signal(child: &Child, signal: Signal) {
    let pid = i32::try_from(child.id())
        .ok()
        .and_then(Pid::from_raw)
        .expect("a child has an id");
    kill_process(pid, signal).expect("a child can be signalled");
}
