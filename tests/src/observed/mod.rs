//! What a server shows of itself, as lines of text that can be recorded from one server and compared with another's.
//!
//! Recordings are text files in `tests/observed`: what is asked, and below each question nats-server's answer.

pub mod configuration;
pub mod corpus;
pub mod differences;
pub mod http;
pub mod lines;
pub mod monitoring;
