//! The system account: events, and the services that the server answers.

#![allow(clippy::unwrap_used, reason = "a test may")]

mod support;

use jetsled_testkit::Peer;
use serde_json::{Value, json};
use support::TestServer;

const CONFIG: &str = r#"
    server_name: n1
    system_account: SYS
    accounts {
        SYS { users: [ {user: s, password: p} ] }
        A {
            users: [
                {user: a, password: p}
                {user: q, password: p, permissions: {publish: ">", subscribe: {deny: x}, allow_responses: true}}
            ]
            mappings { "m.*": "n.$1" }
            exports: [ {service: "r.*", accounts: [B]}, {stream: "s.>"} ]
        }
        B {
            users: [ {user: b, password: p} ]
            imports: [ {service: {account: A, subject: "r.*"}, to: "l.*", share: true} ]
        }
    }
"#;

fn connect(server: &TestServer, user: &str) -> Peer {
    server.connected(
        &format!(r#","user":"{user}","pass":"p","name":"{user}""#),
        "PONG\r\n",
    )
}

#[track_caller]
fn request(peer: &mut Peer, subject: &str, body: &str) -> Value {
    let answer = peer.request(subject, body.as_bytes()).unwrap();
    serde_json::from_slice(&answer.payload).unwrap()
}

/// The next event, with its subject.
#[track_caller]
fn event(peer: &mut Peer) -> (String, Value) {
    let message = peer.message().unwrap();
    let body = serde_json::from_slice(&message.payload).unwrap();
    (message.subject, body)
}

#[test]
fn a_purged_account_has_no_streams() {
    let dir = tempfile::tempdir().unwrap();
    let config = CONFIG.replace("A {\n", "A { jetstream: enabled\n");
    let server = TestServer::configured(&format!(
        "jetstream {{ store_dir: {:?} }}\n{config}",
        dir.path()
    ));
    let (mut system, mut a) = (connect(&server, "s"), connect(&server, "a"));
    a.send("SUB $JS.EVENT.ADVISORY.STREAM.DELETED.* 7\r\n")
        .unwrap();
    for storage in ["file", "memory"] {
        let config = json!({"name": storage, "storage": storage}).to_string();
        request(&mut a, &format!("$JS.API.STREAM.CREATE.{storage}"), &config);
    }
    let reply = |rest: &str| {
        let json =
            format!(r#"{{"type":"io.nats.jetstream.api.v1.account_purge_response",{rest}}}"#);
        serde_json::from_str::<Value>(&json).unwrap()
    };
    let mut purge = |account: &str| {
        let subject = format!("$JS.API.ACCOUNT.PURGE.{account}");
        request(&mut system, &subject, "")
    };
    assert_eq!(purge("A"), reply(r#""initiated":true"#));
    assert_eq!(event(&mut a).1["stream"], "file");
    assert_eq!(event(&mut a).1["stream"], "memory");
    assert_eq!(request(&mut a, "$JS.API.STREAM.NAMES", "")["total"], 0);
    for account in ["A", "B", "unknown"] {
        assert_eq!(purge(account), reply(r#""initiated":true"#));
    }
    let refused = r#""error":{"code":500,"err_code":10051,"description":"account name can not contain path separators"}"#;
    assert_eq!(purge("a/b"), reply(refused));
}

/// Observed nats-server 2.15.1.
#[test]
fn the_api_says_in_accounts_without_jetstream_that_there_is_none() {
    let dir = tempfile::tempdir().unwrap();
    let server = TestServer::configured(&format!(
        "jetstream {{ store_dir: {:?}, domain: hub }}\n{CONFIG}",
        dir.path()
    ));
    let outcome = |peer: &mut Peer, call: &str| {
        let [plain, with_domain] = ["$JS.API", "$JS.hub.API"].map(|prefix| {
            let answer = peer.request(&format!("{prefix}.{call}"), b"");
            let answer = answer.unwrap_or_else(|error| panic!("{prefix}.{call}: {error}"));
            if let Some(status) = answer.status() {
                return status.to_owned();
            }
            let answer: Value = serde_json::from_slice(&answer.payload).unwrap();
            let kind = answer["type"].as_str().unwrap();
            let kind = kind.trim_start_matches("io.nats.jetstream.api.v1.");
            match answer["error"]["err_code"].as_u64() {
                Some(code) => format!("{kind} {code}"),
                None => kind.to_owned(),
            }
        });
        assert_eq!(plain, with_domain, "{call}");
        plain
    };
    let (mut system, mut a) = (connect(&server, "s"), connect(&server, "a"));
    for (call, in_account, in_system_account) in [
        ("INFO", "account_info_response 10039", None),
        (
            "STREAM.NAMES",
            "stream_names_response 10039",
            Some("system_response 10039"),
        ),
        (
            "CONSUMER.CREATE.X.Y.f",
            "consumer_create_response 10039",
            Some("system_response 10039"),
        ),
        (
            "CONSUMER.UNPIN.X.Y",
            "consumer_unpin_response 10025",
            Some("system_response 10039"),
        ),
        (
            "STREAM.PEER.REMOVE.X",
            "stream_remove_peer_response 10010",
            Some("system_response 10039"),
        ),
        (
            "CONSUMER.MSG.NEXT.X.Y",
            "503",
            Some("system_response 10039"),
        ),
        ("DIRECT.GET.X", "503", Some("system_response 10039")),
    ] {
        assert_eq!(outcome(&mut a, call), in_account, "{call}");
        let in_system_account = in_system_account.unwrap_or(in_account);
        assert_eq!(outcome(&mut system, call), in_system_account, "{call}");
    }
    let purge = outcome(&mut system, "ACCOUNT.PURGE.A");
    assert_eq!(purge, "account_purge_response");
}

#[test]
fn connections_are_told_to_the_system_account() {
    let server = TestServer::configured(CONFIG);
    let mut system = connect(&server, "s");
    system
        .send("SUB $SYS.ACCOUNT.A.> 1\r\nSUB $SYS.SERVER.ACCOUNT.A.> 2\r\nSUB $SYS.SERVER.*.CLIENT.AUTH.ERR 3\r\n")
        .unwrap();
    system.sync().unwrap();

    let a = connect(&server, "a");
    let (subject, conns) = event(&mut system);
    assert_eq!(subject, "$SYS.SERVER.ACCOUNT.A.CONNS");
    let (subject, again) = event(&mut system);
    assert_eq!(subject, "$SYS.ACCOUNT.A.SERVER.CONNS");
    assert_eq!(conns["id"], again["id"]);
    assert_eq!(
        conns["type"],
        "io.nats.server.advisory.v1.account_connections"
    );
    assert_eq!((&conns["acc"], &conns["conns"]), (&json!("A"), &json!(1)));
    let (subject, connect_event) = event(&mut system);
    assert_eq!(subject, "$SYS.ACCOUNT.A.CONNECT");
    assert_eq!(
        connect_event["type"],
        "io.nats.server.advisory.v1.client_connect"
    );
    let client = &connect_event["client"];
    assert_eq!(
        (&client["acc"], &client["user"], &client["name_tag"]),
        (&json!("A"), &json!("a"), &json!("A"))
    );
    assert_eq!(connect_event["server"]["name"], "n1");

    drop(a);
    assert_eq!(event(&mut system).1["conns"], 0);
    assert_eq!(event(&mut system).1["conns"], 0);
    let (subject, end) = event(&mut system);
    assert_eq!(subject, "$SYS.ACCOUNT.A.DISCONNECT");
    assert_eq!(end["reason"], "Client Closed");
    assert_eq!(end["client"]["user"], "a");
    assert!(end["client"]["stop"].is_string());

    let mut refused = server.connect();
    refused
        .send("CONNECT {\"user\":\"a\",\"pass\":\"secret-wrong\"}\r\n")
        .unwrap();
    let (_, refusal) = event(&mut system);
    assert_eq!(refusal["reason"], "Authentication Failure");
    assert_eq!(refusal["client"]["user"], "a");
    assert!(!refusal.to_string().contains("secret-wrong"));
}

#[test]
fn refused_logins_are_told_to_the_system_account_and_where_they_were_tried() {
    let server = TestServer::configured(
        "authorization { users [ {user: a, password: p}, {user: b, password: p} ] }",
    );
    let mut here = server.connect();
    here.send("CONNECT {\"verbose\":false,\"user\":\"a\",\"pass\":\"p\"}\r\nSUB > 1\r\n")
        .unwrap();
    here.sync().unwrap();
    let refuse = |line: &str| {
        let mut peer = server.connect();
        peer.send(line).unwrap();
        peer.expect("-ERR 'Authorization Violation'\r\n");
    };
    // Who does not even try is no affair of the account's.
    refuse("SUB a 1\r\n");
    refuse("CONNECT {\"user\":\"a\",\"pass\":\"p\",\"account\":\"A\"}\r\n");
    refuse("CONNECT {\"user\":\"b\",\"pass\":\"wrong\"}\r\n");
    let (subject, refusal) = event(&mut here);
    assert_eq!(subject, "$SYS.ACCOUNT.CLIENT.AUTH.ERR");
    assert_eq!(refusal["reason"], "Authentication Failure");
    assert_eq!(
        (&refusal["client"]["acc"], &refusal["client"]["user"]),
        (&json!("$G"), &json!("b"))
    );
}

#[test]
fn who_does_not_log_in_is_told_of() {
    let server = TestServer::configured(CONFIG);
    let mut system = connect(&server, "s");
    system
        .send("SUB $SYS.SERVER.*.CLIENT.AUTH.ERR 1\r\n")
        .unwrap();
    system.sync().unwrap();
    server.connect().send("SUB a 1\r\n").unwrap();
    let (_, refusal) = event(&mut system);
    assert_eq!(refusal["reason"], "Authentication Failure");
    assert_eq!(refusal["client"]["user"], Value::Null);
}

#[test]
fn the_end_of_the_server_is_told() {
    let mut server = TestServer::configured(CONFIG);
    let mut system = connect(&server, "s");
    system.send("SUB $SYS.SERVER.*.SHUTDOWN 1\r\n").unwrap();
    system.sync().unwrap();
    server.shutdown();
    assert_eq!(event(&mut system).1["name"], "n1");
}

#[test]
fn every_account_may_ask_for_itself() {
    let server = TestServer::configured(CONFIG);
    let mut q = connect(&server, "q");
    let info = request(
        &mut q,
        "$SYS.REQ.USER.INFO",
        "what this says matters nothing",
    );
    assert_eq!(
        info["data"],
        json!({
            "user": "q", "account": "A", "account_name": "A",
            "permissions": {
                "publish": {"allow": [">"]},
                "subscribe": {"deny": ["x"]},
                "responses": {"max": 1, "ttl": 120_000_000_000_u64}
            }
        })
    );
    let _b = connect(&server, "b");
    let connz = request(&mut q, "$SYS.REQ.ACCOUNT.PING.CONNZ", r#"{"acc":"B"}"#);
    assert_eq!(connz["data"]["num_connections"], 1);
    assert_eq!(connz["data"]["connections"][0]["name"], "q");
    let statz = request(
        &mut q,
        "$SYS.REQ.ACCOUNT.PING.STATZ",
        r#"{"accounts":["B"]}"#,
    );
    assert_eq!(statz["data"]["account_statz"][0]["acc"], "A");
    // The rest is for the system account alone.
    let elsewhere = q.request("$SYS.REQ.SERVER.PING", b"").unwrap();
    assert_eq!(elsewhere.status(), Some("503"));
}

#[test]
fn the_system_account_may_ask_for_everything() {
    let server = TestServer::configured(CONFIG);
    let mut system = connect(&server, "s");
    let _a = connect(&server, "a");
    let id = request(&mut system, "$SYS.REQ.SERVER.PING.IDZ", "")["id"]
        .as_str()
        .unwrap()
        .to_owned();
    for name in [
        "STATSZ", "VARZ", "SUBSZ", "CONNZ", "ROUTEZ", "GATEWAYZ", "LEAFZ", "ACCOUNTZ", "JSZ",
        "HEALTHZ", "RAFTZ",
    ] {
        for to in ["PING", id.as_str()] {
            let subject = format!("$SYS.REQ.SERVER.{to}.{name}");
            let answer = request(&mut system, &subject, "");
            assert_eq!(answer["server"]["id"], id, "{subject}");
            let data = if name == "STATSZ" { "statsz" } else { "data" };
            assert!(answer[data].is_object(), "{subject}: {answer}");
        }
    }
    for unread in ["x", r#"{"server_name":"other"}"#] {
        let answer = request(&mut system, "$SYS.REQ.SERVER.PING.IDZ", unread);
        assert_eq!(answer["id"], id, "{unread}");
    }
    let statz = request(&mut system, "$SYS.REQ.ACCOUNT.PING.STATZ", "");
    assert_eq!(statz["data"]["account_statz"].as_array().unwrap().len(), 2);
    let info = request(&mut system, "$SYS.REQ.ACCOUNT.A.INFO", "");
    assert_eq!(
        info["data"]["exports"],
        json!([
            {"subject": "r.*", "type": "service", "response_type": "Singleton", "approved_accounts": ["B"]},
            {"subject": "s.>", "type": "stream"}
        ])
    );
    assert_eq!(
        info["data"]["mappings"],
        json!({"m.*": [{"subject": "n.$1", "weight": 100}]})
    );
    let info = request(&mut system, "$SYS.REQ.ACCOUNT.B.INFO", "");
    assert_eq!(
        info["data"]["imports"][0],
        json!({
            "subject": "r.*", "account": "A", "to": "l.*", "local_subject": "l.*", "type": "service",
            "invalid": false, "share": true, "tracking": false
        })
    );
    let unknown = request(&mut system, "$SYS.REQ.ACCOUNT.NOPE.INFO", "");
    assert_eq!(
        unknown["error"],
        json!({"code": 500, "description": "Account NOPE does not exist"})
    );
    let malformed = request(
        &mut system,
        "$SYS.REQ.SERVER.PING.VARZ",
        r#"{"server_name":1}"#,
    );
    assert_eq!(malformed["error"]["code"], 400);
}

/// As Go's decoder has it (observed nats-server 2.15.1).
#[test]
fn options_may_be_in_any_case_and_null_is_none() {
    let server = TestServer::configured(CONFIG);
    let mut system = connect(&server, "s");
    let mut a = connect(&server, "a");
    a.send("SUB r.1 1\r\n").unwrap();
    a.sync().unwrap();
    let mut ask = |service: &str, options: &str| {
        let subject = format!("$SYS.REQ.{service}");
        request(&mut system, &subject, options)
    };
    let connz = ask(
        "SERVER.PING.CONNZ",
        r#"{"Acc":"A","SUBSCRIPTIONS":true,"tags":null,"server_name":null}"#,
    );
    let connections = connz["data"]["connections"].as_array().unwrap();
    assert_eq!(connections.len(), 1);
    assert_eq!(connections[0]["subscriptions_list"], json!(["r.1"]));
    let count = ask("ACCOUNT.NSUBS", r#"{"ACC":"A","Subject":"r.1"}"#);
    assert_eq!(count, json!(1));
    let id = ask("SERVER.PING.IDZ", "")["id"].clone();
    let kick = format!("SERVER.{}.KICK", id.as_str().unwrap());
    let done = ask(&kick, &json!({ "CID": connections[0]["cid"] }).to_string());
    assert_eq!(done.get("error"), None);
}

/// Observed nats-server 2.15.1.
#[test]
fn requests_of_other_accounts_are_shown_until_they_are_answered() {
    let server = TestServer::configured(CONFIG);
    let mut system = connect(&server, "s");
    let (mut a, mut b) = (connect(&server, "a"), connect(&server, "b"));
    a.send("SUB r.1 1\r\n").unwrap();
    a.sync().unwrap();
    b.send("SUB answers 1\r\nPUB l.1 answers 2\r\nhi\r\n")
        .unwrap();
    let asked = a.message().unwrap().reply.unwrap();
    let mut responses = || {
        let info = request(&mut system, "$SYS.REQ.ACCOUNT.A.INFO", "");
        info["data"].get("responses").cloned()
    };
    let open = json!({
        "subject": "answers", "account": "B", "to": asked, "local_subject": asked, "type": 2, "invalid": false,
        "share": true, "tracking": false
    });
    assert_eq!(responses(), Some(json!({ &asked: open })));
    a.send(format!("PUB {asked} 2\r\nho\r\n")).unwrap();
    b.message().unwrap();
    assert_eq!(responses(), None);
}

#[test]
fn a_connection_can_be_kicked() {
    let server = TestServer::configured(CONFIG);
    let mut system = connect(&server, "s");
    let mut a = connect(&server, "a");
    let connz = request(&mut system, "$SYS.REQ.ACCOUNT.A.CONNZ", "");
    let cid = &connz["data"]["connections"][0]["cid"];
    let id = connz["server"]["id"].as_str().unwrap().to_owned();
    let kick = format!("$SYS.REQ.SERVER.{id}.KICK");
    let refused = request(&mut system, &kick, r#"{"cid":999}"#);
    assert_eq!(
        refused["error"]["description"],
        "no such client or leafnode id"
    );
    system.send("SUB nobody 99\r\n").unwrap();
    // What can not be read gets no answer, so that the next one is the next request's.
    for unreadable in ["", "x", "[]", r#"{"cid":"1"}"#] {
        let sent = format!("PUB {kick} nobody {}\r\n{unreadable}\r\n", unreadable.len());
        system.send(sent).unwrap();
    }
    let done = request(&mut system, &kick, &json!({ "cid": cid }).to_string());
    assert_eq!(done.get("error"), None);
    assert_eq!(a.rest().unwrap(), b"");
}
