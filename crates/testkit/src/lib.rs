//! For tests only: virtual clock, faulty storage, scripted peer, the program under test.

mod claims;
mod faulty_storage;
mod keys;
mod options;
mod peer;
mod program;

pub use claims::{World, WorldUser};
pub use faulty_storage::{Call, Fault, FaultyStorage};
pub use keys::{encryption, log_keys};
pub use options::{jetstream_options, one_shard};
pub use peer::{CONNECT, Delivered, Peer, Transport};
pub use program::{Launch, PROGRAM_VARIABLE, Server, StartError, program};
