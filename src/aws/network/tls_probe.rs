//! Finds out whether a port speaks TLS, after a plain HTTP request to it has failed.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Longest time for the probe.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);

/// A TLS 1.2 `ClientHello` with one cipher suite and no extensions. A server that speaks TLS answers it with a handshake or an alert.
const CLIENT_HELLO: [u8; 50] = {
    let mut hello = [0; 50];
    // Record: handshake, TLS 1.0, 45 bytes.
    [hello[0], hello[1], hello[2], hello[4]] = [22, 3, 1, 45];
    // Message: ClientHello, 41 bytes, TLS 1.2; then 32 random bytes and an empty session ID.
    [hello[5], hello[8], hello[9], hello[10]] = [1, 41, 3, 3];
    // TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256; one compression method, which is none.
    [hello[45], hello[46], hello[47], hello[48]] = [2, 0xc0, 0x2f, 1];
    hello
};

/// Whether the server at this address answers in TLS.
pub(super) async fn speaks_tls(host: &str, port: u16) -> bool {
    let probe = async {
        let mut connection = TcpStream::connect((host, port)).await.ok()?;
        connection.write_all(&CLIENT_HELLO).await.ok()?;
        let mut start = [0; 2];
        connection.read_exact(&mut start).await.ok()?;

        // The record types alert and handshake, and the major version of TLS.
        Some(matches!(start, [21 | 22, 3]))
    };

    let answer = tokio::time::timeout(PROBE_TIMEOUT, probe).await;
    answer.is_ok_and(|answer| answer == Some(true))
}
