//! `restoredb` with every pair of its options, into a missing table and into one with items.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Value, json};

use super::model::{
    CommandOption, ITEMS, Items, Outcome, Steps, all_items, by_id, each_pair, item, option,
};
use crate::support::client::{Client, Item as ClientItem};
use crate::support::engine::Engine;
use crate::support::project::{Project, Run};

/// Items of the table that exists: the first of these have other texts than the dump's, the others are the dump's.
const THERE: usize = 15;
const DIFFERENT: usize = 10;

/// The table that is written.
const TARGET: &str = "copy";

/// What the options of one command line mean.
#[derive(Debug, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is an option of its own"
)]
struct Model {
    steps: Steps,
    existing: Existing,
    existing_choices: u8,
    conflicts: Conflicts,
    is_strict: bool,
    has_no_create: bool,
    is_schema_only: bool,
    is_data_only: bool,
    is_dry_run: bool,
    has_other_key: bool,
    has_setting_option: bool,
    has_items_option: bool,
    applies_settings: bool,
    verify: Option<&'static str>,
}

/// What happens if the table exists.
#[derive(Debug, Default, PartialEq, Eq)]
enum Existing {
    #[default]
    Merge,
    Keep,
    Fill,
    Replace,
}

/// What happens if a key exists.
#[derive(Debug, Default, PartialEq, Eq)]
enum Conflicts {
    #[default]
    Overwrite,
    Skip,
    Fail,
}

const OPTIONS: &[CommandOption<Model>] = &[
    option(&["--if-missing"], |model| {
        model.existing = Existing::Keep;
        model.existing_choices += 1;
    }),
    option(&["--if-empty"], |model| {
        model.existing = Existing::Fill;
        model.existing_choices += 1;
    }),
    option(&["--replace"], |model| {
        model.existing = Existing::Replace;
        model.existing_choices += 1;
    }),
    option(&["--no-create"], |model| {
        model.has_no_create = true;
        model.existing_choices += 1;
    }),
    option(&["--schema-only"], |model| model.is_schema_only = true),
    option(&["--data-only"], |model| model.is_data_only = true),
    option(&["--on-conflict=skip"], |model| {
        model.conflicts = Conflicts::Skip;
    }),
    option(&["--on-conflict=fail"], |model| {
        model.conflicts = Conflicts::Fail;
    }),
    option(&["--batch-size=3"], |_| ()),
    option(&["--strict"], |model| model.is_strict = true),
    option(&["--resume"], |_| ()),
    option(&["--salvage"], |_| ()),
    option(&["--verify=none"], |model| model.verify = Some("none")),
    option(&["--verify=full"], |model| model.verify = Some("full")),
    option(&["--max-wcu=100000"], |model| model.has_items_option = true),
    option(&["--max-rcu=100000"], |model| model.has_items_option = true),
    option(&["--where=.n | num % 2 == 0"], |model| {
        model.steps.is_even = true;
        model.has_items_option = true;
    }),
    option(&["--transform=.flag = BOOL(true)"], |model| {
        model.steps.has_flag = true;
        model.has_items_option = true;
    }),
    option(
        &["--transform=if .n | num % 10 == 4 then error(\"unwanted\") else . end"],
        |model| {
            model.steps.rejects = Some(4);
            model.has_items_option = true;
        },
    ),
    option(&["--transform-command=cat"], |model| {
        model.has_items_option = true;
    }),
    option(&["--transform-python=copy:copy"], |model| {
        model.has_items_option = true;
    }),
    option(&["--mask=rules.toml"], |model| {
        model.steps.drops_text = true;
        model.has_items_option = true;
    }),
    option(&["--key-schema=group:S,id:S"], |model| {
        model.has_other_key = true;
        model.has_setting_option = true;
    }),
    option(
        &[
            "--billing-mode=provisioned",
            "--read-capacity=50",
            "--write-capacity=50",
        ],
        |model| {
            model.has_setting_option = true;
        },
    ),
    option(&["--apply-settings"], |model| {
        model.applies_settings = true;
        model.has_setting_option = true;
    }),
    option(&["--without=ttl"], |model| model.has_setting_option = true),
    option(&["--concurrency=1"], |_| ()),
    option(&["--wire-compression=on"], |_| ()),
    option(&["--dry-run"], |model| model.is_dry_run = true),
];

