//! Consumers as their rules describe them (scenarios), and as nobody foresaw (a model).

#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod acks;
mod choice;
mod history;
mod inactivity;
mod lines;
mod model;
mod priority;
mod promises;
mod pull;
mod push;
mod recovery;
mod removal;
mod requests;
mod start;
mod stream;
mod world;
