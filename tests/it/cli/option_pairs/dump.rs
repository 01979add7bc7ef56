//! `dumpdb` with every pair of its options.

use std::collections::BTreeSet;
use std::io::Read as _;

use serde_json::Value;

use super::model::{
    CommandOption, ITEMS, Item, Items, Outcome, Steps, all_items, by_id, each_pair, item, option,
};
use crate::support::engine::Engine;
use crate::support::project::{Project, Run};

/// What the options of one command line mean.
#[derive(Debug, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is an option of its own"
)]
struct Model {
    steps: Steps,
    is_strict: bool,
    is_schema_only: bool,
    is_data_only: bool,
    is_dry_run: bool,
    is_jsonl: bool,
    has_many_segments: bool,
    compression: &'static str,
    /// Why the dump does not hold the whole table, as `table-metadata.json` names it.
    reasons: BTreeSet<&'static str>,
    /// Whether a step may change items; a condition only chooses among them.
    may_change: bool,
}

const OPTIONS: &[CommandOption<Model>] = &[
    option(&["--format=jsonl"], |model| model.is_jsonl = true),
    option(&["--compress=gzip"], |model| model.compression = ".gz"),
    option(&["--compress=zstd"], |model| model.compression = ".zst"),
    option(&["--segments=1"], |_| ()),
    option(&["--segments=9"], |model| model.has_many_segments = true),
    option(&["--segments=32"], |model| model.has_many_segments = true),
    option(&["--limit=7"], |model| model.steps.limit = Some(7)),
    option(&["--limit=1000"], |model| model.steps.limit = Some(1000)),
    option(
        &[
            "--filter-expression=n < :v",
            r#"--expression-attribute-values={":v":{"N":"40"}}"#,
        ],
        |model| {
            model.steps.filter = Some(40);
            model.reasons.insert("filter");
        },
    ),
    option(&["--projection-expression=n,text"], |model| {
        model.steps.projection = Some(&["n", "text"]);
        model.reasons.insert("projection");
    }),
    option(&["--consistent-read"], |_| ()),
    option(&["--max-rcu=100000"], |_| ()),
    option(&["--where=.n | num % 2 == 0"], |model| {
        model.steps.is_even = true;
        model.reasons.insert("where");
    }),
    option(&["--transform=.flag = BOOL(true)"], |model| {
        model.steps.has_flag = true;
        model.may_change = true;
    }),
    option(
        &["--transform=if .n | num % 10 == 4 then error(\"unwanted\") else . end"],
        |model| {
            model.steps.rejects = Some(4);
            model.may_change = true;
        },
    ),
    option(&["--transform-command=cat"], |model| {
        model.may_change = true;
    }),
    option(&["--transform-python=copy:copy"], |model| {
        model.may_change = true;
    }),
    option(&["--mask=rules.toml"], |model| {
        model.steps.drops_text = true;
        model.may_change = true;
    }),
    option(&["--strict"], |model| model.is_strict = true),
    option(&["--schema-only"], |model| model.is_schema_only = true),
    option(&["--data-only"], |model| model.is_data_only = true),
    option(&["--resume"], |_| ()),
    option(&["--concurrency=1"], |_| ()),
    option(&["--wire-compression=on"], |_| ()),
    option(&["--dry-run"], |model| model.is_dry_run = true),
];

/// A project with the table `films`.
fn project() -> (Engine, Project) {
    let engine = Engine::embedded();
    engine.client().create_simple("films");
    let project = Project::on(&engine, "films");
    let lines: String = (0..ITEMS)
        .flat_map(|n| [item(n).to_string(), "\n".to_owned()])
        .collect();
    project.write("items.jsonl", lines);
    project.write(
        "rules.toml",
        "[[rule]]\npath = \"text\"\naction = \"drop\"\n",
    );
    project
        .restoredb(["--source=items.jsonl", "--yes"])
        .exits(0);

    (engine, project)
}

#[test]
fn every_pair_of_dump_options_has_the_effect_of_each() {
    let (_engine, project) = project();
    each_pair(OPTIONS, |words, model| check(&project, words, model));
}

