//! Consumers as their rules describe them (scenarios), and as nobody foresaw (a model).

#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod acks;
mod history;
mod inactivity;
mod model;
mod priority;
mod pull;
mod push;
mod recovery;
mod removal;
mod start;
mod world;
