//! A server inside the test's process, and what its peers need.
#![allow(dead_code, unused_imports, reason = "each test file uses a part")]
#![allow(clippy::unwrap_used, reason = "a test may")]

pub(crate) mod claims;
pub(crate) mod rules;
pub(crate) mod wire_cases;

use std::net::SocketAddr;

use jetsled_config::{Command, Environment, Options, Port, parse_command_line};
use jetsled_server::Server;
use jetsled_testkit::{CONNECT, Peer};
use tokio::runtime::Runtime;

/// A server on a free loopback port, stopped with its owner.
pub(crate) struct TestServer {
    runtime: Runtime,
    server: Option<Server>,
    pub(crate) address: SocketAddr,
}

impl TestServer {
    /// Starts with the defaults as `change` leaves them.
    pub(crate) fn start(change: impl FnOnce(&mut Options)) -> Self {
        let mut options = Options {
            host: "127.0.0.1".to_owned(),
            port: Port::Random,
            ..Options::default()
        };
        change(&mut options);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let server = runtime.block_on(Server::start(options)).unwrap();
        let address = server.client_address();
        Self {
            runtime,
            server: Some(server),
            address,
        }
    }

    /// Starts with a configuration file of this text.
    #[track_caller]
    pub(crate) fn configured(text: &str) -> Self {
        let options = options_of(text);
        Self::start(|defaults| *defaults = options)
    }

    /// The server itself.
    pub(crate) fn server(&self) -> &Server {
        self.server.as_ref().expect("running")
    }

    /// A connection that has sent CONNECT with these fields and got what `output` says.
    #[track_caller]
    pub(crate) fn connected(&self, fields: &str, output: &str) -> Peer {
        let mut peer = self.connect();
        peer.send(format!("CONNECT {{\"verbose\":false,\"pedantic\":false,\"headers\":true,\"no_responders\":true{fields}}}\r\nPING\r\n")).unwrap();
        expect(&mut peer, output.as_bytes());
        peer
    }

    /// A connection that has sent CONNECT and seen its PONG and the INFO behind it.
    #[track_caller]
    pub(crate) fn ready(&self) -> Peer {
        let mut peer = self.connect();
        peer.send(CONNECT).unwrap();
        peer.send("\r\nPING\r\n").unwrap();
        expect(&mut peer, b"PONG\r\nINFO{}\r\n");
        peer
    }

    /// A connection that has read INFO.
    #[track_caller]
    pub(crate) fn connect(&self) -> Peer {
        let mut peer = Peer::connect(self.address).unwrap();
        assert!(peer.line().unwrap().starts_with("INFO {"));
        peer
    }

    /// Where monitoring listens.
    pub(crate) fn monitor(&self) -> SocketAddr {
        let server = self.server.as_ref().expect("running");
        server.monitor_address().expect("monitoring is on")
    }

    /// Stops the server in order.
    pub(crate) fn shutdown(&mut self) {
        if let Some(server) = self.server.take() {
            self.runtime.block_on(server.shutdown());
        }
    }
}

/// The options of a server with a configuration file of this text, on a free loopback port.
#[track_caller]
pub(crate) fn options_of(text: &str) -> Options {
    let environment = Environment {
        read_file: &|_| Ok(text.to_owned()),
        variable: &|_| None,
    };
    let arguments = [
        "nats-server",
        "-a",
        "127.0.0.1",
        "-p",
        "-1",
        "-c",
        "test.conf",
    ];
    let command = parse_command_line(arguments.map(Into::into), &environment).unwrap();
    match command {
        Command::Run { options, .. } => *options,
        other => panic!("not a command to run a server: {other:?}"),
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.shutdown();
    }
}

/// Checks what comes next, INFO lines written as `INFO{}`.
#[track_caller]
pub(crate) fn expect(peer: &mut Peer, output: &[u8]) {
    const INFO: &[u8] = b"INFO{}\r\n";
    let mut rest = output;
    while let Some(at) = rest.windows(INFO.len()).position(|window| window == INFO) {
        peer.expect(&rest[..at]);
        assert!(peer.line().unwrap().starts_with("INFO {"));
        rest = &rest[at + INFO.len()..];
    }
    peer.expect(rest);
}
