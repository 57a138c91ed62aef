//! The service of oCIS: the token of its metrics, and passwords that other services have in the same environment.

use std::io::{Read, Write};
use std::net::TcpStream;

use jetsled_testkit::{Launch, Server};

use super::{LOGGED_WITHIN, check_absent, connect};

const SECRETS: &[(&str, &str)] = &[
    ("the token", "metrics-secret"),
    ("a wrong token", "wrong-secret"),
    ("a password in the environment", "events-secret"),
    ("a client's password", "client-secret"),
];

fn launch() -> Launch {
    Launch::ocis()
        .variable("NATS_LOG_LEVEL", "trace")
        .variable("OCIS_EVENTS_AUTH_PASSWORD", "events-secret")
        .variable("OCIS_CACHE_AUTH_PASSWORD", "events-secret")
        .variable("MICRO_REGISTRY_AUTH_PASSWORD", "events-secret")
        .variable("NATS_EVENTS_AUTH_PASSWORD", "events-secret")
        .variable("ENABLE_TLS", "events-secret")
}

fn ask(server: &Server, request: &str) -> String {
    let address = server.debug_address().expect("the debug server listens");
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.write_all(request.as_bytes()).expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer
}

#[test]
fn the_token_of_the_metrics() {
    let by_file = launch().config("debug:\n  token: metrics-secret\n");
    for launch in [
        launch().variable("NATS_DEBUG_TOKEN", "metrics-secret"),
        by_file,
    ] {
        let server = launch.start().expect("the service starts");
        for (line, header) in [
            ("GET /metrics", "Bearer metrics-secret"),
            ("GET /metrics", "Bearer wrong-secret"),
            ("GET /metrics?token=metrics-secret", "Basic wrong-secret"),
            ("GET /metrics-secret", "metrics-secret"),
            ("POST /healthz", "wrong-secret"),
            ("wrong-secret", "wrong-secret"),
        ] {
            let request = format!(
                "{line} HTTP/1.1\r\nHost: me:wrong-secret@x\r\nConnection: close\r\nAuthorization: {header}\r\n\r\n"
            );
            check_absent(line, &ask(&server, &request), SECRETS);
        }
        let (_peer, told) = connect(
            &server,
            r#"{"user":"u","pass":"client-secret","auth_token":"client-secret","name":"n"}"#,
        );
        assert!(told.contains("PONG"), "{told}");
        check_absent("what a client is told", &told, SECRETS);
        let traced = server.wait_for_log("\"level\":\"trace\"", LOGGED_WITHIN);
        assert!(traced.is_some(), "{}", server.log());
        check_absent("the log", &server.log(), SECRETS);
    }
}

#[test]
fn mistakes_beside_a_secret() {
    for (launch, ends) in [
        (launch().config("debug:\n  token: [metrics-secret]\n"), true),
        (
            launch().config("debug:\n  token: { a: metrics-secret }\n"),
            true,
        ),
        (launch().config("debug:\n\ttoken: metrics-secret\n"), false),
        (launch().config("debug: metrics-secret\n"), true),
        (
            launch().config("debug:\n  token: metrics-secret\nnats:\n  port: [1]\n"),
            true,
        ),
    ] {
        let said = if ends {
            let output = launch.run_to_end().expect("it ends");
            assert!(!output.status.success(), "{launch:?}");
            String::from_utf8_lossy(&output.stderr).into_owned()
                + &String::from_utf8_lossy(&output.stdout)
        } else {
            launch.start().expect("the service starts").log()
        };
        check_absent("what it says", &said, SECRETS);
    }
}
