//! The certificate authorities (CAs) that are trusted: those of this machine, or those in a bundle that replaces them.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use aws_config::profile;
use aws_smithy_http_client::tls::{TlsContext, TrustStore};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use super::failure::{FailureKind, NetworkFailure};
use crate::aws::shared_files::default;
use crate::environment::{Credentials, Environment};
use crate::error::{Error, Result};

const BUNDLE: &str = "AWS_CA_BUNDLE";
const SYSTEM_FILE: &str = "SSL_CERT_FILE";
const SYSTEM_FOLDER: &str = "SSL_CERT_DIR";

/// Maximum size of a bundle, in bytes. The bundle of a Linux distribution has 220 kB.
const BUNDLE_BYTES: u64 = 16 << 20;

/// Trusted certificate authorities.
#[derive(Debug, Clone)]
pub(super) enum TrustedCas {
    /// Those of this machine, or in `SSL_CERT_FILE` and `SSL_CERT_DIR`.
    System,
    /// These PEM certificates instead, as the AWS CLI does it.
    Bundle {
        certificates: Vec<String>,
        /// The setting that names them, and their file.
        source: String,
    },
}

impl TrustedCas {
    /// Reads the bundle in `AWS_CA_BUNDLE`, or else in the profile's `ca_bundle`.
    ///
    /// # Errors
    /// The bundle cannot be read or contains no certificate.
    pub(super) async fn from_settings(environment: &Environment) -> Result<Self> {
        let in_process = env::var_os(BUNDLE).filter(|path| !path.is_empty());
        if let Some(path) = in_process {
            return read_bundle(Path::new(&path), BUNDLE);
        }

        match profile_bundle(environment).await {
            Some((path, setting)) => read_bundle(&path, &setting),
            None => Ok(Self::System),
        }
    }

    /// Where the certificates come from: `AWS_CA_BUNDLE, /etc/ca.pem`.
    pub(super) fn source(&self) -> String {
        match self {
            Self::System => match system_variable() {
                Some((key, path)) => format!("{key}, {}", Path::new(&path).display()),
                None => "the CA certificates of this machine".to_owned(),
            },
            Self::Bundle { source, .. } => source.clone(),
        }
    }

    /// The settings for TLS.
    ///
    /// # Errors
    /// This machine has no certificates.
    pub(super) fn tls_context(&self) -> Result<TlsContext, NetworkFailure> {
        let store = match self {
            Self::System => {
                (*SYSTEM_CHECK).clone()?;
                TrustStore::default()
            }
            Self::Bundle { certificates, .. } => {
                certificates.iter().fold(TrustStore::empty(), |store, pem| {
                    store.with_pem_certificate(pem.as_bytes())
                })
            }
        };

        TlsContext::builder()
            .with_trust_store(store)
            .build()
            .map_err(|error| {
                NetworkFailure::new(
                    FailureKind::Rejected,
                    error.to_string(),
                    "check the certificates of this machine",
                )
            })
    }
}

/// `ca_bundle` of the profile in use, and the name of that setting for messages.
async fn profile_bundle(environment: &Environment) -> Option<(PathBuf, String)> {
    let name = match environment.credentials() {
        Credentials::Profile { name, .. } => Some(name.clone().into()),
        _ => None,
    };
    // A shared file that cannot be read is reported when the credentials are.
    let profiles = profile::load(&default(), &default(), &default(), name)
        .await
        .ok()?;
    let path = profiles.get("ca_bundle").filter(|path| !path.is_empty())?;
    let setting = format!("ca_bundle of profile {}", profiles.selected_profile());

    Some((path.into(), setting))
}

/// Reads the certificates in a PEM file that `setting` names.
fn read_bundle(path: &Path, setting: &str) -> Result<TrustedCas> {
    let error = |what: &str| {
        Error::environment(format!("{setting} names {}, which {what}", path.display()))
            .with_hint("name a PEM file with the certificates of all CAs to be trusted")
    };
    let cannot_be_read = |cause| error("cannot be read").with_source(cause);

    let size = fs::metadata(path).map_err(cannot_be_read)?.len();
    if size > BUNDLE_BYTES {
        return Err(error("is too large for a CA bundle"));
    }

    let text = fs::read(path).map_err(cannot_be_read)?;
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(&text)
        .filter_map(Result::ok)
        .filter(is_usable)
        .map(|certificate| to_pem(&certificate))
        .collect();
    if certificates.is_empty() {
        return Err(error("contains no PEM certificate"));
    }

    Ok(TrustedCas::Bundle {
        certificates,
        source: format!("{setting}, {}", path.display()),
    })
}

/// Whether TLS accepts the certificate as that of an authority. The HTTP client panics at others.
fn is_usable(certificate: &CertificateDer<'_>) -> bool {
    RootCertStore::empty()
        .add(certificate.clone().into_owned())
        .is_ok()
}

fn to_pem(certificate: &CertificateDer<'_>) -> String {
    // A line of PEM has at most 64 characters, but readers accept longer ones.
    let text = BASE64_STANDARD.encode(certificate);
    format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n")
}

/// The variable that names certificates in place of those of this machine, and its value.
fn system_variable() -> Option<(&'static str, OsString)> {
    [SYSTEM_FILE, SYSTEM_FOLDER]
        .into_iter()
        .find_map(|key| Some((key, env::var_os(key)?)))
}

/// Whether this machine has certificates. Reading them takes milliseconds, so it is done once, and only if TLS is used.
static SYSTEM_CHECK: LazyLock<Result<(), NetworkFailure>> = LazyLock::new(|| {
    let found = rustls_native_certs::load_native_certs();
    if found.certs.iter().any(is_usable) {
        return Ok(());
    }

    let message = match system_variable() {
        Some((key, path)) => {
            let path = Path::new(&path);
            let what = if path.exists() {
                "contains no readable CA certificate"
            } else {
                "does not exist"
            };
            format!("{key} names {}, which {what}", path.display())
        }
        None => "this machine has no CA certificates, which TLS requires".to_owned(),
    };

    Err(NetworkFailure::new(
        FailureKind::Rejected,
        message,
        "install the package ca-certificates, or set AWS_CA_BUNDLE or SSL_CERT_FILE to a PEM file with CA certificates",
    ))
});
