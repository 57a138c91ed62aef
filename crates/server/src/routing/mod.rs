//! From a published subject to those who get the message.
//!
//! [`Target`] is an entry of an account's sublist. [`admission`] says whether a publish may go on; its token makes a
//! [`Message`], and only a `Message` is delivered, by [`Route::deliver`]. Client destinations are staged in a
//! [`FlushSet`], whose `flush` takes one lock a connection and writes to its socket at once where the socket takes it.

pub(crate) mod admission;
mod destination;
mod family;
mod flush;
mod hop;
mod imported;
mod internal;
mod latency;
mod lent_flush_set;
mod message;
pub(crate) mod message_trace;
mod responses;
mod route;
mod target;
mod traced;

pub(crate) use destination::Destination;
pub(crate) use family::{SubjectFamily, leading_tokens};
pub(crate) use flush::FlushSet;
pub(crate) use internal::{Internal, Receiver};
pub(crate) use lent_flush_set::LentFlushSet;
pub(crate) use message::{Message, Origin, OutboundMessage, Payload, RoutedMessage, Through};
pub(crate) use responses::Responses;
pub(crate) use route::{Route, RouteFor, UsedFor};
pub(crate) use target::{FollowerTarget, Target};
pub(crate) use traced::deliver_traced;
