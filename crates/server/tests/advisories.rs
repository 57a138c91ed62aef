//! What nats-server's public advisories were about, as far as it concerns accounts, imports, traces and permissions of
//! one server: one test each, named after it.

#![allow(clippy::unwrap_used, reason = "a test may")]

mod support;

use std::io::Write;

use jetsled_config::{Environment, parse_command_line};
use jetsled_testkit::Peer;
use support::TestServer;

/// How a configuration is refused.
#[track_caller]
fn refusal(text: &str) -> String {
    let environment = Environment {
        read_file: &|_| Ok(text.to_owned()),
        variable: &|_| None,
    };
    let arguments = ["nats-server", "-c", "test.conf"];
    parse_command_line(arguments.map(Into::into), &environment)
        .unwrap_err()
        .to_string()
}

fn connect(server: &TestServer, user: &str) -> Peer {
    let fields = format!(r#","user":"{user}","pass":"p","name":"{user}""#);
    server.connected(&fields, "PONG\r\n")
}

fn told(peer: &mut Peer, lines: &str) -> String {
    peer.send(lines.replace('|', "\r\n") + "\r\n").unwrap();
    String::from_utf8(peer.sync().unwrap()).unwrap()
}

fn got(peer: &mut Peer) -> String {
    String::from_utf8(peer.sync().unwrap()).unwrap()
}

/// Also CVE-2022-42709, which found another way.
#[test]
fn cve_2020_28466_import_loops_are_refused() {
    for kind in ["service", "stream"] {
        let account = |name: &str, other: &str| {
            format!(
                "{name} {{ exports: [{{{kind}: x}}], imports: [{{{kind}: {{account: {other}, subject: x}}, to: x}}] }}"
            )
        };
        let text = format!(
            "accounts {{\n{}\n{}\n{}\n}}",
            account("A", "C"),
            account("B", "A"),
            account("C", "B")
        );
        let refusal = refusal(&text);
        assert!(
            refusal.contains("import forms a cycle"),
            "{kind}: {refusal}"
        );
    }
}

#[test]
fn cve_2021_3127_private_exports_are_for_those_named() {
    let text = "accounts {
        A { exports: [{service: s, accounts: [B]}] }
        B { imports: [{service: {account: A, subject: s}}] }
        C { imports: [{service: {account: A, subject: s}}] }
    }";
    assert!(refusal(text).contains("service import not authorized"));
}

#[test]
fn cve_2022_24450_no_client_chooses_its_account() {
    let server = TestServer::configured(
        "accounts { A { users: [{user: a, password: p}] }, B { users: [{user: b, password: p}] } }",
    );
    for choice in [
        r#""account":"B""#,
        r#""account":"$SYS""#,
        r#""account":"B","new_account":true"#,
    ] {
        let mut peer = server.connect();
        peer.send(format!(
            "CONNECT {{\"user\":\"a\",\"pass\":\"p\",{choice}}}\r\n"
        ))
        .unwrap();
        peer.expect("-ERR 'Authorization Violation'\r\n");
    }
}

/// Also GHSA-wh7g-5m82-pmhr, wildcards that only overlap, and GHSA-jx8g-9g95-6322, deny entries for queues beside plain ones.
#[test]
fn cve_2022_29946_denied_subjects_reach_no_subscription() {
    let server = TestServer::configured(
        r#"accounts {
            A { users: [{user: a, password: p}], exports: [{stream: ">"}] }
            B {
                users: [
                    {user: b, password: p, permissions: {subscribe: {allow: ["s.>", "*.y"], deny: ["s.no", "*.x.no", "s.q other"]}}}
                ]
                imports: [{stream: {account: A, subject: ">"}}]
            }
        }"#,
    );
    let mut publisher = connect(&server, "a");
    let mut own = connect(&server, "b");
    let mut reader = connect(&server, "b");
    told(
        &mut reader,
        "SUB s.> 1|SUB s.> q 2|SUB s.*.* 3|SUB s.*.* q2 4|SUB *.y 5",
    );
    for subject in ["s.no", "s.x.no"] {
        told(&mut publisher, &format!("PUB {subject} 1|1"));
        told(&mut own, &format!("PUB {subject} 1|1"));
        let headers = "NATS/1.0\r\nNats-Trace-Dest: t\r\n\r\n";
        let size = headers.len();
        told(
            &mut own,
            &format!("HPUB {subject} {size} {}\r\n{headers}1", size + 1),
        );
    }
    assert_eq!(got(&mut reader), "");
    told(&mut publisher, "PUB s.yes 1|1");
    assert_eq!(got(&mut reader).matches("MSG s.yes").count(), 2);
    // A plain deny holds for queues too.
    assert!(told(&mut reader, "SUB s.no any 6").contains("Permissions Violation"));
    assert!(told(&mut reader, "SUB s.no 7").contains("Permissions Violation"));
}

