//! Secrets, untrusted files, confinement, TLS, proxies.

mod confinement;
mod forged_state;
mod mask;
mod proxies;
mod tls;
