//! Secrets, untrusted files, confinement, TLS.

mod confinement;
mod forged_state;
mod mask;
mod tls;
