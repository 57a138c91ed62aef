//! The listening socket for clients.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;

use crate::client::{self, Transport};
use crate::server::ServerState;

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 4096;

/// A bound socket that is not served yet.
#[derive(Debug)]
pub(crate) struct Listener {
    tcp: TcpListener,
    address: SocketAddr,
    host: String,
}

/// A socket that could not be bound.
#[derive(Debug, thiserror::Error)]
#[error(
    "Error listening on port: {name}, \"listen tcp {name}: {}\"",
    ListenReason(source)
)]
pub struct ListenError {
    name: String,
    source: io::Error,
}

impl ListenError {
    /// What failed and why, in Go's words.
    pub(crate) fn reason(&self) -> String {
        format!("listen tcp {}: {}", self.name, ListenReason(&self.source))
    }
}

impl Listener {
    /// Binds to a host name or address; port 0 is any free one. The IPv4 wildcard stands for IPv6 too, where the machine has it
    /// (observed nats-server 2.15.1).
    pub(crate) async fn bind(host: &str, port: u16) -> Result<Self, ListenError> {
        let failed = |source| ListenError {
            name: join_host_port(host, port),
            source,
        };
        let bare = host.trim_matches(['[', ']']);
        let wanted = match bare.parse::<IpAddr>() {
            Ok(ip) => SocketAddr::new(ip, port),
            Err(_) => tokio::net::lookup_host((bare, port))
                .await
                .map_err(failed)?
                .next()
                .ok_or_else(|| failed(io::ErrorKind::AddrNotAvailable.into()))?,
        };
        let both = (wanted.ip() == Ipv4Addr::UNSPECIFIED)
            .then(|| listen(SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), port)));
        let (tcp, address) = match both {
            Some(Ok(bound)) => bound,
            // IPv6 may be switched off; what else fails, fails again.
            Some(Err(_)) | None => listen(wanted).map_err(failed)?,
        };
        Ok(Self {
            tcp,
            address,
            host: bare.to_owned(),
        })
    }

    /// The bound address with its real port.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The host as configured, with the real port.
    pub(crate) fn name(&self) -> String {
        join_host_port(&self.host, self.address.port())
    }

    /// The socket itself, for other listeners than that of clients.
    pub(crate) fn into_tcp(self) -> TcpListener {
        self.tcp
    }

    /// Accepts connections until the task is aborted.
    pub(crate) async fn run(self, server: Arc<ServerState>, transport: Transport) {
        loop {
            match self.tcp.accept().await {
                Ok((tcp, remote)) if server.accepts(remote.ip().to_canonical()) => {
                    let server = Arc::clone(&server);
                    // Who comes over IPv4 is known by that address.
                    let remote = SocketAddr::new(remote.ip().to_canonical(), remote.port());
                    match transport {
                        Transport::Tcp => tokio::spawn(client::accept(server, tcp, remote)),
                        Transport::Websocket => {
                            tokio::spawn(client::accept_websocket(server, tcp, remote))
                        }
                    };
                }
                Ok(_) => {}
                Err(error) => {
                    // Out of file descriptors, most likely: give others time to close some.
                    tracing::error!("Client Accept Error: {error}");
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            }
        }
    }
}

fn listen(address: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() && address.ip().is_unspecified() {
        socket.set_only_v6(false)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    let tcp = TcpListener::from_std(socket.into())?;
    let address = tcp.local_addr()?;
    Ok((tcp, address))
}

/// `host:port`, with brackets around IPv6 addresses.
fn join_host_port(host: &str, port: u16) -> String {
    let host = host.trim_matches(['[', ']']);
    if host.contains(':') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}

/// The reason in Go's words, which harnesses look for.
struct ListenReason<'a>(&'a io::Error);

impl std::fmt::Display for ListenReason<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0.kind() {
            io::ErrorKind::AddrInUse => f.write_str("bind: address already in use"),
            io::ErrorKind::AddrNotAvailable => f.write_str("bind: cannot assign requested address"),
            io::ErrorKind::PermissionDenied => f.write_str("bind: permission denied"),
            _ => write!(f, "{}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_ipv4_wildcard_is_reached_over_both_families() {
        let listener = Listener::bind("0.0.0.0", 0).await.expect("bound");
        let port = listener.address().port();
        assert_eq!(listener.name(), format!("0.0.0.0:{port}"));
        let mut ways = vec![IpAddr::V4(Ipv4Addr::LOCALHOST)];
        if Listener::bind("::1", 0).await.is_ok() {
            ways.push(Ipv6Addr::LOCALHOST.into());
        }
        for ip in ways {
            let client = tokio::net::TcpStream::connect((ip, port)).await;
            client.expect("connected");
            let (_, remote) = listener.tcp.accept().await.expect("accepted");
            assert_eq!(remote.ip().to_canonical(), ip);
        }
    }

    #[tokio::test]
    async fn a_port_that_is_taken_is_said_in_gos_words() {
        let first = Listener::bind("0.0.0.0", 0).await.expect("bound");
        let port = first.address().port();
        let error = Listener::bind("0.0.0.0", port).await.expect_err("taken");
        assert_eq!(
            error.reason(),
            format!("listen tcp 0.0.0.0:{port}: bind: address already in use")
        );
    }
}
