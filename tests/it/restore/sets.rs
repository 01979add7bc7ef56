//! A set is restored: each table on its own, with one plan and one confirmation.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::support::client::{Client, attribute, numbered, partition, poll, sort};
use crate::support::engine::Engine;
use crate::support::faults::{Fault, Proxy, with_text};
use crate::support::journal::finished_targets;
use crate::support::process::spawn_silent;
use crate::support::project::{Project, Run};
use crate::support::pty::Terminal;
use crate::support::sets::dump_set;

const WRITE: &str = "BatchWriteItem";

/// Tables with numbers of items, which are dumped into `set`. The environment `dev` reaches the same engine through a proxy, and names a
/// table that a set ignores. `prod` is protected.
struct Scene {
    engine: Engine,
    client: Client,
    proxy: Proxy,
    project: Project,
}

const TABLES: [(&str, usize); 4] = [("app-a", 60), ("app-b", 40), ("app-c", 80), ("other", 5)];

impl Scene {
    fn new() -> Self {
        Self::with_tables(&TABLES)
    }

    fn with_tables(tables: &[(&str, usize)]) -> Self {
        let engine = Engine::embedded();
        let client = engine.client();
        for (table, items) in tables {
            client.create_simple(table);
            client.put(table, numbered(*items));
        }

        let proxy = Proxy::with_rules(&engine, []);
        let project = Project::on(&engine, "films")
            .environment("dev", proxy.url(), "ignored")
            .environment_with("prod", proxy.url(), "DYNADUMP_PROTECTED=true\n");
        let names: Vec<&str> = tables.iter().map(|(table, _)| *table).collect();
        dump_set(&project, "set", &names);

        Self {
            engine,
            client,
            proxy,
            project,
        }
    }

    fn restore(&self, more: &[&str]) -> Run {
        self.project.restoredb(arguments(more))
    }

    /// Restores the tables `app-*` as `new-*`.
    fn renamed(&self, more: &[&str]) -> Run {
        self.restore(&[RENAMED, more].concat())
    }

    fn is_equal(&self, from: &str, to: &str) {
        assert_eq!(
            self.client.items(from),
            self.client.items(to),
            "{from} {to}"
        );
    }

    /// Tables that are created, deleted or written from this call on.
    fn touched_since(&self, call: usize) -> Vec<String> {
        let mut touched: Vec<String> = self.proxy.calls()[call..]
            .iter()
            .filter_map(|call| match call.operation.as_str() {
                "CreateTable" | "DeleteTable" => Some(call.body["TableName"].as_str()?.to_owned()),
                WRITE => Some(
                    call.body["RequestItems"]
                        .as_object()?
                        .keys()
                        .next()?
                        .clone(),
                ),
                _ => None,
            })
            .collect();
        touched.sort();
        touched.dedup();

        touched
    }
}

const RENAMED: &[&str] = &["--from-table=app-*", "--map=app-*=new-*"];

fn arguments<'a>(more: &[&'a str]) -> Vec<&'a str> {
    let all = ["--source=set", "--env=dev", "--yes", "--json"];
    let is_env = |argument: &&str| argument.starts_with("--env");
    let has_env = more.iter().any(is_env);
    let all = all.iter().filter(|argument| !has_env || !is_env(argument));
    all.chain(more).copied().collect()
}

/// `table: outcome exit_code` of each target in a report.
fn outcomes(report: &Value) -> Vec<String> {
    let tables = report["summary"]["tables"].as_array().expect("tables");
    let outcome = |table: &Value| {
        format!(
            "{}: {} {}",
            table["target"].as_str().expect("a name"),
            table["outcome"].as_str().expect("an outcome"),
            table["exit_code"]
        )
    };
    tables.iter().map(outcome).collect()
}

/// The finished tables in the journal of the set; `None` if there is none.
fn set_journal(project: &Project) -> Option<Vec<String>> {
    finished_targets(project, "restore-set-")
}

/// The finished tables in the journal of the set.
fn finished(project: &Project) -> Vec<String> {
    set_journal(project).unwrap_or_default()
}

#[test]
fn the_tables_of_a_set_are_restored_under_their_mapped_names() {
    let scene = Scene::new();
    let report = scene.renamed(&[]).exits(0).report();
    assert_eq!(
        outcomes(&report),
        ["new-a: done 0", "new-b: done 0", "new-c: done 0"]
    );
    assert_eq!(report["outcome"], "done");
    assert_eq!(report["summary"]["tables"][2]["source"], "app-c");
    assert_eq!(
        report["summary"]["tables"][2]["summary"]["items_written"],
        80
    );
    for name in ["a", "b", "c"] {
        scene.is_equal(&format!("app-{name}"), &format!("new-{name}"));
    }
    assert!(set_journal(&scene.project).is_none());
    assert!(scene.client.describe("ignored").is_none());
}

