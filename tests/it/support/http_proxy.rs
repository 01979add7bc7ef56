//! An HTTP proxy that connects to one server, whatever host it is asked for, and records what it was asked.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;

/// A proxy, for as long as this lives.
pub(crate) struct HttpProxy {
    address: String,
    requests: Arc<Mutex<Vec<String>>>,
    _runtime: Runtime,
}

/// Whether the request with this number and head is refused.
type Refuses = fn(usize, &str) -> bool;

/// How a proxy answers.
#[derive(Clone)]
enum Behaviour {
    /// Connects to this address, unless the request is refused.
    Forwards { server: String, refuses: Refuses },
    /// Answers with this status.
    Answers(&'static str),
    /// Reads the request and never answers.
    Silent,
}

impl HttpProxy {
    /// A proxy that connects every request to `server` (host and port).
    pub(crate) fn to(server: &str) -> Self {
        Self::refusing(server, |_, _| false)
    }

    /// The same, but it answers some requests with 503, by number (counted from 1) and head.
    pub(crate) fn refusing(server: &str, refuses: fn(usize, &str) -> bool) -> Self {
        Self::start(Behaviour::Forwards {
            server: server.to_owned(),
            refuses,
        })
    }

    /// A proxy that answers with this status, such as `407 Proxy Authentication Required`.
    pub(crate) fn answering(status: &'static str) -> Self {
        Self::start(Behaviour::Answers(status))
    }

    /// A proxy that takes requests and never answers.
    pub(crate) fn silent() -> Self {
        Self::start(Behaviour::Silent)
    }

    fn start(behaviour: Behaviour) -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let listener = runtime
            .block_on(TcpListener::bind("127.0.0.1:0"))
            .expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let requests = Arc::new(Mutex::new(Vec::new()));

        let recorded = Arc::clone(&requests);
        runtime.spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                tokio::spawn(serve(connection, behaviour.clone(), Arc::clone(&recorded)));
            }
        });

        Self {
            address,
            requests,
            _runtime: runtime,
        }
    }

    /// Host and port.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// The head of the first request of each connection.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().expect("no panic").clone()
    }

    /// Whether any connection began with this request line.
    pub(crate) fn was_asked(&self, request_line: &str) -> bool {
        self.requests()
            .iter()
            .any(|head| head.starts_with(request_line))
    }
}

async fn serve(
    mut client: TcpStream,
    behaviour: Behaviour,
    requests: Arc<Mutex<Vec<String>>>,
) -> Option<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await.ok()?);
    }

    let text = String::from_utf8_lossy(&head).into_owned();
    let is_tunnel = text.starts_with("CONNECT ");
    let number = {
        let mut requests = requests.lock().expect("no panic");
        requests.push(text.clone());
        requests.len()
    };

    let answer = match behaviour {
        Behaviour::Forwards { server, refuses } if !refuses(number, &text) => Ok(server),
        Behaviour::Forwards { .. } => Err("503 Service Unavailable"),
        Behaviour::Answers(status) => Err(status),
        Behaviour::Silent => std::future::pending().await,
    };
    let server = match answer {
        Ok(server) => server,
        Err(status) => {
            let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
            return client.write_all(answer.as_bytes()).await.ok();
        }
    };

    let mut server = TcpStream::connect(server)
        .await
        .expect("the server listens");
    if is_tunnel {
        client
            .write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")
            .await
            .ok()?;
    } else {
        server.write_all(&head).await.ok()?;
    }

    tokio::io::copy_bidirectional(&mut client, &mut server)
        .await
        .ok()
        .map(drop)
}
