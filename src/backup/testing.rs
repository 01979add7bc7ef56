//! Small dumps for tests.

use std::path::Path;

use bytes::Bytes;

use super::metadata::tests::unfinished;
use super::{
    DumpOptions, DumpTarget, DumpWriter, FinishedDump, ItemCounter, Metadata, Source, SourceSpec,
    check,
};
use crate::item::{Items, split_items};
use crate::place::local::folders::entries;
use crate::schema::TableSchema;

/// Items with these texts.
pub(crate) fn items(texts: &[&str]) -> Items {
    let body = format!("{{\"Items\":[{}]}}", texts.join(","));
    split_items(Bytes::from(body), &["Items"]).unwrap().items
}

/// Two items; one contains everything that could break a line.
pub(crate) const TWO: [&str; 2] = [
    r#"{"pk":{"S":"a"}, "n":{"N":"1.50"}}"#,
    r#"{"pk":{"S":"],\n\"Items\":[ \u0000"}}"#,
];

/// The schema of a table.
pub(crate) fn schema(table: &str) -> TableSchema {
    let document = format!(
        r#"{{"Table":{{"TableName":"{table}","TableStatus":"ACTIVE","KeySchema":[{{"AttributeName":"pk","KeyType":"HASH"}}],"AttributeDefinitions":[{{"AttributeName":"pk","AttributeType":"S"}}],"BillingModeSummary":{{"BillingMode":"PAY_PER_REQUEST"}}}}}}"#
    );
    TableSchema::parse(document.as_bytes()).unwrap()
}

/// The metadata of a table that is dumped.
pub(crate) fn metadata_of(table: &str) -> Metadata {
    Metadata {
        table: table.into(),
        ..unfinished()
    }
}

/// Dumps the two items of a table.
pub(crate) fn dump(target: &DumpTarget, options: &DumpOptions, table: &str) -> FinishedDump {
    let mut writer = DumpWriter::begin(target, options).unwrap();
    writer.append(&items(&TWO), 0).unwrap();
    writer
        .finish(Some(&schema(table)), metadata_of(table))
        .unwrap()
}

/// Dumps into a folder with the default options.
pub(crate) fn dump_folder(folder: &Path, table: &str) {
    dump(&DumpTarget::folder(folder), &DumpOptions::default(), table);
}

/// Opens a source.
pub(crate) fn open(path: &Path) -> crate::error::Result<Source> {
    Source::open(&SourceSpec::path(path))
}

/// The name of the table in the dump at `path`, which must pass the check.
pub(crate) fn whole_table(path: &Path) -> String {
    let source = open(path).unwrap();
    assert_eq!(
        check(&source, ItemCounter::default(), &mut |_, _| {})
            .unwrap()
            .items,
        2
    );
    source.table_name().unwrap().to_owned()
}

/// Names in a folder, sorted.
pub(crate) fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = entries(folder)
        .unwrap()
        .map(|entry| entry.unwrap().name.into_string().unwrap())
        .collect();
    names.sort();

    names
}
