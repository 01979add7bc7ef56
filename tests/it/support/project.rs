//! A working directory with env files and dumps, in which the commands run as real processes.
//!
//! The processes get none of this process's variables: no credentials, profile or proxy of the machine can change a test.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{Read, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::Value;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use super::client::numbered;
use super::engine::Engine;
use super::json_schema::{report_schema, violations};

/// The region of every environment in the tests.
pub(crate) const REGION: &str = "eu-central-1";

/// No run of a command may take longer. The longest moves a million items without optimisation.
const DEADLINE: Duration = Duration::from_mins(20);

/// The number of segments of every dump that does not choose one itself, if `TEST_SEGMENTS` names it. A test that depends on the order of
/// the pages, or on the number of calls, chooses.
pub(crate) fn test_segments() -> Option<u32> {
    let number = env::var("TEST_SEGMENTS").ok()?;
    Some(number.parse().expect("TEST_SEGMENTS is a number"))
}

/// `--segments` for a dump with these arguments, if `TEST_SEGMENTS` applies to it.
fn segments_for(arguments: &[OsString]) -> Option<String> {
    // `--limit` reads one segment, and the others read none.
    const OTHER: [&str; 5] = ["--segments", "--limit", "--schema-only", "--help", "-h"];
    let chooses = |argument: &OsString| {
        let argument = argument.to_string_lossy();
        OTHER.iter().any(|option| argument.starts_with(option))
    };

    test_segments()
        .filter(|_| !arguments.is_empty() && !arguments.iter().any(chooses))
        .map(|number| format!("--segments={number}"))
}

/// A temporary working folder.
pub(crate) struct Project {
    folder: TempDir,
    /// Whether `TEST_SEGMENTS` applies to its dumps.
    has_test_segments: bool,
}

/// A command that has ended.
pub(crate) struct Run {
    /// How it was called.
    pub(crate) command: String,
    /// How it ended.
    pub(crate) status: ExitStatus,
    /// Its standard output.
    pub(crate) stdout: Vec<u8>,
    /// Its standard error.
    pub(crate) stderr: String,
    /// The most memory it held, in KiB; 0 where the system does not say.
    pub(crate) peak_kib: u64,
}

/// A table `films` of so many items on an engine of its own, and its dump in `out`.
pub(crate) fn dump_of(items: usize) -> (Engine, Project) {
    let engine = Engine::embedded();
    engine.client().create_simple("films");
    engine.client().put("films", numbered(items));
    let project = Project::on(&engine, "films");
    project.dumpdb(["--output=out"]).exits(0);

    (engine, project)
}

impl Project {
    /// An empty folder.
    pub(crate) fn empty() -> Self {
        Self {
            folder: tempfile::Builder::new()
                .prefix("dynadump-it-")
                .tempdir()
                .expect("a temporary folder"),
            has_test_segments: true,
        }
    }

    /// Dumps in the number of segments that the command chooses, whatever `TEST_SEGMENTS` says.
    pub(crate) fn chooses_segments(mut self) -> Self {
        self.has_test_segments = false;
        self
    }

    /// A folder whose `local` environment is `table` on `engine`.
    pub(crate) fn on(engine: &Engine, table: &str) -> Self {
        Self::empty().environment("local", engine.url(), table)
    }

    /// Adds an environment: a table at an endpoint, with test credentials.
    pub(crate) fn environment(self, name: &str, url: &str, table: &str) -> Self {
        self.environment_with(name, url, &format!("DYNAMODB_TABLE={table}\n"))
    }

    /// Adds an environment at an endpoint, with test credentials and more lines.
    pub(crate) fn environment_with(self, name: &str, url: &str, lines: &str) -> Self {
        let text = format!(
            "LOCAL_AWS_ENDPOINT={url}\nAWS_REGION={REGION}\nAWS_ACCESS_KEY_ID=test\nAWS_SECRET_ACCESS_KEY=test\n{lines}"
        );
        self.write(format!("envs/.env.{name}"), text);
        self
    }

    /// A path in the folder.
    pub(crate) fn path(&self, relative: impl AsRef<Path>) -> PathBuf {
        self.folder.path().join(relative)
    }

    /// Makes a file, and the folders it lies in.
    pub(crate) fn write(&self, relative: impl AsRef<Path>, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(relative);
        fs::create_dir_all(path.parent().expect("a file lies in a folder"))
            .expect("a folder in the project");
        File::create(&path)
            .and_then(|mut file| file.write_all(content.as_ref()))
            .expect("a file in the project");

        path
    }

