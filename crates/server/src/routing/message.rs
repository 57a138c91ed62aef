//! Messages inside the server.

use std::ops::Deref;
use std::sync::Arc;

use bytes::Bytes;

use jetsled_auth::ServiceExport;

use crate::account::Account;
use crate::client::Client;

use super::admission::Admitted;

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

/// A message that the server hands to a target of its own. Everything is borrowed for the call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RoutedMessage<'a> {
    /// The account in which it was published.
    pub(crate) account: &'a Arc<Account>,
    /// The connection that published it; `None`: the server.
    pub(crate) client: Option<&'a Arc<Client>>,
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

/// Where a message comes from.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Origin<'a> {
    /// The connection that published it; `None`: the server.
    pub(crate) client: Option<&'a Arc<Client>>,
    /// The last service import that it came through.
    pub(crate) through: Option<&'a Through<'a>>,
}

/// A service import that a message came through, and those before it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Through<'a> {
    export: &'a Arc<ServiceExport>,
    /// The service is told who asks: decided by the first import.
    pub(crate) share: bool,
    before: Option<&'a Through<'a>>,
    depth: usize,
}

impl<'a> Origin<'a> {
    pub(super) fn with(self, through: &'a Through<'a>) -> Self {
        Self {
            through: Some(through),
            ..self
        }
    }
}

impl<'a> Through<'a> {
    /// `None` if these were more than `max_depth`.
    pub(super) fn new(
        export: &'a Arc<ServiceExport>,
        share: bool,
        before: Option<&'a Through<'a>>,
        max_depth: usize,
    ) -> Option<Self> {
        let depth = before.map_or(1, |before| before.depth + 1);
        (depth <= max_depth).then_some(Self {
            export,
            share,
            before,
            depth,
        })
    }

    /// Whether `export` was used already: it would go round in a circle.
    pub(super) fn includes(&self, export: &Arc<ServiceExport>) -> bool {
        let mut through = Some(self);
        while let Some(one) = through {
            if Arc::ptr_eq(one.export, export) {
                return true;
            }
            through = one.before;
        }
        false
    }
}

/// An admitted message on its way to its destinations.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Message<'a> {
    /// Nothing is delivered without.
    #[expect(dead_code, reason = "a proof is carried, not read")]
    pub(crate) admitted: Admitted,
    /// The subject shown in the MSG line.
    pub(crate) subject: &'a [u8],
    /// The subject that decides who gets it; usually the same.
    pub(crate) routed: &'a [u8],
    /// Empty: none.
    pub(crate) reply: &'a [u8],
    /// Empty: none.
    pub(crate) headers: &'a [u8],
    pub(crate) payload: Payload<'a>,
    pub(crate) origin: Origin<'a>,
    /// The size of headers and payload as the publisher wrote it. Leading zeros are passed on (observed nats-server
    /// 2.15.1). Empty: it is to be formatted.
    pub(crate) size_text: &'a [u8],
    /// The size of the headers as the publisher wrote it. Empty: it is to be formatted.
    pub(crate) header_size_text: &'a [u8],
    /// `<size>\r\n<payload>\r\n` as it lies in the input, if it does and there are no headers.
    pub(crate) tail: &'a [u8],
}

impl<'a> Message<'a> {
    /// A message that the server itself makes.
    pub(crate) fn from_server(message: &OutboundMessage<'a>) -> Self {
        Self {
            admitted: Admitted::server(),
            subject: message.deliver_as,
            routed: message.subject,
            reply: message.reply,
            headers: message.headers,
            payload: message.payload,
            origin: Origin::default(),
            size_text: &[],
            header_size_text: &[],
            tail: &[],
        }
    }

    /// As a target inside the server sees it.
    pub(super) fn routed(&self, account: &'a Arc<Account>) -> RoutedMessage<'a> {
        RoutedMessage {
            account,
            client: self.origin.client,
            subject: self.subject,
            reply: self.reply,
            headers: self.headers,
            payload: self.payload,
        }
    }

    /// What the MSG line shows once the message is routed by `subject` in another account.
    pub(super) fn shown_as(&self, subject: &'a [u8]) -> &'a [u8] {
        if self.subject == self.routed {
            subject
        } else {
            self.subject
        }
    }

    /// Bytes of headers and payload.
    pub(crate) fn len(&self) -> usize {
        self.headers.len() + self.payload.len()
    }
}
