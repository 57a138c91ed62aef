//! The JetStream API, request by request, against what nats-server 2.15.1 replied.
//!
//! `observed_api.tsv` holds one conversation: subject, body, and the recorded reply, in which times, made-up names and
//! counts are masked.

mod support;

use serde_json::{Value, json};
use support::TestServer;

#[test]
fn requests_are_answered_as_nats_server_does() {
    let directory = tempfile::tempdir().unwrap();
    let store_dir = directory.path().display();
    let server = TestServer::configured(&format!("jetstream {{ store_dir: '{store_dir}' }}"));
    let mut peer = server.ready();
    for line in include_str!("observed_api.tsv").lines() {
        let columns: Vec<&str> = line.split('\t').collect();
        let [subject, body, want] = columns[..] else {
            panic!("not three columns: {line}")
        };
        let reply = peer.request(subject, body.as_bytes());
        let reply = reply.unwrap_or_else(|error| panic!("{subject} {body}: {error}"));
        let reply = String::from_utf8(reply.payload).unwrap();
        assert_eq!(masked(&reply), want, "{subject} {body}");
    }
}

/// Observed nats-server 2.15.1: what nobody needs leaves with the update, the rest as it is acknowledged.
#[test]
fn consumers_release_by_the_retention_that_an_update_brings() {
    let directory = tempfile::tempdir().unwrap();
    let store_dir = directory.path().display();
    let server = TestServer::configured(&format!("jetstream {{ store_dir: '{store_dir}' }}"));
    let mut peer = server.ready();
    let mut ask = |subject: &str, body: &str| peer.request(subject, body.as_bytes()).unwrap();
    let config =
        |retention: &str| format!(r#"{{"name":"S","subjects":["s"],"retention":"{retention}"}}"#);
    ask("$JS.API.STREAM.CREATE.S", &config("limits"));
    for name in ["A", "B"] {
        let consumer = format!(
            r#"{{"stream_name":"S","config":{{"durable_name":"{name}","ack_policy":"explicit"}}}}"#
        );
        ask(&format!("$JS.API.CONSUMER.CREATE.S.{name}"), &consumer);
    }
    for _ in 0..6 {
        ask("s", "");
    }
    for (step, messages) in [
        ("AB", 6),
        ("interest", 5),
        ("A", 5),
        ("B", 4),
        ("BA", 3),
        ("limits", 3),
        ("AB", 3),
        ("interest", 2),
        ("AB", 1),
    ] {
        if step.chars().all(char::is_uppercase) {
            for name in step.chars() {
                let next = ask(
                    &format!("$JS.API.CONSUMER.MSG.NEXT.S.{name}"),
                    r#"{"batch":1}"#,
                );
                ask(&next.reply.unwrap(), "+ACK");
            }
        } else {
            ask("$JS.API.STREAM.UPDATE.S", &config(step));
        }
        let info = ask("$JS.API.STREAM.INFO.S", "").payload;
        let info: Value = serde_json::from_slice(&info).unwrap();
        assert_eq!(info["state"]["messages"], messages, "after {step}");
    }
}

/// Observed nats-server 2.15.1: what an account has no room for is told before what is wrong with a configuration, but for bytes of
/// a storage that is not named.
#[test]
fn of_several_broken_limits_the_same_is_told_as_by_nats_server() {
    let directory = tempfile::tempdir().unwrap();
    let store_dir = directory.path().display();
    let server = TestServer::configured(&format!(
        r#"jetstream {{ store_dir: '{store_dir}', limits {{ duplicate_window: "1m" }} }}
        accounts {{ A {{
            jetstream: {{ max_mem: 2000, max_store: 3000, max_streams: 2, max_consumers: 2, disk_max_stream_bytes: 2000 }}
            users: [ {{user: a, password: p}} ]
        }} }}"#
    ));
    let mut peer = server.connected(r#","user":"a","pass":"p""#, "PONG\r\n");
    let mut check = |verb: &str, name: &str, members: &str, want: u64| {
        let body = format!(r#"{{"name":"{name}","subjects":["{name}"]{members}}}"#);
        let reply = peer.request(&format!("$JS.API.STREAM.{verb}.{name}"), body.as_bytes());
        let reply: Value = serde_json::from_slice(&reply.unwrap().payload).unwrap();
        let code = &reply["error"]["err_code"];
        assert_eq!(code.as_u64().unwrap_or(0), want, "{verb} {body}");
    };
    let window = r#","duplicate_window":120000000000"#;
    check("CREATE", "S", r#","max_bytes":1900"#, 0);
    for (members, want) in [
        (r#","max_bytes":2500"#, 10122),
        (r#","max_bytes":1500"#, 10047),
        (r#","max_bytes":1500,"max_age":5"#, 10052),
        (r#","max_bytes":1500,"num_replicas":3"#, 10074),
        (r#","max_bytes":2500,"num_replicas":3"#, 10122),
        (r#","max_bytes":1500,"max_age":5,"storage":"file""#, 10047),
        (
            r#","max_bytes":900,"num_replicas":3,"storage":"memory""#,
            10028,
        ),
        (
            r#","max_bytes":600,"num_replicas":3,"storage":"memory""#,
            10074,
        ),
        (
            r#","max_consumers":3,"max_bytes":2500,"num_replicas":7"#,
            10026,
        ),
        (&format!(r#","max_consumers":3{window}"#), 10026),
        (&format!(r#","max_bytes":2500{window}"#), 10052),
    ] {
        check("CREATE", "T", members, want);
    }
    check("CREATE", "S", r#","max_bytes":1500"#, 10058);
    check("CREATE", "S", r#","max_consumers":3,"max_age":5"#, 10026);
    check("UPDATE", "S", r#","max_consumers":3,"max_age":5"#, 10052);
    check("UPDATE", "T", r#","num_replicas":3"#, 10059);
    check(
        "UPDATE",
        "T",
        r#","num_replicas":3,"max_bytes":2500"#,
        10122,
    );
    check("CREATE", "F", "", 0);
    check(
        "CREATE",
        "T",
        r#","num_replicas":7,"max_consumers":3"#,
        10027,
    );
    check("CREATE", "T", r#","sealed":true"#, 10052);
    check("CREATE", "S", r#","max_bytes":1900"#, 0);
}

/// Observed nats-server 2.15.1, with errors too.
#[test]
fn restarts_of_consumers_are_not_counted() {
    let directory = tempfile::tempdir().unwrap();
    let store_dir = directory.path().display();
    let server = TestServer::configured(&format!("jetstream {{ store_dir: '{store_dir}' }}"));
    let mut peer = server.ready();
    let mut request = |subject: &str, body: &str| {
        let reply = peer.request(&format!("$JS.API.{subject}"), body.as_bytes());
        serde_json::from_slice::<Value>(&reply.unwrap().payload).unwrap()
    };
    request("STREAM.CREATE.S", r#"{"name":"S"}"#);
    request(
        "CONSUMER.CREATE.S.C",
        r#"{"stream_name":"S","config":{"durable_name":"C","ack_policy":"explicit"}}"#,
    );
    let restarted = request("CONSUMER.RESET.S.C", "");
    assert_eq!(restarted["reset_seq"], 1);
    let refused = request("CONSUMER.RESET.S.C", "{x");
    assert_eq!(refused["error"]["err_code"], 10025);
    assert_eq!(request("INFO", "")["api"]["total"], 2);
    assert_eq!(request("INFO", "")["api"]["errors"], 0);
}

/// Observed nats-server 2.15.1: all but messages that were got, with as much of who asks as imports share.
#[test]
fn what_was_asked_and_answered_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let store_dir = directory.path().display();
    let server = TestServer::configured(&format!(
        r#"server_name: n1
        jetstream {{ store_dir: '{store_dir}', domain: d }}
        accounts {{
            A {{ jetstream: enabled, users: [ {{user: a, password: p}} ], exports: [ {{service: "$JS.API.>"}} ] }}
            B {{ users: [ {{user: b, password: p}} ], imports: [ {{service: {{account: A, subject: "$JS.API.>"}}, to: "a.>"}} ] }}
        }}"#
    ));
    let connect = |user| server.connected(&format!(r#","user":"{user}","pass":"p""#), "PONG\r\n");
    let (mut ear, mut a, mut b) = (connect("a"), connect("a"), connect("b"));
    ear.send("SUB $JS.EVENT.ADVISORY.API 1\r\n").unwrap();
    ear.sync().unwrap();
    let mut told = || {
        let told = ear.message().unwrap().payload;
        serde_json::from_slice::<Value>(&told).unwrap()
    };

    let config = r#"{"name":"S"}"#;
    let reply = a.request("$JS.API.STREAM.CREATE.S", config.as_bytes());
    let created = told();
    assert_eq!(created["type"], "io.nats.jetstream.advisory.v1.api_audit");
    assert_eq!(created["subject"], "$JS.API.STREAM.CREATE.S");
    assert_eq!(created["request"], config);
    let reply = String::from_utf8(reply.unwrap().payload).unwrap();
    assert_eq!(created["response"], reply);
    assert_eq!([&created["server"], &created["domain"]], ["n1", "d"]);
    let client = &created["client"];
    assert_eq!([&client["acc"], &client["user"]], ["A", "a"]);

    let get = |seq: u8| json!({ "seq": seq }).to_string().into_bytes();
    a.request("S", b"m").unwrap();
    a.request("$JS.API.STREAM.MSG.GET.S", &get(1)).unwrap();
    a.request("$JS.API.STREAM.MSG.GET.S", &get(9)).unwrap();
    assert!(told()["response"].as_str().unwrap().contains("10037"));

    b.request("a.STREAM.DELETE.S", b"").unwrap();
    let mut deleted = told();
    assert_eq!(deleted["subject"], "$JS.API.STREAM.DELETE.S");
    assert_eq!(deleted.get("request"), None);
    deleted["client"].as_object_mut().unwrap().remove("rtt");
    assert_eq!(
        deleted["client"],
        json!({"acc": "B", "svc": "A", "server": "n1"})
    );
}

/// Replaces what differs from run to run.
fn masked(reply: &str) -> String {
    let reply = mask(reply, "\"20", |rest| {
        let end = rest.find('"')?;
        let is_time = rest.get(2..3) == Some("-") && rest[..end].ends_with('Z');
        is_time.then_some(("\"T\"", end + 1))
    });
    let reply = mask(&reply, "\"name\":\"", |rest| {
        let made_up =
            rest.find('"') == Some(8) && rest.bytes().take(8).all(|b| b.is_ascii_alphanumeric());
        made_up.then_some(("\"name\":\"GEN\"", 9))
    });
    let reply = mask(&reply, "\"pause_remaining\":", |rest| {
        Some(("\"pause_remaining\":N", digits(rest)))
    });
    let reply = mask(&reply, "\"leader\":\"", |rest| {
        Some(("\"leader\":\"L\"", rest.find('"')? + 1))
    });
    mask(&reply, "\"total\":", |rest| {
        let errors = rest[digits(rest)..].strip_prefix(",\"errors\":")?;
        let len = rest.len() - errors.len() + digits(errors);
        Some(("\"total\":N,\"errors\":N", len))
    })
}

/// Where `start` is found, `what` looks at the rest: it gives the replacement for `start` and that many bytes after it.
fn mask(text: &str, start: &str, what: impl Fn(&str) -> Option<(&'static str, usize)>) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(start) {
        let (before, found) = rest.split_at(at);
        out.push_str(before);
        let after = &found[start.len()..];
        if let Some((replacement, len)) = what(after) {
            out.push_str(replacement);
            rest = &after[len..];
        } else {
            out.push_str(start);
            rest = after;
        }
    }
    out + rest
}

fn digits(text: &str) -> usize {
    text.bytes().take_while(u8::is_ascii_digit).count()
}

/// Observed nats-server 2.15.1: else it would be deleted while nobody uses it.
#[test]
fn a_durable_consumer_that_is_updated_by_name_stays() {
    let directory = tempfile::tempdir().unwrap();
    let store_dir = directory.path().display();
    let server = TestServer::configured(&format!("jetstream {{ store_dir: '{store_dir}' }}"));
    let mut peer = server.connected("", "PONG\r\n");
    peer.request("$JS.API.STREAM.CREATE.S", br#"{"name":"S"}"#)
        .unwrap();
    for config in [
        r#""durable_name":"D""#,
        r#""name":"D""#,
        r#""durable_name":"D","description":"y""#,
    ] {
        let body =
            format!(r#"{{"stream_name":"S","config":{{{config},"ack_policy":"explicit"}}}}"#);
        let reply = peer.request("$JS.API.CONSUMER.CREATE.S.D", body.as_bytes());
        let reply = String::from_utf8(reply.unwrap().payload).unwrap();
        assert!(reply.contains(r#""created":"#), "{reply}");
        assert!(!reply.contains("inactive_threshold"), "{reply}");
    }
}
