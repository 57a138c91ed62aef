//! Who may come in over WebSocket, with TLS and without: certificates, pins, claims in cookies, origins.
//!
//! `JETSLED_BIN=PATH_TO_NATS_SERVER cargo test -p jetsled-tests --test wss` runs the same against nats-server. 2.15.1 passes, but for pinned
//! certificates, which it does not ask this listener's clients for, and another certificate, which it does not take up here.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jetsled_testkit::{Launch, Peer, Server, World};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

const WITHIN: Duration = Duration::from_secs(20);

/// Issues certificates and keeps files for a server.
struct Authority {
    dir: tempfile::TempDir,
    root: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate and its key.
#[derive(Clone)]
struct Certificate {
    der: CertificateDer<'static>,
    key: Vec<u8>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
            .distinguished_name
            .push(DnType::CommonName, "an authority");
        let key = KeyPair::generate().expect("a key");
        let authority = Self {
            dir: tempfile::tempdir().expect("a folder"),
            root: CertifiedIssuer::self_signed(params, key).expect("a certificate"),
        };
        std::fs::write(authority.file("ca.pem"), authority.root.pem()).expect("written");
        authority.write_server();
        authority
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn issue(&self, common_name: &str) -> Certificate {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
        params
            .distinguished_name
            .push(DnType::CommonName, common_name);
        params.subject_alt_names.retain(|_| common_name == "server");
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.root).expect("a certificate");
        Certificate {
            der: certificate.der().clone(),
            key: key.serialize_der(),
        }
    }

    /// Writes another certificate for the server.
    fn write_server(&self) -> Certificate {
        let issued = self.issue("server");
        let pem = |label: &str, der: &[u8]| {
            use base64::Engine;
            let text = base64::engine::general_purpose::STANDARD.encode(der);
            format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n")
        };
        std::fs::write(self.file("cert.pem"), pem("CERTIFICATE", &issued.der)).expect("written");
        std::fs::write(self.file("key.pem"), pem("PRIVATE KEY", &issued.key)).expect("written");
        issued
    }

    /// A `websocket` block with these lines in its `tls` block and behind it.
    fn block(&self, tls: &str, more: &str) -> String {
        format!(
            "websocket {{ host: 127.0.0.1, port: -1, tls {{ cert_file: {:?}, key_file: {:?}, ca_file: {:?}, {tls} }}, {more} }}\n",
            self.file("cert.pem"),
            self.file("key.pem"),
            self.file("ca.pem")
        )
    }

    fn client(&self, certificate: Option<&Certificate>) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.root.der().clone()).expect("a root");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots);
        Arc::new(match certificate {
            None => builder.with_no_client_auth(),
            Some(Certificate { der, key }) => builder
                .with_client_auth_cert(vec![der.clone()], PrivateKeyDer::Pkcs8(key.clone().into()))
                .expect("a certificate"),
        })
    }
}

fn start(config: impl Into<String>) -> (Server, SocketAddr) {
    let server = Launch::new()
        .called("nats-server")
        .config(config)
        .start()
        .expect("the server starts");
    let log = server.log();
    let (_, url) = log
        .split_once("Listening for websocket clients on ")
        .expect("it says where");
    let (_, address) = url.split_once("://").expect("a URL");
    let address = address.lines().next().unwrap_or_default();
    (server, address.parse().expect("an address"))
}

fn reload(server: &Server, config: &str) {
    server.write_config(config);
    server.hang_up();
    server
        .wait_for_log("Reloaded server configuration", WITHIN)
        .expect("a reload");
}

fn handshake(
    address: SocketAddr,
    config: &Arc<ClientConfig>,
) -> StreamOwned<ClientConnection, TcpStream> {
    let stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(WITHIN)).expect("a time limit");
    let name = ServerName::try_from("localhost").expect("a name");
    let client = ClientConnection::new(Arc::clone(config), name).expect("a client");
    let mut stream = StreamOwned::new(client, stream);
    while stream.conn.is_handshaking() {
        stream
            .conn
            .complete_io(&mut stream.sock)
            .expect("a handshake");
    }
    stream
}

