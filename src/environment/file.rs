//! Parser for env files. It reads values without changing the process environment.
//!
//! Errors name file, line and key. They never quote a line, as those of `dotenvy` do, because any
//! part of it may be a secret.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use super::keys::{self, KeySet};
use super::lines::{LineError, logical_lines};
use super::{Sourced, ValueSource, placeholder};
use crate::error::{Error, Result};
use crate::limits::ENV_FILE_BYTES;

/// The recognized keys of one env file. It contains secrets and therefore does not implement
/// `Debug`.
pub(crate) struct EnvFile {
    display_path: PathBuf,
    keys: KeySet,
    entries: BTreeMap<&'static str, EnvEntry>,
    /// Keys of other programs, with their lines.
    unknown: Vec<(usize, String)>,
}

struct EnvEntry {
    line: usize,
    /// The key as the file writes it.
    name: &'static str,
    value: String,
}

impl EnvFile {
    /// Reads these keys of the file at `path`, which is called `display_path` in errors and sources.
    pub(crate) fn read_keys(path: &Path, display_path: &Path, keys: KeySet) -> Result<Self> {
        Self::parse(&read_text(path, display_path)?, display_path, keys)
    }

    /// Every problem of the file at `path`, which is called `display_path`.
    pub(crate) fn problems(path: &Path, display_path: &Path, keys: KeySet) -> Vec<Error> {
        match read_text(path, display_path) {
            Ok(text) => Self::parse_all(&text, display_path, keys).1,
            Err(error) => vec![error],
        }
    }

    /// Parses the text of an env file.
    ///
    /// # Errors
    /// The first problem.
    pub(crate) fn parse(text: &str, display_path: &Path, keys: KeySet) -> Result<Self> {
        let (file, problems) = Self::parse_all(text, display_path, keys);

        problems.into_iter().next().map_or(Ok(file), Err)
    }

    /// Parses the text of an env file. Lines with problems are left out.
    fn parse_all(text: &str, display_path: &Path, keys: KeySet) -> (Self, Vec<Error>) {
        let mut file = Self {
            display_path: display_path.to_owned(),
            keys,
            entries: BTreeMap::new(),
            unknown: Vec::new(),
        };
        let lines = match logical_lines(text) {
            Ok(lines) => lines,
            Err(error) => {
                let problem = file.line_error(&error);
                return (file, vec![problem]);
            }
        };

        let parsed = lines
            .iter()
            .map(|line| file.parse_line(line.number, &line.text));
        let mut problems: Vec<Error> = parsed.filter_map(Result::err).collect();
        problems.extend(file.misspelled());

        (file, problems)
    }

    /// Keys that are misspellings of keys that the file lacks: if they were ignored, the command would use another region, account
    /// or table.
    fn misspelled(&self) -> impl Iterator<Item = Error> {
        self.unknown.iter().filter_map(|(line, key)| {
            let meant = keys::misspelled_key(key).filter(|meant| !self.entries.contains_key(meant));
            let error = Error::environment(format!(
                "{} line {line}: unknown key {key}",
                self.display_path.display()
            ));

            Some(error.with_hint(format!("did you mean {}?", meant?)))
        })
    }

    /// The value of `key`. An empty value counts as not set.
    pub(crate) fn get(&self, key: &'static str) -> Option<Sourced<String>> {
        let entry = self
            .entries
            .get(key)
            .filter(|entry| !entry.value.is_empty())?;
        Some(Sourced {
            value: entry.value.clone(),
            source: self.source(entry.name, entry.line),
        })
    }

    /// Whether `key` has a value.
    pub(crate) fn has(&self, key: &'static str) -> bool {
        self.get(key).is_some()
    }

    /// Checks that no key has an empty value.
    ///
    /// # Errors
    /// A key has an empty value. Most likely a variable was not set in the script that generated
    /// the file.
    pub(crate) fn refuse_empty(&self) -> Result<()> {
        // The error names the first line in the order of the file, not of the keys.
        let first = self
            .entries
            .values()
            .filter(|entry| entry.value.is_empty())
            .min_by_key(|entry| entry.line);

        let Some(entry) = first else {
            return Ok(());
        };

        Err(self
            .source(entry.name, entry.line)
            .error("is empty")
            .with_hint("fill in the value, or delete the line"))
    }

