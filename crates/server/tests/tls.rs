//! TLS in all its orders.

#![allow(clippy::unwrap_used, reason = "a test may")]

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jetsled_config::{HandshakeFirst, TlsMinVersion, TlsOptions};
use jetsled_testkit::Peer;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use support::TestServer;

type TlsPeer = StreamOwned<ClientConnection, TcpStream>;

/// A certificate authority with a server's and a client's certificate, in files.
struct Certificates {
    dir: tempfile::TempDir,
    root: CertificateDer<'static>,
    client: (CertificateDer<'static>, Vec<u8>),
}

impl Certificates {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let root = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let issue = |name: &str| {
            let key = KeyPair::generate().unwrap();
            let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
            (params.signed_by(&key, &root).unwrap(), key)
        };
        let (server, server_key) = issue("localhost");
        let (client, client_key) = issue("client");
        std::fs::write(dir.path().join("ca.pem"), root.pem()).unwrap();
        std::fs::write(dir.path().join("cert.pem"), server.pem()).unwrap();
        std::fs::write(dir.path().join("key.pem"), server_key.serialize_pem()).unwrap();
        Self {
            root: root.der().clone(),
            client: (client.der().clone(), client_key.serialize_der()),
            dir,
        }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn options(&self) -> TlsOptions {
        TlsOptions {
            cert_file: self.file("cert.pem"),
            key_file: self.file("key.pem"),
            ca_file: Some(self.file("ca.pem")),
            verify_and_map: false,
            pinned_certs: std::collections::BTreeSet::new(),
            verify: false,
            timeout: Duration::from_secs(5),
            handshake_first: HandshakeFirst::Never,
            min_version: TlsMinVersion::Tls12,
            cipher_suites: Vec::new(),
            curve_preferences: Vec::new(),
        }
    }

    fn start(&self, change: impl FnOnce(&mut TlsOptions)) -> TestServer {
        let mut tls = self.options();
        change(&mut tls);
        TestServer::start(|options| options.tls = Some(tls))
    }

    fn client_config(
        &self,
        with_certificate: bool,
        versions: &[&'static rustls::SupportedProtocolVersion],
    ) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.root.clone()).unwrap();
        let builder =
            ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
                .with_protocol_versions(versions)
                .unwrap()
                .with_root_certificates(roots);
        let config = if with_certificate {
            let (certificate, key) = self.client.clone();
            let key = PrivateKeyDer::Pkcs8(key.into());
            builder
                .with_client_auth_cert(vec![certificate], key)
                .unwrap()
        } else {
            builder.with_no_client_auth()
        };
        Arc::new(config)
    }
}

fn encrypt(stream: TcpStream, config: Arc<ClientConfig>) -> TlsPeer {
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    StreamOwned::new(ClientConnection::new(config, name).unwrap(), stream)
}

/// Reads up to and including a line end.
fn line(peer: &mut impl Read) -> std::io::Result<String> {
    let mut line = Vec::new();
    let mut byte = [0];
    while !line.ends_with(b"\r\n") {
        peer.read_exact(&mut byte)?;
        line.push(byte[0]);
    }
    Ok(String::from_utf8(line).unwrap())
}

#[track_caller]
fn echo(peer: &mut TlsPeer) {
    peer.write_all(b"CONNECT {\"verbose\":false}\r\nSUB a 1\r\nPING\r\n")
        .unwrap();
    assert_eq!(line(peer).unwrap(), "PONG\r\n");
    // More than one TLS record, and more than the session buffers.
    let payload = vec![b'x'; 500_000];
    peer.write_all(format!("PUB a {}\r\n", payload.len()).as_bytes())
        .unwrap();
    peer.write_all(&payload).unwrap();
    peer.write_all(b"\r\n").unwrap();
    assert_eq!(
        line(peer).unwrap(),
        format!("MSG a 1 {}\r\n", payload.len())
    );
    let mut got = vec![0; payload.len() + 2];
    peer.read_exact(&mut got).unwrap();
    assert!(got.starts_with(&payload));
}

