use jetsled_jetstream_api::AccountLimits;

use crate::jetstream::test_server::{Client, TestServer};

/// A stream whose consumer has got its message, and an ack of it that is in no commit: nobody waits for that.
fn with_unwritten_ack() -> (TestServer, Client) {
    let mut server = TestServer::start();
    let mut client = server.connect();
    client.publish("$JS.API.STREAM.CREATE.S", r#"{"name":"S"}"#);
    let consumer = r#"{"stream_name":"S","config":{"durable_name":"C","ack_policy":"explicit"}}"#;
    client.publish("$JS.API.CONSUMER.CREATE.S.C", consumer);
    client.publish("S", "message");
    server.commit();
    client.publish("$JS.API.CONSUMER.MSG.NEXT.S.C", r#"{"batch":1}"#);
    server.commit();
    let heard = client.heard();
    let ack = heard
        .split_whitespace()
        .find(|word| word.starts_with("$JS.ACK"));
    client.send(&format!("PUB {} 0\r\n\r\n", ack.unwrap()));
    (server, client)
}

/// Else the state would be ahead of the log, and a checkpoint would keep it so.
#[test]
fn a_consumer_that_rests_is_what_the_log_says_after_a_failed_commit() {
    let (mut server, mut client) = with_unwritten_ack();

    let account = server.account().clone();
    server.jetstream.disable(&account);
    server.fail_to_commit();
    server.jetstream.enable(&account, AccountLimits::default());
    client.publish("$JS.API.CONSUMER.INFO.S.C", "");
    server.commit();
    let heard = client.heard();
    assert!(heard.contains(r#""num_ack_pending":1"#), "{heard}");
}

/// The origin deletes what none of its consumers has still to get.
#[test]
fn an_origin_keeps_the_consumer_of_a_mirror_whose_account_has_no_jetstream() {
    let mut server = TestServer::configured(
        r#"accounts {
            ORIGINS {
                jetstream: enabled
                users: [ { user: origins, password: "" } ]
                exports: [ { service: "$JS.API.CONSUMER.>" }, { service: "$JS.FC.>" }, { stream: "deliver.>" } ]
            }
            COPIES {
                jetstream: enabled
                users: [ { user: copies, password: "" } ]
                imports: [
                    { service: { account: ORIGINS, subject: "$JS.API.CONSUMER.>" }, to: "js.origins.CONSUMER.>" }
                    { service: { account: ORIGINS, subject: "$JS.FC.>" } }
                    { stream: { account: ORIGINS, subject: "deliver.>" } }
                ]
            }
        }"#,
    );
    let (mut origins, mut copies) = (server.connect_as("origins"), server.connect_as("copies"));
    let origin = r#"{"name":"O","subjects":["o"],"retention":"interest"}"#;
    origins.publish("$JS.API.STREAM.CREATE.O", origin);
    server.commit();
    let mirror = r#"{"name":"M","mirror":{"name":"O","external":{"api":"js.origins","deliver":"deliver.copies"}}}"#;
    copies.publish("$JS.API.STREAM.CREATE.M", mirror);
    let mut copied = |server: &mut TestServer| {
        for _ in 0..10 {
            server.commit();
        }
        copies.heard();
        copies.publish("$JS.API.STREAM.INFO.M", "");
        server.commit();
        copies.heard()
    };
    copied(&mut server);
    origins.publish("o", "before");
    let info = copied(&mut server);
    assert!(info.contains(r#""messages":1"#), "{info}");

    let account = server.account_named("COPIES");
    server.jetstream.disable(&account);
    server.commit();
    origins.publish("o", "meanwhile");
    server.commit();
    server.jetstream.enable(&account, AccountLimits::default());
    let info = copied(&mut server);
    assert!(info.contains(r#""messages":2"#), "{info}");
    assert!(info.contains(r#""last_seq":2"#), "{info}");
}

/// Its streams run until they are taken out of service, one after the other.
#[test]
fn a_commit_that_fails_while_an_account_loses_jetstream_counts_for_its_consumers() {
    let (mut server, mut client) = with_unwritten_ack();

    server.of_account().clone().switch(false);
    server.fail_to_commit();
    let account = server.account().clone();
    account.kept_jetstream().unwrap().switch(true);
    server.jetstream.disable(&account);
    server.jetstream.enable(&account, AccountLimits::default());
    client.publish("$JS.API.CONSUMER.INFO.S.C", "");
    server.commit();
    let heard = client.heard();
    assert!(heard.contains(r#""num_ack_pending":1"#), "{heard}");
}