fn check(project: &Project, words: &[&str], model: &Model) {
    let arguments = ["--output=out", "--yes", "--json"].iter().chain(words);
    let run = project.dumpdb(arguments);

    if model.is_contradiction() {
        run.exits(2);
    } else if model.is_dry_run {
        let run = run.exits(0);
        assert!(
            !project.path("out").exists(),
            "a dry run made a dump\n{run}"
        );
    } else {
        model.check(project, run);
    }

    // Nothing may be left of it for the next pair.
    let _ = std::fs::remove_dir_all(project.path("out"));
}

impl Model {
    /// Whether the command line contradicts itself.
    fn is_contradiction(&self) -> bool {
        let selects_items =
            self.steps.limit.is_some() || self.may_change || !self.reasons.is_empty();
        let has_nothing_to_do = self.is_schema_only && (self.is_data_only || selects_items);

        // Only one segment can count exactly.
        has_nothing_to_do || (self.steps.limit.is_some() && self.has_many_segments)
    }

    fn check(&self, project: &Project, run: Run) {
        if self.is_schema_only {
            let run = run.exits(0);
            assert!(!project.path("out/table-data.json").exists(), "{run}");
            return;
        }

        let outcome = self.steps.apply(&all_items());
        let summary = run.report()["summary"].clone();

        // A limit may be reached before the first item that is rejected.
        let rejected = summary["transformed"]["items_rejected"]
            .as_u64()
            .unwrap_or(0);
        if outcome.is_cut {
            assert!(rejected <= outcome.rejected as u64, "{run}");
        } else if !self.is_strict {
            assert_eq!(rejected, outcome.rejected as u64, "{run}");
        }

        if self.is_strict
            && outcome.rejected > 0
            && (!outcome.is_cut || run.status.code() != Some(0))
        {
            let run = run.exits(3);
            assert!(
                !project.path("out").exists(),
                "a stopped run left a dump\n{run}"
            );
            return;
        }

        let run = run.exits(if rejected > 0 { 3 } else { 0 });
        self.check_items(project, &outcome, &run);
        self.check_metadata(project, &outcome, &run);
        project.verifydb(["out"]).exits(0);
    }

    fn check_items(&self, project: &Project, outcome: &Outcome, run: &Run) {
        let items = self.dumped(project);
        assert_eq!(items.len(), outcome.count, "{run}");
        for (id, item) in &items {
            assert_eq!(Some(item), outcome.items.get(id), "{run}");
        }
    }

    /// The items of the dump.
    fn dumped(&self, project: &Project) -> Items {
        let suffix = if self.is_jsonl { "jsonl" } else { "json" };
        let bytes = project.bytes(format!("out/table-data.{suffix}{}", self.compression));
        let text = match self.compression {
            ".gz" => {
                let mut text = String::new();
                flate2::read::MultiGzDecoder::new(&bytes[..])
                    .read_to_string(&mut text)
                    .expect("gzip");
                text
            }
            ".zst" => String::from_utf8(zstd::decode_all(&bytes[..]).expect("zstd")).expect("text"),
            _ => String::from_utf8(bytes).expect("text"),
        };

        if self.is_jsonl {
            return by_id(
                text.lines()
                    .map(|line| serde_json::from_str(line).expect("an item")),
            );
        }

        let document: Value = serde_json::from_str(&text).expect("a document");
        let items: Vec<Item> = document["Items"].as_array().expect("items").clone();
        assert_eq!(document["Count"], items.len());

        by_id(items)
    }

    fn check_metadata(&self, project: &Project, outcome: &Outcome, run: &Run) {
        let metadata = project.json("out/table-metadata.json");
        let mut reasons = self.reasons.clone();
        if outcome.is_cut {
            reasons.insert("limit");
        }

        let partial = &metadata["partial"];
        let named: BTreeSet<&str> = ["filter", "projection", "where", "limit"]
            .into_iter()
            .filter(|reason| !partial[*reason].is_null())
            .collect();
        assert_eq!(named, reasons, "{metadata}\n{run}");
        let is_complete = reasons.is_empty() && outcome.rejected == 0;
        assert_eq!(metadata["complete"], is_complete, "{metadata}\n{run}");
        assert_eq!(
            metadata["transformed"], self.may_change,
            "{metadata}\n{run}"
        );
        assert_eq!(metadata["items"], outcome.count, "{metadata}\n{run}");
        assert_eq!(
            project.path("out/table-schema.json").exists(),
            !self.is_data_only,
            "{run}"
        );
    }
}