/// One engine, a dump of 60 items, and the table that is written.
struct World {
    _engine: Engine,
    client: Client,
    project: Project,
}

impl World {
    fn new() -> Self {
        let engine = Engine::embedded();
        let client = engine.client();
        client.create_simple("films");
        client.put("films", (0..ITEMS).map(|n| of_json(&item(n))));
        let project = Project::on(&engine, "films");
        project.write(
            "rules.toml",
            "[[rule]]\npath = \"text\"\naction = \"drop\"\n",
        );
        project.dumpdb(["--output=dump"]).exits(0);
        Self {
            _engine: engine,
            client,
            project,
        }
    }

    /// Makes the target as it is before a restore.
    fn prepare(&self, exists: bool) -> Items {
        self.client.delete_if_there(TARGET);
        // A run that stopped in the pair before may be resumed; it is not part of this one.
        let _ = std::fs::remove_dir_all(self.project.path(".local/state"));
        if !exists {
            return Items::new();
        }

        self.client.create_simple(TARGET);
        let items = (0..THERE).map(|n| {
            let mut item = item(n);
            if n < DIFFERENT {
                item["text"]["S"] = "an earlier text".into();
            }

            item
        });

        let items = by_id(items.chain([json!({"id": {"S": "its own"}, "n": {"N": "1000"}})]));
        self.client.put(TARGET, items.values().map(of_json));

        items
    }

    /// The items of the target; `None` if there is no table.
    fn target(&self) -> Option<Items> {
        self.client.describe(TARGET)?;
        Some(by_id(
            self.client
                .items(TARGET)
                .into_values()
                .map(|item| to_json(&item)),
        ))
    }

    fn check(&self, words: &[&str], model: &Model, exists: bool) {
        let before = self.prepare(exists);
        let run = self.project.restoredb(
            ["--source=dump", "--table=copy", "--yes", "--json"]
                .iter()
                .chain(words),
        );

        if let Some(code) = model.refusal(exists) {
            let run = run.exits(code);
            assert_eq!(
                self.target(),
                exists.then_some(before),
                "a refused run changed the table\n{run}"
            );
        } else if model.is_dry_run {
            let run = run.exits(0);
            assert_eq!(
                self.target(),
                exists.then_some(before),
                "a dry run changed the table\n{run}"
            );
        } else {
            model.check(self, exists.then_some(before), run);
        }
    }
}

#[test]
fn every_pair_of_restore_options_into_a_missing_table() {
    let world = World::new();
    each_pair(OPTIONS, |words, model| world.check(words, model, false));
}

#[test]
fn every_pair_of_restore_options_into_a_table_with_items() {
    let world = World::new();
    each_pair(OPTIONS, |words, model| world.check(words, model, true));
}

impl Model {
    /// The exit code of a command line that is refused before anything is changed.
    fn refusal(&self, exists: bool) -> Option<i32> {
        if self.is_contradiction() {
            return Some(2);
        }

        if !exists && (self.has_no_create || self.is_data_only) {
            return Some(11);
        }

        if exists && self.has_other_key && self.existing == Existing::Merge {
            return Some(13);
        }

        None
    }

    /// Whether the command line contradicts itself.
    fn is_contradiction(&self) -> bool {
        let keeps = self.existing == Existing::Keep;
        let fills = self.existing == Existing::Fill;
        let replaces = self.existing == Existing::Replace;
        let writes_items_only = self.is_data_only && (keeps || replaces || self.has_setting_option);
        let leaves_settings =
            self.has_no_create && self.has_setting_option && !self.applies_settings;
        let writes_no_items = self.is_schema_only
            && (self.is_data_only || self.has_no_create || self.has_items_option);

        (keeps && self.applies_settings)
            || (fills && self.is_schema_only)
            || self.existing_choices > 1
            || writes_items_only
            || leaves_settings
            || writes_no_items
    }

