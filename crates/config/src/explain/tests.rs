use std::io;

use super::*;

const FILE: &str = "\
LISTEN: 127.0.0.1:4333
max_payload: $SIZE
HERE = 5s
ping_interval: $HERE
jetstream { store_dir: /data, sync: \"2m\" }
accounts { A { users: [ { user: a, password: s3cret }, { nkey: UABC } ] } }
";

/// What is said of one setting of a server with these arguments and [`FILE`] as `n.conf`.
fn check(arguments: &str, name: &str, expected: &str) {
    let environment = Environment {
        read_file: &|path| match path.to_str() {
            Some("n.conf") => Ok(FILE.replace("{ nkey: UABC }", "{ user: b, password: hidden }")),
            _ => Err(io::ErrorKind::NotFound.into()),
        },
        variable: &|name| match name {
            "SIZE" => Some("64KB".to_owned()),
            "HOME" => Some("/home/me".to_owned()),
            _ => None,
        },
    };
    let arguments: Vec<_> = arguments.split(' ').map(OsString::from).collect();
    let lines = explain(&arguments, &environment).unwrap();
    let found: Vec<_> = lines
        .iter()
        .filter(|line| line.name == name)
        .map(|line| format!("{} | {}", line.value, line.source))
        .collect();
    assert_eq!(found, [expected], "{arguments:?} {name}");
    let all = format!("{lines:?}");
    assert!(!all.contains("s3cret") && !all.contains("hidden"), "{all}");
}

#[test]
fn nobody_has_said_anything() {
    check("nats-server", "port", "4222 | default");
    check("nats-server", "jetstream.enabled", "off | default");
    check("jetsled", "jetstream.enabled", "on | default of jetsled");
    check(
        "jetsled",
        "jetstream.store_dir",
        "/home/me/.local/state/jetsled/jetstream | default of jetsled",
    );
    check("jetsled", "max_payload", "1048576 (1 MiB) | default");
}

#[test]
fn the_file_has() {
    check("jetsled -c n.conf", "host", "127.0.0.1 | n.conf:1:0");
    check("jetsled -c n.conf", "port", "4333 | n.conf:1:0");
    check(
        "jetsled -c n.conf",
        "max_payload",
        "65536 (64 KiB) | n.conf:2:1 by $SIZE",
    );
    check(
        "jetsled -c n.conf",
        "ping_interval",
        "5s | n.conf:4:1 by $HERE",
    );
    check(
        "jetsled -c n.conf",
        "jetstream.store_dir",
        "/data/jetstream | n.conf:5:13",
    );
    check(
        "jetsled -c n.conf",
        "jetstream.sync_interval",
        "2m0s | n.conf:5:31",
    );
    check("jetsled -c n.conf", "jetstream.enabled", "on | n.conf:5:1");
}

#[test]
fn flags_win() {
    check("jetsled -c n.conf -p 1 --port=2", "port", "2 | flag -port");
    check(
        "jetsled -c n.conf -sd /else",
        "jetstream.store_dir",
        "/else/jetstream | flag -sd",
    );
    check("jetsled -DV", "trace", "true | flag -DV");
}

#[test]
fn what_else_the_file_says_is_told_without_secrets() {
    check(
        "jetsled -c n.conf",
        "accounts.A.users.1.user",
        "\"a\" | n.conf:6:27",
    );
    check(
        "jetsled -c n.conf",
        "accounts.A.users.2.password",
        "(not shown) | n.conf:6:67",
    );
}

#[test]
fn what_starts_no_server_is_refused() {
    let arguments = ["jetsled", "-v"].map(OsString::from);
    assert!(explain(&arguments, &Environment::PROCESS).is_err());
}
