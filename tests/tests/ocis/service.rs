//! The program as oCIS's `nats` service: what surrounds the NATS port.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Output;
use std::time::{Duration, Instant};

use jetsled_testkit::{Launch, Peer, Server};
use jetsled_tests::certificates::Certificates;
use serde_json::Value;

const WITHIN: Duration = Duration::from_secs(60);

fn started(launch: &Launch) -> Server {
    launch.clone().start().expect("the service starts")
}

/// Status line and headers, and the body.
fn get(port: u16, path: &str, headers: &str) -> (String, String) {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("it listens");
    stream.set_read_timeout(Some(WITHIN)).expect("a time limit");
    let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let (head, body) = answer.split_once("\r\n\r\n").expect("headers end");
    (head.to_lowercase(), body.to_owned())
}

#[track_caller]
fn debug_port(server: &Server) -> u16 {
    let address = server.debug_address();
    address.expect("the debug server listens").port()
}

/// The service must give up with exit code 1; these texts must be in what it says.
#[track_caller]
fn refused(launch: &Launch, texts: &[&str]) -> Output {
    let output = launch.run_to_end().expect("it ends");
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(output.status.code(), Some(1), "{said}");
    for text in texts {
        assert!(said.contains(text), "{text:?} is not in\n{said}");
    }
    output
}

fn info_of(line: &str) -> Value {
    let json = line.strip_prefix("INFO ").expect("the first line is INFO");
    serde_json::from_str(json).expect("INFO is JSON")
}

#[test]
fn info_and_streams_are_those_of_the_embedded_server() {
    let server = started(&Launch::ocis().variable("NATS_NATS_CLUSTER_ID", "my-cluster"));
    let (mut peer, info) = Peer::ready(server.address()).expect("an ordinary client");
    let info = info_of(&info);
    assert_eq!(info["cluster"], "my-cluster");
    assert_eq!(
        (&info["headers"], &info["jetstream"]),
        (&Value::Bool(true), &Value::Bool(true))
    );
    assert_eq!(info["max_payload"], 1_048_576);
    for absent in ["auth_required", "nonce", "tls_required", "tls_available"] {
        assert_eq!(info[absent], Value::Null, "{absent}");
    }
    let create = br#"{"name":"main-queue"}"#;
    peer.request("$JS.API.STREAM.CREATE.main-queue", create)
        .expect("created");
    let answer = peer
        .request("$JS.API.STREAM.INFO.main-queue", b"")
        .expect("an answer");
    let answer: Value = serde_json::from_slice(&answer.payload).expect("JSON");
    assert_eq!(answer["cluster"]["name"], "my-cluster");
    assert_eq!(answer["cluster"]["leader"], info["server_name"]);
}

#[test]
fn told_to_stop_it_serves_for_three_more_seconds() {
    let mut server = started(&Launch::ocis());
    let told = Instant::now();
    server.terminate();
    server
        .wait_for_log("letting other services deregister", WITHIN)
        .expect("it says so");
    let (mut peer, _) = Peer::ready(server.address()).expect("new clients are served");
    let answer = peer
        .request("$JS.API.INFO", b"")
        .expect("requests are answered");
    assert!(answer.payload.starts_with(b"{"));
    assert!(server.wait().is_some_and(|status| status.success()));
    assert!(
        told.elapsed() >= Duration::from_secs(3),
        "{:?}",
        told.elapsed()
    );
    assert!(Peer::connect(server.address()).is_err());
}

#[test]
fn told_to_stop_twice_it_stops_at_once() {
    let mut server = started(&Launch::ocis());
    let told = Instant::now();
    server.hang_up();
    server
        .wait_for_log("letting other services deregister", WITHIN)
        .expect("it says so");
    server.terminate();
    assert!(server.wait().is_some_and(|status| status.success()));
    // A busy machine may be slow, but it does not wait out the time.
    assert!(
        told.elapsed() < Duration::from_secs(3),
        "{:?}",
        told.elapsed()
    );
}