/// Where a plain peer comes out at `address` with TLS. One connection, and no longer than it.
fn encrypted(address: SocketAddr, config: &Arc<ClientConfig>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let here = listener.local_addr().expect("its address");
    let mut outside = handshake(address, config);
    std::thread::spawn(move || {
        let (mut inside, _) = listener.accept().expect("a peer");
        inside.set_nonblocking(true).expect("a socket");
        outside.sock.set_nonblocking(true).expect("a socket");
        let mut buffer = [0; 16 * 1024];
        // Whoever ends first ends the other by going away.
        let mut carry = |from: &mut dyn Read, to: &mut dyn Write| match from.read(&mut buffer) {
            Ok(0) => false,
            Ok(len) => to
                .write_all(&buffer[..len])
                .and_then(|()| to.flush())
                .is_ok(),
            Err(error) => error.kind() == ErrorKind::WouldBlock,
        };
        while carry(&mut inside, &mut outside) && carry(&mut outside, &mut inside) {
            std::thread::sleep(Duration::from_millis(1));
        }
    });
    here
}

/// CONNECT with these fields; what comes up to the PONG, or to the end.
fn connect(peer: &mut Peer, fields: &str) -> String {
    let info = peer.line().expect("INFO");
    assert!(info.starts_with("INFO "), "{info}");
    peer.send(format!(
        "CONNECT {{\"verbose\":false,\"headers\":true,\"no_responders\":true{fields}}}\r\nPING\r\n"
    ))
    .expect("sent");
    peer.line().unwrap_or_else(|error| error.to_string())
}

