//! From an accepted socket to a connection that can be served: INFO, TLS, the shared handle.

use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8};
use std::task::{Poll, Waker};
use std::time::Duration;

use jetsled_config::{HandshakeFirst, TlsOptions, WebsocketOptions};
use jetsled_protocol::encode;
use jiff::Timestamp;
use parking_lot::Mutex;
use rustls::ServerConnection;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::attentive::Attention;
use super::connection::Connection;
use super::reader::Reader;
use super::session::{Parts, Session};
use super::writer::Writer;
use super::{Client, ClientCounters, CloseReason, Counted, Outbound, Output, TlsFacts, Transport};
use crate::info::InfoFor;
use crate::server::ServerState;
use crate::websocket::{Agreed, Cookies, FrameReader, FrameWriter, HandshakeError, shake_hands};

/// Time for the handshakes of a WebSocket unless configured; nats-server waits for ever.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// A TLS record that starts a handshake.
const TLS_HANDSHAKE: u8 = 0x16;

/// Serves one accepted socket until it ends.
pub(crate) async fn accept(server: Arc<ServerState>, tcp: TcpStream, remote: SocketAddr) {
    // Boxed: what is needed for a handshake should not weigh on the connection's whole life.
    match Box::pin(establish(server, tcp, remote)).await {
        Ok(connection) => connection.run().await,
        Err(error) => tracing::debug!("{remote} - {error}"),
    }
}