#[test]
fn what_was_acknowledged_is_there_after_a_restart() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let store = dir.path().join("data/nats");
    let mut server = started(&Launch::ocis().jetstream(&store));
    let (mut peer, _) = Peer::ready(server.address()).expect("an ordinary client");
    peer.request(
        "$JS.API.STREAM.CREATE.main-queue",
        br#"{"name":"main-queue"}"#,
    )
    .expect("created");
    let ack = peer.request("main-queue", b"event").expect("acknowledged");
    assert!(ack.payload.starts_with(br#"{"stream":"main-queue""#));
    server.kill();
    server.start_again().expect("the service starts again");
    let (mut peer, _) = Peer::ready(server.address()).expect("an ordinary client");
    let info = peer
        .request("$JS.API.STREAM.INFO.main-queue", b"")
        .expect("an answer");
    let info: Value = serde_json::from_slice(&info.payload).expect("JSON");
    assert_eq!(info["state"]["messages"], 1);
    let mode = fs::metadata(&store)
        .expect("the folder is there")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o700);
}

#[test]
fn the_debug_server_says_how_the_service_is() {
    let server = started(&Launch::ocis());
    let port = debug_port(&server);
    for path in ["/healthz", "/readyz"] {
        let (head, body) = get(port, path, "");
        assert!(head.starts_with("http/1.1 200 "), "{path}: {head}");
        assert_eq!(body, "OK", "{path}");
        for header in [
            "content-type: text/plain",
            "x-nats-version: ",
            "cache-control: no-cache",
            "vary: origin",
        ] {
            assert!(head.contains(header), "{header:?} is not in {head}");
        }
    }
    let (head, body) = get(port, "/metrics", "");
    assert!(head.starts_with("http/1.1 200 "), "{head}");
    assert!(
        head.contains("content-type: text/plain; version=0.0.4"),
        "{head}"
    );
    assert!(body.contains("\nprocess_resident_memory_bytes "), "{body}");
    for path in [
        "/",
        "/config",
        "/debug",
        "/debug/pprof/",
        "/debug/pprof/heap",
        "/varz",
        "/healthz/",
    ] {
        let (head, _) = get(port, path, "");
        assert!(head.starts_with("http/1.1 404 "), "{path}: {head}");
    }
}

#[test]
fn metrics_are_for_those_who_have_the_token() {
    let server = started(&Launch::ocis().variable("NATS_DEBUG_TOKEN", "s3cr3t-word"));
    let port = debug_port(&server);
    for (header, status) in [
        ("", 401),
        ("Authorization: Bearer other\r\n", 401),
        ("Authorization: s3cr3t-word\r\n", 401),
        ("Authorization: bearer s3cr3t-word\r\n", 401),
        ("Authorization: Bearer s3cr3t-word\r\n", 200),
    ] {
        let (head, body) = get(port, "/metrics", header);
        assert!(
            head.starts_with(&format!("http/1.1 {status} ")),
            "{header}: {head}"
        );
        assert_eq!(body.starts_with("{\"error\":"), status == 401, "{body}");
    }
    let (head, _) = get(port, "/healthz", "");
    assert!(head.starts_with("http/1.1 200 "), "{head}");
    assert!(!server.log().contains("s3cr3t-word"), "{}", server.log());
}

#[test]
fn health_asks_the_running_service() {
    let server = started(&Launch::ocis());
    let address = format!("127.0.0.1:{}", debug_port(&server));
    let ask = |address: &str| {
        Launch::ocis()
            .variable("NATS_DEBUG_ADDR", address)
            .arg("health")
            .run_to_end()
            .expect("it ends")
    };
    assert!(ask(&address).status.success());
    let nobody = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let address = nobody.local_addr().expect("its address").to_string();
    drop(nobody);
    assert_eq!(ask(&address).status.code(), Some(1));
}

#[test]
fn with_tls_plain_clients_are_cut_off_and_the_check_succeeds() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let launch = Launch::ocis()
        .variable("OCIS_BASE_DATA_PATH", dir.path().to_string_lossy())
        .variable("NATS_EVENTS_ENABLE_TLS", "1");
    let server = started(&launch.variable("NATS_TLS_SKIP_VERIFY_CLIENT_CERT", "1"));
    let mut peer = Peer::connect(server.address()).expect("a connection");
    let info = info_of(&peer.line().expect("INFO comes in clear text"));
    assert_eq!(info["tls_required"], true);
    assert_eq!(
        (&info["tls_verify"], &info["tls_available"]),
        (&Value::Null, &Value::Null)
    );
    peer.send("CONNECT {}\r\nPING\r\n").expect("sent");
    // It may answer with an alert, and then ends the connection.
    let answer = peer.rest().unwrap_or_default();
    assert!(!String::from_utf8_lossy(&answer).contains("PONG"));

    let key = dir.path().join("nats/tls.key");
    let mode = fs::metadata(key)
        .expect("a key was made")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(dir.path().join("nats/tls.crt").exists());
    for _ in 0..3 {
        assert_eq!(get(debug_port(&server), "/healthz", "").1, "OK");
    }
    // The check is no noise in the log.
    let errors = server.log().matches("\"level\":\"error\"").count();
    assert!(errors <= 1, "{}", server.log());
}

