//! Services of the server itself, listening like anybody else.

use std::sync::Arc;

use super::{FlushSet, RoutedMessage};

/// Something inside the server that takes messages.
pub(crate) trait Receiver: Send + Sync {
    /// Called on the publisher's task, without any lock held; must be quick and must not block. What it delivers goes
    /// into `flush`.
    fn receive(&self, message: &RoutedMessage<'_>, flush: &mut FlushSet);
}

/// A [`Receiver`] as an entry of a sublist, in one word.
#[derive(Clone)]
pub(crate) struct Internal(Arc<Box<dyn Receiver>>);

impl Internal {
    pub(crate) fn new(receiver: impl Receiver + 'static) -> Self {
        Self(Arc::new(Box::new(receiver)))
    }

    pub(super) fn receive(&self, message: &RoutedMessage<'_>, flush: &mut FlushSet) {
        self.0.receive(message, flush);
    }
}

/// The same if they are the same object.
impl PartialEq for Internal {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl std::fmt::Debug for Internal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Internal")
    }
}
