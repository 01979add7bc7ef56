//! A comparison: facts, and the findings.

use crate::ops::guard::verify::{ComparedDump, ComparedTables, ComparisonFacts, compare};
use crate::ops::guard::{Fact, Findings};

type Row = (
    &'static str,
    ComparisonFacts<'static>,
    &'static [&'static str],
);

#[test]
fn each_finding_follows_from_its_facts() {
    for (name, facts, expected) in rows() {
        let findings = compare(&facts).map(|warnings| Findings {
            warnings,
            ..Findings::default()
        });
        assert_eq!(super::lines(findings), expected, "{name}");
    }
}

fn with_dump(dump: ComparedDump) -> ComparisonFacts<'static> {
    ComparisonFacts {
        dump: Fact::Known(dump),
        ..ComparisonFacts::default()
    }
}

fn with_tables(are_same: bool) -> ComparisonFacts<'static> {
    let tables = ComparedTables {
        table: "films",
        environment: "staging",
        are_same,
    };
    ComparisonFacts {
        tables: Fact::Known(tables),
        ..ComparisonFacts::default()
    }
}

fn rows() -> Vec<Row> {
    vec![
        ("nothing is known yet", ComparisonFacts::default(), &[]),
        (
            "a table and a complete dump",
            with_dump(ComparedDump::default()),
            &[],
        ),
        (
            "a table and standard input",
            with_dump(ComparedDump {
                is_stream: true,
                ..ComparedDump::default()
            }),
            &[
                "refused (Usage): items from a stream cannot be compared: a stream can be read only once",
            ],
        ),
        (
            "a table and a dump of a part",
            with_dump(ComparedDump {
                partial: Some(vec![
                    "limit 100".to_owned(),
                    "filter_expression a > b".to_owned(),
                ]),
                ..ComparedDump::default()
            }),
            &[
                "warning: the dump contains part of the table (limit 100, filter_expression a > b): the table may contain more items",
            ],
        ),
        ("two tables", with_tables(false), &[]),
        (
            "a table and itself",
            with_tables(true),
            &["refused (Usage): table films of environment staging would be compared with itself"],
        ),
    ]
}