    fn parse_line(&mut self, line: usize, text: &str) -> Result<()> {
        // A logical line contains exactly one assignment.
        let mut parsed = dotenvy::from_read_iter(text.as_bytes());
        let (Some(Ok((key, value))), None) = (parsed.next(), parsed.next()) else {
            let key = text
                .split_once('=')
                .and_then(|(key, _)| self.keys.find(key.trim_start_matches("export").trim()));
            return Err(self.line_error(&LineError {
                number: line,
                key: key.map(|(_, name)| name),
                reason: "is not KEY=value".to_owned(),
            }));
        };

        if let Some(found) = self.keys.find(&key) {
            return self.insert(found, line, value);
        }

        let at = format!("{} line {line}", self.display_path.display());
        // Keys of other programs are ignored, except names that were most likely meant for this
        // program.
        if let Some(meant) = self.keys.meant_by(&key) {
            return Err(Error::environment(format!(
                "{at}: unsupported key {key}; did you mean {meant}?"
            ))
            .with_hint(format!("rename {key} to {meant}, or delete the line")));
        }

        if self.keys == KeySet::Environment && keys::has_own_prefix(&key) {
            return Err(Error::environment(format!("{at}: unknown key {key}"))
                .with_hint(keys::own_key_hint(&key)));
        }

        if self.keys == KeySet::Environment {
            self.unknown.push((line, key));
        }

        Ok(())
    }

    fn insert(
        &mut self,
        (key, name): (&'static str, &'static str),
        line: usize,
        value: String,
    ) -> Result<()> {
        let source = self.source(name, line);
        if let Some(first) = self.entries.get(key) {
            return Err(source
                .error(format!("was already set on line {}", first.line))
                .with_hint("keep one of the two"));
        }

        if value.contains(char::is_control) {
            return Err(source.error("has a line break or another control character in its value"));
        }

        if let Some(problem) = placeholder::find_problem(key, &value) {
            return Err(source
                .error(problem)
                .with_hint("fill in the real value, or delete the line"));
        }

        self.entries.insert(key, EnvEntry { line, name, value });

        Ok(())
    }

    fn source(&self, key: &'static str, line: usize) -> ValueSource {
        ValueSource::File {
            path: self.display_path.clone(),
            line,
            key,
        }
    }

    fn line_error(&self, error: &LineError) -> Error {
        let what = match error.key {
            Some(key) => self.source(key, error.number).error(&error.reason),
            None => Error::environment(format!(
                "{} line {} {}",
                self.display_path.display(),
                error.number,
                error.reason
            )),
        };

        what.with_hint("put a value with spaces, quotes, `#`, `$` or backslashes in single quotes")
    }
}

