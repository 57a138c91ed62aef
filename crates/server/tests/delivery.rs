//! What several connections see of each other.

#![allow(clippy::unwrap_used, reason = "a test may")]

mod support;

use std::io::Read;
use std::time::Duration;

use support::TestServer;

#[test]
fn every_plain_subscription_and_one_member_of_each_queue_group_gets_a_message() {
    let server = TestServer::start(|_| {});
    let mut peers: Vec<_> = (0..4).map(|_| server.ready()).collect();
    for peer in &mut peers {
        peer.send("SUB work.* q 1\r\nSUB work.> r 2\r\nSUB work.x 3\r\n")
            .unwrap();
        peer.sync().unwrap();
    }
    let mut publisher = server.ready();
    for _ in 0..200 {
        publisher.send("PUB work.x 1\r\n.\r\n").unwrap();
    }
    publisher.sync().unwrap();
    let mut counts = [[0; 4]; 3];
    for (at, peer) in peers.iter_mut().enumerate() {
        let got = String::from_utf8(peer.sync().unwrap()).unwrap();
        for (sid, counts) in counts.iter_mut().enumerate() {
            counts[at] = got
                .matches(&format!("MSG work.x {} 1\r\n", sid + 1))
                .count();
        }
    }
    assert_eq!(counts[0].iter().sum::<usize>(), 200);
    assert_eq!(counts[1].iter().sum::<usize>(), 200);
    assert_eq!(counts[2], [200; 4]);
    // Members are picked at random: none of four stays without work in 200 rounds.
    assert!(counts[0].iter().all(|count| *count > 10), "{:?}", counts[0]);
}

#[test]
fn requests_find_their_way_back_whatever_the_inbox() {
    let server = TestServer::start(|_| {});
    let mut service = server.ready();
    service.send("SUB service 1\r\n").unwrap();
    service.sync().unwrap();
    let mut requestor = server.ready();
    requestor.send("SUB _INBOX.me.* 7\r\n").unwrap();
    for round in 0..3000 {
        requestor
            .send(format!("PUB service _INBOX.me.{round} 2\r\nhi\r\n"))
            .unwrap();
        // On a busy machine this takes long enough for a PING in between.
        let inbox = format!("_INBOX.me.{round}");
        let request = service.message().unwrap();
        assert_eq!(
            (&*request.subject, request.reply.as_ref()),
            ("service", Some(&inbox))
        );
        service.send(format!("PUB {inbox} 2\r\nyo\r\n")).unwrap();
        let answer = requestor.message().unwrap();
        assert_eq!((answer.subject, &*answer.sid), (inbox, "7"));
    }
}

#[test]
fn interest_that_comes_and_goes_is_seen_by_publishers_with_known_routes() {
    let server = TestServer::start(|_| {});
    let mut subscriber = server.ready();
    let mut publisher = server.ready();
    publisher.send("SUB inbox 9\r\n").unwrap();
    for round in 0..50 {
        publisher.send("PUB a.b inbox 0\r\n\r\n").unwrap();
        let missing = b"HMSG inbox 9 35 35\r\nNATS/1.0 503\r\nNats-Subject: a.b\r\n\r\n\r\n";
        publisher.expect(missing);
        subscriber.send(format!("SUB a.* {round}\r\n")).unwrap();
        subscriber.sync().unwrap();
        publisher.send("PUB a.b inbox 0\r\n\r\n").unwrap();
        subscriber.expect(format!("MSG a.b {round} inbox 0\r\n\r\n"));
        subscriber.send(format!("UNSUB {round}\r\n")).unwrap();
        subscriber.sync().unwrap();
    }
}

#[test]
fn auto_unsubscribe_holds_across_connections() {
    let server = TestServer::start(|_| {});
    let mut subscriber = server.ready();
    subscriber.send("SUB a 1\r\nUNSUB 1 3\r\n").unwrap();
    subscriber.sync().unwrap();
    let mut publisher = server.ready();
    publisher.send("PUB a 1\r\nx\r\n".repeat(10)).unwrap();
    publisher.sync().unwrap();
    assert_eq!(subscriber.sync().unwrap(), b"MSG a 1 1\r\nx\r\n".repeat(3));
    publisher
        .send("SUB inbox 1\r\nPUB a inbox 1\r\nx\r\n")
        .unwrap();
    publisher.expect("HMSG inbox 1 33 33\r\nNATS/1.0 503\r\n");
}

#[test]
fn who_takes_no_headers_gets_the_payload_alone() {
    let server = TestServer::start(|_| {});
    let mut plain = server.connect();
    plain
        .send("CONNECT {\"verbose\":false}\r\nSUB a 1\r\n")
        .unwrap();
    plain.sync().unwrap();
    let mut publisher = server.ready();
    publisher
        .send("HPUB a r 12 14\r\nNATS/1.0\r\n\r\nhi\r\n")
        .unwrap();
    plain.expect("MSG a 1 r 2\r\nhi\r\n");
}

