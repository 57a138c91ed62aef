//! Monitoring over HTTP and as `$SYS.REQ` services: `/varz`, `/connz` and their like (observed nats-server 2.15.1).
//!
//! Everything shown is gathered for the request that asks; the server keeps nothing up to date for it but the counters
//! that it has anyway, and a ring of closed connections. Gathering takes locks that connections need too, so it runs on
//! a blocking thread, and only so many requests at a time.

mod access;
mod accountz;
mod accstatz;
mod alone;
mod closed;
mod connection;
mod connz;
mod dashboard;
mod endpoint;
mod facts;
mod healthz;
mod index;
mod jsz;
mod listener;
pub(crate) mod metrics;
mod omit;
mod process;
mod query;
mod reply;
mod service;
mod sharing;
mod show;
mod subsz;
mod varz;
mod websocket;

pub(crate) use accstatz::AccountStat;
pub(crate) use closed::EndedSubscriptions;
pub(crate) use connection::shown_token;
pub(crate) use facts::MonitorFacts;
pub(crate) use listener::Monitor;
pub use listener::MonitorError;
pub(crate) use service::{account_info, account_jsz, account_statz, answer_service, usage};
pub(crate) use show::float;
pub(crate) use varz::{ByKind, JetStreamVarz, feature_flags};
