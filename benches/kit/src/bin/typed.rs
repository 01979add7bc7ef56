//! What dump and restore cost by the SDK's own types: every page decoded into `AttributeValue`s and encoded again.

use std::collections::HashMap;
use std::error::Error;
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::PathBuf;

use aws_credential_types::Credentials;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::{BehaviorVersion, Region};
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::{AttributeValue, PutRequest, WriteRequest};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::{Parser, ValueEnum};
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

type Item = HashMap<String, AttributeValue>;
type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// Batches in flight.
const CALLS: usize = 16;

#[derive(Clone, Copy, ValueEnum)]
enum Direction {
    Dump,
    Restore,
}

#[derive(Parser)]
struct Options {
    direction: Direction,
    #[arg(long)]
    endpoint: String,
    #[arg(long)]
    table: String,
    /// JSON Lines
    #[arg(long)]
    file: PathBuf,
    #[arg(long, default_value_t = 4)]
    segments: i32,
}

#[tokio::main]
async fn main() -> Outcome<()> {
    let options = Options::parse();
    let config = aws_sdk_dynamodb::config::Builder::new()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::from_keys("test", "test", None))
        .endpoint_url(&options.endpoint)
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .build();

    let client = Client::from_conf(config);
    match options.direction {
        Direction::Dump => dump(client, options).await,
        Direction::Restore => restore(client, options).await,
    }
}

async fn dump(client: Client, options: Options) -> Outcome<()> {
    let (pages, mut waiting) = mpsc::channel::<Vec<Item>>(4);
    let mut scans = JoinSet::new();
    for segment in 0..options.segments {
        let (client, table, pages) = (client.clone(), options.table.clone(), pages.clone());
        scans.spawn(scan(client, table, segment, options.segments, pages));
    }

    drop(pages);
    let writer = tokio::task::spawn_blocking(move || -> Outcome<()> {
        let mut out = BufWriter::with_capacity(1 << 20, File::create(options.file)?);
        while let Some(items) = waiting.blocking_recv() {
            for item in &items {
                encode_map(item, &mut out)?;
                out.write_all(b"\n")?;
            }
        }

        Ok(out.into_inner()?.sync_all()?)
    });

    while let Some(scan) = scans.join_next().await {
        scan??;
    }

    writer.await?
}

async fn scan(
    client: Client,
    table: String,
    segment: i32,
    segments: i32,
    pages: mpsc::Sender<Vec<Item>>,
) -> Outcome<()> {
    let mut start = None;
    loop {
        let call = client.scan().table_name(&table).segment(segment).total_segments(segments);
        let page = call.set_exclusive_start_key(start).send().await?;
        pages.send(page.items.unwrap_or_default()).await?;
        start = page.last_evaluated_key;

        if start.is_none() {
            return Ok(());
        }
    }
}

fn encode_map(map: &Item, out: &mut impl Write) -> Outcome<()> {
    out.write_all(b"{")?;
    for (index, (name, value)) in map.iter().enumerate() {
        if index > 0 {
            out.write_all(b",")?;
        }

        serde_json::to_writer(&mut *out, name)?;
        out.write_all(b":")?;
        encode(value, out)?;
    }

    Ok(out.write_all(b"}")?)
}

fn encode(value: &AttributeValue, out: &mut impl Write) -> Outcome<()> {
    let (tag, plain) = match value {
        AttributeValue::S(text) => ("S", Value::from(text.as_str())),
        AttributeValue::N(text) => ("N", Value::from(text.as_str())),
        AttributeValue::B(blob) => ("B", Value::from(STANDARD.encode(blob))),
        AttributeValue::Bool(value) => ("BOOL", Value::from(*value)),
        AttributeValue::Null(value) => ("NULL", Value::from(*value)),
        AttributeValue::Ss(texts) => ("SS", Value::from(texts.as_slice())),
        AttributeValue::Ns(texts) => ("NS", Value::from(texts.as_slice())),
        AttributeValue::Bs(blobs) => ("BS", blobs.iter().map(|blob| STANDARD.encode(blob)).collect()),
        AttributeValue::M(map) => {
            out.write_all(br#"{"M":"#)?;
            encode_map(map, out)?;
            return Ok(out.write_all(b"}")?);
        }
        AttributeValue::L(list) => {
            out.write_all(br#"{"L":["#)?;
            for (index, value) in list.iter().enumerate() {
                if index > 0 {
                    out.write_all(b",")?;
                }

                encode(value, out)?;
            }

            return Ok(out.write_all(b"]}")?);
        }
        _ => return Err("a type that this program does not know".into()),
    };

    write!(out, r#"{{"{tag}":"#)?;
    serde_json::to_writer(&mut *out, &plain)?;

    Ok(out.write_all(b"}")?)
}

async fn restore(client: Client, options: Options) -> Outcome<()> {
    let mut calls = JoinSet::new();
    let mut batch = Vec::new();
    for line in BufReader::with_capacity(1 << 20, File::open(&options.file)?).lines() {
        let item = decode_map(serde_json::from_str(&line?)?)?;
        let put = PutRequest::builder().set_item(Some(item)).build()?;
        batch.push(WriteRequest::builder().put_request(put).build());

        if batch.len() == 25 {
            write(&mut calls, &client, &options.table, std::mem::take(&mut batch)).await?;
        }
    }

    if !batch.is_empty() {
        write(&mut calls, &client, &options.table, batch).await?;
    }

    while let Some(call) = calls.join_next().await {
        call??;
    }

    Ok(())
}

async fn write(
    calls: &mut JoinSet<Outcome<()>>,
    client: &Client,
    table: &str,
    batch: Vec<WriteRequest>,
) -> Outcome<()> {
    if calls.len() == CALLS
        && let Some(call) = calls.join_next().await
    {
        call??;
    }

    let call = client.batch_write_item().request_items(table, batch);
    calls.spawn(async move {
        call.send().await?;
        Ok(())
    });

    Ok(())
}

fn decode_map(value: Value) -> Outcome<Item> {
    let Value::Object(members) = value else { return Err("not an object".into()) };
    members.into_iter().map(|(name, value)| Ok((name, decode(value)?))).collect()
}

fn decode(value: Value) -> Outcome<AttributeValue> {
    let Value::Object(members) = value else { return Err("not an object".into()) };
    let (tag, value) = members.into_iter().next().ok_or("an empty object")?;
    let text = |value: Value| if let Value::String(text) = value { Ok(text) } else { Err("not a string") };
    let list = |value: Value| if let Value::Array(list) = value { Ok(list) } else { Err("not an array") };
    let blob = |text: String| STANDARD.decode(text).map(Blob::new);
    Ok(match tag.as_str() {
        "S" => AttributeValue::S(text(value)?),
        "N" => AttributeValue::N(text(value)?),
        "B" => AttributeValue::B(blob(text(value)?)?),
        "BOOL" => AttributeValue::Bool(value == Value::Bool(true)),
        "NULL" => AttributeValue::Null(true),
        "M" => AttributeValue::M(decode_map(value)?),
        "L" => AttributeValue::L(list(value)?.into_iter().map(decode).collect::<Outcome<_>>()?),
        "SS" => AttributeValue::Ss(list(value)?.into_iter().map(text).collect::<Result<_, _>>()?),
        "NS" => AttributeValue::Ns(list(value)?.into_iter().map(text).collect::<Result<_, _>>()?),
        "BS" => {
            let texts = list(value)?.into_iter().map(text);
            AttributeValue::Bs(texts.map(|text| Ok(blob(text?)?)).collect::<Outcome<_>>()?)
        }
        _ => return Err("a type that this program does not know".into()),
    })
}
