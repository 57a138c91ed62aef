//! From a published subject to those who get the message.
//!
//! [`Target`] is an entry of an account's sublist. A message travels as [`RoutedMessage`] to targets
//! inside the server, and is staged for client connections in a [`FlushSet`], whose `flush` takes one
//! lock a connection and writes to its socket at once where the socket takes it.

mod destination;
mod flush;
mod message;
mod target;

pub(crate) use destination::Destination;
pub(crate) use flush::FlushSet;
pub(crate) use message::{Origin, OutboundMessage, Payload, RoutedMessage};
pub(crate) use target::Target;