#[test]
fn cve_2023_47090_a_second_account_does_not_open_the_first() {
    let server = TestServer::configured(
        "authorization { user: a, password: p }
        accounts { SYS { } }, system_account: SYS",
    );
    let mut anonymous = server.connect();
    anonymous.send("PING\r\n").unwrap();
    anonymous.expect("-ERR 'Authorization Violation'\r\n");
}

#[test]
fn cve_2025_30215_administration_of_jetstream_stays_in_the_account() {
    let dir = tempfile::tempdir().unwrap();
    let server = TestServer::configured(&format!(
        "jetstream {{ store_dir: {:?} }}
        accounts {{
            A {{ jetstream: true, users: [{{user: a, password: p}}] }}
            B {{ jetstream: true, users: [{{user: b, password: p}}] }}
        }}",
        dir.path().display().to_string()
    ));
    let mut a = connect(&server, "a");
    let mut b = connect(&server, "b");
    let created = a
        .request(
            "$JS.API.STREAM.CREATE.S",
            br#"{"name":"S","subjects":["s"]}"#,
        )
        .unwrap();
    assert!(String::from_utf8_lossy(&created.payload).contains("did_create"));
    for subject in [
        "$JS.API.ACCOUNT.PURGE.A",
        "$JS.API.SERVER.REMOVE",
        "$JS.API.META.LEADER.STEPDOWN",
        "$JS.API.STREAM.DELETE.S",
        "$JS.API.ACCOUNT.STREAM.MOVE.A.S",
        "$JS.API.ACCOUNT.STREAM.CANCEL_MOVE.A.S",
        "$JS.API.STREAM.PEER.REMOVE.S",
        "$JS.API.STREAM.LEADER.STEPDOWN.S",
    ] {
        told(&mut b, &format!("PUB {subject} in 2|{{}}"));
    }
    let info = a.request("$JS.API.STREAM.INFO.S", b"").unwrap();
    assert!(String::from_utf8_lossy(&info.payload).contains(r#""name":"S""#));
}

#[test]
fn cve_2026_33223_nobody_claims_to_be_another_requestor() {
    let server = TestServer::configured(
        "accounts {
            A { users: [{user: a, password: p}], exports: [{service: s}] }
            B { users: [{user: b, password: p}], imports: [{service: {account: A, subject: s}}]
                exports: [{service: s}] }
            C { users: [{user: c, password: p}], imports: [{service: {account: B, subject: s}}] }
        }",
    );
    let mut service = connect(&server, "a");
    told(&mut service, "SUB s 1");
    let block = "NATS/1.0\r\nNats-Request-Info: {\"acc\":\"A\"}\r\nX: y\r\nNats-Request-Info: {\"acc\":\"A\"}\r\n\r\n";
    let size = block.len();
    for user in ["b", "c"] {
        let mut requestor = connect(&server, user);
        told(&mut requestor, &format!("HPUB s {size} {size}\r\n{block}"));
        let request = got(&mut service);
        assert_eq!(request.matches("Nats-Request-Info").count(), 1, "{request}");
        let account = user.to_uppercase();
        assert!(
            request.contains(&format!("\"acc\":\"{account}\"")),
            "{request}"
        );
    }
}

#[test]
fn cve_2026_33249_traces_go_only_where_their_publisher_may() {
    let server = TestServer::configured(
        r#"accounts { A { users: [
            {user: a, password: p}
            {user: d, password: p, permissions: {publish: "ok"}}
        ] } }"#,
    );
    let mut observer = connect(&server, "a");
    let mut d = connect(&server, "d");
    told(&mut observer, "SUB > 1");
    let block = "NATS/1.0\r\nNats-Trace-Dest: secret\r\n\r\n";
    let size = block.len();
    let answer = told(&mut d, &format!("HPUB ok {size} {size}\r\n{block}"));
    assert!(answer.contains("Permissions Violation for Publish to \"secret\""));
    assert_eq!(got(&mut observer), "");
}

