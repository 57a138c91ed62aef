//! The dashboard and the login of the monitoring listener.
#![allow(clippy::unwrap_used, reason = "a test ends where something fails")]

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::Value;
use support::TestServer;

/// A response: status, head, body.
struct Answer {
    status: u16,
    head: String,
    body: String,
}

fn get(server: &TestServer, path: &str, headers: &str) -> Answer {
    let mut stream = TcpStream::connect(server.monitor()).unwrap();
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nConnection: close\r\n{headers}\r\n"
    )
    .unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    Answer {
        status: head.split(' ').nth(1).unwrap().parse().unwrap(),
        head: head.to_lowercase(),
        body: body.to_owned(),
    }
}

const HERE: &str = "Host: localhost:8222\r\n";

fn json(server: &TestServer, path: &str) -> Value {
    let answer = get(server, path, HERE);
    assert_eq!(answer.status, 200, "{path}: {}", answer.body);
    serde_json::from_str(&answer.body).unwrap()
}

fn configured(directory: &tempfile::TempDir, more: &str) -> TestServer {
    let path = directory.path().display();
    TestServer::configured(&format!(
        "http_port: -1\njetstream {{ store_dir: \"{path}\" }}\n{more}"
    ))
}

/// Streams `S0` and up with a message each on `Sn.a`, a consumer of the first.
fn fill(server: &TestServer, streams: usize) {
    let mut peer = server.ready();
    for number in 0..streams {
        let body = format!("{{\"name\":\"S{number}\",\"subjects\":[\"S{number}.*\"]}}");
        let created = peer.request(&format!("$JS.API.STREAM.CREATE.S{number}"), body.as_bytes());
        assert!(
            !created
                .unwrap()
                .payload
                .windows(7)
                .any(|w| w == b"\"error\"")
        );
        peer.request(&format!("S{number}.a"), b"{\"hello\":1}")
            .unwrap();
    }
    let body =
        b"{\"stream_name\":\"S0\",\"config\":{\"durable_name\":\"C\",\"ack_policy\":\"explicit\"}}";
    peer.request("$JS.API.CONSUMER.CREATE.S0.C", body).unwrap();
}

#[test]
fn the_page_loads_nothing_from_elsewhere() {
    let directory = tempfile::tempdir().unwrap();
    let server = configured(&directory, "");
    for (path, media) in [
        ("/dashboard", "text/html"),
        ("/dashboard/style.css", "text/css"),
        ("/dashboard/script.js", "text/javascript"),
    ] {
        let answer = get(&server, path, HERE);
        assert_eq!(answer.status, 200, "{path}");
        assert!(
            answer
                .head
                .contains(&format!("content-type: {media}; charset=utf-8"))
        );
        assert!(
            answer
                .head
                .contains("content-security-policy: default-src 'none'; script-src 'self';")
        );
        assert!(!answer.head.contains("access-control-allow-origin"));
        let elsewhere = answer.body.replace("http://www.w3.org/2000/svg", "");
        assert!(!elsewhere.contains("://"), "{path}");
        for unsafe_use in [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "eval(",
            "document.write",
        ] {
            assert!(!answer.body.contains(unsafe_use), "{unsafe_use} in {path}");
        }
    }
    assert_eq!(get(&server, "/dashboard/", HERE).status, 404);
    assert_eq!(get(&server, "/dashboard/none", HERE).status, 404);
}

