//! TLS servers in front of an engine, with certificates of our own.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use super::engine::Engine;

/// TLS in front of an engine, for as long as this lives.
pub(crate) struct TlsServer {
    address: String,
    handshakes: Arc<AtomicUsize>,
    authority: String,
    _runtime: Runtime,
}

impl TlsServer {
    /// With a certificate for these names, signed by an authority of its own.
    pub(crate) fn named(names: &[&str], engine: &Engine) -> Self {
        Self::in_front_of(names, &engine.address())
    }

    /// With a certificate for these names, in front of the server at an address.
    pub(crate) fn in_front_of(names: &[&str], server: &str) -> Self {
        let mut authority = CertificateParams::new(Vec::new()).expect("an authority without names");
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority =
            CertifiedIssuer::self_signed(authority, KeyPair::generate().expect("a key"))
                .expect("an authority");
        let key = KeyPair::generate().expect("a key");
        let certificate = params(names)
            .signed_by(&key, &authority)
            .expect("a certificate");

        let config = server_config(certificate.der().clone(), &key);
        Self::start(config, authority.pem(), server)
    }

    /// With a certificate that it signed itself, as one of an authority or not.
    pub(crate) fn self_signed(name: &str, is_authority: bool, engine: &Engine) -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = params(&[name]);
        params.is_ca = if is_authority {
            IsCa::Ca(BasicConstraints::Unconstrained)
        } else {
            IsCa::ExplicitNoCa
        };
        let certificate = params.self_signed(&key).expect("a certificate");

        let config = server_config(certificate.der().clone(), &key);
        Self::start(config, certificate.pem(), &engine.address())
    }

    fn start(config: ServerConfig, authority: String, server: &str) -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let listener = runtime
            .block_on(TcpListener::bind("127.0.0.1:0"))
            .expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let handshakes = Arc::new(AtomicUsize::new(0));
        let server = server.to_owned();

        let (acceptor, counter) = (TlsAcceptor::from(Arc::new(config)), Arc::clone(&handshakes));
        runtime.spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                let (acceptor, counter, server) =
                    (acceptor.clone(), Arc::clone(&counter), server.clone());
                tokio::spawn(async move {
                    let Ok(mut outside) = acceptor.accept(connection).await else {
                        return;
                    };

                    counter.fetch_add(1, Ordering::SeqCst);
                    let mut inside = TcpStream::connect(server)
                        .await
                        .expect("the server listens");
                    let _ = tokio::io::copy_bidirectional(&mut outside, &mut inside).await;
                });
            }
        });

        Self {
            address,
            handshakes,
            authority,
            _runtime: runtime,
        }
    }

    /// Host and port.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// The URL by its address.
    pub(crate) fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// Number of connections on which the client accepted the certificate.
    pub(crate) fn handshakes(&self) -> usize {
        self.handshakes.load(Ordering::SeqCst)
    }

    /// The certificate of the authority, in PEM.
    pub(crate) fn authority(&self) -> &str {
        &self.authority
    }
}

fn params(names: &[&str]) -> CertificateParams {
    let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
    CertificateParams::new(names).expect("names")
}

fn server_config(certificate: CertificateDer<'static>, key: &KeyPair) -> ServerConfig {
    let private = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("TLS")
        .with_no_client_auth()
        .with_single_cert(vec![certificate], private)
        .expect("a certificate with its key")
}
