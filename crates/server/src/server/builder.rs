//! A server inside a Rust program or test.

use std::path::{Path, PathBuf};

use jetsled_config::{ConfigErrors, Options, Port};

use super::{Server, StartError};
use crate::foreign_store;

/// What a server inside a Rust program is to be; made by [`Server::builder`].
///
/// Without anything said it listens on a free port of 127.0.0.1, for everybody on this machine, without JetStream and without
/// monitoring. It handles no signals and installs no log: its lines are `tracing` events, for the subscriber of the
/// program around it.
#[derive(Debug, Clone)]
#[must_use = "a builder does nothing until it is started"]
pub struct ServerBuilder {
    options: Options,
}

impl ServerBuilder {
    pub(super) fn new() -> Self {
        Self {
            options: Options {
                host: "127.0.0.1".to_owned(),
                port: Port::Random,
                ..Options::default()
            },
        }
    }

    /// Begins with what a nats-server configuration file says, and with its defaults (port 4222 on all addresses) for the rest. What is said
    /// afterwards wins, as flags do. The file's log settings are left to the surrounding program.
    ///
    /// ```
    /// # use jetsled_server::{Server, ServerBuilder};
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let dir = tempfile::tempdir()?;
    /// # let file = dir.path().join("nats.conf");
    /// std::fs::write(&file, "server_name: orders, authorization { token: s3cret }")?;
    /// let server = ServerBuilder::from_config_file(&file)?
    ///     .listen("127.0.0.1", 0)
    ///     .start()
    ///     .await?;
    /// assert!(async_nats::connect(server.client_url()).await.is_err());
    /// let client = async_nats::ConnectOptions::with_token("s3cret".into());
    /// let client = client.connect(server.client_url()).await?;
    /// assert_eq!(client.server_info().server_name, "orders");
    /// # server.shutdown().await;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// What `jetsled -t` says of the file: everything that is wrong with it, with line and column.
    pub fn from_config_file(path: impl AsRef<Path>) -> Result<Self, ConfigErrors> {
        let options = Options::from_file(path.as_ref())?;
        Ok(Self { options })
    }

    /// The client listener's address and port; port 0 is any free one, see [`Server::client_address`].
    pub fn listen(mut self, host: impl Into<String>, port: u16) -> Self {
        self.options.host = host.into();
        self.options.port = listening(port);
        self
    }

    /// JetStream, with its store in the directory `jetstream` below this one. The directory is made if it is not there; one server at a time can
    /// use it.
    pub fn jetstream(mut self, store_dir: impl Into<PathBuf>) -> Self {
        self.options.jetstream.enabled = true;
        self.options.jetstream.configured_store_dir = Some(store_dir.into());
        self
    }

    /// HTTP monitoring on the client listener's host; port 0 is any free one, see [`Server::monitor_address`].
    pub fn monitoring(mut self, port: u16) -> Self {
        self.options.monitor.http_port = Some(listening(port));
        self
    }

    /// Any other option.
    ///
    /// ```
    /// # use jetsled_server::Server;
    /// let builder = Server::builder().options(|options| options.max_payload = 8 << 20);
    /// ```
    pub fn options(mut self, change: impl FnOnce(&mut Options)) -> Self {
        change(&mut self.options);
        self
    }

    /// Starts the server in the current tokio runtime (multi-threaded); returns when clients can connect.
    ///
    /// # Errors
    ///
    /// When options contradict each other, or a socket, the store, a certificate or a file cannot be had.
    pub async fn start(self) -> Result<Server, StartError> {
        self.options.validate().map_err(StartError::Options)?;
        foreign_store::refuse(&self.options)?;
        Server::start(self.options).await
    }
}

fn listening(port: u16) -> Port {
    match port {
        0 => Port::Random,
        port => Port::Fixed(port),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn the_store_of_a_nats_server_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let stream = dir.path().join("jetstream/A/streams/ORDERS");
        std::fs::create_dir_all(stream.join("msgs")).unwrap();
        std::fs::write(stream.join("meta.inf"), "{}").unwrap();
        std::fs::write(stream.join("meta.sum"), "0").unwrap();
        let started = Server::builder().jetstream(dir.path()).start().await;
        let error = started.unwrap_err().to_string();
        assert!(
            error.contains("is the store of a nats-server, with 1 stream in 1 account"),
            "{error}"
        );
        assert!(!dir.path().join("jetstream/store.json").exists());
    }
}
