//! A running `servedb`.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, ChildStderr, ChildStdout, ExitStatus, Stdio};

use rustix::process::Signal;

use super::client::Client;
use super::process::send_signal;
use super::project::Project;

/// Lines of the settings that it prints.
const SETTINGS: usize = 6;

/// A server that is ready. Killed at the end of the test.
pub(crate) struct Served {
    child: Child,
    /// The settings that it printed, as lines.
    pub(crate) settings: String,
    /// Kept open: the server must not write to a closed pipe.
    stdout: BufReader<ChildStdout>,
    stderr: Option<ChildStderr>,
}

impl Served {
    /// Starts `servedb` and waits until it is ready.
    pub(crate) fn start<const N: usize>(project: &Project, arguments: [&str; N]) -> Self {
        let mut child = project
            .command("servedb", arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("servedb starts");
        let stderr = child.stderr.take();
        let mut stdout = BufReader::new(child.stdout.take().expect("stdout is piped"));

        let mut settings = String::new();
        for _ in 0..SETTINGS {
            stdout.read_line(&mut settings).expect("settings are text");
        }

        let served = Self {
            child,
            settings,
            stdout,
            stderr,
        };

        if served.settings.lines().count() == SETTINGS {
            return served;
        }

        let (status, messages) = served.ended();
        panic!("servedb {arguments:?} is not ready: {status}\n{messages}");
    }

    /// The endpoint that it printed.
    pub(crate) fn url(&self) -> &str {
        self.setting("AWS_ENDPOINT_URL_DYNAMODB")
    }

    /// Host and port of the endpoint.
    pub(crate) fn address(&self) -> &str {
        self.url().trim_start_matches("http://")
    }

    /// A setting that it printed.
    pub(crate) fn setting(&self, key: &str) -> &str {
        let found = self.settings.lines().find_map(|line| {
            let (name, value) = line.split_once('=')?;
            (name == key).then_some(value)
        });
        found.unwrap_or_else(|| panic!("no {key}: {}", self.settings))
    }

    /// An independent client.
    pub(crate) fn client(&self) -> Client {
        Client::at(self.url())
    }

    /// The ID of its process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Stops it. Says how it ended, with its messages.
    pub(crate) fn stop(self, signal: Signal) -> (ExitStatus, String) {
        send_signal(&self.child, signal);
        self.ended()
    }

    fn ended(mut self) -> (ExitStatus, String) {
        let mut messages = String::new();
        let mut stderr = self.stderr.take().expect("read once");
        stderr
            .read_to_string(&mut messages)
            .expect("messages are text");
        let mut rest = String::new();
        self.stdout.read_to_string(&mut rest).expect("text");
        assert_eq!(rest, "", "only the settings are printed");

        let status = self.child.wait().expect("a child can be waited for");
        (status, messages)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // After `stop`, there is nothing left to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
