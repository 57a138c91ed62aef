//! A peer that has not logged in costs little memory and is gone when its time is over, whatever it sends.
#![cfg(target_os = "linux")] // Memory is read from /proc.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use flate2::{Compress, Compression, FlushCompress};
use jetsled_testkit::{Launch, Server};
use jetsled_tests::certificates::Certificates;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

/// Connections at once, so that what one costs stands out.
const PEERS: usize = 128;
/// What one connection may hold.
const BYTES_EACH: usize = 64 * 1024;
/// How long a login may take.
const AUTH_TIMEOUT: Duration = Duration::from_secs(1);
/// How much later a busy machine may notice.
const LATE: Duration = Duration::from_secs(6);

/// What a peer sends, again and again.
struct Attack {
    name: &'static str,
    first: Vec<u8>,
    /// Not before the server has answered, if that is a request.
    then: Vec<u8>,
}

impl Attack {
    fn waits(&self) -> bool {
        self.first.ends_with(b"\r\n\r\n")
    }
}

/// Where peers connect to.
struct Target<'a> {
    server: &'a Server,
    address: SocketAddr,
    tls: Option<Arc<ClientConfig>>,
}

impl<'a> Target<'a> {
    fn of(server: &'a Server) -> Self {
        Self {
            server,
            address: server.address(),
            tls: None,
        }
    }

    /// Its WebSocket listener.
    fn websocket(server: &'a Server, tls: Option<Arc<ClientConfig>>) -> Self {
        let log = server.log();
        let (_, url) = log
            .split_once("Listening for websocket clients on ")
            .expect("it says where");
        let (_, address) = url.split_once("://").expect("a URL");
        Self {
            server,
            address: address
                .lines()
                .next()
                .unwrap_or_default()
                .parse()
                .expect("an address"),
            tls,
        }
    }

