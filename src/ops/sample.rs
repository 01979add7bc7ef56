//! Fills a new embedded database from the environment's sample dump.

use std::path::Path;

use bytes::Bytes;

use super::run_blocking;
use crate::backup::{Source, SourceSpec};
use crate::environment::{Endpoint, Environment};
use crate::error::{Error, Result};
use crate::limits;
use crate::store::{EmbeddedDatabase, MissingDatabase};

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

    let sample = sample.to_owned();
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
fn create_file(file: &Path, sample: &Path) -> Result<()> {
    database_of(sample)?.publish(file).map(drop)
}

/// A database with the table and the items of a sample dump.
fn database_of(sample: &Path) -> Result<EmbeddedDatabase> {
    let refused = |error: String| {
        Error::damaged(format!(
            "the sample {} cannot be loaded: {error}",
            sample.display()
        ))
        .with_hint("check DYNADUMP_SAMPLE in the env file")
    };
    let rejected = |error: Error| refused(error.to_string());

    let source = Source::open(&SourceSpec::path(sample))?;
    let schema = source
        .schema()
        .ok_or_else(|| refused("it has no schema".into()))?;
    let table = schema
        .table_name()
        .ok_or_else(|| refused("its schema names no table".into()))?
        .to_owned();

    let database = EmbeddedDatabase::in_memory()?;
    database
        .create_table(&schema.create_table_request(&table)?)
        .map_err(rejected)?;

    let mut items = source.items()?;
    let mut batch: Vec<Bytes> = Vec::new();
    while let Some(item) = items.next_item()? {
        batch.push(item.text);
        if batch.len() == limits::BATCH_WRITE_ITEMS {
            database.write(&table, &batch).map_err(rejected)?;
            batch.clear();
        }
    }

    if !batch.is_empty() {
        database.write(&table, &batch).map_err(rejected)?;
    }

    Ok(database)
}

#[cfg(test)]
mod tests {
    use dynoxide::Database;

    use super::*;

    const SAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/envs/sample");

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
        create_file(&file, Path::new(SAMPLE)).unwrap();
        assert_eq!(tables(&file), ["theirs"]);
    }

    #[test]
    fn a_new_database_has_the_table_of_the_sample_and_is_the_only_new_file() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("new/demo.db");
        create_file(&file, Path::new(SAMPLE)).unwrap();
        let names: Vec<_> = std::fs::read_dir(dir.path().join("new"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(names, ["demo.db"]);
        assert_eq!(tables(&file), ["FilmCatalogue"]);
    }
}
