//! Messages inside the server.

use std::ops::Deref;
use std::sync::Arc;

use bytes::Bytes;

use crate::account::Account;
use crate::client::Client;

/// A payload that destinations copy, or that they may share because it is already reference counted.
///
/// Sharing pays from about 4 KiB up; smaller shared payloads are copied all the same.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Payload<'a> {
    /// Valid only during the call.
    Borrowed(&'a [u8]),
    /// May be kept by cloning the handle. It may pin a larger read buffer: whoever keeps it longer
    /// than until the bytes are written copies it.
    Shared(&'a Bytes),
}

impl Deref for Payload<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Payload::Borrowed(bytes) => bytes,
            Payload::Shared(bytes) => bytes,
        }
    }
}

/// Who published a message.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Origin<'a> {
    /// A client connection.
    Client(&'a Arc<Client>),
    /// The server itself.
    Server,
}

/// A message that the server hands to a target of its own. Everything is borrowed for the call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RoutedMessage<'a> {
    /// The account in which it was published.
    pub(crate) account: &'a Arc<Account>,
    /// Who published it.
    pub(crate) origin: Origin<'a>,
    /// The subject as published, after mapping.
    pub(crate) subject: &'a [u8],
    /// Empty: none.
    pub(crate) reply: &'a [u8],
    /// The header block from status line to final blank line, as published (not validated). Empty:
    /// none.
    pub(crate) headers: &'a [u8],
    /// What follows the headers.
    pub(crate) payload: Payload<'a>,
}

/// A message of the server itself, to client connections or to targets inside the server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OutboundMessage<'a> {
    /// Decides who gets it.
    pub(crate) subject: &'a [u8],
    /// The subject shown in the MSG line; usually the same.
    pub(crate) deliver_as: &'a [u8],
    /// Empty: none.
    pub(crate) reply: &'a [u8],
    /// A complete header block, or empty.
    pub(crate) headers: &'a [u8],
    /// What follows the headers.
    pub(crate) payload: Payload<'a>,
}
