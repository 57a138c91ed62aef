//! Standing in for the message broker of ownCloud Infinite Scale: the calls that its services make, over TLS, with the
//! broker killed in the middle.

mod broker;
mod events;
mod registry;
mod stores;