/// Serves one accepted socket of the WebSocket listener until it ends.
pub(crate) async fn accept_websocket(server: Arc<ServerState>, tcp: TcpStream, remote: SocketAddr) {
    match Box::pin(establish_websocket(server, tcp, remote)).await {
        Ok(connection) => connection.run().await,
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
    #[error("websocket handshake timeout")]
    HandshakeTimeout,
    #[error(transparent)]
    WebsocketHandshake(#[from] HandshakeError),
}

impl EstablishError {
    /// Whether the peer has done something that others should know of; to come and go is not.
    fn is_the_peers(&self) -> bool {
        !matches!(
            self,
            Self::Io(_) | Self::WebsocketHandshake(HandshakeError::Io(_) | HandshakeError::Closed)
        )
    }

    /// The client has just gone, as health checks do that look whether somebody listens.
    fn is_departure(&self) -> bool {
        match self {
            Self::TlsHandshake(error) => error.kind() == io::ErrorKind::UnexpectedEof,
            _ => false,
        }
    }
}

async fn establish(
    server: Arc<ServerState>,
    mut tcp: TcpStream,
    remote: SocketAddr,
) -> Result<Box<Connection>, EstablishError> {
    tcp.set_nodelay(true)?;
    let opening = Opening::new(&server, remote, Transport::Tcp);
    let (cid, mut info_line) = (opening.cid, opening.info_line(&server));
    if server.is_full() {
        tracing::error!("{remote} - cid:{cid} - maximum connections exceeded");
        opening.refused(&server, CloseReason::MaxConnectionsExceeded);
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
    let secured = match established {
        Ok(secured) => secured,
        Err(error) => {
            if error.is_departure() {
                tracing::debug!("{remote} - cid:{cid} - {error}");
            } else {
                tracing::error!("{remote} - cid:{cid} - {error}");
            }
            if options.tls.is_some() {
                opening.refused(&server, CloseReason::TlsHandshakeError);
            }
            return Err(error);
        }
    };
    let (parts, reader) = open(&server, opening, secured, None).await;
    server.remember(&parts.client, parts.must_log_in);
    let session = Session::new(parts);
    Ok(Box::new(Connection { session, reader }))
}

/// The handshakes come first, then INFO, the first thing in a frame.
async fn establish_websocket(
    server: Arc<ServerState>,
    tcp: TcpStream,
    remote: SocketAddr,
) -> Result<Box<Connection>, EstablishError> {
    tcp.set_nodelay(true)?;
    let options = server.options();
    let (Some(websocket), Some(state)) = (&options.websocket, server.websocket()) else {
        return Err(EstablishError::Io(io::ErrorKind::NotConnected.into()));
    };
    let mut limit = websocket.handshake_timeout.unwrap_or(HANDSHAKE_TIMEOUT);
    if server.requires_login(Transport::Websocket) {
        // Who may not stay without a login may not put it off by shaking hands slowly.
        limit = limit.min(server.auth_timeout_of(Transport::Websocket));
    }
    let acceptor = state.acceptor();
    let shaken = timeout(limit, upgrade(tcp, websocket, acceptor, remote)).await;
    let (secured, agreed) = match shaken {
        Ok(Ok(shaken)) => shaken,
        Ok(Err(error)) => {
            if error.is_the_peers() {
                tracing::error!("{remote} - {error}");
            }
            return Err(error);
        }
        Err(_) => return Err(EstablishError::HandshakeTimeout),
    };
    let opening = Opening::new(&server, remote, Transport::Websocket);
    let info_line = opening.info_line(&server);
    let (parts, reader) = open(&server, opening, secured, Some(agreed)).await;
    let client = &parts.client;
    let mut first = Output::default();
    first.copy(&info_line);
    client.after_send(client.outbound.send(&mut first, Counted::default()));
    server.remember(client, parts.must_log_in);
    let session = Session::new(parts);
    Ok(Box::new(Connection { session, reader }))
}

/// TLS, if it is configured, and the HTTP handshake within it.
async fn upgrade(
    mut tcp: TcpStream,
    options: &WebsocketOptions,
    acceptor: Option<TlsAcceptor>,
    remote: SocketAddr,
) -> Result<(Secured, Box<Agreed>), EstablishError> {
    let (Some(acceptor), Some(tls_options)) = (acceptor, &options.tls) else {
        let agreed = shake_hands(&mut tcp, options, remote).await?;
        return Ok(((tcp, None), agreed));
    };
    let accepted = timeout(tls_options.timeout, acceptor.accept(tcp)).await;
    let mut stream = accepted
        .map_err(|_| EstablishError::TlsTimeout)?
        .map_err(EstablishError::TlsHandshake)?;
    let facts = tls_facts(stream.get_ref().1, tls_options, false)?;
    let agreed = shake_hands(&mut stream, options, remote).await?;
    let (tcp, session) = stream.into_inner();
    Ok(((tcp, Some((session, facts))), agreed))
}

/// What a connection is before anything is known of it.
struct Opening {
    cid: u64,
    remote: SocketAddr,
    transport: Transport,
    nonce: Option<String>,
}

impl Opening {
    fn new(server: &ServerState, remote: SocketAddr, transport: Transport) -> Self {
        Self {
            cid: server.next_cid(),
            remote,
            transport,
            nonce: server.needs_nonce().then(|| server.new_nonce()),
        }
    }

    fn info_line(&self, server: &ServerState) -> Vec<u8> {
        let info = server.info(&InfoFor {
            cid: self.cid,
            remote: self.remote.ip(),
            transport: self.transport,
            is_first: true,
            nonce: self.nonce.as_deref(),
            login: None,
            must_leave: false,
        });
        let mut info_line = Vec::with_capacity(info.len() + 8);
        encode::info(&info, &mut info_line);
        info_line
    }
}

/// Makes what others hold of the connection, and what its task needs.
async fn open(
    server: &Arc<ServerState>,
    opening: Opening,
    (tcp, tls): Secured,
    agreed: Option<Box<Agreed>>,
) -> (Parts, Reader) {
    let waker = poll_fn(|cx| Poll::Ready(cx.waker().clone())).await;
    let facts = tls.as_ref().map(|(_, facts)| facts.clone());
    let tls = tls.map(|(session, _)| Arc::new(Mutex::new(session)));
    let (read, write) = tcp.into_split();
    let frames = agreed.as_deref().map(|agreed| {
        let reader = Box::new(FrameReader::new(agreed));
        (reader, Box::new(FrameWriter::new(agreed)))
    });
    let (frame_reader, frame_writer) = frames.unzip();
    let writer = Writer::new(write, tls.clone(), frame_writer);
    let outbound = Outbound::new(Some(writer), server.options().max_pending);
    let way = Way {
        forwarded_for: agreed.as_ref().and_then(|agreed| agreed.forwarded_for),
        tls: facts,
        cookies: agreed.and_then(|agreed| agreed.cookies),
        outbound,
        waker,
    };
    (
        opening.parts(server, way),
        Reader::new(read, tls, frame_reader),
    )
}

/// A session without a socket: whoever makes it gives it its input and takes its output. `meanwhile` is what happens before the server
/// has it on its list.
pub(super) fn open_by_hand(server: &Arc<ServerState>, meanwhile: impl FnOnce()) -> Session {
    let remote = SocketAddr::from(([127, 0, 0, 1], 4));
    let parts = Opening::new(server, remote, Transport::Tcp).without_socket(server);
    meanwhile();
    server.remember(&parts.client, parts.must_log_in);
    Session::new(parts)
}

/// How a connection is reached, and what was agreed on the way.
struct Way {
    forwarded_for: Option<IpAddr>,
    tls: Option<TlsFacts>,
    cookies: Option<Box<Cookies>>,
    outbound: Outbound,
    waker: Waker,
}

impl Opening {
    /// The socket ends before it has become a connection; those who look at connections see it all the same.
    fn refused(self, server: &Arc<ServerState>, reason: CloseReason) {
        let parts = self.without_socket(server);
        server.remember_refused(&parts.client, reason);
    }

    fn without_socket(self, server: &Arc<ServerState>) -> Parts {
        let way = Way {
            forwarded_for: None,
            tls: None,
            cookies: None,
            outbound: Outbound::new(None, server.options().max_pending),
            waker: Waker::noop().clone(),
        };
        self.parts(server, way)
    }

    fn parts(self, server: &Arc<ServerState>, way: Way) -> Parts {
        let client = Arc::new(Client {
            cid: self.cid,
            remote: self.remote,
            transport: self.transport,
            forwarded_for: way.forwarded_for,
            started: Timestamp::now(),
            tls: way.tls,
            outbound: way.outbound,
            waker: way.waker,
            attention: Attention::default(),
            signals: AtomicU8::new(0),
            close_reason: AtomicU8::new(0),
            headers: AtomicBool::new(false),
            echo: AtomicBool::new(true),
            login: Mutex::new(server.anonymous_login()),
            subscriptions: Mutex::default(),
            responses: Mutex::new(None),
            tracks_responses: AtomicBool::new(false),
            bound: AtomicBool::new(false),
            counters: ClientCounters::default(),
            server: Arc::clone(server),
        });
        Parts {
            client,
            nonce: self.nonce,
            cookies: way.cookies,
            must_log_in: server.requires_login(self.transport),
        }
    }
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
    // Who does not shake hands is not told why it ends (observed nats-server 2.15.1).
    let stream = timeout(options.timeout, acceptor.accept(tcp))
        .await
        .map_err(|_| EstablishError::TlsTimeout)?
        .map_err(EstablishError::TlsHandshake)?;
    let (mut tcp, mut session) = stream.into_inner();
    let facts = tls_facts(&session, options, handshake_first)?;
    if handshake_first {
        write_first(&mut tcp, &mut session, info_line).await?;
    }
    Ok((tcp, Some((session, facts))))
}

/// What there is to know of a handshake that is done. A certificate that is not pinned, where some are, does not count.
fn tls_facts(
    session: &ServerConnection,
    options: &TlsOptions,
    handshake_first: bool,
) -> Result<TlsFacts, EstablishError> {
    let chain = session.peer_certificates().unwrap_or_default();
    if !crate::tls::is_pinned(options, chain) {
        return Err(EstablishError::NotPinned);
    }
    Ok(TlsFacts {
        version: match session.protocol_version() {
            Some(rustls::ProtocolVersion::TLSv1_3) => "1.3",
            _ => "1.2",
        },
        cipher_suite: session
            .negotiated_cipher_suite()
            .map(|suite| crate::tls::cipher_suite_name(suite.suite()))
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
    })
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