#[test]
fn the_subscriptions_of_a_closed_connection_are_gone() {
    let server = TestServer::start(|_| {});
    let mut subscriber = server.ready();
    subscriber.send("SUB a 1\r\n").unwrap();
    subscriber.sync().unwrap();
    let mut publisher = server.ready();
    publisher.send("SUB inbox 1\r\nPUB a 0\r\n\r\n").unwrap();
    publisher.sync().unwrap();
    subscriber
        .stream()
        .shutdown(std::net::Shutdown::Write)
        .unwrap();
    assert_eq!(subscriber.rest().unwrap(), b"MSG a 1 0\r\n\r\n");
    publisher.send("PUB a inbox 0\r\n\r\n").unwrap();
    publisher.expect("HMSG inbox 1 33 33\r\nNATS/1.0 503\r\n");
}

#[test]
fn a_consumer_with_more_than_max_pending_is_closed_and_the_others_go_on() {
    let server = TestServer::start(|options| options.max_pending = 1 << 20);
    let mut slow = server.ready();
    slow.send("SUB a 1\r\n").unwrap();
    slow.sync().unwrap();
    let mut fast = server.ready();
    fast.send("SUB a.fast 1\r\n").unwrap();
    fast.sync().unwrap();
    let mut publisher = server.ready();
    let message = format!("PUB a 100000\r\n{}\r\n", "x".repeat(100_000));
    // Far more than socket buffers and max_pending hold together.
    for _ in 0..400 {
        publisher.send(&message).unwrap();
    }
    publisher.send("PUB a.fast 2\r\nhi\r\n").unwrap();
    fast.expect("MSG a.fast 1 2\r\nhi\r\n");
    publisher.sync().unwrap();
    // Closed without -ERR; what was in the socket may still arrive.
    let mut rest = Vec::new();
    let end = slow.stream().read_to_end(&mut rest);
    assert!(rest.len() < 400 * 100_000, "{end:?}");
    assert!(!rest.windows(4).any(|window| window == b"-ERR"));
}

#[test]
fn a_peer_that_takes_nothing_within_the_write_deadline_is_closed() {
    let server = TestServer::start(|options| options.write_deadline = Duration::from_millis(200));
    let mut slow = server.ready();
    slow.send("SUB a 1\r\n").unwrap();
    slow.sync().unwrap();
    let mut publisher = server.ready();
    let message = format!("PUB a 1000000\r\n{}\r\n", "x".repeat(1_000_000));
    for _ in 0..20 {
        publisher.send(&message).unwrap();
    }
    publisher.send("SUB inbox 1\r\n").unwrap();
    // The subscription goes with the connection.
    loop {
        publisher.send("PUB a inbox 0\r\n\r\n").unwrap();
        if !publisher.sync().unwrap().is_empty() {
            break;
        }
    }
    let mut rest = Vec::new();
    slow.stream().read_to_end(&mut rest).ok();
    assert!(rest.len() < 20 * 1_000_000);
}

#[test]
fn a_stalled_producer_waits_for_a_reading_consumer_and_nothing_is_lost() {
    let server = TestServer::start(|options| options.max_pending = 4 << 20);
    let mut consumer = server.ready();
    consumer.send("SUB a 1\r\n").unwrap();
    consumer.sync().unwrap();
    let mut publisher = server.ready();
    let message = format!("PUB a 10000\r\n{}\r\n", "y".repeat(10_000));
    let sending = std::thread::spawn(move || {
        for _ in 0..3000 {
            publisher.send(&message).unwrap();
        }
        publisher.sync().unwrap();
    });
    let expected = format!("MSG a 1 10000\r\n{}\r\n", "y".repeat(10_000));
    for _ in 0..3000 {
        consumer.expect(&expected);
    }
    sending.join().unwrap();
}

#[test]
fn what_is_stored_while_a_commit_runs_is_delivered_after_the_next_one() {
    let directory = tempfile::tempdir().unwrap();
    let store_dir = directory.path().display();
    let server = TestServer::configured(&format!("jetstream {{ store_dir: '{store_dir}' }}"));
    let mut api = server.ready();
    api.request(
        "$JS.API.STREAM.CREATE.S",
        br#"{"name":"S","subjects":["s"]}"#,
    )
    .unwrap();
    let mut subscriber = server.ready();
    subscriber.send("SUB d 1\r\n").unwrap();
    subscriber.sync().unwrap();
    let consumer =
        br#"{"stream_name":"S","config":{"name":"c","ack_policy":"none","deliver_subject":"d"}}"#;
    api.request("$JS.API.CONSUMER.CREATE.S.c", consumer)
        .unwrap();
    // One of them finds the disk idle, the others find it at work.
    let mut publishers: Vec<_> = (0..3).map(|_| server.ready()).collect();
    for round in 0..100 {
        for publisher in &mut publishers {
            publisher.send("PUB s 1\r\nx\r\n").unwrap();
        }
        for message in 0..publishers.len() {
            let delivered = subscriber.message();
            assert!(delivered.is_ok(), "message {message} of round {round}");
        }
    }
}
