//! Import of a function before the first item, so that a mistake is reported before anything is read.

use std::io::{self, Read};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Output, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};

use super::PythonSpec;
use super::answer;
use crate::error::{Error, Result};
use crate::field::Field;
use crate::transform::command::{MASK_KEY_VARIABLE, printable};

/// Lines of Python's output that an error shows.
const SHOWN_LINES: usize = 20;

/// Characters of each of them.
const LINE_CHARS: usize = 500;

/// How long to wait for the rest of standard error after the interpreter has ended.
const STDERR_GRACE_PERIOD: Duration = Duration::from_secs(1);

/// Number of `SIGALRM`, which ends an import that takes too long.
const SIGALRM: i32 = 14;

/// Imports the function in a process that then ends.
pub(super) fn check(spec: &PythonSpec) -> Result<()> {
    let is_complete = spec
        .function
        .rsplit_once(':')
        .is_some_and(|(module, function)| !module.is_empty() && !function.is_empty());
    if !is_complete {
        return Err(Error::usage(format!(
            "{}: `{}` does not name a module and a function",
            Field::PythonFunction,
            spec.function
        ))
        .with_hint("separate them by a colon, as in transform.py:rekey"));
    }

    let output = import(spec).map_err(|error| cannot_start(spec, error))?;

    match output.stdout.trim_ascii() {
        b"=" => Ok(()),
        line => Err(cannot_import(spec, line, &output)),
    }
}

/// Runs the import to its end, and ends the processes that it has started.
fn import(spec: &PythonSpec) -> io::Result<Output> {
    let mut child = spec
        .command()
        .arg(spec.timeout.as_secs_f64().to_string())
        .env_remove(MASK_KEY_VARIABLE)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()?;

    // A process that the import has started may keep it open.
    let (sender, stderr) = mpsc::channel();
    if let Some(mut pipe) = child.stderr.take() {
        thread::spawn(move || {
            let mut text = Vec::new();
            // What was read before an error is shown. Nobody may wait for it any more.
            let _ = pipe.read_to_end(&mut text);
            let _ = sender.send(text);
        });
    }

    let mut stdout = Vec::new();
    if let Some(mut pipe) = child.stdout.take() {
        // Only the adapter has this pipe: it ends with the interpreter.
        pipe.read_to_end(&mut stdout)?;
    }

    // Before the interpreter is reaped: its PID may then be reused. An error means that the group no longer exists.
    let _ = kill_process_group(Pid::from_child(&child), Signal::KILL);

    Ok(Output {
        status: child.wait()?,
        stdout,
        stderr: stderr.recv_timeout(STDERR_GRACE_PERIOD).unwrap_or_default(),
    })
}

fn cannot_start(spec: &PythonSpec, error: io::Error) -> Error {
    let interpreter = spec.interpreter.display();
    let (text, is_missing) = match error.kind() {
        io::ErrorKind::NotFound => ("program not found", true),
        _ => ("the program cannot be started", false),
    };
    let shown = Error::usage(format!("{}: {text}: `{interpreter}`", Field::Python))
        .with_hint("install Python 3, or name an interpreter, such as .venv/bin/python");

    if is_missing {
        shown
    } else {
        shown.with_source(error)
    }
}

/// The error for an import that did not succeed; `line` is what the adapter printed about it.
fn cannot_import(spec: &PythonSpec, line: &[u8], output: &Output) -> Error {
    let stderr = String::from_utf8_lossy(&output.stderr);
    let (reason, details) = match answer::rejection(line) {
        Some((reason, traceback)) => (reason, traceback.unwrap_or_default()),
        None if output.status.signal() == Some(SIGALRM) => {
            let seconds = spec.timeout.as_secs_f64();
            (
                format!("the import took longer than {seconds} s"),
                String::new(),
            )
        }
        None => (
            format!("Python ended ({})", output.status),
            stderr.into_owned(),
        ),
    };

    let lines: Vec<String> = details
        .lines()
        .map(|line| format!("  {}", printable(line, LINE_CHARS)))
        .collect();
    let last_lines = lines[lines.len().saturating_sub(SHOWN_LINES)..].to_vec();

    Error::usage(format!(
        "{}: `{}` cannot be imported: {reason}",
        Field::PythonFunction,
        spec.function
    ))
    .with_details(last_lines)
    .with_hint(format!(
        "modules are searched in the current folder and in the packages of `{}`; {} selects another interpreter",
        spec.interpreter.display(),
        Field::Python
    ))
}
