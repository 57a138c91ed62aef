//! WebSocket byte by byte: `websocket/cases.txt` has what a client sends and what nats-server 2.15.1 answered.
//!
//! `JETSLED_RECORD=1 JETSLED_BIN=PATH_TO_NATS_SERVER cargo test -p jetsled-tests --test websocket` records the answers anew.

mod support {
    pub(crate) mod websocket_cases;
}

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::Path;

use jetsled_testkit::{Launch, Server};
use support::websocket_cases::{Case, File, play};

const CASES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/websocket/cases.txt");

/// A server whose WebSocket listener is at a port that its log says.
fn start(config: &str) -> (Server, u16) {
    let text = format!("websocket {{ host: 127.0.0.1, port: -1, {config}");
    let server = Launch::new()
        .config(text)
        .start()
        .expect("the server starts");
    let log = server.log();
    let (_, rest) = log
        .split_once("Listening for websocket clients on ws")
        .expect("it says where");
    let (_, port) = rest
        .lines()
        .next()
        .and_then(|line| line.rsplit_once(':'))
        .expect("a port");
    let port = port.trim().parse().expect("a number");
    (server, port)
}

#[test]
fn clients_get_what_nats_server_gives_them() {
    let text = std::fs::read_to_string(CASES).expect("the cases");
    let mut file = File::parse(&text);
    let servers: HashMap<_, _> = file
        .servers
        .iter()
        .map(|(name, config)| (name.clone(), start(config)))
        .collect();
    let mut differences = String::new();
    let records = std::env::var_os("JETSLED_RECORD").is_some();
    for case in &mut file.cases {
        let (_, port) = servers.get(&case.server).expect("a server of this name");
        let answer = play(case, *port);
        if records {
            case.answer = answer;
        } else if answer != case.answer {
            let Case { name, .. } = case;
            write!(
                differences,
                "{name}:\n  expected {:#?}\n  got {answer:#?}\n",
                case.answer
            )
            .expect("memory");
        }
    }
    if records {
        std::fs::write(Path::new(CASES), file.to_string()).expect("written");
    }
    assert!(differences.is_empty(), "{differences}");
    assert!(file.cases.len() > 40, "the cases are there");
}
