//! The differential test: the same histories played to nats-server and to jetsled, answers compared.
//!
//! A [`History`] is a list of [`Step`]s (API requests, publishes, pulls, acks) with an account of its own. The
//! player plays it over one plain connection and writes down everything that comes back, with the few
//! masks that time and chance need. What nats-server answered is kept in `tests/histories/*.gz`
//! ([`recording`]), so that comparing needs only the program under test.
//!
//! [`catalog`] has the parts: lists of requests, written as text in `tests/histories/*.txt` ([`script`]), and random
//! histories made from a seed (`random`). [`allowed`] has the differences that are meant.

pub mod allowed;
pub mod catalog;
pub mod compare;
mod connection;
mod consumers;
mod mask;
mod player;
mod positions;
mod random;
pub mod recording;
pub mod script;
mod servers;
mod step;
mod streams;

pub use player::Pace;
pub use servers::{Variant, play_all};
pub use step::{History, Step};
