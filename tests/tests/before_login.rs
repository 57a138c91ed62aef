//! A peer that has not logged in costs little memory and is gone when its time is over, whatever it sends.
#![cfg(target_os = "linux")] // Memory is read from /proc.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use jetsled_testkit::{Launch, Server};
use jetsled_tests::certificates::Certificates;

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
    then: Vec<u8>,
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
fn run(server: &Server, attack: &Attack) -> (usize, Duration) {
    let before = resident_bytes(server);
    let mut peak = before;
    let started = Instant::now();
    let mut peers: Vec<(TcpStream, usize)> = (0..PEERS)
        .map(|_| {
            let peer = TcpStream::connect(server.address()).expect("it listens");
            peer.set_nonblocking(true).expect("a socket");
            (peer, 0)
        })
        .collect();
    let mut scratch = vec![0; 64 * 1024];
    while !peers.is_empty() {
        assert!(
            started.elapsed() < AUTH_TIMEOUT + LATE,
            "{}: {} connections are still open",
            attack.name,
            peers.len()
        );
        peers.retain_mut(|(peer, sent)| is_open(peer, sent, attack, &mut scratch));
        peak = peak.max(resident_bytes(server));
        std::thread::sleep(Duration::from_millis(2));
    }
    (peak - before, started.elapsed())
}

/// One turn of one peer.
fn is_open(peer: &mut TcpStream, sent: &mut usize, attack: &Attack, scratch: &mut [u8]) -> bool {
    match peer.read(scratch) {
        Ok(0) => return false,
        Err(error) if error.kind() != ErrorKind::WouldBlock => return false,
        _ => {}
    }
    let next = match attack.first.get(*sent..) {
        Some(rest) if !rest.is_empty() => rest,
        _ => &attack.then,
    };
    match peer.write(next) {
        Ok(len) => {
            *sent += len;
            true
        }
        Err(error) => error.kind() == ErrorKind::WouldBlock,
    }
}

#[track_caller]
fn check(server: &Server, attacks: &[Attack]) {
    // What the first connections ever leave behind (threads, buffers) is not theirs.
    run(server, &attack("nothing at all", b"", b""));
    for attack in attacks {
        let (bytes, lived) = run(server, attack);
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
        &server,
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
        &server,
        &[
            attack("a slow hello", &hello, b"a"),
            attack("a hello without end", &hello, &[0; 1024]),
            attack("no TLS", b"", b"CONNECT {}\r\n"),
        ],
    );
}
