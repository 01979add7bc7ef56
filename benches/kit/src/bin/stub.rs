//! A stub of DynamoDB: answers `DescribeTable`, `Scan` with prepared pages, and `BatchWriteItem` by forgetting the items. It
//! costs little beside what is measured, and gives the same bytes in every run. `GET /pages/<n>` is the answer to the Scan of
//! that page, for whoever only fetches.
//! With `--tables`, there are many small tables, whose control plane has the rates of AWS; `GET /control` returns its calls.
//! With `--partitions`, there is one table, whose partitions throttle; `GET /seconds` returns what they served.

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use dynadump_bench::answers::Stub;
use dynadump_bench::bucket::Bucket;
use dynadump_bench::counted::{Counted, Counters};
use dynadump_bench::pages::Pages;
use dynadump_bench::partitions::{Layout, PartitionedTable};
use dynadump_bench::tables::SmallTables;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

/// A stub of DynamoDB. The table NAME-N has N pages of about 1 MB.
#[derive(Parser)]
struct Options {
    /// listen on this port of 127.0.0.1; 0 takes any
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// prepare so many different pages; a longer table repeats them
    #[arg(long, default_value_t = 64)]
    distinct: u64,
    /// compress pages for clients that accept it
    #[arg(long)]
    gzip: bool,
    /// speak TLS, and write the certificate of the authority that clients must trust to this file
    #[arg(long, value_name = "FILE")]
    tls: Option<PathBuf>,
    /// wait so many milliseconds before each answer
    #[arg(long, default_value_t = 0)]
    latency: u64,
    /// serve at most so many read units per second
    #[arg(long)]
    read_units: Option<f64>,
    /// take at most so many write units per second
    #[arg(long)]
    write_units: Option<f64>,
    /// Serve this number of small tables in place of the pages, and tables that are created
    #[arg(long, conflicts_with = "partitions")]
    tables: Option<u64>,
    /// Milliseconds for which a new table is CREATING
    #[arg(long, default_value_t = 0)]
    creation: u64,
    /// Multiply the rates of the control plane by this
    #[arg(long, default_value_t = 1.0)]
    rate_factor: f64,
    /// Serve one table with this number of partitions in place of the pages. Requires --items
    #[arg(long, requires = "items")]
    partitions: Option<usize>,
    /// Number of items of the table with partitions
    #[arg(long, requires = "partitions")]
    items: Option<u64>,
    /// Read units per second of each partition
    #[arg(long)]
    partition_read_units: Option<f64>,
    /// Write units per second of each partition
    #[arg(long)]
    partition_write_units: Option<f64>,
    /// Seconds for which a partition keeps unused units. DynamoDB keeps them for up to 300 s; a short time shows the steady state
    #[arg(long, default_value_t = 0.5)]
    burst: f64,
    /// Let one partition store this multiple of the items of another one
    #[arg(long, default_value_t = 1.0)]
    hot_items: f64,
    /// Give one partition this multiple of the capacity of another one
    #[arg(long, default_value_t = 1.0)]
    hot_capacity: f64,
}

impl Options {
    fn layout(&self) -> Option<Layout> {
        Some(Layout {
            partitions: self.partitions?,
            items: self.items?,
            read_units: self.partition_read_units,
            write_units: self.partition_write_units,
            burst_seconds: self.burst,
            hot_items: self.hot_items,
            hot_capacity: self.hot_capacity,
        })
    }
}

#[tokio::main(worker_threads = 2)]
async fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse();
    let bucket = |units| Bucket::new(units, 1.0);
    let stub = Arc::new(Stub {
        partitioned: options.layout().as_ref().map(PartitionedTable::new),
        small_tables: options
            .tables
            .map(|count| SmallTables::new(count, Duration::from_millis(options.creation), options.rate_factor)),
        pages: Pages::prepare(options.distinct, options.gzip),
        counters: Arc::new(Counters::default()),
        gzip: options.gzip,
        latency: Duration::from_millis(options.latency),
        reads: options.read_units.map(bucket),
        writes: options.write_units.map(bucket),
    });

    let tls = options.tls.map(acceptor).transpose()?;
    let listener = TcpListener::bind(("127.0.0.1", options.port)).await?;
    println!("{}", listener.local_addr()?.port());

    loop {
        let (socket, _) = listener.accept().await?;
        socket.set_nodelay(true)?;
        let (stub, tls) = (Arc::clone(&stub), tls.clone());
        tokio::spawn(async move {
            let socket = Counted::new(socket, Arc::clone(&stub.counters));
            match tls {
                None => serve(socket, stub).await,
                Some(tls) => {
                    if let Ok(socket) = tls.accept(socket).await {
                        serve(socket, stub).await;
                    }
                }
            }
        });
    }
}

/// Serves one connection until its client closes it.
async fn serve(socket: impl AsyncRead + AsyncWrite + Unpin, stub: Arc<Stub>) {
    let service = service_fn(|request| {
        let stub = Arc::clone(&stub);
        async move { stub.answer(request).await }
    });
    // A client that goes away is no failure of the stub.
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(socket), service).await;
}

/// An authority and a certificate for this machine, made for this run.
fn acceptor(file: PathBuf) -> Result<TlsAcceptor, Box<dyn Error>> {
    let mut authority = CertificateParams::new(Vec::new())?;
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;
    std::fs::write(file, authority.pem())?;
    let key = KeyPair::generate()?;
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let certificate = CertificateParams::new(names)?.signed_by(&key, &authority)?;
    let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    let config =
        ServerConfig::builder().with_no_client_auth().with_single_cert(vec![certificate.der().clone()], key)?;

    Ok(TlsAcceptor::from(Arc::new(config)))
}