    /// The bytes of a file.
    pub(crate) fn bytes(&self, relative: impl AsRef<Path>) -> Vec<u8> {
        let path = self.path(relative);
        fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// The text of a file.
    pub(crate) fn text(&self, relative: impl AsRef<Path>) -> String {
        String::from_utf8(self.bytes(relative)).expect("a text file")
    }

    /// The JSON document in a file.
    pub(crate) fn json(&self, relative: impl AsRef<Path>) -> Value {
        serde_json::from_slice(&self.bytes(&relative))
            .unwrap_or_else(|e| panic!("{}: {e}", relative.as_ref().display()))
    }

    /// Names of what lies in a folder, sorted.
    pub(crate) fn names(&self, relative: impl AsRef<Path>) -> Vec<String> {
        let path = self.path(relative);
        let entries =
            fs::read_dir(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let mut names: Vec<_> = entries
            .map(|entry| {
                entry
                    .expect("an entry")
                    .file_name()
                    .to_string_lossy()
                    .into_owned()
            })
            .collect();

        names.sort();

        names
    }

    /// Copies the flat folder `from` to `to`.
    pub(crate) fn copy(&self, from: impl AsRef<Path>, to: impl AsRef<Path>) {
        for name in self.names(&from) {
            self.write(
                to.as_ref().join(&name),
                self.bytes(from.as_ref().join(&name)),
            );
        }
    }

    /// Changes the metadata of a dump, and its digest accordingly.
    pub(crate) fn change_metadata(&self, dump: &str, change: impl FnOnce(&mut Value)) {
        let file = format!("{dump}/table-metadata.json");
        let mut metadata = self.json(&file);
        let fields = metadata.as_object_mut().expect("an object");
        fields.remove("digest");
        change(&mut metadata);

        let text = serde_json::to_string_pretty(&metadata).expect("JSON");
        let head = format!("{},\n", text.trim_end_matches('}').trim_end());
        let digest = hex::encode(Sha256::digest(&head));
        self.write(file, format!("{head}  \"digest\": \"{digest}\"}}\n"));
    }

    /// Runs `dumpdb`.
    pub(crate) fn dumpdb<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Run {
        run(self.command("dumpdb", arguments), Vec::new())
    }

    /// Runs `restoredb`.
    pub(crate) fn restoredb<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Run {
        run(self.command("restoredb", arguments), Vec::new())
    }

    /// Runs `restoredb` with `input` on its standard input.
    pub(crate) fn restoredb_from<A: AsRef<OsStr>>(
        &self,
        input: &[u8],
        arguments: impl IntoIterator<Item = A>,
    ) -> Run {
        run(self.command("restoredb", arguments), input.to_vec())
    }

    /// Runs `verifydb`.
    pub(crate) fn verifydb<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Run {
        run(self.command("verifydb", arguments), Vec::new())
    }

    /// Runs `copydb`.
    pub(crate) fn copydb<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Run {
        run(self.command("copydb", arguments), Vec::new())
    }

    /// A command in this folder, ready to run.
    pub(crate) fn command<A: AsRef<OsStr>>(
        &self,
        program: &str,
        arguments: impl IntoIterator<Item = A>,
    ) -> Command {
        let path = match program {
            "dumpdb" => env!("CARGO_BIN_EXE_dumpdb"),
            "restoredb" => env!("CARGO_BIN_EXE_restoredb"),
            "servedb" => env!("CARGO_BIN_EXE_servedb"),
            "verifydb" => env!("CARGO_BIN_EXE_verifydb"),
            "copydb" => env!("CARGO_BIN_EXE_copydb"),
            other => panic!("there is no command {other}"),
        };

        let arguments: Vec<OsString> = arguments
            .into_iter()
            .map(|argument| argument.as_ref().to_owned())
            .collect();
        let segments = Some(program)
            .filter(|program| *program == "dumpdb" && self.has_test_segments)
            .and_then(|_| segments_for(&arguments));

        let mut command = Command::new(path);
        command
            .args(arguments)
            .args(segments)
            .current_dir(self.folder.path())
            .env_clear()
            .env("HOME", self.folder.path())
            .env("PATH", "/usr/bin:/bin")
            .env("LANG", "C.UTF-8")
            .env("AWS_EC2_METADATA_DISABLED", "true");

        command
    }
}

/// Runs a command to its end.
pub(crate) fn run(mut command: Command, input: Vec<u8>) -> Run {
    let shown = shown(&command);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command
        .spawn()
        .unwrap_or_else(|error| panic!("{shown}: {error}"));
    let mut stdin = child.stdin.take().expect("stdin is piped");

    // A command that ends before it has read everything closes the pipe; that is its right.
    let feeder = thread::spawn(move || drop(stdin.write_all(&input)));
    let stdout = collect(child.stdout.take().expect("stdout is piped"));
    let stderr = collect(child.stderr.take().expect("stderr is piped"));
    let (status, peak_kib) = wait(&mut child, &shown);
    feeder.join().expect("the feeder does not panic");
    let stdout = stdout.join().expect("the reader does not panic");
    let stderr =
        String::from_utf8_lossy(&stderr.join().expect("the reader does not panic")).into_owned();
    Run {
        command: shown,
        status,
        stdout,
        stderr,
        peak_kib,
    }
}

/// Waits for the end of a child, and watches its memory meanwhile.
fn wait(child: &mut Child, shown: &str) -> (ExitStatus, u64) {
    let deadline = Instant::now() + DEADLINE;
    let mut peak_kib = 0;
    loop {
        // The high-water mark only rises: the last one seen before the end is the peak, but for some milliseconds.
        peak_kib = peak_kib.max(high_water_mark(child.id()).unwrap_or(0));
        if let Some(status) = child.try_wait().expect("a child can be waited for") {
            return (status, peak_kib);
        }

        if Instant::now() > deadline {
            child.kill().expect("a child can be killed");
            panic!("{shown}: still running after {DEADLINE:?}");
        }

        thread::sleep(Duration::from_millis(2));
    }
}

/// The most memory a process has held, in KiB, where the system tells.
fn high_water_mark(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().trim_end_matches("kB").trim().parse().ok()
}

fn collect(mut stream: impl Read + Send + 'static) -> JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).expect("a pipe can be read");
        bytes
    })
}

fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program())
        .file_name()
        .unwrap_or_default();
    std::iter::once(program)
        .chain(command.get_args())
        .map(OsStr::to_string_lossy)
        .collect::<Vec<_>>()
        .join(" ")
}

impl Run {
    /// Asserts how it ended.
    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        assert!(
            self.status.code() == Some(code),
            "expected exit code {code}\n{self}"
        );
        self
    }

    /// Asserts that standard error has `text`, whitespace and line breaks aside. It may be the start of a sentence.
    #[track_caller]
    pub(crate) fn says(self, text: &str) -> Self {
        let (said, text) = (words(&self.stderr), words(text));
        let mut letters = text.chars();
        let first = letters.next().map(|letter| letter.to_ascii_uppercase());
        let sentence: String = first.into_iter().chain(letters).collect();
        assert!(
            said.contains(&text) || said.contains(&sentence),
            "expected to read {text:?}\n{self}"
        );
        self
    }

    /// Asserts that neither output has `text`.
    #[track_caller]
    pub(crate) fn never_says(self, text: &str) -> Self {
        assert!(
            !self.to_string().contains(text),
            "did not expect to read {text:?}\n{self}"
        );
        self
    }

    /// Standard output as text.
    #[track_caller]
    pub(crate) fn output(&self) -> &str {
        std::str::from_utf8(&self.stdout)
            .unwrap_or_else(|error| panic!("standard output is no text: {error}\n{self}"))
    }

    /// Standard output as one report, which matches docs/report.schema.json.
    #[track_caller]
    pub(crate) fn report(&self) -> Value {
        let report = serde_json::from_slice(&self.stdout)
            .unwrap_or_else(|e| panic!("standard output is no JSON document: {e}\n{self}"));
        let found = violations(report_schema(), &report);
        assert!(
            found.is_empty(),
            "the report does not match its schema:\n{}\n{self}",
            found.join("\n")
        );

        report
    }
}

impl std::fmt::Display for Run {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut output = String::new();
        let text = String::from_utf8_lossy(&self.stdout);
        for line in text.lines().take(40) {
            writeln!(output, "  | {}", line.chars().take(300).collect::<String>())?;
        }

        write!(
            f,
            "$ {}\n{}\nstdout ({} bytes)\n{output}",
            self.command,
            self.status,
            self.stdout.len()
        )?;

        writeln!(
            f,
            "stderr\n  | {}",
            self.stderr.trim_end().replace('\n', "\n  | ")
        )
    }
}

fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
