//! The store directory of a nats-server, read as it lies on the disk: accounts, their streams, messages and consumers.
//!
//! Nothing is ever written. What the files mean follows nats-server 2.15.1: which messages are there is what that server would find at its
//! next start, before it applies limits and ages. Damaged places are passed over and reported.
//!
//! ```no_run
//! use jetsled_import::{SourceStore, StoreKeys};
//!
//! let store = SourceStore::find("/var/lib/nats".as_ref())?.expect("a store");
//! for place in store.streams() {
//!     let stream = place.open(&StoreKeys::default())?;
//!     let mut blocks = stream.blocks();
//!     while let Some(block) = blocks.next_block() {
//!         for message in block?.messages() {
//!             println!("{} {}", message.seq, message.subject.escape_ascii());
//!         }
//!     }
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod block;
mod consumer;
mod crypt;
mod damage;
mod directory;
mod error;
mod index;
mod live;
mod reader;
mod stream;

pub use block::{Block, decode_block};
pub use consumer::SourceConsumer;
pub use crypt::StoreKeys;
pub use damage::{Damage, DamageCause};
pub use directory::{ConsumerPlace, SourceStore, StreamPlace};
pub use error::{ReadError, SourceError};
pub use live::End;
pub use reader::Blocks;
pub use stream::{NamedConsumer, SourceStream};
