//! TLS: servers without a valid certificate receive nothing.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::support::client::numbered;
use crate::support::engine::Engine;
use crate::support::project::{Project, Run, run};

/// TLS in front of an engine, for as long as this lives.
struct Sealed {
    url: String,
    /// Connections on which the other side agreed to talk.
    agreed: Arc<AtomicUsize>,
    /// The certificate of the authority, in PEM.
    authority: String,
    _runtime: Runtime,
}

impl Sealed {
    /// With a certificate for `name`.
    fn as_if(name: &str, engine: &Engine) -> Self {
        let (config, authority) = identity(name);
        let runtime = Runtime::new().expect("a runtime");
        let listener = runtime
            .block_on(TcpListener::bind("127.0.0.1:0"))
            .expect("a port");
        let url = format!("https://{}", listener.local_addr().expect("an address"));
        let agreed = Arc::new(AtomicUsize::new(0));
        let engine = engine
            .url()
            .trim_start_matches("http://")
            .trim_end_matches('/')
            .to_owned();

        let (acceptor, counter) = (TlsAcceptor::from(Arc::new(config)), Arc::clone(&agreed));
        runtime.spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                let (acceptor, counter, engine) =
                    (acceptor.clone(), Arc::clone(&counter), engine.clone());
                tokio::spawn(async move {
                    let Ok(mut outside) = acceptor.accept(connection).await else {
                        return;
                    };

                    counter.fetch_add(1, Ordering::SeqCst);
                    let mut inside = TcpStream::connect(engine)
                        .await
                        .expect("the engine listens");
                    let _ = tokio::io::copy_bidirectional(&mut outside, &mut inside).await;
                });
            }
        });

        Self {
            url,
            agreed,
            authority,
            _runtime: runtime,
        }
    }
}

/// A server's certificate for `name`, and the authority that made it.
fn identity(name: &str) -> (ServerConfig, String) {
    let mut authority = CertificateParams::new(Vec::new()).expect("an authority without names");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().expect("a key"))
        .expect("an authority");
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
    let certificate = params.signed_by(&key, &authority).expect("a certificate");
    let private = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("TLS")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], private)
        .expect("a certificate with its key");

    (config, authority.pem())
}

/// Dumps through TLS; `trusted` is the certificate of an authority that is known.
fn dump(engine: &Engine, sealed: &Sealed, trusted: Option<&str>) -> (Project, Run) {
    let project = Project::on(engine, "films").environment("sealed", &sealed.url, "films");
    let mut command = project.command(
        "dumpdb",
        ["--env=sealed", "--output=out", "--give-up-after=1s"],
    );
    if let Some(trusted) = trusted {
        let path: PathBuf = project.write("authority.pem", trusted);
        command.env("SSL_CERT_FILE", path);
    }

    let done = run(command, Vec::new());

    (project, done)
}

#[test]
fn only_a_server_that_proves_its_name_is_talked_to() {
    let engine = Engine::embedded();
    engine.client().create_simple("films");
    engine.client().put("films", numbered(3));
    let own = Sealed::as_if("127.0.0.1", &engine);
    let (project, done) = dump(&engine, &own, Some(&own.authority));
    done.exits(0);
    assert_eq!(project.json("out/table-metadata.json")["items"], 3);
    assert!(own.agreed.load(Ordering::SeqCst) > 0);

    for (server, trusted) in [
        // Nobody knows its authority.
        (Sealed::as_if("127.0.0.1", &engine), None),
        // Its authority is known and names another.
        (Sealed::as_if("dynamodb.example", &engine), Some(())),
    ] {
        let authority = trusted.map(|()| server.authority.clone());
        let (project, done) = dump(&engine, &server, authority.as_deref());
        done.exits(11).says("certificate").says("hint: ");
        assert_eq!(
            server.agreed.load(Ordering::SeqCst),
            0,
            "nothing may be said to it"
        );

        assert!(!project.path("out").exists());
    }
}