    fn connect(&self) -> Peer {
        let stream = TcpStream::connect(self.address).expect("it listens");
        stream.set_nonblocking(true).expect("a socket");
        let stream = match &self.tls {
            None => Stream::Plain(stream),
            Some(config) => {
                let name = ServerName::try_from("localhost").expect("a name");
                let tls = ClientConnection::new(Arc::clone(config), name).expect("a client");
                Stream::Tls(Box::new(StreamOwned::new(tls, stream)))
            }
        };
        Peer {
            stream,
            sent: 0,
            is_answered: false,
        }
    }
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        match self {
            Self::Plain(stream) => stream.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}

struct Peer {
    stream: Stream,
    sent: usize,
    is_answered: bool,
}

fn attack(name: &'static str, first: &[u8], then: &[u8]) -> Attack {
    Attack {
        name,
        first: first.to_vec(),
        then: then.to_vec(),
    }
}

fn resident_bytes(server: &Server) -> usize {
    let pid = server.pid().expect("it runs");
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("of a process");
    let kib = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB"))
        .expect("its memory");
    kib.trim().parse::<usize>().expect("a number") * 1024
}

/// Sends as fast as the server reads until it has closed every connection; how much memory it took meanwhile, and how
/// long the last connection lived.
fn run(target: &Target<'_>, attack: &Attack) -> (usize, Duration) {
    let server = target.server;
    let before = resident_bytes(server);
    let mut peak = before;
    let started = Instant::now();
    let mut peers: Vec<Peer> = (0..PEERS).map(|_| target.connect()).collect();
    let mut scratch = vec![0; 64 * 1024];
    while !peers.is_empty() {
        assert!(
            started.elapsed() < AUTH_TIMEOUT + LATE,
            "{}: {} connections are still open",
            attack.name,
            peers.len()
        );
        peers.retain_mut(|peer| peer.is_open(attack, &mut scratch));
        peak = peak.max(resident_bytes(server));
        std::thread::sleep(Duration::from_millis(2));
    }
    (peak - before, started.elapsed())
}

impl Peer {
    /// One turn; `false` once it is closed.
    fn is_open(&mut self, attack: &Attack, scratch: &mut [u8]) -> bool {
        match self.stream.read(scratch) {
            Ok(0) => return false,
            Ok(_) => self.is_answered = true,
            Err(error) if error.kind() != ErrorKind::WouldBlock => return false,
            Err(_) => {}
        }
        let next = match attack.first.get(self.sent..) {
            Some(rest) if !rest.is_empty() => rest,
            _ if attack.waits() && !self.is_answered || attack.then.is_empty() => return true,
            // From where it was cut off.
            _ => &attack.then[(self.sent - attack.first.len()) % attack.then.len()..],
        };
        match self.stream.write(next) {
            Ok(len) => {
                self.sent += len;
                true
            }
            Err(error) => error.kind() == ErrorKind::WouldBlock,
        }
    }
}

#[track_caller]
fn check(target: &Target<'_>, attacks: &[Attack]) {
    // What the first connections ever leave behind (threads, buffers) is not theirs.
    run(target, &attack("nothing at all", b"", b""));
    for attack in attacks {
        let (bytes, lived) = run(target, attack);
        assert!(
            bytes <= PEERS * BYTES_EACH,
            "{}: {} bytes a connection",
            attack.name,
            bytes / PEERS
        );
        assert!(lived < AUTH_TIMEOUT + LATE, "{}: {lived:?}", attack.name);
    }
}

#[test]
fn whatever_a_plain_peer_sends() {
    let server = Launch::new().called("nats-server")
        .config("authorization { user: u, password: p, timeout: 1 }\nmax_payload: 8MB\nmax_pending: 64MB")
        .start()
        .expect("the server starts");
    let line = vec![b'A'; 32 * 1024];
    check(
        &Target::of(&server),
        &[
            attack("an endless line", b"", &line),
            attack("an endless CONNECT", b"CONNECT {\"user\":\"", &line),
            attack("an endless INFO", b"INFO {", &line),
            attack("a slow CONNECT", b"CONNECT {\"name\":\"", b"a"),
            attack("a large message", b"PUB a 8000000\r\n", &line),
            attack(
                "a large message with headers",
                b"HPUB a 4000000 8000000\r\n",
                &line,
            ),
            attack("PINGs", b"", &b"PING\r\n".repeat(4096)),
            attack("PONGs", b"", &b"PONG\r\n".repeat(4096)),
            attack("subscriptions", b"", &b"SUB a.b.c.d 1\r\n".repeat(1024)),
            attack("blank lines", b"", &b"\r\n".repeat(8192)),
        ],
    );
}

#[test]
fn a_handshake_that_never_ends() {
    let folder = tempfile::tempdir().expect("a folder");
    let certificates = Certificates::create(folder.path()).expect("certificates");
    let server = Launch::new().called("nats-server")
        .config(format!(
            "tls {{ cert_file: {:?}, key_file: {:?}, timeout: 1 }}\nauthorization {{ user: u, password: p, timeout: 1 }}",
            certificates.cert, certificates.key
        ))
        .start()
        .expect("the server starts");
    // A record of 16 KiB that never comes to its end, then one that says nothing.
    let hello = [0x16, 3, 1, 0x3f, 0xff, 1, 0, 0x3f, 0xfb, 3, 3];
    check(
        &Target::of(&server),
        &[
            attack("a slow hello", &hello, b"a"),
            attack("a hello without end", &hello, &[0; 1024]),
            attack("no TLS", b"", b"CONNECT {}\r\n"),
        ],
    );
}

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover\r\n\r\n";

/// The start of a frame of a client with an announced length; its mask is zero.
fn header(first: u8, len: u64) -> Vec<u8> {
    let mut frame = vec![first, 0x80 | 127];
    frame.extend_from_slice(&len.to_be_bytes());
    frame.extend_from_slice(&[0; 4]);
    frame
}

fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    [header(first, payload.len() as u64), payload.to_vec()].concat()
}

