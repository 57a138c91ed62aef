//! What clients may rely on, kept beside the server: what it has promised, and what it has shown.
//!
//! The model does not predict. It knows what was asked for, what was answered, and what was seen, each with an event number, and
//! says what can not be: a promise that is not kept, or something that nobody asked for.

mod consumer;
mod content;
mod counter;
mod expected;
mod limits;
mod marker;
mod publish;
mod schedule;
mod stream;

pub(crate) use consumer::{AckPolicy, ConsumerModel, ConsumerState, Pause, Sent};
pub(crate) use content::{Content, Stored};
pub(crate) use expected::Expected;
pub(crate) use limits::Limits;
pub(crate) use publish::{Attempt, Fate, Publish, Rollup};
pub(crate) use schedule::Schedule;
pub(crate) use stream::{Batch, Removal, Removed, StreamModel};
