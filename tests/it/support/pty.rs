//! Commands in a pseudo-terminal, with simulated key presses.

use std::process::Command;
use std::time::Duration;

use rexpect::process::WaitStatus;
use rexpect::reader::Options;
use rexpect::session::{PtySession, spawn_with_options};

/// How long an expected text may take to appear.
const PATIENCE: Duration = Duration::from_mins(5);

/// A command in a terminal.
pub(crate) struct Terminal {
    session: PtySession,
    seen: String,
}

impl Terminal {
    /// Starts `command` in a terminal of its own.
    pub(crate) fn run(mut command: Command) -> Self {
        command.env("TERM", "xterm-256color").env("NO_COLOR", "1");
        Self::start(command, true)
    }

    /// The same in a terminal of another `kind`, whose control sequences are read, too.
    pub(crate) fn of_kind(kind: &str, mut command: Command) -> Self {
        command.env("TERM", kind);
        Self::start(command, false)
    }

    fn start(command: Command, strips: bool) -> Self {
        let patience = u64::try_from(PATIENCE.as_millis()).expect("five minutes fit");
        let options = Options::new()
            .timeout_ms(Some(patience))
            .strip_ansi_escape_codes(strips);
        Self {
            session: spawn_with_options(command, options).expect("a terminal"),
            seen: String::new(),
        }
    }

    /// Waits until `text` appears, which must be ASCII: the bytes of others are read one by one.
    #[track_caller]
    pub(crate) fn reads(&mut self, text: &str) -> &mut Self {
        match self.session.exp_string(text) {
            Ok(before) => self.seen.push_str(&(before + text)),
            Err(error) => panic!("waiting for {text:?}: {error}\nbefore that: {}", self.seen),
        }

        self
    }

    /// Types a line.
    pub(crate) fn types(&mut self, line: &str) -> &mut Self {
        self.session
            .send(&format!("{line}\r"))
            .and_then(|_| self.session.flush())
            .expect("a terminal that can be typed into");
        self
    }

    /// Presses keys without Enter.
    pub(crate) fn presses(&mut self, keys: &str) -> &mut Self {
        self.session
            .send(keys)
            .and_then(|_| self.session.flush())
            .expect("a terminal that can be typed into");
        self
    }

    /// Presses Ctrl-C.
    pub(crate) fn interrupts(&mut self) -> &mut Self {
        self.session
            .send_control('c')
            .expect("a terminal that can be typed into");
        self
    }

    /// Waits for the end; says how it ended and all that was read.
    #[track_caller]
    pub(crate) fn ends(mut self, code: i32) -> String {
        match self.session.exp_eof() {
            Ok(rest) => self.seen.push_str(&rest),
            Err(error) => panic!("waiting for the end: {error}\nbefore that: {}", self.seen),
        }

        match self
            .session
            .process()
            .wait()
            .expect("a child can be waited for")
        {
            WaitStatus::Exited(_, ended) => assert_eq!(ended, code, "{}", self.seen),
            other => panic!("ended by {other:?}: {}", self.seen),
        }

        self.seen
    }
}