#[test]
fn a_plan_lists_each_table_and_changes_nothing() {
    let scene = Scene::new();
    let run = scene.renamed(&["--dry-run"]).exits(0);
    let report = run.report();
    let tables = report["plan"]["tables"].as_array().unwrap();
    assert_eq!(tables.len(), 3, "{report:#}");
    assert_eq!(tables[0]["source"], "app-a");
    assert_eq!(tables[0]["target"], "new-a");
    assert_eq!(tables[0]["plan"]["action"]["do"], "create");
    run.says("app-a → new-a  will be created; 60 items");
    assert!(scene.touched_since(0).is_empty());
}

#[test]
fn tables_that_are_damaged_denied_or_have_another_key_do_not_stop_the_others() {
    let scene = Scene::new();
    let data = "set/app-b/table-data.json";
    let text = scene.project.text(data).replacen("item-", "meti-", 1);
    scene.project.write(data, text);
    scene.client.create("new-other", |table| {
        table
            .billing_mode(aws_sdk_dynamodb::types::BillingMode::PayPerRequest)
            .attribute_definitions(attribute(
                "id",
                aws_sdk_dynamodb::types::ScalarAttributeType::S,
            ))
            .attribute_definitions(attribute(
                "at",
                aws_sdk_dynamodb::types::ScalarAttributeType::S,
            ))
            .key_schema(partition("id"))
            .key_schema(sort("at"))
    });
    scene.proxy.set([with_text(
        WRITE,
        "new-app-c",
        Fault::Refused("AccessDeniedException", "not authorized"),
    )]);

    let run = scene.restore(&["--add-prefix=new-"]).exits(1);
    let report = run.report();
    assert_eq!(
        outcomes(&report),
        [
            "new-app-a: done 0",
            "new-app-b: failed 12",
            "new-app-c: failed 10",
            "new-other: failed 13"
        ]
    );
    assert_eq!(report["outcome"], "partial");
    scene.is_equal("app-a", "new-app-a");
    assert!(scene.client.describe("new-app-b").is_none());
    run.says("app-b → new-app-b").says("Resume with:");
    assert_eq!(finished(&scene.project), ["new-app-a"]);

    // The same failure of all tables that failed is the exit code.
    scene.proxy.heal();
    scene.client.delete_if_there("new-other");
    let calls = scene.proxy.calls().len();
    let report = scene
        .restore(&["--add-prefix=new-", "--resume"])
        .exits(12)
        .report();
    assert_eq!(
        outcomes(&report),
        [
            "new-app-a: restored-before 0",
            "new-app-b: failed 12",
            "new-app-c: done 0",
            "new-other: done 0"
        ]
    );
    assert_eq!(scene.touched_since(calls), ["new-app-c", "new-other"]);
    scene.is_equal("app-c", "new-app-c");
    scene.is_equal("other", "new-other");
}

#[test]
fn a_deleted_member_is_the_failure_of_its_table() {
    let scene = Scene::new();
    std::fs::remove_dir_all(scene.project.path("set/app-b")).unwrap();
    let report = scene.renamed(&[]).exits(12).report();
    assert_eq!(
        outcomes(&report),
        ["new-a: done 0", "new-b: failed 12", "new-c: done 0"]
    );
}

#[test]
fn a_rejected_item_is_exit_code_3_and_counts_as_finished() {
    let scene = Scene::new();
    scene.proxy.set([with_text(
        WRITE,
        "item-000003",
        Fault::Refused(
            "ValidationException",
            "One or more parameter values were invalid",
        ),
    )]);
    let report = scene
        .restore(&["--from-table=app-a,other", "--add-prefix=new-"])
        .exits(3)
        .report();
    assert_eq!(
        outcomes(&report),
        ["new-app-a: partial 3", "new-other: partial 3"]
    );
    assert!(set_journal(&scene.project).is_none());
}

#[test]
fn fail_fast_starts_no_more_tables() {
    let scene = Scene::new();
    std::fs::remove_dir_all(scene.project.path("set/app-b")).unwrap();
    let report = scene.renamed(&["--fail-fast"]).exits(12).report();
    assert_eq!(
        outcomes(&report),
        [
            "new-a: not-started null",
            "new-b: failed 12",
            "new-c: not-started null"
        ]
    );
    assert!(scene.touched_since(0).is_empty());
}