#[test]
fn ghsa_hmmp_q8cx_v964_no_auth_user_keeps_its_connection_types() {
    let server = TestServer::configured(
        r#"accounts { A { users: [{user: a, password: p, allowed_connection_types: ["WEBSOCKET"]}] } }
        no_auth_user: a"#,
    );
    for first in [
        "SUB x 1\r\n",
        "PING\r\n",
        "PUB x 0\r\n\r\n",
        "CONNECT {}\r\n",
    ] {
        let mut peer = server.connect();
        peer.send(first).unwrap();
        let answer = peer.line().unwrap();
        assert_eq!(answer, "-ERR 'Authorization Violation'", "{first}");
    }
}

#[test]
fn ghsa_q59r_vq66_pxc2_absurd_pages_are_answered() {
    let server = TestServer::configured("accounts { A { users: [{user: a, password: p}] } }");
    let mut a = connect(&server, "a");
    for page in [
        r#"{"offset":9223372036854775807,"limit":9223372036854775807}"#,
        r#"{"offset":-9223372036854775808,"limit":-1}"#,
        r#"{"offset":1,"limit":9223372036854775807}"#,
        r#"{"offset":18446744073709551615}"#,
    ] {
        let answer = a
            .request("$SYS.REQ.ACCOUNT.PING.CONNZ", page.as_bytes())
            .unwrap();
        assert!(answer.payload.starts_with(b"{\"server\""), "{page}");
    }
    assert_eq!(got(&mut a), "");
}

const WEBSOCKET: &str = "websocket { host: 127.0.0.1, port: -1, no_tls: true }";

/// The masked start of a frame with a length in 64 bits.
fn long_frame(first: u8, len: u64) -> Vec<u8> {
    [&[first, 0x80 | 127][..], &len.to_be_bytes(), &[0; 4]].concat()
}

#[test]
fn cve_2026_27889_no_length_of_a_frame_is_too_large_to_count() {
    let server = TestServer::configured(&format!("authorization {{ token: t }}\n{WEBSOCKET}"));
    let address = server.server().websocket_address().unwrap();
    for len in [
        1 << 31,
        1 << 62,
        (1 << 63) - 1,
        1 << 63,
        u64::MAX - 13,
        u64::MAX,
    ] {
        for first in [0x81, 0x82, 0x02, 0x00, 0x88, 0x89, 0x8a, 0xc2] {
            let peer = Peer::websocket(address, "").unwrap();
            // As bytes of the connection, not as the payload of a frame.
            let mut stream = peer.stream();
            let _sent = stream.write_all(&long_frame(first, len));
            let _sent = stream.write_all(&[b'A'; 1024]);
        }
    }
    let mut peer = Peer::websocket(address, "").unwrap();
    assert!(peer.line().unwrap().starts_with("INFO "));
    peer.send("CONNECT {\"verbose\":false,\"auth_token\":\"t\"}\r\n")
        .unwrap();
    assert_eq!(peer.sync().unwrap(), b"");
}

#[test]
fn ghsa_p957_7v2w_g93g_mqtts_path_leads_nowhere() {
    let server = TestServer::configured(WEBSOCKET);
    let address = server.server().websocket_address().unwrap();
    for path in ["/mqtt", "/a/mqtt", "/mqtt?x"] {
        let mut peer = Peer::connect(address).unwrap();
        peer.send(format!(
            "GET {path} HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n"
        ))
        .unwrap();
        let answer = peer.line().unwrap();
        assert!(answer.starts_with("HTTP/1.1 404 "), "{path}: {answer}");
    }
    Peer::websocket(address, "").unwrap();
}
