//! The consumer-group dispatcher: JetStream consumers as pure state machines, and the follower, which is the other end of one.
//!
//! A [`Consumer`] takes events (messages stored or removed, acks, pull requests, interest, time) and decides; what it
//! wants done it leaves in an [`Outbox`]: deliveries, status messages, advisories, and the progress to log. It reads its
//! stream through [`StreamView`] and the account's subscriptions through [`Interest`]. It does no IO, reads no clock, and
//! draws chance only from the seed that it was given. Building subjects and messages, logging, reading records and timers
//! are left to the runtime.
//!
//! One turn of the runtime, for one consumer:
//!
//! 1. raise events (`on_removed` first, then any others, as many as there are);
//! 2. [`Consumer::dispatch`] once, which delivers what may be delivered now, up to a bounded amount
//!    ([`Dispatched::More`]: run the commands, then call it again);
//! 3. log [`Outbox::progress`], run [`Outbox::commands`], [`Outbox::clear`];
//! 4. set one timer for [`Consumer::next_wake`], which leads to [`Consumer::on_time`] and step 2.

mod ack;
mod archive;
mod candidate;
mod checkpoint;
mod consumer;
mod control;
mod delivery;
mod error;
mod event;
mod flow_control;
mod follower;
mod inactivity;
mod info;
mod num_pending;
mod outbox;
mod pace;
mod pending;
mod priority;
mod progress;
mod pull;
mod pull_queue;
mod push;
mod random;
mod recipient;
mod redelivery;
mod removal;
mod rules;
mod start;
mod state;
mod status;
mod time;
mod varint;
mod view;

pub use archive::ArchivedStateError;
#[doc(hidden)]
pub use checkpoint::decode_checkpoint;
pub use consumer::Consumer;
pub use error::{RecoverError, ResetError};
pub use event::{
    AckEvent, ConsumerIdentity, Context, Dispatched, PullEvent, Removed, RemovedBy, StreamIdentity,
};
pub use follower::{
    Answer, FollowKind, FollowPlan, FollowRequest, FollowStatus, Follower, FollowerCommand,
    Inbound, Tail, Verdict, delete_request,
};
pub use outbox::{Advisory, Command, Delivery, Outbox, SubjectIndex, Target, UnpinReason};
pub use status::{Status, Unserved};
pub use view::{Interest, MessageMeta, StreamView};