fn read_text(path: &Path, display_path: &Path) -> Result<String> {
    let shown = display_path.display();
    let read_error = |error| Error::environment(format!("cannot read {shown}")).with_source(error);

    // Checked before opening, because opening a named pipe would block.
    let metadata = fs::metadata(path).map_err(read_error)?;
    if !metadata.is_file() {
        let kind = if metadata.is_dir() {
            "a folder"
        } else {
            "not a file"
        };

        return Err(Error::environment(format!(
            "{shown} is {kind}, not an env file"
        )));
    }

    let mut bytes = Vec::new();
    let file = File::open(path).map_err(read_error)?;
    let read = file
        // One byte more than allowed, to detect a file that is too large.
        .take(ENV_FILE_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(read_error)?;
    if read as u64 > ENV_FILE_BYTES {
        return Err(Error::environment(format!(
            "{shown} is larger than {ENV_FILE_BYTES} bytes: not an env file"
        )));
    }

    String::from_utf8(bytes).map_err(|error| {
        // The cause is not kept, because it contains the text of the file.
        let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = good.split(|byte| *byte == b'\n').count();
        Error::environment(format!("{shown} line {line} is not UTF-8 text"))
            .with_hint("save the file as UTF-8")
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> Result<EnvFile> {
        EnvFile::parse(text, Path::new("envs/.env.x"), KeySet::Environment)
    }

    fn error(text: &str) -> Error {
        parse(text).err().expect("the text must be refused")
    }

    #[test]
    fn every_notation_of_a_value() {
        for (text, value) in [
            ("AWS_PROFILE=a", "a"),
            ("  export AWS_PROFILE = a  # it's", "a"),
            ("AWS_PROFILE='a b'", "a b"),
            ("AWS_PROFILE=\"a b\" # c", "a b"),
            ("AWS_PROFILE=a#b", "a#b"),
            ("AWS_PROFILE=a$HOME", "a$HOME"),
            ("AWS_PROFILE=a$b$$c$", "a$b$$c$"),
            ("AWS_PROFILE=\"a$HOME{b}\"", "a$HOME{b}"),
            ("AWS_PROFILE='a$HOME'", "a$HOME"),
            ("AWS_PROFILE=a\\$HOME", "a$HOME"),
            ("AWS_PROFILE='it'\\''s'", "it's"),
            ("AWS_PROFILE=a+/b==", "a+/b=="),
            ("\u{feff}AWS_PROFILE=a\r\nX=b\r\n", "a"),
            ("AWS_PROFILE=a ", "a"),
        ] {
            assert_eq!(
                parse(text).unwrap().get(keys::PROFILE).unwrap().value,
                value,
                "{text}"
            );
        }

        for text in [
            "AWS_PROFILE=",
            "AWS_PROFILE=''",
            "AWS_PROFILE= # none",
            "#AWS_PROFILE=a",
            "",
            "\n",
        ] {
            assert_eq!(parse(text).unwrap().get(keys::PROFILE), None, "{text}");
        }
    }

    #[test]
    #[expect(clippy::too_many_lines, reason = "a table of cases")]
    fn errors_name_file_line_and_key_and_quote_nothing() {
        for (text, message) in [
            (
                "A=1\nAWS_PROFILE=hush hush",
                "envs/.env.x line 2: AWS_PROFILE is not KEY=value",
            ),
            ("A=1\n\nhush", "envs/.env.x line 3 is not KEY=value"),
            ("hush:=x", "envs/.env.x line 1 is not KEY=value"),
            ("hush=\\h", "envs/.env.x line 1 is not KEY=value"),
            (
                "AWS_SECRET_ACCESS_KEY='hush",
                "envs/.env.x line 1: AWS_SECRET_ACCESS_KEY has an unclosed quote",
            ),
            (
                "AWS_REGION=hush\nA=1\nAWS_REGION=",
                "envs/.env.x line 3: AWS_REGION was already set on line 1",
            ),
            (
                "AWS_REGION=your-hush",
                "envs/.env.x line 1: AWS_REGION still contains a placeholder",
            ),
            (
                "DYNADUMP_PROTECTD=hush",
                "envs/.env.x line 1: unknown key DYNADUMP_PROTECTD",
            ),
            (
                "A=1\nDYNAMODB_ENDPOINT=hush",
                "envs/.env.x line 2: unsupported key DYNAMODB_ENDPOINT; did you mean AWS_ENDPOINT_URL_DYNAMODB?",
            ),
            (
                "AWS_DEFAULT_PROFILE=hush",
                "envs/.env.x line 1: unsupported key AWS_DEFAULT_PROFILE; did you mean AWS_PROFILE?",
            ),
            (
                "export aws_region='hush'",
                "envs/.env.x line 1: unsupported key aws_region; did you mean AWS_REGION?",
            ),
            (
                "tableName=hush",
                "envs/.env.x line 1: unsupported key tableName; did you mean DYNAMODB_TABLE?",
            ),
            (
                "DYNAMODB_TABLE=a\nAWS_REGON=hush",
                "envs/.env.x line 2: unknown key AWS_REGON",
            ),
            (
                "dynadump_protected=hush",
                "envs/.env.x line 1: unsupported key dynadump_protected; did you mean DYNADUMP_PROTECTED?",
            ),
            (
                "AWS_PROFILE=\"hush\nhush\"",
                "envs/.env.x line 1: AWS_PROFILE has a line break or another control character in its value",
            ),
        ] {
            let error = error(text);
            assert_eq!(error.to_string(), message);
            assert!(!format!("{error:?}").contains("hush"), "{error:?}");
        }

        assert_eq!(
            error("AWS_REGON=1").hint(),
            Some("did you mean AWS_REGION?")
        );
        assert_eq!(
            error("DYNADUMP_PROTECTD=1").hint(),
            Some("did you mean DYNADUMP_PROTECTED?")
        );
        assert_eq!(
            error("DYNADUMP_ACOUNT=1").hint(),
            Some("did you mean DYNADUMP_ACCOUNT?")
        );
        assert_eq!(
            error("dynadump_acount=1").hint(),
            Some("did you mean DYNADUMP_ACCOUNT?")
        );
    }

    #[test]
    fn keys_of_others_are_ignored() {
        // A key that is set is not misspelled, and a list has another name.
        assert!(parse("AWS_REGON=a\nAWS_REGION=eu-west-1\nAWS_PROFILES=a,b").is_ok());
        assert!(parse("API_KEY=your-key\nAPI_KEY=twice\nPEM='a\nb'\nAWS_REGION=eu-west-1").is_ok());
    }

    #[test]
    fn files_other_than_env_files() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        let message = |path: &Path| {
            EnvFile::read_keys(path, Path::new("f"), KeySet::Environment)
                .err()
                .unwrap()
                .to_string()
        };

        assert_eq!(message(dir.path()), "f is a folder, not an env file");
        assert_eq!(message(&path), "cannot read f");
        let put = |bytes: &[u8]| {
            std::io::Write::write_all(&mut File::create(&path).unwrap(), bytes).unwrap();
        };
        put(b"A=1\nB=\xff\n");
        assert_eq!(message(&path), "f line 2 is not UTF-8 text");
        put(&b"#".repeat(usize::try_from(ENV_FILE_BYTES).unwrap() + 1));
        assert_eq!(
            message(&path),
            "f is larger than 1048576 bytes: not an env file"
        );
        put(&b"#".repeat(usize::try_from(ENV_FILE_BYTES).unwrap()));
        assert!(EnvFile::read_keys(&path, Path::new("f"), KeySet::Environment).is_ok());
    }

    proptest! {
        #[test]
        fn nothing_is_read_from_the_process_environment(
            parts in prop::collection::vec(
                prop::sample::select(vec!["'", "\"", "\\", "$HOME", "${HOME}", "$PATH", "{", " ", "\t", "#", "a", "=", "\n"]),
                0..24,
            ),
        ) {
            prop_assume!(std::env::var("PATH").is_ok_and(|path| path.contains('/')));
            for line in logical_lines(&format!("KEY={}", parts.concat())).unwrap_or_default() {
                for (_, value) in dotenvy::from_read_iter(line.text.as_bytes()).flatten() {
                    prop_assert!(!value.contains('/'), "{value}");
                }
            }
        }

        #[test]
        fn a_single_quoted_value_is_kept_to_the_letter(value in "[ -&(-\\[\\]-~]{0,40}") {
            let value = format!("a/{value}");
            prop_assume!(placeholder::find_problem(keys::SECRET_ACCESS_KEY, &value).is_none());
            let file = parse(&format!("AWS_SECRET_ACCESS_KEY='{value}'\nAWS_REGION=x")).unwrap();
            prop_assert_eq!(file.get(keys::SECRET_ACCESS_KEY).unwrap().value, value);
            prop_assert_eq!(file.get(keys::REGION).unwrap().source, file.source(keys::REGION, 2));
        }
    }
}