/// A message of zeros that is a thousand times as large as it looks.
fn bomb() -> Vec<u8> {
    let mut out = Vec::with_capacity(1 << 20);
    Compress::new(Compression::best(), false)
        .compress_vec(&vec![0; 64 << 20], &mut out, FlushCompress::Sync)
        .expect("compressed");
    out
}

/// CVE-2026-27571 (bombs), CVE-2026-33219 (frames without end).
fn websocket_attacks() -> Vec<Attack> {
    let bytes = vec![b'A'; 32 * 1024];
    let again = |name, then: &[u8]| attack(name, REQUEST, then);
    let connect = b"CONNECT {\"user\":\"";
    vec![
        attack("half a request", b"GET / HTTP/1.1\r\nHost: h\r\nX: ", b"a"),
        attack("a request line without end", b"GET /", &bytes),
        attack(
            "headers without end",
            b"GET / HTTP/1.1\r\n",
            &b"X: y\r\n".repeat(1024),
        ),
        again("silence", b""),
        again("frames of a large message", &frame(0x82, &bytes)),
        again(
            "a frame without end",
            &[header(0x82, 1 << 40), bytes.clone()].concat(),
        ),
        again(
            "pieces of one message",
            &[frame(0x02, connect), frame(0x00, &bytes).repeat(4)].concat(),
        ),
        again("empty pieces", &frame(0x00, b"").repeat(1024)),
        again("pings", &frame(0x89, &[b'p'; 125]).repeat(64)),
        again("half a control frame", &frame(0x89, &[b'p'; 125])[..100]),
        again("a bomb", &frame(0xc2, &bomb())),
        again(
            "a bomb in pieces",
            &bomb()
                .chunks(500)
                .enumerate()
                .flat_map(|(at, piece)| frame(if at == 0 { 0x42 } else { 0 }, piece))
                .collect::<Vec<_>>(),
        ),
        again(
            "a CONNECT without end",
            &[frame(0x82, connect), frame(0x82, &bytes).repeat(4)].concat(),
        ),
    ]
}

#[test]
fn whatever_a_websocket_peer_sends() {
    let server = Launch::new()
        .called("nats-server")
        .config(
            "authorization { user: u, password: p, timeout: 1 }\nmax_payload: 8MB\nmax_pending: 64MB\n\
             websocket { host: 127.0.0.1, port: -1, no_tls: true, compression: true, handshake_timeout: 1s }",
        )
        .start()
        .expect("the server starts");
    check(&Target::websocket(&server, None), &websocket_attacks());
}

#[test]
fn whatever_a_websocket_peer_sends_by_tls() {
    let folder = tempfile::tempdir().expect("a folder");
    let certificates = Certificates::create(folder.path()).expect("certificates");
    let server = Launch::new()
        .called("nats-server")
        .config(format!(
            "authorization {{ user: u, password: p, timeout: 1 }}\nmax_payload: 8MB\nmax_pending: 64MB\n\
             websocket {{ host: 127.0.0.1, port: -1, compression: true, handshake_timeout: 1s, tls {{ cert_file: {:?}, key_file: {:?}, timeout: 1 }} }}",
            certificates.cert, certificates.key
        ))
        .start()
        .expect("the server starts");
    let mut roots = RootCertStore::empty();
    let authority = CertificateDer::from_pem_file(&certificates.ca).expect("a certificate");
    roots.add(authority).expect("a root");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let hello = [0x16, 3, 1, 0x3f, 0xff, 1, 0, 0x3f, 0xfb, 3, 3];
    check(
        &Target::websocket(&server, None),
        &[
            attack("a slow hello", &hello, b"a"),
            attack("a hello without end", &hello, &[0; 1024]),
            attack("no TLS", b"", REQUEST),
        ],
    );
    check(
        &Target::websocket(&server, Some(Arc::new(client))),
        &websocket_attacks(),
    );
}
