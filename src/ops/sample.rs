//! Fills a new embedded database from the environment's sample dump.

use std::path::Path;

use bytes::Bytes;

use super::run_blocking;
use crate::backup::{Source, SourceSpec};
use crate::environment::{Endpoint, Environment, Sample};
use crate::error::{Error, Result};
use crate::limits;
use crate::schema::TableSchema;
use crate::store::{EmbeddedDatabase, MissingDatabase};

/// The dump in this program.
const BUILT_IN_SCHEMA: &str = include_str!("../../envs/sample/table-schema.json");
const BUILT_IN_ITEMS: &str = include_str!("../../envs/sample/table-data.json");

/// Fills the environment's database from its sample, if it has one and the database is new. A
/// missing file is created, unless `missing` requests a database in memory. What must not become a
/// file is returned, to be used as the
/// [database](crate::store::StoreOptions::database) of the store.
///
/// # Errors
/// The sample cannot be read, or the engine rejects it; the file cannot be written.
pub async fn load(
    environment: &Environment,
    missing: MissingDatabase,
) -> Result<Option<EmbeddedDatabase>> {
    let (Endpoint::Embedded { file, .. }, Some(sample)) =
        (environment.endpoint(), environment.sample())
    else {
        return Ok(None);
    };

    if file.as_ref().is_some_and(|file| file.exists()) {
        return Ok(None);
    }

    let sample = sample.clone();
    let file = file
        .clone()
        .filter(|_| missing != MissingDatabase::InMemory);
    run_blocking("loading the sample", move || match file {
        Some(file) => create_file(&file, &sample).map(|()| None),
        None => database_of(&sample).map(Some),
    })
    .await
}

/// Creates the database file. If another process has created it in the meantime, that file is used: it may
/// contain writes already.
fn create_file(file: &Path, sample: &Sample) -> Result<()> {
    database_of(sample)?.publish(file).map(drop)
}

/// A database with the table and the items of a sample dump.
fn database_of(sample: &Sample) -> Result<EmbeddedDatabase> {
    match sample {
        Sample::Folder(folder) => database_of_folder(folder),
        Sample::BuiltIn => {
            let schema = TableSchema::parse(BUILT_IN_SCHEMA.as_bytes())?;
            let mut lines = built_in_items();

            fill(&schema, || Ok(lines.next()))
        }
    }
}

/// The items of the built-in dump, which are on a line each, between the first line and the last.
fn built_in_items() -> impl Iterator<Item = Bytes> {
    BUILT_IN_ITEMS
        .lines()
        .skip(1)
        .take_while(|line| line.starts_with('{'))
        .map(|line| Bytes::from_static(line.trim_end_matches(',').as_bytes()))
}

fn database_of_folder(folder: &Path) -> Result<EmbeddedDatabase> {
    let refused = |error: String| {
        Error::damaged(format!(
            "the sample {} cannot be loaded: {error}",
            folder.display()
        ))
        .with_hint("check DYNADUMP_SAMPLE in the env file")
    };

    let source = Source::open(&SourceSpec::path(folder))?;
    let schema = source
        .schema()
        .ok_or_else(|| refused("it has no schema".into()))?;
    let mut items = source.items()?;

    fill(schema, || Ok(items.next_item()?.map(|item| item.text)))
        .map_err(|error| refused(error.to_string()))
}

/// A database with this table and these items.
fn fill(
    schema: &TableSchema,
    mut next_item: impl FnMut() -> Result<Option<Bytes>>,
) -> Result<EmbeddedDatabase> {
    let table = schema
        .table_name()
        .ok_or_else(|| Error::damaged("its schema names no table"))?
        .to_owned();

    let database = EmbeddedDatabase::in_memory()?;
    database.create_table(&schema.create_table_request(&table)?)?;

    let mut batch: Vec<Bytes> = Vec::new();
    while let Some(item) = next_item()? {
        batch.push(item);
        if batch.len() == limits::BATCH_WRITE_ITEMS {
            database.write(&table, &batch)?;
            batch.clear();
        }
    }

    if !batch.is_empty() {
        database.write(&table, &batch)?;
    }

    Ok(database)
}

#[cfg(test)]
mod tests {
    use dynoxide::Database;

    use super::*;

    fn folder() -> Sample {
        Sample::Folder(concat!(env!("CARGO_MANIFEST_DIR"), "/envs/sample").into())
    }

    /// The tables in a database file.
    fn tables(file: &Path) -> Vec<String> {
        let database = Database::new(file.to_str().unwrap()).unwrap();
        database
            .list_tables(serde_json::from_str("{}").unwrap())
            .unwrap()
            .table_names
    }

    #[test]
    fn a_database_created_by_another_process_in_the_meantime_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("demo.db");
        {
            let theirs = Database::new(file.to_str().unwrap()).unwrap();
            let table = r#"{"TableName":"theirs","BillingMode":"PAY_PER_REQUEST",
                "AttributeDefinitions":[{"AttributeName":"id","AttributeType":"S"}],
                "KeySchema":[{"AttributeName":"id","KeyType":"HASH"}]}"#;
            theirs
                .create_table(serde_json::from_str(table).unwrap())
                .unwrap();
        }

        // As if the file had been missing when it was looked for.
        create_file(&file, &folder()).unwrap();
        assert_eq!(tables(&file), ["theirs"]);
    }

    #[test]
    fn the_built_in_dump_has_the_items_of_the_folder() {
        let Sample::Folder(path) = folder() else {
            unreachable!()
        };
        let source = Source::open(&SourceSpec::Path(path)).unwrap();
        let mut items = source.items().unwrap();
        let of_folder: Vec<Bytes> =
            std::iter::from_fn(|| items.next_item().unwrap().map(|item| item.text)).collect();

        assert_eq!(built_in_items().collect::<Vec<_>>(), of_folder);
        assert_eq!(of_folder.len(), 312);
    }

    #[test]
    fn a_new_database_has_the_table_of_the_sample_and_is_the_only_new_file() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("new/demo.db");
        create_file(&file, &Sample::BuiltIn).unwrap();
        let names: Vec<_> = std::fs::read_dir(dir.path().join("new"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(names, ["demo.db"]);
        assert_eq!(tables(&file), ["FilmCatalogue"]);
    }
}
