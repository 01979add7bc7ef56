//! Python function as a step.
//!
//! `adapter.py` imports the function and speaks the protocol of this module on its standard input and output. Interpreters are
//! run like the processes of a command (`transform/command/`). The function gets the types of boto3, and an item that is equal
//! after it keeps its bytes.

mod answer;
mod import;
#[cfg(test)]
mod tests;

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;

use self::answer::PythonAnswer;
use super::command::{Answer, DEFAULT_TIMEOUT, InvalidAnswer, UserProgram};
use crate::error::Result;
use crate::field::Field;

/// Program that is run by the interpreter.
const ADAPTER: &str = include_str!("adapter.py");

/// A Python function to send items through.
#[derive(Debug, Clone)]
pub struct PythonSpec {
    /// The function: `module:function` or `path/to/file.py:function`.
    pub function: String,
    /// The interpreter; searched in `PATH` if it is a name.
    pub interpreter: PathBuf,
    /// Number of parallel interpreters; one per thread if `None`.
    pub jobs: Option<NonZeroUsize>,
    /// How long the import may take, and how long an interpreter may go without an answer while it has items.
    pub timeout: Duration,
}

impl PythonSpec {
    /// A function, with one `python3` per thread and a timeout of one minute.
    pub fn new(function: impl Into<String>) -> Self {
        Self {
            function: function.into(),
            interpreter: PathBuf::from("python3"),
            jobs: None,
            timeout: DEFAULT_TIMEOUT,
        }
    }
}

/// A Python function that can be imported.
#[derive(Debug)]
pub(crate) struct PythonFunction {
    spec: PythonSpec,
    /// Whether a result contained a float.
    has_returned_floats: AtomicBool,
    /// Whether the traceback of a rejected item was passed on. One is enough.
    has_traceback: AtomicBool,
}

impl PythonFunction {
    /// Checks that the function can be imported.
    ///
    /// # Errors
    /// [`Usage`](crate::error::ErrorKind::Usage): the interpreter does not exist, or it cannot import the function; the error has
    /// Python's message.
    pub(crate) fn new(spec: PythonSpec) -> Result<Self> {
        import::check(&spec)?;

        Ok(Self {
            spec,
            has_returned_floats: AtomicBool::new(false),
            has_traceback: AtomicBool::new(false),
        })
    }
}

impl PythonSpec {
    /// The command that runs the adapter.
    fn command(&self) -> Command {
        let mut command = Command::new(&self.interpreter);
        command.args(["-c", ADAPTER, &self.function]);
        command
    }
}

impl UserProgram for PythonFunction {
    fn command(&self) -> Command {
        self.spec.command()
    }

    fn field(&self) -> Field {
        Field::PythonFunction
    }

    fn name(&self) -> String {
        format!("the function of {}", Field::PythonFunction)
    }

    fn parse_answer(&self, item: &Bytes, line: &[u8]) -> Result<Answer, InvalidAnswer> {
        let PythonAnswer {
            outcome,
            has_floats,
            traceback,
        } = answer::parse(item, line)?;

        if has_floats {
            self.has_returned_floats.store(true, Ordering::Relaxed);
        }

        // Each interpreter sends its first.
        let traceback = traceback.filter(|_| !self.has_traceback.swap(true, Ordering::Relaxed));

        Ok(Answer { outcome, traceback })
    }

    fn output_hint(&self) -> &'static str {
        "the function must not write to file descriptors that it did not open"
    }

    fn timeout_hint(&self) -> String {
        format!("if it needs longer, raise {}", Field::CommandTimeout)
    }

    fn warnings(&self) -> Vec<String> {
        let has_floats = self.has_returned_floats.load(Ordering::Relaxed);
        let warning = has_floats.then(|| {
            format!(
                "{}: the function returned values of type float. Each is stored in its shortest decimal form, such as 0.1; use Decimal to choose the digits",
                Field::PythonFunction
            )
        });

        warning.into_iter().collect()
    }
}
