use std::{io, path::Path};

use super::*;
use crate::Port;

fn environment(
    config: &str,
    read: impl FnOnce(&Environment<'_>) -> Result<Command, CommandLineError>,
) -> Result<Command, CommandLineError> {
    read(&Environment {
        read_file: &|path| match path {
            path if path == Path::new("f.conf") => Ok(config.to_owned()),
            path if path == Path::new("server.pid") => Ok("42".to_owned()),
            _ => Err(io::Error::from_raw_os_error(2)),
        },
        variable: &|_| None,
    })
}

fn parse_file(arguments: &str, config: &str) -> Result<Command, CommandLineError> {
    environment(config, |environment| {
        parse_command_line(arguments.split_whitespace().map(Into::into), environment)
    })
}

fn parse(arguments: &str) -> Result<Command, CommandLineError> {
    parse_file(arguments, "")
}

#[track_caller]
fn options_with(arguments: &str, config: &str) -> Options {
    match parse_file(arguments, config) {
        Ok(Command::Run { options, .. }) => *options,
        other => panic!("{arguments}: {other:?}"),
    }
}

fn options(arguments: &str) -> Options {
    options_with(arguments, "")
}

#[track_caller]
fn check_error(arguments: &str, message: &str, exit_code: u8) {
    let error = parse(arguments).expect_err(arguments);
    assert_eq!(
        (error.to_string().as_str(), error.exit_code()),
        (message, exit_code),
        "{arguments}"
    );
}

#[test]
fn flags_have_gos_spellings() {
    for arguments in [
        "-p 4333",
        "--p 4333",
        "-p=4333",
        "--port=4333",
        "--port 4333",
        "-D -p 4333 -js=false",
    ] {
        assert_eq!(
            options(&format!("nats-server {arguments}")).port,
            Port::Fixed(4333),
            "{arguments}"
        );
    }
    assert_eq!(options("nats-server -p -1").port, Port::Random);
    assert_eq!(options("nats-server -p 0").port, Port::Fixed(4222));
    assert!(options("nats-server -D").log.debug);
    assert!(!options("nats-server -D=false").log.debug);
    let log = options("nats-server -DVV -T=false -l x.log --logtime_utc").log;
    assert!(log.debug && log.trace && log.trace_verbose && log.utc && !log.timestamps);
    assert_eq!(log.file.as_deref(), Some(Path::new("x.log")));
    assert_eq!(
        options("nats-server -a ::1 -n s1 -m -1").monitor.http_port,
        Some(Port::Random)
    );
}

#[test]
fn bad_flags_are_said_in_gos_words() {
    check_error(
        "nats-server -nope",
        "flag provided but not defined: -nope",
        0,
    );
    check_error(
        "nats-server --nope=1",
        "flag provided but not defined: -nope",
        0,
    );
    check_error("nats-server -p", "flag needs an argument: -p", 0);
    check_error(
        "nats-server -p x",
        "invalid value \"x\" for flag -p: parse error",
        0,
    );
    check_error(
        "nats-server -D=x",
        "invalid boolean value \"x\" for -D: parse error",
        0,
    );
    check_error("nats-server ---p", "bad flag syntax: ---p", 0);
    check_error(
        "nats-server extra",
        "nats-server: unrecognized command: \"extra\"",
        1,
    );
    check_error(
        "nats-server -c missing.conf",
        "nats-server: open missing.conf: no such file or directory",
        1,
    );
    check_error(
        "nats-server -t",
        "nats-server: must specify [-c, --config] option to check configuration file syntax",
        1,
    );
    check_error(
        "nats-server --signal foo",
        "nats-server: unknown signal \"foo\"",
        1,
    );
    check_error(
        "nats-server --signal ldm=xyz",
        "nats-server: invalid pid: xyz",
        1,
    );
    check_error(
        "nats-server -tls",
        "nats-server: TLS Server certificate must be present and valid",
        1,
    );
    check_error(
        "nats-server --routes nats://x:1",
        "nats-server: flag -routes is not supported: this server runs alone; clustering comes with a later version",
        1,
    );
}

#[test]
fn flags_win_over_the_file() {
    let config = "port: 1\nhost: h\ndebug: true\nstore_dir: d\nauthorization { user: u, pass: p }\njetstream: enabled";
    let options = options_with(
        "nats-server -c f.conf -p 2 -a i -D=false -sd e --user v --pass q",
        config,
    );
    assert_eq!(
        (options.host.as_str(), options.port, options.log.debug),
        ("i", Port::Fixed(2), false)
    );
    assert_eq!(
        options.jetstream.configured_store_dir.as_deref(),
        Some(Path::new("e"))
    );
    assert!(options.jetstream.enabled);
    assert_eq!(options.authorization.user.as_deref(), Some("v"));
    assert_eq!(
        options
            .authorization
            .password
            .as_ref()
            .map(|secret| secret.expose()),
        Some("q")
    );
    assert_eq!(
        options_with("nats-server -c f.conf", config).port,
        Port::Fixed(1)
    );
}

#[test]
fn jetstream_is_on_by_itself_only_under_its_own_name() {
    #[track_caller]
    fn check(arguments: &str, config: &str, enabled: bool) {
        assert_eq!(
            options_with(arguments, config).jetstream.enabled,
            enabled,
            "{arguments} {config}"
        );
    }
    check("nats-server", "", false);
    check("/usr/bin/nats-server -sd x", "", false);
    check("nats-server -js", "", true);
    check("jetsled", "", true);
    check("target/debug/jetsled -p 1", "", true);
    check("jetsled -js=false", "", false);
    check("jetsled -c f.conf", "port: 1", true);
    check("jetsled -c f.conf", "jetstream: disabled", false);
    check("jetsled -c f.conf", "jetstream { enabled: false }", false);
    check("nats-server -c f.conf", "jetstream {}", true);
}

#[test]
fn streams_are_kept_where_they_last_unless_it_is_said_where() {
    #[track_caller]
    fn check(arguments: &str, home: &[(&str, &str)], store: &str) {
        let read = Environment {
            read_file: &|_| Ok(String::new()),
            variable: &|name| {
                let found = home.iter().find(|(known, _)| *known == name);
                found.map(|(_, value)| (*value).to_owned())
            },
        };
        let command = parse_command_line(arguments.split_whitespace().map(Into::into), &read);
        let Ok(Command::Run { options, .. }) = command else {
            panic!("{arguments}: {command:?}")
        };
        assert_eq!(
            options.jetstream.store_dir(),
            Path::new(store),
            "{arguments}"
        );
    }
    let temporary = std::env::temp_dir().join("nats/jetstream");
    let temporary = temporary.to_str().unwrap();
    let home = [("HOME", "/home/me")];
    check("jetsled", &home, "/home/me/.local/state/jetsled/jetstream");
    check(
        "jetsled",
        &[("HOME", "/home/me"), ("XDG_STATE_HOME", "/s")],
        "/s/jetsled/jetstream",
    );
    check("jetsled", &[], temporary);
    check("jetsled -sd /data", &home, "/data/jetstream");
    check("nats-server -js", &home, temporary);
}

#[test]
fn words_and_questions_are_answered() {
    assert_eq!(
        parse("nats-server -v").unwrap(),
        Command::Version("nats-server: v2.15.1".into())
    );
    assert_eq!(
        parse("nats-server version").unwrap(),
        parse("nats-server --version").unwrap()
    );
    let Ok(Command::Help(usage)) = parse("jetsled help") else {
        panic!("help is a text")
    };
    assert!(usage.contains("Usage: jetsled"));
    assert_eq!(parse("jetsled -h").unwrap(), Command::Help(usage));
    let signalled = |text: &str| match parse(&format!("nats-server --signal {text}")) {
        Ok(Command::Signal { signal, target }) => (signal, target),
        other => panic!("{text}: {other:?}"),
    };
    assert_eq!(
        signalled("ldm=123"),
        (Signal::LameDuck, SignalTarget::Pid("123".into()))
    );
    assert_eq!(
        signalled("quit=12*"),
        (Signal::Interrupt, SignalTarget::Pid("12*".into()))
    );
    assert_eq!(
        signalled("reload=server.pid"),
        (Signal::Reload, SignalTarget::PidFile("server.pid".into()))
    );
    assert_eq!(signalled("stop"), (Signal::Kill, SignalTarget::OnlyServer));
}

#[test]
fn a_checked_file_is_named_with_its_digest_and_warnings_count() {
    let Ok(Command::ConfigIsValid { line, .. }) = parse_file("nats-server -t -c f.conf", "port: 1")
    else {
        panic!("the file is good");
    };
    assert!(
        line.starts_with("nats-server: configuration file f.conf is valid (sha256:"),
        "{line}"
    );
    let warned = "f.conf:1:0: invalid use of field \"ping_interval\": ping_interval should be converted to a duration";
    let error = parse_file("nats-server -t -c f.conf", "ping_interval: 10").unwrap_err();
    assert_eq!(error.to_string(), format!("nats-server: {warned}"));
    let Ok(Command::Run { warnings, .. }) =
        parse_file("nats-server -c f.conf", "ping_interval: 10")
    else {
        panic!("a warning does not keep the server from starting");
    };
    assert_eq!(warnings[0].to_string(), warned);
}

#[test]
fn contradictions_are_refused() {
    for (config, message) in [
        (
            "max_payload: 2MB, max_pending: 1MB",
            "max_payload (2097152) cannot be higher than max_pending (1048576)",
        ),
        (
            "http: 1, https: 2",
            "can't specify both HTTP (1) and HTTPs (2) ports",
        ),
        (
            "lame_duck_grace_period: '2m'",
            "lame duck grace period (2m0s) should be strictly lower than lame duck duration (2m0s)",
        ),
    ] {
        let error = parse_file("nats-server -c f.conf", config).unwrap_err();
        assert_eq!(error.to_string(), format!("nats-server: {message}"));
    }
}

#[test]
fn flag_values_that_are_secret_stay_out_of_debug_output() {
    let shown = format!("{:?}", options("nats-server --user u --pass hunter2"));
    assert!(!shown.contains("hunter2"), "{shown}");
    let shown = format!("{:?}", options("nats-server --auth hunter2"));
    assert!(!shown.contains("hunter2"), "{shown}");
}
