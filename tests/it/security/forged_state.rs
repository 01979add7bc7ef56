//! Forged state files: their paths are not followed.

use std::fs;
use std::path::PathBuf;

use rustix::process::Signal;
use serde_json::json;

use crate::support::client::{numbered, poll};
use crate::support::engine::Engine;
use crate::support::faults::Proxy;
use crate::support::films::films_table;
use crate::support::journal::{forge, journals};
use crate::support::process::{spawn_with_messages, stopped};
use crate::support::project::Project;

const VICTIM: &str = "not to be touched\n";

/// Paths that a forged file may name, with the file that must stay as it is.
fn victim(project: &Project) -> PathBuf {
    project.write("victim.txt", VICTIM)
}

#[test]
fn the_journal_of_a_dump_does_not_say_where_its_rejects_are() {
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
        forge(&project, "out.journal", |journal| {
            let changes = &mut journal["dump"]["progress"]["scan"]["changes"];
            assert!(changes["rejects_bytes"].is_u64());
            changes["rejects"] = json!(path);
            changes["rejects_bytes"] = json!(bytes);
        });
        let run = project.dumpdb(dump.iter().chain(&["--resume"]));
        assert_eq!(project.text("victim.txt"), VICTIM, "{run}");
        assert!(fs::symlink_metadata(path).is_ok_and(|found| found.is_file()));
    }
}

#[test]
fn the_journal_of_a_restore_does_not_say_where_its_files_are() {
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
            let [journal] = journals(&project).try_into().expect("one");
            forge(&project, journal, |journal| {
                let progress = &mut journal["restore"]["progress"];
                assert!(progress["counts"].is_object());
                progress[list] = json!({"path": path, "bytes": bytes, "count": 1});
            });
            let run = project.restoredb(restore.iter().chain(&["--resume"]));
            assert_eq!(project.text("victim.txt"), VICTIM, "{run}");
        }
    }
}
