//! Standing in for the message broker of ownCloud Infinite Scale: the calls that its services make, with and without TLS,
//! with the broker killed in the middle; and the program as oCIS's own `nats` service.

mod broker;
mod events;
mod registry;
mod service;
mod stores;

/// Runs a scenario on each kind of broker.
macro_rules! on_every_broker {
    ($scenario:ident) => {
        mod $scenario {
            use crate::broker::Broker;

            #[tokio::test(flavor = "multi_thread")]
            async fn on_a_server_with_tls() {
                super::super::$scenario(Broker::server()).await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn on_the_service() {
                super::super::$scenario(Broker::service()).await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn on_the_service_with_tls() {
                super::super::$scenario(Broker::service_with_tls()).await;
            }
        }
    };
}
pub(crate) use on_every_broker;
