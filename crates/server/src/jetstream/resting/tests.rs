use jetsled_jetstream_api::AccountLimits;

use crate::jetstream::test_server::TestServer;

/// Else the state would be ahead of the log, and a checkpoint would keep it so.
#[test]
fn a_consumer_that_rests_is_what_the_log_says_after_a_failed_commit() {
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
    // Nobody waits for its commit.
    client.send(&format!("PUB {} 0\r\n\r\n", ack.unwrap()));

    let account = server.account().clone();
    server.jetstream.disable(&account);
    server.fail_to_commit();
    server.jetstream.enable(&account, AccountLimits::default());
    client.publish("$JS.API.CONSUMER.INFO.S.C", "");
    server.commit();
    let heard = client.heard();
    assert!(heard.contains(r#""num_ack_pending":1"#), "{heard}");
}
