//! Child processes: start and signal.

use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

/// Starts a command and discards its output.
pub(crate) fn spawn_silent(mut command: Command) -> Child {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the command starts")
}

/// Sends a signal to a child that has not been waited for.
pub(crate) fn send_signal(child: &Child, signal: Signal) {
    let pid = i32::try_from(child.id())
        .ok()
        .and_then(Pid::from_raw)
        .expect("a child has an id");
    kill_process(pid, signal).expect("a child can be signalled");
}
