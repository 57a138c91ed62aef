//! The server as a library: listeners, connections, accounts, routing, JetStream, monitoring.
//!
//! [`Server::builder`] starts a server inside the calling tokio runtime; the program `jetsled` is a thin
//! wrapper around it. Everything that uses sockets, TLS, tasks or the wall clock lives here; parsing,
//! storing and consumer decisions are the crates below.
//!
//! ```
//! use jetsled_server::Server;
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let store = tempfile::tempdir()?;
//! let server = Server::builder().jetstream(store.path()).start().await?;
//!
//! let client = async_nats::connect(server.client_url()).await?;
//! let jetstream = async_nats::jetstream::new(client);
//! let orders = async_nats::jetstream::stream::Config {
//!     name: "ORDERS".into(),
//!     subjects: vec!["orders.>".into()],
//!     ..Default::default()
//! };
//! let stream = jetstream.create_stream(orders).await?;
//! // The second await ends when the message is on the disk.
//! jetstream.publish("orders.new", "one pizza".into()).await?.await?;
//! assert_eq!(stream.get_raw_message(1).await?.payload, "one pizza");
//!
//! server.shutdown().await;
//! # Ok(())
//! # }
//! ```
//!
//! | Module | Concept |
//! |---|---|
//! | `server` | start, shutdown, lame duck mode |
//! | `client` | one client connection: reading, parsing, writing |
//! | `account` | a subject space: its interest and its limits |
//! | `routing` | admission, routes, delivery |
//! | `wiring` | what accounts export, import and map |
//! | `jetstream` | streams and consumers on top of `store` and `dispatch` |
//! | `events` | what the server tells of itself and its clients in messages |
//! | `operator` | operator mode: accounts by signed claims |
//! | `monitor` | HTTP monitoring: `/varz`, `/connz` and their like |
//! | `commands` | what the program does besides serving |
//! | `ocis` | the program in the place of oCIS's `nats` service |

mod account;
mod chance;
mod client;
mod commands;
mod events;
mod foreign_store;
mod http;
mod http_client;
mod info;
mod internal_request;
mod jetstream;
mod listener;
mod log_file;
mod logging;
mod monitor;
mod nuid;
mod ocis;
mod operator;
mod other_servers;
mod program;
mod routing;
mod send_signal;
mod sequence_runs;
mod server;
mod tls;
mod websocket;
mod wiring;

pub use info::VERSION;
pub use jetsled_config::Options;
pub use jetstream::StartError as JetStreamStartError;
pub use listener::ListenError;
pub use logging::{FATAL, Log};
pub use monitor::MonitorError;
pub use operator::{HttpError, ResolverError};
pub use program::run;
pub use server::{
    ReloadFailed, ReloadRequest, Server, ServerBuilder, ServerByHand, SessionByHand, StartError,
};
pub use tls::TlsError;
