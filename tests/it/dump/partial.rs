//! Partial dumps, which are marked as such with the reason.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::client::{n, numbered, s};
use crate::support::engine::Engine;
use crate::support::project::{Project, run};

/// More than go through a transform together.
const ITEMS: usize = 300;

const RULES: &str = "[[rule]]\npath = \"text\"\naction = \"hash\"\n";

fn films() -> (Engine, Project) {
    let engine = Engine::embedded();
    engine.client().create_simple("films");
    let items = numbered(ITEMS)
        .into_iter()
        .enumerate()
        .map(|(number, mut item)| {
            item.insert("number".to_owned(), n(number));
            item
        });

    engine.client().put("films", items);
    let project = Project::on(&engine, "films");
    project.write("rules.toml", RULES);

    (engine, project)
}

/// The metadata of a dump with these options.
fn metadata(project: &Project, options: &[&str]) -> Value {
    let mut command = project.command("dumpdb", ["--output=out", "--yes"].iter().chain(options));
    command.env("DYNADUMP_MASK_KEY", "0123456789abcdef0123456789abcdef");
    run(command, Vec::new()).exits(0);
    project.verifydb(["out"]).exits(0);

    project.json("out/table-metadata.json")
}

#[test]
fn a_limit_that_is_reached_makes_the_dump_incomplete() {
    let (_engine, project) = films();
    let ways: [&[&str]; 7] = [
        &[],
        &["--transform=."],
        &["--transform=.mark = S(\"m\")"],
        &["--mask=rules.toml"],
        &["--transform-command=cat"],
        &[
            "--transform=.",
            "--transform-command=cat",
            "--mask=rules.toml",
        ],
        &["--where=true"],
    ];

    for way in ways {
        for limit in [1, 255, 256, 257, ITEMS - 1, ITEMS, ITEMS + 1] {
            let metadata = metadata(&project, &[way, &[&format!("--limit={limit}")]].concat());
            let case = format!("{way:?} --limit {limit}");
            assert_eq!(metadata["items"], limit.min(ITEMS), "{case}");

            // A page of as many items as were asked for does not say whether there are more.
            let is_limited = limit < ITEMS || limit == ITEMS && way.is_empty();
            let named = if is_limited {
                json!(limit)
            } else {
                Value::Null
            };

            assert_eq!(metadata["partial"]["limit"], named, "{case}");
            assert_eq!(
                metadata["complete"],
                !is_limited && way != ["--where=true"],
                "{case}"
            );
        }
    }
}

/// The second item that comes out of one is cut off.
#[test]
fn a_limit_within_what_comes_of_one_item_makes_a_part() {
    let (_engine, project) = films();
    let twice = r#"--transform=., (.id = S("copy of \(.id | str)"))"#;
    for limit in [1, 2, 2 * ITEMS - 1, 2 * ITEMS] {
        let metadata = metadata(&project, &[twice, &format!("--limit={limit}")]);
        assert_eq!(metadata["items"], limit);
        assert_eq!(metadata["complete"], limit == 2 * ITEMS, "--limit {limit}");
    }
}

/// The last page has more items than are wanted, and so has one before it.
#[test]
fn a_limit_within_any_page_makes_a_part_and_every_page_is_paid_for() {
    let engine = Engine::embedded();
    engine.client().create_simple("films");
    let padding = "x".repeat(170_000);
    for mut item in numbered(9) {
        item.insert("padding".to_owned(), s(&padding));
        engine.client().put_one("films", item);
    }

    let project = Project::on(&engine, "films");
    project.write("rules.toml", RULES);
    let all = metadata(&project, &[])["consumed_read_units"]
        .as_f64()
        .expect("a number");
    for limit in 1..=9 {
        let metadata = metadata(&project, &["--transform=.", &format!("--limit={limit}")]);
        assert_eq!(
            (&metadata["items"], &metadata["complete"]),
            (&json!(limit), &json!(limit == 9)),
            "{limit}"
        );

        let units = metadata["consumed_read_units"].as_f64().expect("a number");
        assert!(
            (all / 2.0..=all).contains(&units),
            "--limit {limit}: {units} of {all}"
        );
    }
}

#[test]
fn every_reason_for_a_part_is_named() {
    let (_engine, project) = films();
    let reasons: [(&str, &str); 5] = [
        ("--filter-expression=number < 250", "filter"),
        ("--projection-expression=id,number", "projection"),
        ("--sample=90%", "sample"),
        ("--where=.number | num > 5", "where"),
        ("--limit=20", "limit"),
    ];

    for first in 0..reasons.len() {
        for second in first..reasons.len() {
            for more in [&[][..], &["--transform=."], &["--mask=rules.toml"]] {
                if more == ["--mask=rules.toml"] && [first, second].contains(&1) {
                    // The projection leaves out what is masked, which is only a warning.
                    continue;
                }

                let (options, names): (BTreeSet<_>, BTreeSet<_>) =
                    [reasons[first], reasons[second]].into_iter().unzip();
                let options: Vec<_> = options.into_iter().chain(more.iter().copied()).collect();
                let metadata = metadata(&project, &options);
                assert_eq!(metadata["complete"], false, "{options:?}");
                let partial = metadata["partial"].as_object().expect("an object");

                // What a condition or a sample left out is counted under a name of its own.
                let told: BTreeSet<_> = partial
                    .keys()
                    .map(String::as_str)
                    .filter(|name| *name != "left_out")
                    .collect();

                assert_eq!(told, names, "{options:?}: {partial:?}");
            }
        }
    }
}
