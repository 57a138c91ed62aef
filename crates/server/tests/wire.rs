//! What one connection sees: the table of [`support::wire_cases`], whole and in pieces.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test may")]

mod support;

use std::time::Duration;

use jetsled_config::{Options, Port};
use jetsled_testkit::Peer;
use support::wire_cases::{CASES, Case};
use support::{TestServer, expect};

#[track_caller]
fn check(case: &Case, send: impl Fn(&mut Peer, &[u8])) {
    let server = TestServer::start(|_| {});
    let mut peer = server.connect();
    send(&mut peer, case.input);
    eprintln!("{}", case.name);
    expect(&mut peer, case.output);
    if case.closes {
        assert_eq!(peer.rest().unwrap(), b"", "{}", case.name);
    } else {
        assert_eq!(peer.sync().unwrap(), b"", "{}", case.name);
    }
}

#[test]
fn a_connection_sees_what_nats_server_shows_it() {
    for case in CASES {
        check(case, |peer, input| peer.send(input).unwrap());
    }
}

#[test]
fn it_does_not_matter_how_the_bytes_arrive() {
    for case in CASES {
        check(case, |peer, input| {
            for piece in input.chunks(3) {
                // The server may have closed already; what it said is checked all the same.
                if peer.send(piece).is_err() {
                    break;
                }
            }
        });
    }
}

#[test]
fn a_control_line_may_not_be_longer_than_max_control_line() {
    for (line, at_end) in [("SUB ", " 1\r\n"), ("SUB ", "")] {
        let server = TestServer::start(|options| options.max_control_line = 256);
        let mut peer = server.connect();
        peer.send(format!("{line}{}{at_end}", "a".repeat(300)))
            .unwrap();
        peer.expect("-ERR 'maximum control line exceeded'\r\n");
        assert_eq!(peer.rest().unwrap(), b"");
    }
}

#[test]
fn max_payload_is_announced_and_held() {
    let server = TestServer::start(|options| options.max_payload = 10);
    let mut peer = Peer::connect(server.address).unwrap();
    assert!(peer.line().unwrap().contains(r#""max_payload":10,"#));
    peer.send("PUB a 10\r\n0123456789\r\nPUB a 11\r\n").unwrap();
    peer.expect("+OK\r\n-ERR 'Maximum Payload Violation'\r\n");
    assert_eq!(peer.rest().unwrap(), b"");
}

#[test]
fn large_and_small_messages_keep_their_order() {
    let server = TestServer::start(|_| {});
    let mut peer = server.ready();
    peer.send("SUB > 1\r\n").unwrap();
    let mut expected = Vec::new();
    for (round, size) in [
        0, 1, 5000, 3, 70_000, 2, 300_000, 4095, 4096, 4097, 1_048_576,
    ]
    .into_iter()
    .enumerate()
    {
        let payload = vec![b'a' + u8::try_from(round).unwrap(); size];
        for with_headers in [false, true] {
            let mut op = Vec::new();
            if with_headers && size < 1_000_000 {
                let headers = b"NATS/1.0\r\nA: b\r\n\r\n";
                let (head, total) = (headers.len(), headers.len() + size);
                op.extend_from_slice(format!("HPUB s.{round} r {head} {total}\r\n").as_bytes());
                op.extend_from_slice(headers);
                op.extend_from_slice(&payload);
                op.extend_from_slice(b"\r\n");
                let line = format!("HMSG s.{round} 1 r {head} {total}\r\n");
                expected.extend_from_slice(line.as_bytes());
                expected.extend_from_slice(headers);
            } else {
                op.extend_from_slice(format!("PUB s.{round} {size}\r\n").as_bytes());
                op.extend_from_slice(&payload);
                op.extend_from_slice(b"\r\n");
                expected.extend_from_slice(format!("MSG s.{round} 1 {size}\r\n").as_bytes());
            }
            expected.extend_from_slice(&payload);
            expected.extend_from_slice(b"\r\n");
            peer.send(&op).unwrap();
        }
    }
    let got = peer.bytes(expected.len()).unwrap();
    assert!(got == expected, "the messages differ");
}

#[test]
fn ping_and_stale_connections_follow_the_configured_interval() {
    let server = TestServer::start(|options| {
        options.ping_interval = Duration::from_millis(50);
        options.ping_max = 2;
    });
    let mut peer = server.connect();
    peer.send("CONNECT {\"verbose\":false}\r\n").unwrap();
    peer.expect("PING\r\nPING\r\n-ERR 'Stale Connection'\r\n");
    assert_eq!(peer.rest().unwrap(), b"");
}

#[test]
fn connections_over_max_connections_are_told_and_closed() {
    let server = TestServer::start(|options| options.max_connections = Some(1));
    let _first = server.ready();
    let mut second = server.connect();
    second.expect("-ERR 'maximum connections exceeded'\r\n");
    assert_eq!(second.rest().unwrap(), b"");
}

#[test]
fn the_later_info_comes_once() {
    let server = TestServer::start(|_| {});
    let mut peer = server.connect();
    peer.send("CONNECT {\"verbose\":false,\"protocol\":1}\r\nPING\r\n")
        .unwrap();
    peer.expect("PONG\r\n");
    assert!(peer.line().unwrap().starts_with("INFO "));
    peer.send("CONNECT {\"protocol\":1}\r\nPING\r\nPING\r\n")
        .unwrap();
    peer.expect("PONG\r\nPONG\r\n");
}

#[test]
fn shutdown_closes_connections_without_a_word_and_frees_the_port() {
    // Other connections have 127.0.0.1 as their own address, so that none gets this port meanwhile.
    let alone = |options: &mut Options| options.host = "127.0.0.2".to_owned();
    for _ in 0..20 {
        let mut server = TestServer::start(alone);
        let mut peer = server.ready();
        let port = server.address.port();
        server.shutdown();
        assert_eq!(peer.rest().unwrap(), b"");
        let again = TestServer::start(|options| {
            alone(options);
            options.port = Port::Fixed(port);
        });
        again.ready();
    }
}

#[test]
fn routes_are_told_that_there_are_none() {
    let server =
        TestServer::configured("cluster { name: c, listen: \"127.0.0.1:-1\", routes: [] }");
    let address = server.server().route_address().unwrap();
    let mut route = Peer::connect(address).unwrap();
    route.expect("-ERR 'Routes are not supported'\r\n");
    assert_eq!(route.rest().unwrap(), b"");
    server.ready();
}

#[test]
fn leaf_nodes_are_told_that_there_are_none() {
    let server = TestServer::configured("leafnodes { listen: \"127.0.0.1:-1\" }");
    let address = server.server().leafnode_address().unwrap();
    let mut leaf = Peer::connect(address).unwrap();
    leaf.expect("-ERR 'Leaf nodes are not supported'\r\n");
    assert_eq!(leaf.rest().unwrap(), b"");
    server.ready();
}