#[test]
fn with_tls_clients_must_show_a_certificate_unless_told_otherwise() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let certificates = Certificates::create(dir.path()).expect("certificates");
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let server = started(
        &Launch::ocis()
            .variable("OCIS_EVENTS_ENABLE_TLS", "true")
            .variable("NATS_TLS_CERT", text(&certificates.cert))
            .variable("NATS_TLS_KEY", text(&certificates.key))
            // The system's roots, as far as this process knows.
            .variable("SSL_CERT_FILE", text(&certificates.ca)),
    );
    assert!(
        server
            .log()
            .contains("NATS_TLS_SKIP_VERIFY_CLIENT_CERT=true"),
        "{}",
        server.log()
    );
    let mut peer = Peer::connect(server.address()).expect("a connection");
    let info = info_of(&peer.line().expect("INFO comes in clear text"));
    assert_eq!(
        (&info["tls_required"], &info["tls_verify"]),
        (&Value::Bool(true), &Value::Bool(true))
    );

    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let connect = |with_certificate: bool| {
        let options = async_nats::ConnectOptions::new()
            .require_tls(true)
            .add_root_certificates(certificates.ca.clone());
        let options = if with_certificate {
            options.add_client_certificate(certificates.cert.clone(), certificates.key.clone())
        } else {
            options
        };
        runtime.block_on(async {
            let client = options.connect(server.url()).await?;
            client.flush().await.map_err(std::io::Error::other)?;
            Ok::<_, Box<dyn std::error::Error>>(())
        })
    };
    connect(true).expect("a certificate that the roots verify");
    assert!(connect(false).is_err(), "no certificate");
}

#[test]
fn bad_settings_end_it_with_a_message_and_code_1() {
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let address = taken.local_addr().expect("its address");

    let wrong_type = refused(
        &Launch::ocis().config("nats:\n  port: [9233]\n"),
        &["nats.yaml", "'Nats.port'"],
    );
    assert!(
        !wrong_type.stdout.is_empty(),
        "oCIS says this on standard output"
    );
    refused(
        &Launch::ocis().variable("NATS_DEBUG_PPROF", "true"),
        &[
            "\"level\":\"fatal\"",
            "debug.pprof (NATS_DEBUG_PPROF) is not supported",
        ],
    );
    refused(
        &Launch::ocis().config("debug:\n  zpages: true\n"),
        &[
            "\"level\":\"fatal\"",
            "debug.zpages (NATS_DEBUG_ZPAGES) is not supported",
        ],
    );
    refused(
        &Launch::ocis().variable("NATS_NATS_PORT", "70000"),
        &["nats.port (NATS_NATS_PORT) is 70000"],
    );
    refused(
        &Launch::ocis().port(address.port()),
        &[
            "\"level\":\"fatal\"",
            "address already in use",
            &address.to_string(),
        ],
    );
    refused(
        &Launch::ocis().variable("NATS_DEBUG_ADDR", address.to_string()),
        &[
            "\"level\":\"fatal\"",
            "debug server",
            "address already in use",
        ],
    );
    refused(
        &Launch::ocis().variable("NATS_DEBUG_ADDR", "nonsense"),
        &["debug.addr (NATS_DEBUG_ADDR) is \\\"nonsense\\\", not host:port"],
    );
    refused(
        &Launch::ocis().variable("NATS_NATS_CLUSTER_ID", "a b"),
        &["nats.clusterid (NATS_NATS_CLUSTER_ID)"],
    );
    refused(
        &Launch::ocis().variable("OCIS_LOG_FILE", "/nowhere/at/all"),
        &["/nowhere/at/all could not be opened"],
    );
    refused(
        &Launch::ocis().arg("serve"),
        &["\"serve\" is no command", "Usage: jetsled ocis"],
    );
}