#[test]
fn bad_input_is_refused_before_anything_is_written() {
    let scene = Scene::new();
    for (more, code, text) in [
        (&["--table=films"][..], 2, "--from-table"),
        (&["--from-table=ap-*"], 11, "did you mean app-a"),
        (
            &["--map=app-?=same"],
            2,
            "several tables would have the same target",
        ),
        (&["--map=other=a/b"], 2, "names that DynamoDB would reject"),
        (&["--map=absent=other"], 11, "no table matches"),
        (&["--source=envs"], 11, "no dump"),
        (
            &["--source=set/app-a", "--from-table=app-a"],
            11,
            "does not contain dumps of several tables",
        ),
        (
            &["--source=absent", "--map=app-a=new-a"],
            11,
            "does not contain dumps of several tables",
        ),
        (&["--source=-", "--from-table=app-a"], 2, "standard input"),
    ] {
        let is_source = |argument: &&&str| argument.starts_with("--source");
        let more: Vec<&str> = more.to_vec();
        let all = arguments(&more);
        let all: Vec<&str> = if more.iter().any(|argument| is_source(&argument)) {
            all.into_iter()
                .filter(|argument| *argument != "--source=set")
                .collect()
        } else {
            all
        };
        scene.project.restoredb(all).exits(code).says(text);
        assert!(scene.touched_since(0).is_empty(), "{more:?}");
    }
}

#[test]
fn a_list_of_tables_is_no_target_of_a_single_dump() {
    let scene = Scene::new();
    let project = scene
        .project
        .environment("list", scene.proxy.url(), "films,users");
    project
        .restoredb(["--source=set/app-a", "--env=list", "--yes"])
        .exits(2)
        .says("--table");
}

#[test]
fn a_protected_environment_is_confirmed_by_its_name() {
    let scene = Scene::new();
    let prod = |more: &[&str]| scene.renamed(&[&["--env=prod"], more].concat());
    prod(&[])
        .exits(4)
        .says("writing to 3 tables of the protected environment \"prod\" was not confirmed")
        .says("--confirm=prod");
    prod(&["--confirm=new-a"])
        .exits(4)
        .says("the target environment is \"prod\"");
    assert!(scene.touched_since(0).is_empty());

    prod(&["--confirm=prod"]).exits(0);
    scene.is_equal("app-c", "new-c");
}

#[test]
fn the_prompt_lists_the_targets_and_what_is_deleted() {
    let scene = Scene::new();
    scene.client.create_simple("new-a");
    scene.client.create_simple("new-b");
    let arguments = ["--source=set", "--env=prod", "--replace"];
    let command = scene
        .project
        .command("restoredb", arguments.iter().chain(RENAMED));
    let mut terminal = Terminal::run(command);
    terminal
        .reads("2 tables will be deleted and recreated: new-a, new-b.")
        .reads("Restore 3 tables (prod): new-a, new-b, new-c?")
        .reads("type the name of the environment to confirm")
        .types("prod");
    terminal.ends(0);
    for name in ["a", "b", "c"] {
        scene.is_equal(&format!("app-{name}"), &format!("new-{name}"));
    }
}

#[test]
fn a_table_that_appears_after_the_confirmation_is_not_touched() {
    let scene = Scene::new();
    let arguments = ["--source=set", "--env=prod"];
    let command = scene
        .project
        .command("restoredb", arguments.iter().chain(RENAMED));
    let mut terminal = Terminal::run(command);
    terminal.reads("type the name of the environment to confirm");
    scene.client.create_simple("new-b");
    scene.client.put("new-b", numbered(1));
    let before = scene.client.items("new-b");
    terminal.types("prod");
    let said = terminal.ends(4);

    assert!(
        said.contains("table new-b or its dump has changed"),
        "{said}"
    );
    assert_eq!(scene.client.items("new-b"), before);
    scene.is_equal("app-a", "new-a");
    scene.is_equal("app-c", "new-c");
}

