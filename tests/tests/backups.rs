//! `jetsled backup` and `jetsled restore`, as an operator uses them: while the server runs, and after it was killed.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Output};

use jetsled_testkit::{Launch, Peer, Server, program};
use jetsled_tests::jetstream::{expect, publish};
use serde_json::{Value, json};

fn start(store: &Path) -> Server {
    Launch::new().jetstream(store).start().expect("it starts")
}

fn connect(server: &Server) -> Peer {
    Peer::ready(server.address()).expect("an ordinary client").0
}

fn publish_to(peer: &mut Peer, from: u64, to: u64) {
    for number in from..=to {
        let ack = publish(peer, "orders.new", number.to_string().as_bytes()).expect("stored");
        assert_eq!(ack["seq"], number);
    }
}

fn run(arguments: &[&OsStr]) -> Output {
    Command::new(program())
        .args(arguments)
        .output()
        .expect("the program runs")
}

/// What the command says, if it ends well.
#[track_caller]
fn good(arguments: &[&OsStr]) -> String {
    let output = run(arguments);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {said}");
    String::from_utf8(output.stdout).expect("text")
}

/// The last sequence, the next message of the consumer, and the value of the bucket's key.
fn state(peer: &mut Peer) -> (Value, Value, Value) {
    let info = expect(peer, "STREAM.INFO.ORDERS", &Value::Null).expect("the stream");
    let consumer = expect(peer, "CONSUMER.INFO.ORDERS.mail", &Value::Null).expect("its consumer");
    let key = json!({"last_by_subj": "$KV.settings.colour"});
    let value = expect(peer, "STREAM.MSG.GET.KV_settings", &key).expect("the key");
    (
        info["state"]["last_seq"].clone(),
        consumer["ack_floor"]["stream_seq"].clone(),
        value["message"]["data"].clone(),
    )
}

#[test]
fn a_running_server_is_backed_up_and_comes_back_as_it_was_then() {
    let scratch = tempfile::tempdir().expect("a temporary directory");
    let at = |name: &str| scratch.path().join(name);
    let (store, backups) = (at("store"), at("backups"));
    let mut server = start(&store);
    let mut peer = connect(&server);
    let orders = json!({"name": "ORDERS", "subjects": ["orders.>"]});
    expect(&mut peer, "STREAM.CREATE.ORDERS", &orders).expect("created");
    let bucket =
        json!({"name": "KV_settings", "subjects": ["$KV.settings.>"], "max_msgs_per_subject": 1});
    expect(&mut peer, "STREAM.CREATE.KV_settings", &bucket).expect("created");
    let mail = json!({"stream_name": "ORDERS", "config": {"durable_name": "mail", "ack_policy": "explicit"}});
    expect(&mut peer, "CONSUMER.DURABLE.CREATE.ORDERS.mail", &mail).expect("created");
    publish_to(&mut peer, 1, 100);
    publish(&mut peer, "$KV.settings.colour", b"red").expect("stored");
    for _ in 0..10 {
        let next = peer
            .request("$JS.API.CONSUMER.MSG.NEXT.ORDERS.mail", b"")
            .expect("the next one");
        let reply = next.reply.expect("it is acknowledged to");
        peer.request(&reply, b"+ACK").expect("confirmed");
    }
    let take = [
        "backup".as_ref(),
        store.as_os_str(),
        "--to".as_ref(),
        backups.as_os_str(),
        "--verify".as_ref(),
    ];
    let said = good(&take);
    let (name, _) = said.split_once(": ").expect("it tells its name");
    assert!(said.contains(": verified\n"), "{said}");

    publish_to(&mut peer, 101, 150);
    publish(&mut peer, "$KV.settings.colour", b"blue").expect("stored");
    good(&take);
    publish_to(&mut peer, 151, 160);
    server.kill();

    let list = good(&[
        "backup".as_ref(),
        "--to".as_ref(),
        backups.as_os_str(),
        "--list".as_ref(),
    ]);
    assert_eq!(list.lines().count(), 2, "{list}");
    let restore = |into: &Path, at: &[&str]| {
        let mut arguments: Vec<&OsStr> = vec!["restore".as_ref(), backups.as_os_str()];
        arguments.extend(["--store".as_ref(), into.as_os_str()]);
        arguments.extend(at.iter().map(|word| -> &OsStr { word.as_ref() }));
        run(&arguments)
    };
    for (into, moment, expected) in [
        (
            "first",
            &["--at", name][..],
            (json!(100), json!(10), json!("cmVk")),
        ),
        ("newest", &[], (json!(150), json!(10), json!("Ymx1ZQ=="))),
    ] {
        let into = at(into);
        let output = restore(&into, moment);
        assert!(output.status.success(), "{output:?}");
        let mut server = start(&into);
        let mut peer = connect(&server);
        assert_eq!(state(&mut peer), expected);
        let next = expected.0.as_u64().expect("a number") + 1;
        publish_to(&mut peer, next, next + 5);
        assert!(server.stop().is_some_and(|status| status.success()));
    }
    let again = restore(&at("newest"), &[]);
    let said = String::from_utf8_lossy(&again.stderr);
    assert_eq!(again.status.code(), Some(1));
    assert!(
        said.contains("exists: a backup is only restored to where nothing is"),
        "{said}"
    );
    let early = restore(&at("early"), &["--at", "2020-01-01T00:00:00Z"]);
    let said = String::from_utf8_lossy(&early.stderr);
    assert!(
        said.contains("has no backup that had ended by then"),
        "{said}"
    );
}
