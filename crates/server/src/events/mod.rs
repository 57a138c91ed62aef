//! What the server tells of itself and its clients in messages, and the `$SYS.REQ` services that it answers.
//!
//! Events and requests go through one bounded queue to one task, in order: whoever causes them may hold locks that an
//! answer needs.

mod account;
mod account_purge;
mod answer;
mod client;
mod client_info;
mod filter;
mod option_types;
mod queue;
mod server_info;
mod service;
mod statsz;
mod subjects;
mod task;
mod user_info;

pub(crate) use account::connections_changed;
pub(crate) use client::{connected, disconnected, not_authenticated, refused};
pub(crate) use client_info::{ClientInfo, Detail, REQUEST_INFO};
pub(crate) use queue::{EventQueue, ServiceEntry};
pub(crate) use server_info::described;
pub(crate) use subjects::{listen, listen_in};
pub(crate) use task::{run, tell, trace};
