//! The service registry: a bucket in memory whose entries live as long as they are refreshed.

use std::collections::BTreeSet;
use std::time::Duration;

use async_nats::jetstream::kv::{Operation, Store};
use futures::{StreamExt, TryStreamExt};
use serde_json::Value;

use crate::broker::{Broker, WITHIN, api, bucket, err_code, eventually};

const SERVICES: usize = 33;
const WATCHES: usize = 8;
/// 30 s in the field.
const TIME_TO_LIVE: Duration = Duration::from_secs(2);

/// Keys are base32 with its padding.
fn key(service: usize) -> String {
    format!("ONSXE5TJMNSS24TFM5UXG5DSPE{service:02}====")
}

async fn register_all(registry: &Store) {
    for service in 0..SERVICES {
        let record = format!(
            "{{\"key\":\"{service}\",\"data\":\"{}\"}}",
            "ZGF0YQ==".repeat(100)
        );
        registry
            .put(key(service), record.into())
            .await
            .expect("registered");
    }
}

async fn listed(registry: &Store) -> BTreeSet<String> {
    let keys = registry.keys().await.expect("a listing");
    keys.try_collect().await.expect("every key")
}

async fn services_are_found_while_they_refresh_and_forgotten_after_that(mut broker: Broker) {
    let client = broker.connect("nats-js-kv-registry").await;
    let missing = api(&client, "STREAM.INFO.KV_service-registry", Value::Null).await;
    assert_eq!(err_code(&missing), 10059, "{missing}");
    let account = api(&client, "INFO", Value::Null).await;
    assert_eq!(account["streams"], 0, "{account}");

    let registry = bucket(&client, "service-registry", "memory", TIME_TO_LIVE).await;
    assert_eq!(
        listed(&registry).await,
        BTreeSet::new(),
        "an empty bucket lists nothing"
    );
    let mut watches = Vec::new();
    for _ in 0..WATCHES {
        watches.push(registry.watch_all().await.expect("a watch"));
    }

    let everybody: BTreeSet<_> = (0..SERVICES).map(key).collect();
    // Longer than the time to live, so that only the refreshed entries can still be there.
    let refreshing_until = tokio::time::Instant::now() + TIME_TO_LIVE * 2;
    let mut refreshes = 0;
    while tokio::time::Instant::now() < refreshing_until {
        register_all(&registry).await;
        refreshes += 1;
        assert_eq!(listed(&registry).await, everybody);
        for service in 0..SERVICES {
            let record = registry.get(key(service)).await.expect("an answer");
            assert!(record.is_some(), "{} has expired", key(service));
        }
        tokio::time::sleep(TIME_TO_LIVE / 8).await;
    }
    for watch in &mut watches {
        for _ in 0..refreshes * SERVICES {
            let update = tokio::time::timeout(WITHIN, watch.next())
                .await
                .expect("in time");
            let update = update.expect("open").expect("an update");
            assert_eq!(update.operation, Operation::Put);
            assert!(everybody.contains(&update.key), "{}", update.key);
        }
    }

    registry.delete(key(0)).await.expect("deregistered");
    registry
        .delete("ONSXE5TJMNSS2YLC====")
        .await
        .expect("deleting what is not there succeeds");
    let update = tokio::time::timeout(WITHIN, watches[0].next())
        .await
        .expect("in time");
    assert_eq!(
        update.expect("open").expect("an update").operation,
        Operation::Delete
    );
    assert!(!listed(&registry).await.contains(&key(0)));

    // Nobody refreshes any more; delete markers expire as well.
    let info = async || api(&client, "STREAM.INFO.KV_service-registry", Value::Null).await;
    eventually("entries expire", info, |info| {
        info["state"]["messages"] == 0
    })
    .await;
    assert_eq!(listed(&registry).await, BTreeSet::new());

    // A crash takes what is in memory with it; the next service makes the bucket again.
    register_all(&registry).await;
    broker.crash_and_restart();
    let client = broker.connect("nats-js-kv-registry").await;
    let missing = api(&client, "STREAM.INFO.KV_service-registry", Value::Null).await;
    assert_eq!(err_code(&missing), 10059, "{missing}");
    let registry = bucket(&client, "service-registry", "memory", TIME_TO_LIVE * 10).await;
    register_all(&registry).await;
    assert_eq!(listed(&registry).await, everybody);
}

mod on {
    crate::on_every_broker!(services_are_found_while_they_refresh_and_forgotten_after_that);
}
