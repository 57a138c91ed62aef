use super::*;
use crate::jetstream::shard::CommitLost;
use crate::jetstream::test_server::{Client, TestServer};

fn create(server: &TestServer, name: &str) -> DurableAt {
    let config = StreamConfig {
        name: name.to_owned(),
        ..StreamConfig::default()
    };
    server.of_account().create_stream(config).unwrap().1
}

/// The answer to a change, once it may leave.
fn answer_to(change: DurableAt, server: &mut TestServer, client: &mut Client) -> String {
    let reply = ApiReply {
        subject: b"answer",
        headers: b"",
        body: b"done",
    };
    let mut flush = FlushSet::new();
    let lost = || b"lost".to_vec();
    server
        .of_account()
        .reply(&reply, Some(change), lost, &mut flush);
    flush.flush();
    server.commit();
    client.heard()
}

/// A change and its reply take the shard's lock one after the other; the simulator, which has one thread, gets nothing in between.
#[test]
fn a_commit_that_fails_between_a_change_and_its_reply_is_told() {
    let mut server = TestServer::start();
    let mut client = server.connect();

    let lost = create(&server, "LOST");
    server.fail_to_commit();
    let answer = answer_to(lost, &mut server, &mut client);
    assert!(answer.ends_with("\r\nlost\r\n"), "{answer}");

    let kept = create(&server, "KEPT");
    server.commit();
    let answer = answer_to(kept, &mut server, &mut client);
    assert!(answer.ends_with("\r\ndone\r\n"), "{answer}");

    let waits = create(&server, "WAITS");
    let answer = answer_to(waits, &mut server, &mut client);
    assert!(answer.ends_with("\r\ndone\r\n"), "{answer}");
}

/// A backup would hang, and with it the stop of the server.
#[test]
fn nobody_waits_for_what_a_fenced_shard_does_not_write() {
    let mut server = TestServer::start();
    create(&server, "LOST");
    server.fence();
    assert_eq!(server.wait_durable(), Err(CommitLost));
}

/// Else the update would go by a configuration that is void: the stream would listen on, where it does not say so.
#[test]
fn an_update_goes_by_what_a_commit_that_fails_meanwhile_leaves() {
    let mut server = TestServer::start();
    let mut client = server.connect();
    let jetstream = Arc::clone(server.of_account());
    let with_subject = |old: &StreamConfig, subject: &str| StreamConfig {
        subjects: vec![subject.to_owned()],
        ..old.clone()
    };
    client.publish(
        "$JS.API.STREAM.CREATE.S",
        r#"{"name":"S","subjects":["a"]}"#,
    );
    server.commit();
    let mut flush = FlushSet::new();
    let to_b = jetstream.update_stream("S", |old| Ok(with_subject(old, "b")), &mut flush);
    to_b.unwrap();
    let server = std::cell::RefCell::new(server);
    let to_c = |old: &StreamConfig| {
        if old.subjects == ["b"] {
            server.borrow_mut().fail_to_commit();
        }
        Ok(with_subject(old, "c"))
    };
    jetstream.update_stream("S", to_c, &mut flush).unwrap();
    let mut server = server.into_inner();
    server.commit();
    client.heard();
    for (subject, answer) in [("a", ""), ("b", ""), ("c", r#""seq":1"#)] {
        client.publish(subject, "message");
        server.commit();
        let heard = client.heard();
        assert!(heard.contains(answer), "{subject}: {heard}");
        assert_eq!(heard.is_empty(), answer.is_empty(), "{subject}: {heard}");
    }
}
