//! Sequence numbers. Stream and consumer sequences count different things, so they have different types.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! sequence {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(pub u64);

        impl $name {
            /// The first sequence ever given.
            pub const FIRST: Self = Self(1);

            /// The number itself.
            #[must_use]
            pub const fn get(self) -> u64 {
                self.0
            }

            /// The sequence after this one; stays at the maximum instead of wrapping.
            #[must_use]
            pub const fn next(self) -> Self {
                Self(self.0.saturating_add(1))
            }

            /// The sequence before this one; zero has none and stays.
            #[must_use]
            pub const fn previous(self) -> Self {
                Self(self.0.saturating_sub(1))
            }

            /// Whether this is zero, which JetStream uses for "none".
            #[must_use]
            pub const fn is_zero(&self) -> bool {
                self.0 == 0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl From<u64> for $name {
            fn from(sequence: u64) -> Self {
                Self(sequence)
            }
        }
    };
}

sequence! {
    /// The number of a message in its stream: from 1, rising by one, never used again.
    StreamSeq
}

sequence! {
    /// The number of a delivery of a consumer: from 1, a new one for each delivery, redeliveries included.
    ConsumerSeq
}
