use serde_json::{Value as Json, json};

use super::*;

/// A server, stream and consumer without a blemish; `change` gives them one.
fn examined(change: impl FnOnce(&mut Json, &mut Json, &mut Json)) -> Vec<String> {
    let mut varz = json!({
        "host": "127.0.0.1", "http_host": "127.0.0.1", "connections": 1, "max_connections": 100,
        "jetstream": {
            "config": {"max_storage": 1000, "max_memory": 1000, "store_dir": "/data/jetstream", "sync_always": true},
            "stats": {"storage": 10},
        },
    });
    let mut stream = json!({
        "name": "S",
        "config": {"name": "S", "subjects": ["s.>"], "max_bytes": 1000},
        "state": {"messages": 5, "bytes": 100, "consumer_count": 1},
    });
    let mut consumer = json!({
        "name": "c", "num_pending": 5, "num_waiting": 1,
        "config": {"ack_policy": "explicit", "ack_wait": 30_000_000_000_u64, "max_ack_pending": 1000, "max_deliver": -1},
    });
    change(&mut varz, &mut stream, &mut consumer);
    stream["consumer_detail"] = json!([consumer]);
    let jsz = json!({"account_details": [{"stream_detail": [stream]}]});
    let varz = serde_json::from_value(varz).unwrap();
    let jsz = serde_json::from_value(jsz).unwrap();
    let findings = examine(&varz, &jsz, &Wanted::default()).unwrap();
    findings.iter().map(Finding::to_string).collect()
}

/// One finding that begins so and says this.
#[track_caller]
fn check(start: &str, says: &str, change: impl FnOnce(&mut Json, &mut Json, &mut Json)) {
    let found = examined(change);
    assert!(
        matches!(&found[..], [one] if one.starts_with(start) && one.contains(says)),
        "{found:#?}"
    );
}

#[test]
fn nothing_is_found_where_nothing_is_wrong() {
    assert_eq!(examined(|_, _, _| {}), [""; 0]);
}

#[test]
fn risky_settings() {
    check("note     server:", "sync_interval", |varz, _, _| {
        varz["jetstream"]["config"]["sync_always"] = json!(false);
    });
    check("problem  server:", "/tmp/nats", |varz, _, _| {
        varz["jetstream"]["config"]["store_dir"] = json!("/tmp/nats/jetstream");
    });
    check(
        "problem  server:",
        "900 of 1000 bytes of max_file_store",
        |varz, _, _| {
            varz["jetstream"]["stats"]["storage"] = json!(900);
        },
    );
    check("problem  server:", "90 of 100 connections", |varz, _, _| {
        varz["connections"] = json!(90);
    });
    check("problem  server:", "read too slowly", |varz, _, _| {
        varz["slow_consumers"] = json!(1);
    });
    check("problem  server:", "there are no users", |varz, _, _| {
        varz["host"] = json!("0.0.0.0");
        varz["tls_required"] = json!(true);
    });
    check("note     server:", "need not use TLS", |varz, _, _| {
        varz["host"] = json!("10.0.0.1");
        varz["auth_required"] = json!(true);
    });
    check("note     server:", "monitoring is open", |varz, _, _| {
        varz["http_host"] = json!("0.0.0.0");
    });
}

#[test]
fn odd_streams() {
    check("problem  stream S:", "refuses messages", |_, stream, _| {
        stream["config"]["discard"] = json!("new");
        stream["state"]["bytes"] = json!(950);
    });
    check(
        "problem  stream S:",
        "damage took 2 messages",
        |_, stream, _| {
            stream["state"]["lost"] = json!({"msgs": [3, 4], "bytes": 80});
        },
    );
    check("problem  stream S:", "there is none", |_, stream, _| {
        stream["config"]["retention"] = json!("workqueue");
        stream["state"]["consumer_count"] = json!(0);
    });
    check("note     stream S:", "in memory", |_, stream, _| {
        stream["config"]["storage"] = json!("memory");
    });
    check("note     stream S:", "nothing bounds it", |_, stream, _| {
        stream["config"]["max_bytes"] = json!(-1);
    });
    check("note     stream S:", "sealed", |_, stream, _| {
        stream["config"]["sealed"] = json!(true);
    });
}

#[test]
fn consumers_that_do_not_advance() {
    const ABOUT: &str = "problem  consumer S > c:";
    check(ABOUT, "no client asks for any", |_, _, consumer| {
        consumer["num_waiting"] = json!(0);
    });
    check(ABOUT, "nobody subscribes to d.x", |_, _, consumer| {
        consumer["config"]["deliver_subject"] = json!("d.x");
    });
    check(
        ABOUT,
        "1000 messages are delivered and not acknowledged",
        |_, _, consumer| {
            consumer["num_ack_pending"] = json!(1000);
            consumer["num_waiting"] = json!(0);
        },
    );
    check(ABOUT, "paused for 60 s more", |_, _, consumer| {
        consumer["paused"] = json!(true);
        consumer["pause_remaining"] = json!(60_000_000_000_u64);
        consumer["num_waiting"] = json!(0);
    });
    check(ABOUT, "matches its filter t.*", |_, _, consumer| {
        consumer["config"]["filter_subject"] = json!("t.*");
        consumer["num_pending"] = json!(0);
    });
    check(ABOUT, "no client is pinned in group g", |_, _, consumer| {
        consumer["config"]["priority_policy"] = json!("pinned_client");
        consumer["priority_groups"] = json!([{"group": "g"}]);
    });
    check(
        "note     consumer S > c:",
        "2 of its unacknowledged messages",
        |_, _, consumer| {
            consumer["num_redelivered"] = json!(2);
        },
    );
}

#[test]
fn what_is_wanted_and_nowhere_is_said() {
    let varz = Varz::default();
    let jsz = json!({"account_details": [{"stream_detail": [{"name": "S"}]}]});
    let jsz = serde_json::from_value(jsz).unwrap();
    let ask = |stream, consumer| {
        let wanted = Wanted {
            stream: Some(stream),
            consumer,
        };
        examine(&varz, &jsz, &wanted).map(|found| found.len())
    };
    assert_eq!(ask("T", None), Err("there is no stream T".to_owned()));
    assert_eq!(
        ask("S", Some("c")),
        Err("stream S has no consumer c".to_owned())
    );
    assert_eq!(ask("S", None), Ok(1));
}
