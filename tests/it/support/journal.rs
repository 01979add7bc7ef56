//! Journals of interrupted runs: read and forged.

use std::path::Path;

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::project::Project;

/// The state directory in a project.
pub(crate) const STATE_DIR: &str = ".local/state/dynadump";

/// The first line of a journal, before its digest.
const HEAD: &str = "dynadump journal 1 ";

/// The paths of the journals in the state directory.
pub(crate) fn journals(project: &Project) -> Vec<String> {
    let names = project.names(STATE_DIR).into_iter();
    names
        .filter(|name| name.ends_with(".journal"))
        .map(|name| format!("{STATE_DIR}/{name}"))
        .collect()
}

/// The content of a journal, whose digest fits.
pub(crate) fn read(project: &Project, path: impl AsRef<Path>) -> Value {
    let text = project.text(path);
    let (head, content) = text.split_once('\n').expect("a head");
    assert_eq!(head, format!("{HEAD}{}", digest(content)));

    serde_json::from_str(content).expect("JSON")
}

/// The targets of the finished tables in the journal of a set, whose digests fit. `None` if there is no journal that begins with `prefix`.
pub(crate) fn finished_targets(project: &Project, prefix: &str) -> Option<Vec<String>> {
    if !project.path(STATE_DIR).exists() {
        return None;
    }

    let is_of_set = |name: &String| name.starts_with(prefix) && name.ends_with(".journal");
    let name = project.names(STATE_DIR).into_iter().find(is_of_set)?;
    let text = project.text(Path::new(STATE_DIR).join(name));
    let mut lines = text.split_inclusive('\n');
    let (head, first) = (lines.next().expect("a head"), lines.next().expect("a line"));
    assert_eq!(head, format!("{HEAD}{}\n", digest(first)));

    let mut targets: Vec<String> = lines
        .map(|line| {
            let (found, record) = line.trim_end().split_once(' ').expect("a digest");
            assert_eq!(found, digest(record));
            let record: Value = serde_json::from_str(record).expect("JSON");
            record["target"].as_str().expect("a name").to_owned()
        })
        .collect();
    targets.sort();

    Some(targets)
}

/// Replaces the content of a journal, with a digest that fits.
pub(crate) fn write(project: &Project, path: impl AsRef<Path>, content: &str) {
    let document = format!("{HEAD}{}\n{content}", digest(content));
    project.write(path, document);
}

/// Changes the content of a journal.
pub(crate) fn forge(project: &Project, path: impl AsRef<Path>, change: impl FnOnce(&mut Value)) {
    let mut content = read(project, &path);
    change(&mut content);
    write(project, path, &format!("{content}\n"));
}

fn digest(content: &str) -> String {
    hex::encode(Sha256::digest(content))
}
