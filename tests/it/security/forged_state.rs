//! Forged state files: their paths are not followed.

use std::fs;
use std::path::PathBuf;

use rustix::process::Signal;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::support::client::{numbered, poll};
use crate::support::engine::Engine;
use crate::support::faults::Proxy;
use crate::support::films::films_table;
use crate::support::process::{spawn_with_messages, stopped};
use crate::support::project::Project;

const VICTIM: &str = "not to be touched\n";

/// Paths that a forged file may name, with the file that must stay as it is.
fn victim(project: &Project) -> PathBuf {
    project.write("victim.txt", VICTIM)
}

/// A checkpoint of a dump, changed, with a digest that fits.
fn forge(project: &Project, path: &str, change: impl FnOnce(&mut Value)) {
    const HEAD: &str = "dynadump checkpoint 1 ";

    let document = project.bytes(path);
    let content = &document[HEAD.len() + 65..];
    let end = content
        .iter()
        .position(|byte| *byte == b'\n')
        .expect("a line");
    let mut checkpoint: Value = serde_json::from_slice(&content[..end]).expect("JSON");
    change(&mut checkpoint);
    let content = [checkpoint.to_string().as_bytes(), &content[end..]].concat();
    let digest = hex::encode(Sha256::digest(&content));
    project.write(
        path,
        [format!("{HEAD}{digest}\n").as_bytes(), &content].concat(),
    );
}

#[test]
fn the_checkpoint_of_a_dump_does_not_say_where_its_rejects_are() {
    for bytes in [0, 5] {
        let (engine, _) = films_table(6);
        let proxy = Proxy::with_rules(&engine, []);
        let project = Project::on(&engine, "films").environment("slow", proxy.url(), "films");
        let dump = [
            "--env=slow",
            "--output=out",
            r#"--transform=if .id | str | endswith("0") then error("no") else . end"#,
        ];

        proxy.hold("Scan", 3..);
        let child = spawn_with_messages(project.command("dumpdb", dump));
        poll("the dump reads", || proxy.seen("Scan") >= 3);
        let (status, messages) = stopped(child, Signal::TERM, &proxy);
        assert_eq!(status.code(), Some(130), "{messages}");

        let path = victim(&project);
        forge(&project, "out.checkpoint", |checkpoint| {
            checkpoint["progress"]["changes"]["rejects"] = json!(path);
            checkpoint["progress"]["changes"]["rejects_bytes"] = json!(bytes);
        });
        let run = project.dumpdb(dump.iter().chain(&["--resume"]));
        assert_eq!(project.text("victim.txt"), VICTIM, "{run}");
        assert!(fs::symlink_metadata(path).is_ok_and(|found| found.is_file()));
    }
}

#[test]
fn the_checkpoint_of_a_restore_does_not_say_where_its_files_are() {
    for list in ["rejects", "conflicts"] {
        for bytes in [0, 5] {
            let engine = Engine::embedded();
            engine.client().create_simple("films");
            engine.client().create_simple("copy");
            engine.client().put("films", numbered(300));
            let proxy = Proxy::with_rules(&engine, []);
            let project = Project::on(&engine, "films").environment("slow", proxy.url(), "copy");
            project.dumpdb(["--output=out"]).exits(0);
            let restore = ["--env=slow", "--source=out", "--yes", "--batch-size=1"];
            proxy.hold("BatchWriteItem", 4..);
            let child = spawn_with_messages(project.command("restoredb", restore));
            poll("the restore writes", || proxy.seen("BatchWriteItem") > 3);
            let (status, messages) = stopped(child, Signal::TERM, &proxy);
            assert_eq!(status.code(), Some(130), "{messages}");

            let path = victim(&project);
            let state = ".local/state/dynadump";
            let names = project.names(state).into_iter();
            let [name] = names
                .filter(|name| name.ends_with(".checkpoint.json"))
                .collect::<Vec<_>>()
                .try_into()
                .expect("one");

            let name = format!("{state}/{name}");
            let mut checkpoint = project.json(&name);
            checkpoint[list] = json!({"path": path, "bytes": bytes, "count": 1});
            project.write(&name, checkpoint.to_string());
            let run = project.restoredb(restore.iter().chain(&["--resume"]));
            assert_eq!(project.text("victim.txt"), VICTIM, "{run}");
        }
    }
}
