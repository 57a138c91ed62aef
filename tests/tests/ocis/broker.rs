//! The broker under test and its clients.

use std::path::PathBuf;
use std::time::Duration;

use async_nats::jetstream::{self, kv};
use async_nats::{Client, ConnectOptions};
use jetsled_testkit::{Launch, Server};
use jetsled_tests::certificates::Certificates;
use serde_json::Value;

/// Everything that must happen happens within this time, on a busy machine and after a restart too.
pub(crate) const WITHIN: Duration = Duration::from_secs(60);
/// What a service gives one request.
pub(crate) const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

pub(crate) struct Broker {
    server: Server,
    /// What verifies its certificate; `None` without TLS.
    roots: Option<PathBuf>,
    _files: tempfile::TempDir,
}

impl Broker {
    /// A server of its own, as in the field: TLS with an authority's certificate.
    pub(crate) fn server() -> Self {
        let files = tempfile::tempdir().expect("a temporary directory");
        let certificates = Certificates::create(files.path()).expect("certificates");
        let launch = Launch::new().config(certificates.server_config());
        Self::start(launch, Some(certificates.ca), files)
    }

    /// `jetsled ocis`, as oCIS starts its `nats` service.
    pub(crate) fn service() -> Self {
        let files = tempfile::tempdir().expect("a temporary directory");
        Self::start(Launch::ocis(), None, files)
    }

    /// The same with TLS, and the certificate that it makes itself.
    pub(crate) fn service_with_tls() -> Self {
        let files = tempfile::tempdir().expect("a temporary directory");
        let [cert, key] = ["tls.crt", "tls.key"].map(|name| files.path().join(name));
        let launch = Launch::ocis()
            .variable("OCIS_EVENTS_ENABLE_TLS", "true")
            .variable("OCIS_INSECURE", "true")
            .variable("NATS_TLS_CERT", cert.to_string_lossy())
            .variable("NATS_TLS_KEY", key.to_string_lossy());
        Self::start(launch, Some(cert), files)
    }

    fn start(launch: Launch, roots: Option<PathBuf>, files: tempfile::TempDir) -> Self {
        let launch = launch.jetstream(files.path().join("store"));
        Self {
            server: launch.start().expect("the broker starts"),
            roots,
            _files: files,
        }
    }

    /// Connects as a service of this name; reconnects every 50 ms when the broker is gone.
    pub(crate) async fn connect(&self, name: &str) -> Client {
        let options = match &self.roots {
            Some(roots) => ConnectOptions::new()
                .require_tls(true)
                .add_root_certificates(roots.clone()),
            None => ConnectOptions::new(),
        };
        options
            .name(name)
            .request_timeout(Some(REQUEST_TIMEOUT))
            .reconnect_delay_callback(|_attempts| Duration::from_millis(50))
            .connect(self.server.url())
            .await
            .expect("the broker takes the connection")
    }

    /// SIGKILL, and a start on the same data and port.
    pub(crate) fn crash_and_restart(&mut self) {
        tokio::task::block_in_place(|| {
            self.server.kill();
            self.server.start_again().expect("the broker starts again");
        });
    }
}

/// A request to the JetStream API; the answer may be one of its errors.
pub(crate) async fn api(client: &Client, call: &str, body: Value) -> Value {
    let body = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    let answer = client
        .request(format!("$JS.API.{call}"), body.into())
        .await
        .unwrap_or_else(|error| panic!("{call}: {error}"));
    serde_json::from_slice(&answer.payload).unwrap_or_else(|error| panic!("{call}: {error}"))
}

/// The `err_code` of an answer, 0 when it is none.
pub(crate) fn err_code(answer: &Value) -> u64 {
    answer["error"]["err_code"].as_u64().unwrap_or_default()
}

/// Creates a bucket as the go-micro plugins do, and opens it with the client library.
pub(crate) async fn bucket(
    client: &Client,
    name: &str,
    storage: &str,
    max_age: Duration,
) -> kv::Store {
    let found = api(client, &format!("STREAM.INFO.KV_{name}"), Value::Null).await;
    if err_code(&found) == 10059 {
        let max_age = max_age.as_nanos() as u64;
        let duplicate_window = max_age.clamp(100_000_000, 120_000_000_000);
        let config = serde_json::json!({
            "name": format!("KV_{name}"),
            "description": "KeyValue storage administered by go-micro store plugin",
            "subjects": [format!("$KV.{name}.>")],
            "retention": "limits",
            "max_consumers": -1,
            "max_msgs_per_subject": 1,
            "max_msgs": -1,
            "max_bytes": -1,
            "max_age": max_age,
            "max_msg_size": -1,
            "storage": storage,
            "discard": "new",
            "num_replicas": 1,
            "duplicate_window": duplicate_window,
            "deny_delete": true,
            "allow_rollup_hdrs": true,
            "allow_direct": true,
            "compression": "none",
        });
        let created = api(client, &format!("STREAM.CREATE.KV_{name}"), config).await;
        assert_eq!(created["config"]["max_age"], max_age, "{created}");
        assert_eq!(created["config"]["discard"], "new", "{created}");
    }
    jetstream::new(client.clone())
        .get_key_value(name)
        .await
        .expect("the bucket opens")
}

/// Asks again and again until the answer is right; the last answer is in the panic when it never is.
pub(crate) async fn eventually<T: std::fmt::Debug>(
    what: &str,
    mut ask: impl AsyncFnMut() -> T,
    right: impl Fn(&T) -> bool,
) -> T {
    let deadline = tokio::time::Instant::now() + WITHIN;
    loop {
        let answer = ask().await;
        if right(&answer) {
            return answer;
        }
        assert!(
            tokio::time::Instant::now() < deadline,
            "{what}: still {answer:?}"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