#[test]
fn info_comes_first_and_the_rest_is_encrypted() {
    let certificates = Certificates::new();
    for versions in [&[&rustls::version::TLS13], &[&rustls::version::TLS12]] {
        let server = certificates.start(|_| {});
        let mut stream = TcpStream::connect(server.address).unwrap();
        let info = line(&mut stream).unwrap();
        assert!(info.contains(r#""tls_required":true"#), "{info}");
        let mut peer = encrypt(stream, certificates.client_config(false, versions));
        echo(&mut peer);
    }
}

#[test]
fn an_old_version_can_be_refused() {
    let certificates = Certificates::new();
    let server = certificates.start(|tls| tls.min_version = TlsMinVersion::Tls13);
    let mut stream = TcpStream::connect(server.address).unwrap();
    line(&mut stream).unwrap();
    let config = certificates.client_config(false, &[&rustls::version::TLS12]);
    assert!(encrypt(stream, config).write_all(b"PING\r\n").is_err());
}

#[test]
fn the_handshake_may_come_first() {
    let certificates = Certificates::new();
    let always = HandshakeFirst::Always;
    for first in [always, HandshakeFirst::Fallback(Duration::from_secs(5))] {
        let server = certificates.start(|tls| tls.handshake_first = first);
        let stream = TcpStream::connect(server.address).unwrap();
        let mut peer = encrypt(
            stream,
            certificates.client_config(false, rustls::ALL_VERSIONS),
        );
        assert!(line(&mut peer).unwrap().starts_with("INFO {"));
        echo(&mut peer);
    }
}

#[test]
fn a_client_that_waits_for_info_gets_it_after_the_fallback_delay() {
    let certificates = Certificates::new();
    let delay = HandshakeFirst::Fallback(Duration::from_millis(20));
    let server = certificates.start(|tls| tls.handshake_first = delay);
    let mut stream = TcpStream::connect(server.address).unwrap();
    assert!(line(&mut stream).unwrap().starts_with("INFO {"));
    echo(&mut encrypt(
        stream,
        certificates.client_config(false, rustls::ALL_VERSIONS),
    ));
}

#[test]
fn client_certificates_are_verified() {
    let certificates = Certificates::new();
    let server = certificates.start(|tls| tls.verify = true);
    for (with_certificate, is_welcome) in [(true, true), (false, false)] {
        let mut stream = TcpStream::connect(server.address).unwrap();
        assert!(line(&mut stream).unwrap().contains(r#""tls_verify":true"#));
        let config = certificates.client_config(with_certificate, rustls::ALL_VERSIONS);
        let mut peer = encrypt(stream, config);
        // With TLS 1.3 the client learns of a refusal with its first read.
        peer.write_all(b"PING\r\n").ok();
        assert_eq!(line(&mut peer).is_ok(), is_welcome);
    }
}

#[test]
fn plain_and_encrypted_clients_may_be_mixed() {
    let certificates = Certificates::new();
    let tls = certificates.options();
    let server = TestServer::start(|options| {
        options.tls = Some(tls);
        options.allow_non_tls = true;
    });
    let mut plain = Peer::connect(server.address).unwrap();
    assert!(plain.line().unwrap().contains(r#""tls_available":true"#));
    plain.send("PING\r\n").unwrap();
    plain.expect("PONG\r\n");
    let mut stream = TcpStream::connect(server.address).unwrap();
    line(&mut stream).unwrap();
    echo(&mut encrypt(
        stream,
        certificates.client_config(false, rustls::ALL_VERSIONS),
    ));
}

#[test]
fn a_client_that_does_not_start_tls_is_closed_without_a_word() {
    let certificates = Certificates::new();
    let server = certificates.start(|tls| tls.timeout = Duration::from_millis(50));
    let mut silent = server.connect();
    assert_eq!(silent.rest().unwrap(), b"");
    let mut plain = server.connect();
    plain.send("PING\r\n").unwrap();
    assert!(
        !plain
            .rest()
            .unwrap()
            .windows(4)
            .any(|window| window == b"PONG")
    );
}

/// The answer to CONNECT and PING of a client with a certificate.
fn answer(certificates: &Certificates, server: &TestServer) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(server.address)?;
    line(&mut stream)?;
    let mut peer = encrypt(
        stream,
        certificates.client_config(true, rustls::ALL_VERSIONS),
    );
    peer.write_all(b"CONNECT {\"verbose\":false}\r\nPING\r\n")?;
    line(&mut peer)
}

#[test]
fn a_certificate_may_say_who_the_client_is() {
    let certificates = Certificates::new();
    for (user, expected) in [
        ("client", "PONG\r\n"),
        ("other", "-ERR 'Authorization Violation'\r\n"),
    ] {
        let mut tls = certificates.options();
        (tls.verify, tls.verify_and_map) = (true, true);
        let users = format!("authorization {{ users: [ {{user: {user}}} ] }}");
        let mut configured = support::options_of(&users);
        configured.tls = Some(tls);
        let server = TestServer::start(|options| *options = configured);
        assert_eq!(answer(&certificates, &server).unwrap(), expected, "{user}");
    }
}

#[test]
fn only_pinned_certificates_may_be_used() {
    let certificates = Certificates::new();
    let own = jetsled_auth::public_key_digest(&certificates.client.0).unwrap();
    for (pinned, is_welcome) in [(own, true), ("0".repeat(64), false)] {
        let server = certificates.start(|tls| {
            tls.verify = true;
            tls.pinned_certs = [pinned].into();
        });
        assert_eq!(answer(&certificates, &server).is_ok(), is_welcome);
    }
}

#[test]
fn certificates_are_read_again_when_their_files_change() {
    let mut certificates = Certificates::new();
    let server = certificates.start(|_| {});
    answer(&certificates, &server).unwrap();
    let others = Certificates::new();
    for name in ["ca.pem", "key.pem", "cert.pem"] {
        std::fs::copy(others.file(name), certificates.file(name)).unwrap();
    }
    certificates.root = others.root.clone();
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    while answer(&certificates, &server).is_err() {
        assert!(std::time::Instant::now() < deadline, "still the old one");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A ClientHello of TLS 1.2 that offers these cipher suites.
fn hello(suites: &[u16]) -> Vec<u8> {
    let sized = |bytes: &[u8]| {
        [
            &u16::try_from(bytes.len()).unwrap().to_be_bytes()[..],
            bytes,
        ]
        .concat()
    };
    let extension = |kind: u16, bytes: &[u8]| [&kind.to_be_bytes()[..], &sized(bytes)].concat();
    let extensions = [
        // Curves: x25519, secp256r1; signatures: ECDSA and RSA with SHA-256, and RSA with SHA-1.
        extension(10, &sized(&[0, 0x1d, 0, 0x17])),
        extension(11, &[1, 0]),
        extension(13, &sized(&[4, 3, 8, 4, 4, 1, 2, 1])),
    ]
    .concat();
    let suites: Vec<u8> = suites
        .iter()
        .flat_map(|suite| suite.to_be_bytes())
        .collect();
    let body = [
        &[3, 3][..],
        &[7; 32],
        &[0],
        &sized(&suites),
        &[1, 0],
        &sized(&extensions),
    ]
    .concat();
    let handshake = [&[1, 0][..], &sized(&body)].concat();
    [&[0x16, 3, 1][..], &sized(&handshake)].concat()
}

/// Suites that TLS had and should not have any more were taken if TLS was set up by flags.
#[test]
fn cve_2021_32026_no_weak_cipher_suite_is_taken() {
    let certificates = Certificates::new();
    let by_flags = {
        let arguments = [
            "nats-server".into(),
            "-a".into(),
            "127.0.0.1".into(),
            "-p".into(),
            "-1".into(),
            "--tls".into(),
            "--tlscert".into(),
            certificates.file("cert.pem"),
            "--tlskey".into(),
            certificates.file("key.pem"),
        ]
        .map(PathBuf::into_os_string);
        match jetsled_config::parse_command_line(arguments, &jetsled_config::Environment::PROCESS) {
            Ok(jetsled_config::Command::Run { options, .. }) => *options,
            other => panic!("{other:?}"),
        }
    };
    for server in [
        certificates.start(|_| {}),
        TestServer::start(|options| *options = by_flags),
    ] {
        // What comes back for one suite of each kind: a handshake or an alert.
        let answer = |suite: u16| {
            let mut peer = server.connect();
            peer.send(hello(&[suite])).unwrap();
            peer.bytes(1).unwrap()
        };
        for strong in [0xc02b, 0xc02c, 0xcca9] {
            assert_eq!(answer(strong), [0x16], "{strong:#x}");
        }
        // RC4, DES, 3DES, CBC, NULL, RSA key exchange, anonymous.
        for weak in [
            0x0005, 0x0009, 0x000a, 0x002f, 0x0035, 0x003c, 0x009c, 0xc007, 0xc008, 0xc009, 0xc013,
            0xc023, 0x0034, 0xc006, 0x0002,
        ] {
            assert_eq!(answer(weak), [0x15], "{weak:#x}");
        }
    }
}