#[test]
fn lists_are_searched_sorted_and_paged() {
    let directory = tempfile::tempdir().unwrap();
    let server = configured(&directory, "");
    fill(&server, 12);
    let page = json(
        &server,
        "/dashboard/streams?search=s1&sort=name&order=desc&limit=2",
    );
    assert_eq!((&page["total"], &page["matching"]), (&12.into(), &3.into()));
    let names: Vec<_> = page["rows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| &row["config"]["name"])
        .collect();
    assert_eq!(names, ["S11", "S10"]);
    assert_eq!(page["rows"][0]["messages"], 1);
    let consumers = json(&server, "/dashboard/consumers?sort=pending&order=desc");
    assert_eq!(consumers["rows"][0]["num_pending"], 1);
    assert_eq!(consumers["rows"][0]["account"], "$G");
    let stream = json(&server, "/dashboard/stream?account=%24G&stream=S0");
    assert_eq!(stream["state"]["messages"], 1);
    assert_eq!(stream["consumers"][0]["name"], "C");
    let peer = server.ready();
    let connections = json(&server, "/dashboard/connections?search=127.0.0.1");
    assert_eq!(connections["rows"][0]["of_account"], "$G");
    drop(peer);
    let accounts = json(&server, "/dashboard/accounts?sort=stored&order=desc");
    assert_eq!(accounts["rows"][0]["streams"], 12);
    let overview = json(&server, "/dashboard/overview");
    assert_eq!(
        (&overview["jetstream"]["streams"], &overview["peek"]),
        (&12.into(), &false.into())
    );
    assert_eq!(get(&server, "/dashboard/streams?limit=x", HERE).status, 400);
    assert_eq!(
        get(&server, "/dashboard/stream?account=%24G&stream=NONE", HERE).status,
        404
    );
}

const MESSAGE: &str = "/dashboard/message?account=%24G&stream=S0&seq=1";

#[test]
fn messages_are_shown_only_where_it_is_said_and_on_this_machine() {
    let directory = tempfile::tempdir().unwrap();
    let server = configured(&directory, "");
    fill(&server, 1);
    assert_eq!(get(&server, MESSAGE, HERE).status, 403);
    drop(server);

    let server = configured(&directory, "monitoring { message_peek: true }");
    let message = json(&server, MESSAGE);
    assert_eq!(
        (&message["subject"], &message["text"]),
        (&"S0.a".into(), &"{\"hello\":1}".into())
    );
    let last = json(
        &server,
        &MESSAGE.replace("seq=1", "seq=99&back=1&filter=S0.*"),
    );
    assert_eq!(last["seq"], 1);
    assert_eq!(
        get(&server, &MESSAGE.replace("seq=1", "seq=2"), HERE).status,
        404
    );
    assert_eq!(
        get(
            &server,
            &MESSAGE.replace("seq=1", "seq=1&filter=other"),
            HERE
        )
        .status,
        404
    );
    assert_eq!(
        get(
            &server,
            &MESSAGE.replace("seq=1", "seq=1&filter=a..b"),
            HERE
        )
        .status,
        400
    );
    for headers in [
        "Host: evil.example\r\n",
        "Host: localhost\r\nX-Forwarded-For: 10.0.0.1\r\n",
        "Host: localhost\r\nSec-Fetch-Site: cross-site\r\n",
    ] {
        assert_eq!(get(&server, MESSAGE, headers).status, 403, "{headers}");
    }
}

#[test]
fn a_login_is_asked_for_everything_but_probes() {
    let directory = tempfile::tempdir().unwrap();
    let server = configured(
        &directory,
        "monitoring { user: me, password: s3cr3t, message_peek: true }",
    );
    fill(&server, 1);
    // me:s3cr3t and me:wrong
    let right = "Host: x\r\nAuthorization: Basic bWU6czNjcjN0\r\n";
    let wrong = "Host: x\r\nAuthorization: Basic bWU6d3Jvbmc=\r\n";
    for path in [
        "/",
        "/varz",
        "/metrics",
        "/dashboard",
        "/dashboard/overview",
        "/nope",
        MESSAGE,
        "/healthz?account=A",
    ] {
        for headers in ["Host: x\r\n", wrong] {
            let answer = get(&server, path, headers);
            assert_eq!(answer.status, 401, "{path}");
            assert!(
                answer.head.contains("www-authenticate: basic realm="),
                "{}",
                answer.head
            );
        }
    }
    for path in [
        "/",
        "/varz",
        "/metrics",
        "/dashboard",
        "/dashboard/overview",
        MESSAGE,
    ] {
        assert_eq!(get(&server, path, right).status, 200, "{path}");
    }
    let elsewhere = format!("{right}Sec-Fetch-Site: cross-site\r\n");
    assert_eq!(get(&server, MESSAGE, &elsewhere).status, 403);
    for path in ["/healthz", "/healthz?js-enabled-only=true"] {
        assert_eq!(get(&server, path, "Host: x\r\n").status, 200, "{path}");
    }
    assert!(!get(&server, "/varz", right).body.contains("s3cr3t"));
}
