//! No secret is told: not by a log with everything on, not by an error, not by monitoring, not by an event.

mod configuration;
mod keys;
mod ocis;
mod websocket;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use jetsled_testkit::{Launch, Peer, Server};
use jetsled_tests::observed::http;

/// How long what was logged may take until it can be read.
const LOGGED_WITHIN: Duration = Duration::from_secs(20);

/// What must not be seen, by what it is.
type Secrets<'a> = &'a [(&'a str, &'a str)];

#[track_caller]
fn check_absent(where_: &str, text: &str, secrets: Secrets<'_>) {
    for (what, secret) in secrets {
        let line = text.lines().find(|line| line.contains(secret));
        assert_eq!(line, None, "{what} in {where_}");
    }
}

const ENDPOINTS: &[&str] = &[
    "/",
    "/varz",
    "/connz?auth=1&subs=detail",
    "/connz?state=closed&auth=1",
    "/connz?state=all&auth=true&subs=1",
    "/subsz?subs=1",
    "/accountz",
    "/accountz?acc=A",
    "/accountz?acc=%24G",
    "/accstatz?unused=1",
    "/jsz?accounts=1&streams=1&consumers=1&config=1",
    "/routez",
    "/gatewayz?accs=1",
    "/leafz?subs=1",
    "/healthz?details=1",
    "/debug/vars",
    "/nothing",
];

fn check_monitoring(server: &Server, secrets: Secrets<'_>) {
    let monitor = server.monitor_address().expect("monitoring is on");
    for path in ENDPOINTS {
        let answer = http::get(monitor, path).expect("an answer");
        check_absent(path, &answer.body, secrets);
    }
}

/// A user of the system account that hears everything which is told there.
struct Observer(Peer);

impl Observer {
    /// `peer` has logged in.
    fn new(mut peer: Peer) -> Self {
        peer.send("SUB > 1\r\n").expect("sent");
        peer.sync().expect("subscribed");
        Self(peer)
    }

    #[track_caller]
    fn check(&mut self, events: &[&str], secrets: Secrets<'_>) {
        let told = self.0.sync().expect("still there");
        let told = String::from_utf8_lossy(&told);
        for event in events {
            assert!(told.contains(event), "{event} is not in\n{told}");
        }
        check_absent("events", &told, secrets);
    }
}

/// Asks every service of the system account.
fn check_services(system: &mut Peer, secrets: Secrets<'_>) {
    for service in [
        "VARZ", "CONNZ", "ACCOUNTZ", "SUBSZ", "STATSZ", "IDZ", "HEALTHZ", "JSZ",
    ] {
        let subject = format!("$SYS.REQ.SERVER.PING.{service}");
        let body = br#"{"auth":true,"subscriptions":true,"state":2}"#;
        let answer = system.request(&subject, body).expect("an answer");
        check_absent(&subject, &String::from_utf8_lossy(&answer.payload), secrets);
    }
}

/// With everything on that is logged, payloads of the system account too.
fn check_log(server: &Server, secrets: Secrets<'_>) {
    for level in ["[TRC]", "[DBG]"] {
        let logged = server.wait_for_log(level, LOGGED_WITHIN);
        assert!(logged.is_some(), "{}", server.log());
    }
    check_absent("the log", &server.log(), secrets);
}

/// Sends a CONNECT and what comes back until the server has answered a PING or closed.
fn connect(server: &Server, options: &str) -> (Peer, String) {
    let mut peer = Peer::connect(server.address()).expect("it listens");
    let mut output = peer.line().expect("INFO");
    peer.send(format!("CONNECT {options}\r\nPING\r\n"))
        .expect("sent");
    while let Ok(line) = peer.line() {
        output += &format!("\n{line}");
        if line == "PONG" {
            break;
        }
    }
    (peer, output)
}

