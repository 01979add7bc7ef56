//! A port at which nothing listens.

use std::net::SocketAddr;

use tokio::net::TcpSocket;

/// A socket on loopback that does not listen, and its address. Connections are refused, and nobody else gets the port while the socket is
/// open.
pub(crate) fn silent_port() -> (TcpSocket, SocketAddr) {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket
        .bind(([127, 0, 0, 1], 0).into())
        .expect("a port on loopback");
    let address = socket.local_addr().expect("a bound socket has an address");

    (socket, address)
}
