//! `--where`, `--sample`, `--filter-expression`, `--projection-expression` and `--limit`.

use serde_json::Value;

use super::events::events;

#[test]
fn where_and_sample_select_items_and_mark_the_dump() {
    let (engine, _, project) = events(50);
    project
        .dumpdb(["--output=out", "--where", r#".type | str == "click""#])
        .exits(0);
    let metadata = project.json("out/table-metadata.json");
    assert_eq!(
        (
            &metadata["items"],
            &metadata["complete"],
            &metadata["transformed"]
        ),
        (&25.into(), &false.into(), &false.into())
    );

    assert_eq!(metadata["partial"]["where"], r#".type | str == "click""#);
    let text = project.text("out/dump-summary.txt");
    let complete = text
        .lines()
        .find_map(|line| line.trim().strip_prefix("Complete"));
    let complete = complete.expect("the summary says whether the dump is complete");
    assert!(complete.trim().starts_with("no: "), "{text}");

    let copy = engine.table("copy");
    project
        .restoredb(["--source=out", "--dry-run", "--table", &copy])
        .exits(0)
        .says("part of the table")
        .says("left out 25");

    let chosen = |share: &str, name: &str| {
        project
            .dumpdb([
                format!("--output={name}.jsonl"),
                format!("--sample={share}"),
            ])
            .exits(0);

        let text = project.text(format!("{name}.jsonl"));
        text.lines()
            .map(|line| serde_json::from_str::<Value>(line).expect("an item")["pk"].to_string())
            .collect::<Vec<_>>()
    };

    let (half, again, all) = (chosen("50%", "a"), chosen("50%", "b"), chosen("100%", "c"));
    assert_eq!((half.len(), all.len()), (again.len(), 50));

    for pk in 0..7 {
        let pk = format!(r#"{{"S":"p{pk}"}}"#);
        let count = |items: &[String]| items.iter().filter(|item| **item == pk).count();
        assert!(
            [0, count(&all)].contains(&count(&half)),
            "a partition is taken whole or not at all"
        );
    }
}

#[test]
fn filter_and_projection_are_applied_by_the_table() {
    let (_engine, _, project) = events(50);
    let filter = r#"type = "click" and timestamp >= 1700000010"#;
    let run = project
        .dumpdb([
            "--output=out",
            "--filter-expression",
            filter,
            "--projection-expression=type",
        ])
        .exits(0);
    run.says("filter type")
        .says("complete no, part of the table");
    let metadata = project.json("out/table-metadata.json");
    assert_eq!(
        (&metadata["items"], &metadata["complete"]),
        (&20.into(), &false.into())
    );
    assert_eq!(
        (
            &metadata["partial"]["filter"],
            &metadata["partial"]["projection"]
        ),
        (&filter.into(), &"type".into())
    );

    let data = project.json("out/table-data.json");
    for item in data["Items"].as_array().expect("items") {
        let mut names: Vec<&String> = item.as_object().expect("an item").keys().collect();
        names.sort();
        assert_eq!(names, ["old_sk", "pk", "type"]);
    }

    let own = [
        r##"--expression-attribute-names={"#t":"type"}"##,
        r#"--expression-attribute-values={":v":{"S":"view"}}"#,
        "--limit=5",
    ];

    project
        .dumpdb(
            ["--output=own.jsonl", "--filter-expression=#t = :v"]
                .iter()
                .chain(&own),
        )
        .exits(0);

    let text = project.text("own.jsonl");
    assert_eq!(
        (text.lines().count(), text.matches("click").count()),
        (5, 0)
    );
    let run = project
        .dumpdb(["--output=bad", "--filter-expression=type = = 1"])
        .exits(2);
    run.says("DynamoDB rejected the filter or projection expression: ");
    project
        .dumpdb(["--output=bad", "--filter-expression=a = 'b"])
        .exits(2)
        .says("column 5");
    project
        .dumpdb([
            "--output=bad",
            "--filter-expression=a = :b",
            "--expression-attribute-values=[]",
        ])
        .exits(2)
        .says("--expression-attribute-values is not a JSON object");
}

#[test]
fn sampled_dump_equals_a_sampled_table() {
    let (_engine, table, project) = events(50);
    project.dumpdb(["--output=out", "--sample=50%"]).exits(0);
    let items = project.json("out/table-metadata.json")["items"].clone();
    let report = project
        .verifydb([
            "--source=out",
            "--env=local",
            "--exact",
            "--sample=50%",
            "--json",
        ])
        .exits(0)
        .report();

    assert_eq!(
        (&report["summary"]["equal"], &report["summary"]["extra"]),
        (&items, &0.into()),
        "{table}: {report:#}"
    );
}

#[test]
fn limit_counts_transformed_items() {
    let (_engine, _, project) = events(50);
    let run = project
        .dumpdb([
            "--output=out.jsonl",
            "--limit=7",
            "--where",
            r#".type | str == "view""#,
        ])
        .exits(0);

    run.says("complete no, part of the table");
    let text = project.text("out.jsonl");
    assert_eq!(
        (text.lines().count(), text.matches("click").count()),
        (7, 0)
    );
}