#[test]
fn half_a_certificate_is_no_certificate() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    fs::create_dir(dir.path().join("nats")).expect("a folder");
    fs::write(dir.path().join("nats/tls.crt"), "").expect("written");
    let launch = Launch::ocis()
        .variable("OCIS_BASE_DATA_PATH", dir.path().to_string_lossy())
        .variable("OCIS_EVENTS_ENABLE_TLS", "true")
        .variable("OCIS_INSECURE", "true");
    refused(&launch, &["\"level\":\"fatal\"", "tls."]);
    assert!(!dir.path().join("nats/tls.key").exists());
}

/// A start that fails since its port is taken, and what it wrote to stderr.
fn failed_start(launch: &Launch) -> Vec<String> {
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let port = taken.local_addr().expect("its address").port();
    let output = refused(&launch.clone().port(port), &[]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    stderr.lines().map(str::to_owned).collect()
}

fn parsed(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
}

#[test]
fn unless_told_otherwise_the_log_has_errors_only_and_what_everybody_must_see() {
    let launch = Launch::ocis()
        .variable("NATS_LOG_LEVEL", "")
        .variable("ENABLE_TLS", "true");
    let lines = failed_start(&launch);
    let [warning, fatal] = &lines[..] else {
        panic!("{lines:?}")
    };
    let warning = parsed(warning);
    assert_eq!(warning["level"], "warn");
    let message = warning["message"].as_str().unwrap_or_default();
    assert!(message.starts_with("ENABLE_TLS has no effect"), "{message}");
    let fatal = parsed(fatal);
    let members: Vec<_> = fatal.as_object().expect("an object").keys().collect();
    assert_eq!(members, ["level", "message", "service", "time"]);
    assert_eq!(
        (&fatal["level"], &fatal["service"]),
        (&"fatal".into(), &"nats".into())
    );
}

#[test]
fn with_info_every_line_says_where_it_comes_from() {
    let lines = failed_start(&Launch::ocis());
    assert!(lines.len() > 5, "{lines:?}");
    for line in &lines {
        let line = parsed(line);
        let source = line["line"].as_str().unwrap_or_default();
        assert!(source.contains(".rs:"), "{line}");
    }
    assert_eq!(parsed(&lines[0])["level"], "info");
}

#[test]
fn the_log_goes_to_a_file_unless_it_is_for_people() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let file = dir.path().join("nats.log");
    fs::write(&file, "before\n").expect("written");
    let launch = Launch::ocis().variable("OCIS_LOG_FILE", file.to_string_lossy());
    assert_eq!(failed_start(&launch), Vec::<String>::new());
    let text = fs::read_to_string(&file).expect("the log");
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines[0], "before");
    assert_eq!(parsed(lines[lines.len() - 1])["level"], "fatal");

    let lines = failed_start(&launch.variable("NATS_LOG_PRETTY", "true"));
    assert!(
        lines
            .iter()
            .any(|line| line.contains(" FTL ") && line.ends_with(" service=nats")),
        "{lines:?}"
    );
    assert_eq!(fs::read_to_string(&file).expect("the log"), text);
}

#[test]
fn streams_of_the_service_before_are_left_alone_and_reported() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let stream = dir.path().join("jetstream/$G/streams/main-queue");
    fs::create_dir_all(&stream).expect("a folder");
    fs::write(stream.join("meta.inf"), "theirs").expect("written");
    let server = started(&Launch::ocis().jetstream(dir.path()));
    let said = server.wait_for_log("streams of the nats service that ran here before", WITHIN);
    assert!(said.is_some_and(|line| line.contains("$G/streams")));
    assert_eq!(
        fs::read_to_string(stream.join("meta.inf")).expect("still there"),
        "theirs"
    );
}

#[test]
fn by_the_name_ocis_it_takes_ocis_own_words() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let name = dir.path().join("ocis");
    std::os::unix::fs::symlink(jetsled_testkit::program(), &name).expect("a link");
    let run = |words: &[&str]| {
        std::process::Command::new(&name)
            .args(words)
            .output()
            .expect("it runs")
    };
    let version = run(&["nats", "version"]);
    assert!(version.status.success());
    assert!(version.stdout.starts_with(b"jetsled "));
    let other = run(&["proxy", "server"]);
    assert_eq!(other.status.code(), Some(1));
}
