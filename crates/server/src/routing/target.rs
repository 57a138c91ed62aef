//! The entries of an account's sublist.

use std::sync::Arc;

use super::Internal;
use crate::client::Subscription;
use crate::events::ServiceEntry;
use crate::jetstream;
use crate::wiring::ServiceLink;

/// Who gets a matching message.
#[derive(Clone, Debug)]
pub(crate) enum Target {
    /// A client's subscription.
    Client(Arc<Subscription>),
    /// Something of JetStream: a stream's subjects, an API endpoint, a consumer's ack or pull
    /// subject, direct get.
    JetStream(jetstream::Target),
    /// A stream that follows another one.
    Follower(Box<FollowerTarget>),
    /// A service of another account.
    Service(Arc<ServiceLink>),
    /// One of the server's own services.
    System(Arc<ServiceEntry>),
    /// The ways back from this account's services.
    Responses,
    /// A service of the server itself.
    Internal(Internal),
}

/// What a follower hears. Rare, so that it should not make every entry larger.
#[derive(Clone, Debug)]
pub(crate) struct FollowerTarget {
    pub(crate) follower: Arc<jetstream::OriginFollower>,
    pub(crate) channel: jetstream::Channel,
}

/// Client subscriptions, followers and service imports are the same if they are the same object.
impl PartialEq for Target {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Target::Client(a), Target::Client(b)) => Arc::ptr_eq(a, b),
            (Target::JetStream(a), Target::JetStream(b)) => a == b,
            (Target::Follower(a), Target::Follower(b)) => {
                Arc::ptr_eq(&a.follower, &b.follower) && a.channel == b.channel
            }
            (Target::Service(a), Target::Service(b)) => Arc::ptr_eq(a, b),
            (Target::System(a), Target::System(b)) => Arc::ptr_eq(a, b),
            (Target::Responses, Target::Responses) => true,
            (Target::Internal(a), Target::Internal(b)) => a == b,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A sublist has one for each of its entries.
    #[test]
    fn a_target_is_two_words() {
        assert_eq!(size_of::<Target>(), 16);
    }
}