#[test]
fn passwords_and_what_is_given_for_them() {
    let hash = "$2a$04$WqsjYh.oQmrT6MHI/Tlhse6lfYJGAPBiCbbcyZ64uA00LXYxK0zo2";
    let seed = "SUAIBDPBAUTWCWBKIO6XHQNINK5FWJW4OHLXC3HQ2KFE4PEJUA44CNHTC4";
    let secrets = [
        ("a password", "plain-secret-1"),
        ("a password changed by a reload", "plain-secret-2"),
        ("the system user's password", "system-secret"),
        ("the password of a hash", "hashed-secret"),
        ("a hash", hash),
        ("a wrong password", "wrong-secret"),
        ("a token that nobody asked for", "token-secret"),
        ("a signature", "c2lnbmF0dXJlLXNlY3JldA"),
        ("a proxy's signature", "cHJveHktc2VjcmV0"),
        ("a token of claims", "claims-secret"),
        ("a seed", seed),
        ("a password in broken JSON", "broken-secret"),
        ("a password of a type", "987654321987"),
        ("a monitoring user's password", "monitor-secret"),
        (
            "a monitoring user's password",
            "bW9uaXRvcjptb25pdG9yLXNlY3JldA",
        ),
    ];
    let config = |password: &str| {
        format!(
            "http: 127.0.0.1:-1\naccounts {{\n  A {{ users: [ {{user: a, password: {password}}}, {{user: b, password: {hash:?}}} ] }}\n  \
             SYS {{ users: [ {{user: sys, password: system-secret}} ] }}\n}}\nsystem_account: SYS\n"
        )
    };
    let server = Launch::new()
        .called("nats-server")
        .config(config("plain-secret-1"))
        .arg("-DVV")
        .start()
        .expect("the server starts");
    let (mut system, _) = connect(
        &server,
        r#"{"verbose":false,"user":"sys","pass":"system-secret"}"#,
    );
    let (listener, _) = connect(
        &server,
        r#"{"verbose":false,"user":"sys","pass":"system-secret"}"#,
    );
    let mut observer = Observer::new(listener);
    let mut told = String::new();
    let mut stay = Vec::new();
    for options in [
        r#"{"user":"a","pass":"plain-secret-1","name":"good"}"#.to_owned(),
        r#"{"user":"b","pass":"hashed-secret"}"#.to_owned(),
        r#"{"user":"a","pass":"wrong-secret"}"#.to_owned(),
        r#"{"user":"b","pass":"wrong-secret","auth_token":"token-secret"}"#.to_owned(),
        r#"{"auth_token":"token-secret"}"#.to_owned(),
        r#"{"jwt":"claims-secret","sig":"c2lnbmF0dXJlLXNlY3JldA"}"#.to_owned(),
        r#"{"user":"a","pass":"wrong-secret","proxy_sig":"cHJveHktc2VjcmV0"}"#.to_owned(),
        format!(r#"{{"nkey":"{seed}","sig":"c2lnbmF0dXJlLXNlY3JldA"}}"#),
        format!(r#"{{"user":"{seed}","pass":"x","name":"{seed}"}}"#),
        format!(r#"{{"jwt":"{seed}"}}"#),
        format!(r#"{{"user":"a","pass":"{seed}"}}"#),
        format!(r#"{{"auth_token":"{seed}"}}"#),
        r#"{"user":"a","pass":"broken-secret"#.to_owned(),
        r#"{"user":"a","pass":"broken-secret","verbose":"no"}"#.to_owned(),
        r#"{"user":"a","pass":987654321987}"#.to_owned(),
        r#"{"user":"a","password":"broken-secret","token":"token-secret"}"#.to_owned(),
        r#"{"user":{"pass":"broken-secret"}}"#.to_owned(),
        r#""broken-secret""#.to_owned(),
        r#"["broken-secret"]"#.to_owned(),
    ] {
        let (peer, output) = connect(&server, &options);
        told += &output;
        stay.push(peer);
    }
    for lines in [
        "AUTH token-secret",
        "CONNECT{\"pass\":\"plain-secret-1\"}",
        "connect\tplain-secret-1",
        "CONNECTED {\"pass\":\"plain-secret-1\"}",
        "{\"pass\":\"plain-secret-1\"}",
        "GET /?token-secret HTTP/1.1",
    ] {
        // Before a login, then after it.
        for login in [
            "",
            "CONNECT {\"user\":\"a\",\"pass\":\"plain-secret-1\"}\r\n",
        ] {
            let mut peer = Peer::connect(server.address()).expect("it listens");
            peer.send(format!("{login}{lines}\r\nPING\r\n"))
                .expect("sent");
            while let Ok(line) = peer.line() {
                told += &format!("\n{line}");
                if line == "PONG" {
                    break;
                }
            }
        }
    }
    let long = format!(
        "CONNECT {{\"pass\":\"plain-secret-1\",\"x\":\"{}\"}}\r\n",
        "x".repeat(8000)
    );
    let mut peer = Peer::connect(server.address()).expect("it listens");
    peer.send(long).expect("sent");
    told += &String::from_utf8_lossy(&peer.rest().expect("it is closed"));
    check_absent("what clients are told", &told, &secrets);
    let monitor = server.monitor_address().expect("monitoring is on");
    let mut stream = TcpStream::connect(monitor).expect("it listens");
    let request = "GET /varz?user=monitor:monitor-secret HTTP/1.0\r\nHost: monitor:monitor-secret@x\r\n\
                   Authorization: Basic bW9uaXRvcjptb25pdG9yLXNlY3JldA==\r\n\r\n";
    stream.write_all(request.as_bytes()).expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    check_absent("a monitoring answer", &answer, &secrets);
    check_monitoring(&server, &secrets);
    check_services(&mut system, &secrets);

    server.write_config(config("plain-secret-2"));
    server.hang_up();
    server
        .wait_for_log("Reloaded server configuration", LOGGED_WITHIN)
        .expect("a reload");
    drop(stay);
    observer.check(&["CLIENT.AUTH.ERR", ".CONNECT", ".DISCONNECT"], &secrets);
    check_log(&server, &secrets);
}

#[test]
fn tokens() {
    for token in [
        "token-secret",
        "$2a$04$WqsjYh.oQmrT6MHI/TlhsejE18vfKWyeHKhfVYmlU69pafp/048Wi",
    ] {
        let secrets = [
            ("the token", token),
            ("a token", "token-secret"),
            ("a wrong token", "wrong-secret"),
        ];
        let server = Launch::new()
            .called("nats-server")
            .config(format!(
                "http: 127.0.0.1:-1\nauthorization {{ token: {token:?} }}"
            ))
            .arg("-DV")
            .start()
            .expect("the server starts");
        let (mut peer, output) = connect(&server, r#"{"auth_token":"token-secret"}"#);
        check_absent("what a client is told", &output, &secrets);
        let (_other, output) = connect(&server, r#"{"auth_token":"wrong-secret"}"#);
        check_absent("what a client is told", &output, &secrets);
        assert!(output.contains("Authorization Violation"), "{output}");
        let answer = peer.request("$SYS.REQ.USER.INFO", b"").expect("an answer");
        check_absent(
            "user info",
            &String::from_utf8_lossy(&answer.payload),
            &secrets,
        );
        check_monitoring(&server, &secrets);
        check_absent("the log", &server.log(), &secrets);
    }
}

/// CVE-2026-33247.
#[test]
fn credentials_of_the_command_line() {
    let secrets = [("a password", "argv-secret"), ("a token", "argv-token")];
    for args in [
        ["--user", "u", "--pass", "argv-secret"],
        ["-D", "-V", "--auth", "argv-token"],
    ] {
        let launch = args
            .into_iter()
            .fold(Launch::new().called("nats-server"), Launch::arg);
        let server = launch
            .arg("-DV")
            .arg("-m")
            .arg("-1")
            .start()
            .expect("the server starts");
        let options = r#"{"user":"u","pass":"argv-secret","auth_token":"argv-token"}"#;
        let (_peer, output) = connect(&server, options);
        assert!(output.contains("PONG"), "{output}");
        check_absent("what a client is told", &output, &secrets);
        check_monitoring(&server, &secrets);
        check_absent("the log", &server.log(), &secrets);
    }
}
