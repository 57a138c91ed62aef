//! The program starts, is ready when it says so, ends, comes back, and says why it does not start.

use std::process::Command;

use jetsled_testkit::{Launch, Peer, StartError, program};

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

#[test]
fn a_running_server_is_asked_for_its_health() {
    let server = Launch::new().config("http: \"127.0.0.1:-1\"").start();
    let mut server = server.expect("the server starts");
    let monitor = server.monitor_address().expect("it is monitored");
    let ask = |path: &str| {
        let url = format!("http://{monitor}{path}");
        let output = Command::new(program()).args(["health", &url]).output();
        let output = output.expect("the program runs");
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(said).expect("text"))
    };
    assert_eq!(ask("/healthz"), (Some(0), "ok\n".to_owned()));
    let (code, said) = ask("/elsewhere");
    assert_eq!(code, Some(1));
    assert!(said.contains("404 Not Found"), "{said}");
    server.stop();
    let (code, said) = ask("/healthz");
    assert_eq!(code, Some(1));
    assert!(said.contains(&monitor.to_string()), "{said}");
}

/// What bash completes the last of these words to; `None` without a bash.
fn completed(words: &str) -> Option<String> {
    let script = r#"source <("$1" completions bash) && read -ra COMP_WORDS <<<"$2." && COMP_CWORD=$((${#COMP_WORDS[@]} - 1)) &&
        COMP_WORDS[COMP_CWORD]=${COMP_WORDS[COMP_CWORD]%.} && _jetsled 2>/dev/null; echo "${COMPREPLY[@]}""#;
    let output = Command::new("bash")
        .args(["-c", script, "bash"])
        .arg(program())
        .arg(words)
        .output()
        .ok()?;
    Some(String::from_utf8(output.stdout).expect("text"))
}

#[test]
fn bash_completes_flags_values_and_commands() {
    for (words, expected) in [
        ("jetsled rest", "restore\n"),
        ("jetsled -store", "-store_dir\n"),
        ("jetsled -js -sig", "-signal\n"),
        ("jetsled --signal re", "reload reopen\n"),
        ("jetsled -sd /us", "/usr\n"),
        ("jetsled -p 4", "\n"),
        ("jetsled backup -", "\n"),
    ] {
        if let Some(found) = completed(words) {
            assert_eq!(found, expected, "{words}");
        }
    }
}