    fn check(&self, world: &World, before: Option<Items>, run: Run) {
        let is_kept = before.is_some() && matches!(self.existing, Existing::Keep | Existing::Fill);
        let base = before
            .filter(|_| self.existing != Existing::Replace)
            .unwrap_or_default();

        if is_kept || self.is_schema_only {
            let run = run.exits(0);
            assert_eq!(world.target(), Some(base), "{run}");
            return;
        }

        let outcome = self.steps.apply(&all_items());
        let merged = self.merged(base.clone(), &outcome);

        if self.is_strict && merged.rejected > 0 {
            // The run stops in the middle: each item is as before, or as the dump has it.
            let run = run.exits(3);
            for (id, item) in world.target().unwrap_or_default() {
                assert!(
                    base.get(&id) == Some(&item) || outcome.items.get(&id) == Some(&item),
                    "{item}\n{run}"
                );
            }

            return;
        }

        let run = run.exits(if merged.rejected > 0 { 3 } else { 0 });
        assert_eq!(world.target().as_ref(), Some(&merged.items), "{run}");
        let report = run.report();
        let summary = &report["summary"];
        for (field, count) in [
            ("items_read", ITEMS),
            ("items_rejected", merged.rejected),
            ("items_skipped", merged.skipped),
            (
                "items_written",
                outcome.count - merged.skipped - (merged.rejected - outcome.rejected),
            ),
            ("items_superseded", 0),
            ("items_lost", 0),
        ] {
            assert_eq!(summary[field], count, "{field}\n{run}");
        }

        let is_listed = !summary["rejects_file"].is_null();
        assert_eq!(is_listed, merged.rejected > 0, "{run}");

        if let Some(mode) = self.verify {
            assert_eq!(summary["verified"]["mode"], mode, "{run}");
        }
    }

    /// What a table of `base` holds when `outcome` has been written to it.
    fn merged(&self, base: Items, outcome: &Outcome) -> Merged {
        let mut merged = Merged {
            items: base,
            rejected: outcome.rejected,
            skipped: 0,
        };

        for (id, item) in &outcome.items {
            let is_conflict = merged.items.get(id).is_some_and(|there| there != item);
            match self.conflicts {
                Conflicts::Skip if is_conflict => merged.skipped += 1,
                Conflicts::Fail if is_conflict => merged.rejected += 1,
                Conflicts::Overwrite | Conflicts::Skip | Conflicts::Fail => {
                    merged.items.insert(id.clone(), item.clone());
                }
            }
        }

        merged
    }
}

/// A table after a restore.
struct Merged {
    items: Items,
    rejected: usize,
    skipped: usize,
}

/// An item in the client's types. Only the types that the test's items have.
fn of_json(item: &Value) -> ClientItem {
    let value = |value: &Value| {
        let (kind, text) = value
            .as_object()
            .and_then(|value| value.iter().next())
            .expect("one type");
        let text = text.as_str().map(str::to_owned).expect("a text");
        if kind == "N" {
            AttributeValue::N(text)
        } else {
            AttributeValue::S(text)
        }
    };

    item.as_object()
        .expect("an item")
        .iter()
        .map(|(name, typed)| (name.clone(), value(typed)))
        .collect()
}

fn to_json(item: &HashMap<String, AttributeValue>) -> Value {
    let value = |value: &AttributeValue| match value {
        AttributeValue::S(text) => json!({"S": text}),
        AttributeValue::N(digits) => json!({"N": digits}),
        AttributeValue::Bool(is_true) => json!({"BOOL": is_true}),
        other => panic!("no item of the test has {other:?}"),
    };

    item.iter()
        .map(|(name, typed)| (name.clone(), value(typed)))
        .collect()
}
