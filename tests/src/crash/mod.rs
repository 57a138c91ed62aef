//! Everything going on at once until the server dies, and the question what it still has.
//!
//! A [`Trial`] is one server with one store. A round of it puts the server under load, ends it, starts it again, reads all
//! that it has, and compares that with the journal: what was answered must be so, what was sent and not answered may be
//! or not, and nothing else may be there. The server is one that the next round can rely on, or it gets a fresh store.

mod admin;
mod batches;
mod changes;
mod consumers;
mod disk;
mod journal;
mod load;
mod message;
mod plan;
mod publishers;
mod read;
mod trial;
mod verify;
mod violation;
mod worker;

pub use trial::{End, Trial};
pub use violation::{Kind, Tally, Violation};