#[test]
fn existing_tables_are_kept_filled_or_replaced_as_requested() {
    let scene = Scene::new();
    scene.client.create_simple("new-a");
    scene.client.create_simple("new-b");
    scene.client.put("new-b", numbered(1));
    let mut seen = BTreeMap::new();
    for (flag, expected) in [
        ("--if-missing", ["kept", "kept", "created"]),
        ("--if-empty", ["added-to", "kept", "kept"]),
        ("--replace", ["replaced", "replaced", "replaced"]),
    ] {
        let report = scene.renamed(&[flag]).exits(0).report();
        let tables = report["summary"]["tables"].as_array().unwrap().iter();
        let tables: Vec<_> = tables
            .map(|table| table["summary"]["table"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(tables, expected, "{flag}");
        seen.insert(flag, tables);
    }
    scene.is_equal("app-b", "new-b");
}

/// Kills a restore of the set when it has made this number of writes; it may already have ended then.
fn kill_after(scene: &Scene, writes: usize, more: &[&str]) {
    let goal = scene.proxy.seen(WRITE) + writes;
    scene.proxy.hold(WRITE, goal..);
    let arguments = arguments(&[RENAMED, more].concat());
    let mut child = spawn_silent(scene.project.command("restoredb", arguments));
    poll("the restore writes or ends", || {
        scene.proxy.seen(WRITE) >= goal || child.try_wait().is_ok_and(|ended| ended.is_some())
    });
    let _ = child.kill();
    child.wait().expect("a child can be waited for");
    scene.proxy.release();
}

#[test]
fn a_resumed_set_skips_finished_tables_and_resumes_the_others() {
    let scene = Scene::new();
    // One table after the other, the smallest first: the second is written when the restore is killed.
    let one_by_one = ["--parallel-tables=1", "--concurrency=1", "--batch-size=10"];
    kill_after(&scene, 7, &one_by_one);
    assert_eq!(finished(&scene.project), ["new-b"]);

    // `--doctor` reads the journal, too.
    let doctor = scene.project.dumpdb(["--doctor", "--env=dev"]);
    let found = String::from_utf8_lossy(&doctor.stdout);
    assert!(
        found.contains("into environment dev, 1 table finished"),
        "{found}"
    );

    // Without `--resume`, everything would be restored again.
    scene
        .renamed(&["--dry-run"])
        .exits(0)
        .says("The 1 table that it finished will be restored again");

    let calls = scene.proxy.calls().len();
    let run = scene
        .renamed(&[&one_by_one[..], &["--resume"]].concat())
        .exits(0);
    let report = run.report();
    assert_eq!(
        outcomes(&report),
        ["new-a: done 0", "new-b: restored-before 0", "new-c: done 0"]
    );
    assert_eq!(scene.touched_since(calls), ["new-a", "new-c"]);
    let partial = &report["summary"]["tables"][0]["summary"];
    assert!(partial["resumed"].is_object(), "{report:#}");
    for name in ["a", "b", "c"] {
        scene.is_equal(&format!("app-{name}"), &format!("new-{name}"));
    }
    assert!(set_journal(&scene.project).is_none());
}

/// The command without `--yes`, in a terminal.
fn in_a_terminal(scene: &Scene) -> Terminal {
    let arguments = ["--source=set", "--env=dev"].iter().chain(RENAMED);

    Terminal::run(scene.project.command("restoredb", arguments))
}

#[test]
fn a_terminal_is_asked_whether_to_resume_an_interrupted_set_or_to_start_over() {
    let one_by_one = ["--parallel-tables=1", "--concurrency=1", "--batch-size=10"];
    for (answer, question, touched) in [
        (
            "y",
            "Restore 2 tables (dev): new-a, new-c?",
            &["new-a", "new-c"][..],
        ),
        (
            "n",
            "Restore 3 tables (dev): new-a, new-b, new-c?",
            &["new-a", "new-b", "new-c"],
        ),
    ] {
        let scene = Scene::new();
        kill_after(&scene, 7, &one_by_one);
        assert_eq!(finished(&scene.project), ["new-b"]);

        let calls = scene.proxy.calls().len();
        let mut terminal = in_a_terminal(&scene);
        terminal
            .reads("Resume the interrupted restore (1 of 3 tables done)?")
            .types(answer)
            .reads(question)
            .types("y");
        terminal.ends(0);
        assert_eq!(scene.touched_since(calls), touched, "{answer}");
        for name in ["a", "b", "c"] {
            scene.is_equal(&format!("app-{name}"), &format!("new-{name}"));
        }
        assert!(set_journal(&scene.project).is_none());
    }
}

#[test]
fn nothing_is_asked_about_a_set_that_was_restored() {
    let scene = Scene::new();
    scene.renamed(&[]).exits(0);
    let mut terminal = in_a_terminal(&scene);
    terminal.reads("Restore 3 tables (dev)").types("y");
    let said = terminal.ends(0);
    assert!(!said.contains("Resume the interrupted"), "{said}");
}

#[test]
fn a_dry_run_tries_the_transform_on_each_table() {
    let scene = Scene::new();
    let data = "set/app-b/table-data.json";
    let text = scene.project.text(data).replacen("item-", "meti-", 1);
    scene.project.write(data, text);
    let filter = "--transform=.new = S(\"x\")";
    let run = scene
        .renamed(&["--dry-run", filter, "--show=1"])
        .exits(12)
        .says("Dry run: 140 items of 2 tables read, 140 items")
        .says("new-a  60 items read, 60 changed")
        .says("Table new-c:");
    let tables = run.report()["plan"]["tables"].take();
    assert_eq!(tables[0]["trial"]["changed"], 60, "{tables:#}");
    assert_eq!(tables[1]["error"]["kind"], "damaged", "{tables:#}");
    assert_eq!(tables[2]["trial"]["items_out"], 80, "{tables:#}");
    assert!(scene.touched_since(0).is_empty());
}

#[test]
fn a_finished_table_that_was_deleted_or_whose_dump_changed_is_restored_again() {
    let scene = Scene::new();
    let one_by_one = ["--parallel-tables=1", "--concurrency=1", "--batch-size=10"];
    kill_after(&scene, 7, &one_by_one);
    assert_eq!(finished(&scene.project), ["new-b"]);
    scene.client.delete_if_there("new-b");

    let report = scene.renamed(&["--resume"]).exits(0).report();
    assert_eq!(
        outcomes(&report),
        ["new-a: done 0", "new-b: done 0", "new-c: done 0"]
    );
    scene.is_equal("app-b", "new-b");
}

#[test]
fn a_set_killed_at_random_moments_is_complete_after_it_is_resumed() {
    let scene = Scene::new();
    let mut seed: u64 = 7;
    for round in 0..10 {
        let more: &[&str] = if round % 2 == 0 { &[] } else { &["--replace"] };
        for name in ["new-a", "new-b", "new-c"] {
            scene.client.delete_if_there(name);
        }

        let batches = ["--batch-size=10"];
        let mut arguments = [more, &batches].concat();
        for _ in 0..2 {
            seed = seed
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let writes = usize::try_from(1 + (seed >> 40) % 17).unwrap();
            kill_after(&scene, writes, &arguments);
            if !arguments.contains(&"--resume") {
                arguments.push("--resume");
            }
        }

        let finished = finished(&scene.project);
        let calls = scene.proxy.calls().len();
        scene.renamed(&arguments).exits(0);
        let touched = scene.touched_since(calls);
        for table in &finished {
            assert!(!touched.contains(table), "round {round}: {table}");
        }
        for name in ["a", "b", "c"] {
            scene.is_equal(&format!("app-{name}"), &format!("new-{name}"));
        }
        assert!(set_journal(&scene.project).is_none(), "round {round}");
    }
}

#[test]
fn two_runs_of_one_set_exclude_each_other() {
    let scene = Scene::new();
    scene.proxy.hold(WRITE, ..);
    let mut child = spawn_silent(scene.project.command("restoredb", arguments(RENAMED)));
    poll("the first run writes", || scene.proxy.seen(WRITE) > 0);
    scene.renamed(&[]).exits(1).says("is being restored");
    scene.proxy.release();
    assert!(child.wait().expect("a child can be waited for").success());
    scene.is_equal("app-c", "new-c");
    drop(scene.engine);
}

#[test]
fn the_summary_has_the_items_of_all_tables_and_the_command_that_compares_them() {
    let scene = Scene::new();
    let run = scene
        .restore(&["--add-prefix=new-", "--where=.id.S != \"item-000000\""])
        .exits(0);
    let total = run.report()["summary"]["total"].take();
    let count = |field: &str| total[field].as_u64();
    assert_eq!(
        ["items_read", "items_written", "items_left_out"].map(count),
        [Some(185), Some(181), Some(4)],
        "{total:#}"
    );
    run.says("Total           181 items written of 185 read: 4 filtered out");

    // At a remote target, items are not read back.
    let far = scene.proxy.url().replace("127.0.0.1", "0.0.0.0");
    let project = scene.project.environment("dev", &far, "ignored");
    project
        .restoredb(["--env=dev", "--source=set", "--add-prefix=far-", "--yes"])
        .exits(0)
        .says("185 items, all writes acknowledged.")
        .says("Next                verifydb --env=dev --source=set --add-prefix=far-");
}
