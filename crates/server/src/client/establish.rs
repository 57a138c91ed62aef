//! From an accepted socket to a connection that can be served: INFO, TLS, the shared handle.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8};
use std::task::Poll;
use std::time::Duration;

use hashbrown::HashMap;
use jetsled_config::{HandshakeFirst, TlsOptions};
use jetsled_protocol::encode;
use jiff::Timestamp;
use parking_lot::Mutex;
use rustls::ServerConnection;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::reader::Reader;
use super::session::{Parts, Session};
use super::writer::Writer;
use super::{Client, ClientCounters, Outbound, TlsFacts};
use crate::info::InfoFor;
use crate::server::ServerState;

/// A TLS record that starts a handshake.
const TLS_HANDSHAKE: u8 = 0x16;

/// Serves one accepted socket until it ends.
pub(crate) async fn accept(server: Arc<ServerState>, tcp: TcpStream, remote: SocketAddr) {
    // Boxed: what is needed for a handshake should not weigh on the connection's whole life.
    match Box::pin(establish(server, tcp, remote)).await {
        Ok(session) => session.run().await,
        Err(error) => tracing::debug!("{remote} - {error}"),
    }
}

/// Why a socket did not become a connection.
#[derive(Debug, thiserror::Error)]
enum EstablishError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("maximum connections exceeded")]
    MaxConnections,
    #[error("TLS handshake timeout")]
    TlsTimeout,
    #[error("certificate not pinned")]
    NotPinned,
    #[error("TLS handshake error: {0}")]
    TlsHandshake(io::Error),
}

async fn establish(
    server: Arc<ServerState>,
    mut tcp: TcpStream,
    remote: SocketAddr,
) -> Result<Box<Session>, EstablishError> {
    tcp.set_nodelay(true)?;
    let cid = server.next_cid();
    let nonce = server.needs_nonce().then(|| server.new_nonce());
    let info = server.info(&InfoFor {
        cid,
        remote: remote.ip(),
        nonce: nonce.as_deref(),
        login: None,
        must_leave: false,
    });
    let mut info_line = Vec::with_capacity(info.len() + 8);
    encode::info(&info, &mut info_line);

    if server.is_full() {
        encode::err("maximum connections exceeded", &mut info_line);
        tcp.write_all(&info_line).await?;
        return Err(EstablishError::MaxConnections);
    }
    let options = server.options();
    let established = match (&options.tls, server.tls()) {
        (Some(tls_options), Some(acceptor)) => {
            let allow_plain = options.allow_non_tls;
            secure(tcp, &info_line, tls_options, acceptor, allow_plain).await
        }
        _ => {
            tcp.write_all(&info_line).await?;
            Ok((tcp, None))
        }
    };
    let (tcp, tls) = established.inspect_err(|error| {
        tracing::error!("{remote} - cid:{cid} - {error}");
    })?;

    let waker = poll_fn(|cx| Poll::Ready(cx.waker().clone())).await;
    let facts = tls.as_ref().map(|(_, facts)| facts.clone());
    let tls = tls.map(|(session, _)| Arc::new(Mutex::new(session)));
    let (read, write) = tcp.into_split();
    let must_log_in = server.requires_login();
    let client = Arc::new(Client {
        cid,
        remote,
        started: Timestamp::now(),
        tls: facts,
        outbound: Outbound::new(Writer::new(write, tls.clone()), options.max_pending),
        waker,
        signals: AtomicU8::new(0),
        close_reason: AtomicU8::new(0),
        headers: AtomicBool::new(false),
        echo: AtomicBool::new(true),
        login: Mutex::new(server.anonymous_login()),
        subscriptions: Mutex::new(HashMap::new()),
        responses: Mutex::new(None),
        tracks_responses: AtomicBool::new(false),
        bound: AtomicBool::new(false),
        counters: ClientCounters::default(),
        server: Arc::clone(&server),
    });
    server.remember(&client, must_log_in);
    tracing::debug!("{} - Client connection created", client.log_name());
    let reader = Reader::new(read, tls);
    Ok(Session::new(Parts {
        client,
        reader,
        nonce,
        must_log_in,
    }))
}

type Secured = (TcpStream, Option<(ServerConnection, TlsFacts)>);

/// Sends INFO and does the handshake, in the configured order.
async fn secure(
    mut tcp: TcpStream,
    info_line: &[u8],
    options: &TlsOptions,
    acceptor: TlsAcceptor,
    allow_plain: bool,
) -> Result<Secured, EstablishError> {
    let handshake_first = match options.handshake_first {
        HandshakeFirst::Never => false,
        HandshakeFirst::Always => true,
        HandshakeFirst::Fallback(delay) => sends_within(&tcp, delay).await?,
    };
    if !handshake_first {
        tcp.write_all(info_line).await?;
        if allow_plain && !starts_tls(&tcp, options.timeout).await? {
            return Ok((tcp, None));
        }
    }
    // A socket of its own, to say on plain TCP what a failed handshake means.
    let (mut tcp, session) = match timeout(options.timeout, acceptor.accept(&mut tcp)).await {
        Ok(Ok(stream)) => {
            let (_, session) = stream.into_inner();
            (tcp, session)
        }
        Ok(Err(error)) => return Err(EstablishError::TlsHandshake(error)),
        Err(_) => {
            let mut line = Vec::new();
            encode::err("Secure Connection - TLS Required", &mut line);
            tcp.write_all(&line).await?;
            return Err(EstablishError::TlsTimeout);
        }
    };
    let chain = session.peer_certificates().unwrap_or_default();
    if !crate::tls::is_pinned(options, chain) {
        return Err(EstablishError::NotPinned);
    }
    let facts = TlsFacts {
        version: match session.protocol_version() {
            Some(rustls::ProtocolVersion::TLSv1_3) => "1.3",
            _ => "1.2",
        },
        cipher_suite: session
            .negotiated_cipher_suite()
            .map(|suite| format!("{:?}", suite.suite()))
            .unwrap_or_default(),
        peer_certificates: session.peer_certificates().map_or_else(
            || [].into(),
            |chain| {
                chain
                    .iter()
                    .map(|certificate| certificate.clone().into_owned())
                    .collect()
            },
        ),
        handshake_first,
    };
    let mut session = session;
    if handshake_first {
        write_first(&mut tcp, &mut session, info_line).await?;
    }
    Ok((tcp, Some((session, facts))))
}

/// Writes the first bytes inside TLS.
async fn write_first(
    tcp: &mut TcpStream,
    session: &mut ServerConnection,
    bytes: &[u8],
) -> io::Result<()> {
    io::Write::write_all(&mut session.writer(), bytes)?;
    let mut encrypted = Vec::new();
    while session.wants_write() {
        session.write_tls(&mut encrypted)?;
    }
    tcp.write_all(&encrypted).await
}

/// Whether the peer sends anything within `delay`.
async fn sends_within(tcp: &TcpStream, delay: Duration) -> io::Result<bool> {
    match timeout(delay, tcp.peek(&mut [0])).await {
        Ok(read) => read.map(|read| read > 0),
        Err(_) => Ok(false),
    }
}

/// Whether the first byte that comes is that of a TLS handshake.
async fn starts_tls(tcp: &TcpStream, limit: Duration) -> io::Result<bool> {
    let mut first = [0];
    match timeout(limit, tcp.peek(&mut first)).await {
        Ok(read) => read.map(|read| read == 1 && first[0] == TLS_HANDSHAKE),
        Err(_) => Ok(false),
    }
}