/// The user that the server takes the peer for.
fn user(peer: &mut Peer) -> String {
    let answer = peer.request("$SYS.REQ.USER.INFO", b"").expect("an answer");
    let answer: serde_json::Value = serde_json::from_slice(&answer.payload).expect("JSON");
    answer["data"]["user"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

const REFUSED: &str = "-ERR 'Authorization Violation'";

#[test]
fn another_certificate_is_taken_up_and_open_connections_stay() {
    let authority = Authority::new();
    let config = authority.block("", "");
    let (server, address) = start(&config);
    let client = authority.client(None);
    let mut open = Peer::websocket(encrypted(address, &client), "").expect("a WebSocket");
    assert_eq!(connect(&mut open, ""), "PONG");
    let shown = |client: &Arc<ClientConfig>| {
        let stream = handshake(address, client);
        stream.conn.peer_certificates().expect("a certificate")[0].clone()
    };
    let before = shown(&client);
    let other = authority.write_server();
    reload(&server, &config);
    assert_eq!(shown(&client), other.der);
    assert_ne!(before, other.der);
    open.sync().expect("still there");
}

#[test]
fn only_pinned_certificates_come_in() {
    let authority = Authority::new();
    let (one, two) = (authority.issue("one"), authority.issue("two"));
    let config = |pinned: &Certificate| {
        let digest = jetsled_auth::public_key_digest(&pinned.der).expect("a key");
        authority.block(&format!("verify: true, pinned_certs: [{digest:?}]"), "")
    };
    let (server, address) = start(config(&one));
    let of_one = authority.client(Some(&one));
    let of_two = authority.client(Some(&two));
    let mut peer = Peer::websocket(encrypted(address, &of_one), "").expect("a WebSocket");
    assert_eq!(connect(&mut peer, ""), "PONG");
    assert!(Peer::websocket(encrypted(address, &of_two), "").is_err());
    reload(&server, &config(&two));
    // What was pinned before is closed.
    let until = Instant::now() + WITHIN;
    while peer.sync().is_ok() {
        assert!(Instant::now() < until, "it stays open");
    }
    assert!(Peer::websocket(encrypted(address, &of_one), "").is_err());
    let mut peer = Peer::websocket(encrypted(address, &of_two), "").expect("a WebSocket");
    assert_eq!(connect(&mut peer, ""), "PONG");
}

#[test]
fn certificates_say_who_a_user_is() {
    let authority = Authority::new();
    let config = authority.block("verify_and_map: true", "")
        + r#"authorization { users: [ {user: "CN=derek", permissions: {publish: {deny: nope}}} ] }"#;
    let (_server, address) = start(config);
    let derek = authority.client(Some(&authority.issue("derek")));
    let mut peer = Peer::websocket(encrypted(address, &derek), "").expect("a WebSocket");
    assert_eq!(connect(&mut peer, ""), "PONG");
    peer.sync().expect("still there");
    assert_eq!(user(&mut peer), "CN=derek");
    peer.send("PUB nope 0\r\n\r\n").expect("sent");
    let told = peer.line().expect("an answer");
    assert!(told.contains("Permissions Violation for Publish"), "{told}");
    let ivan = authority.client(Some(&authority.issue("ivan")));
    let mut peer = Peer::websocket(encrypted(address, &ivan), "").expect("a WebSocket");
    assert_eq!(connect(&mut peer, ""), REFUSED);
}

#[test]
fn origins_are_compared_with_the_ports_of_their_schemes() {
    let authority = Authority::new();
    for (rule, good, bad) in [
        (
            "same_origin: true",
            vec!["https://h", "https://h:443"],
            vec!["http://h", "https://h:444", "https://g"],
        ),
        (
            r#"allowed_origins: ["https://a.b", "http://c:8080"]"#,
            vec!["https://a.b", "https://a.b:443", "http://c:8080"],
            vec![
                "http://a.b",
                "https://c:8080",
                "http://c",
                "https://x.a.b",
                "null",
            ],
        ),
    ] {
        let (_server, address) = start(authority.block("", rule));
        let client = authority.client(None);
        for (origins, is_good) in [(&good, true), (&bad, false)] {
            for origin in origins {
                let header = format!("Origin: {origin}\r\n");
                let peer = Peer::websocket(encrypted(address, &client), &header);
                assert_eq!(peer.is_ok(), is_good, "{rule}: {origin}");
            }
        }
        // Whoever is no browser says nothing.
        assert!(Peer::websocket(encrypted(address, &client), "").is_ok());
    }
}

#[test]
fn the_listener_has_a_user_of_its_own_for_those_without_a_name() {
    let block =
        |user: &str| format!("websocket {{ host: 127.0.0.1, port: -1, no_tls: true, {user} }}\n");
    let users = "authorization { users: [ {user: a, password: p}, {user: w, password: p} ] }";
    let (server, address) = start(block("no_auth_user: w") + users);
    let mut peer = Peer::websocket(address, "").expect("a WebSocket");
    assert_eq!(connect(&mut peer, ""), "PONG");
    peer.sync().expect("still there");
    assert_eq!(user(&mut peer), "w");
    let mut peer = Peer::websocket(address, "").expect("a WebSocket");
    assert_eq!(connect(&mut peer, r#","user":"w","pass":"wrong""#), REFUSED);
    let mut peer = Peer::connect(server.address()).expect("it listens");
    assert_eq!(connect(&mut peer, ""), REFUSED);
}

#[test]
fn claims_come_in_a_cookie() {
    let world = World::new();
    let config = world.config("MEMORY", world.account_token(|_| {}))
        + "websocket { host: 127.0.0.1, port: -1, no_tls: true, jwt_cookie: token }\n";
    let (_server, address) = start(config);
    let bearer = world.user_of(&world.account, |claims| {
        claims.nats.limits.bearer_token = true
    });
    let plain = world.user();
    let ended = world.user_of(&world.account, |claims| {
        claims.nats.limits.bearer_token = true;
        claims.expires = 1;
    });
    for (cookie, is_admitted) in [
        (format!("token={}", bearer.token), true),
        (format!("a=b; token={}; c=d", bearer.token), true),
        (format!("other={}", bearer.token), false),
        (format!("token={}", ended.token), false),
        // Without its key it is nobody's.
        (format!("token={}", plain.token), false),
        ("token=".to_owned(), false),
        ("token=eyJ.eyJ.x".to_owned(), false),
    ] {
        let mut peer =
            Peer::websocket(address, &format!("Cookie: {cookie}\r\n")).expect("a WebSocket");
        let expected = if is_admitted { "PONG" } else { REFUSED };
        assert_eq!(connect(&mut peer, ""), expected, "{cookie}");
    }
    // With its key the cookie is as good as the field.
    let header = format!("Cookie: token={}\r\n", plain.token);
    let mut peer = Peer::websocket(address, &header).expect("a WebSocket");
    let fields = plain.fields(&peer.line().expect("INFO"));
    let (_, signature) = fields.split_once(r#","sig""#).expect("a signature");
    peer.send(format!(
        "CONNECT {{\"verbose\":false,\"sig\"{signature}}}\r\nPING\r\n"
    ))
    .expect("sent");
    assert_eq!(peer.line().expect("an answer"), "PONG");
}
