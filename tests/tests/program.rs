//! The program starts, is ready when it says so, ends, comes back, and says why it does not start.

use jetsled_testkit::{Launch, Peer, StartError};

#[test]
fn a_server_is_ready_when_started_and_gone_when_killed_and_back_on_its_port() {
    let mut server = Launch::new().start().expect("the server starts");
    let (mut peer, info) = Peer::ready(server.address()).expect("an ordinary client");
    assert!(info.starts_with("INFO {"), "{info}");
    peer.send("SUB a 1\r\nPUB a 2\r\nhi\r\n").expect("sent");
    assert_eq!(
        peer.sync().expect("still connected"),
        b"MSG a 1 2\r\nhi\r\n"
    );

    server.kill();
    assert!(
        Peer::connect(server.address()).is_err(),
        "a killed server listens no more"
    );
    assert_eq!(peer.rest().expect("closed"), b"");
    let port = server.port();
    server.start_again().expect("the server starts again");
    assert_eq!(server.port(), port);
    Peer::ready(server.address()).expect("an ordinary client");
    assert!(server.stop().is_some_and(|status| status.success()));
}

#[test]
fn a_start_that_fails_tells_the_log() {
    let error = Launch::new()
        .config("port: [")
        .start()
        .expect_err("a broken configuration");
    let StartError::Exited { status, log } = error else {
        panic!("{error}")
    };
    assert_eq!(status.code(), Some(1));
    assert!(
        log.contains("rror on line 1") || log.contains("server.conf:1:"),
        "{log}"
    );
}
