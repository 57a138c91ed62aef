//! Stores and caches: buckets on disk, some with a time to live, listed by the services themselves.

use std::collections::BTreeSet;
use std::time::Duration;

use async_nats::jetstream::kv::Store;
use futures::TryStreamExt;

use crate::broker::{Broker, bucket, eventually};

async fn listed(store: &Store) -> BTreeSet<String> {
    let keys = store.keys().await.expect("a listing");
    keys.try_collect().await.expect("every key")
}

fn key(number: usize) -> String {
    format!("MV3GK3TUONXWMZTFMVWGS43U{number:03}=")
}

async fn stores_keep_what_they_acknowledged_and_forget_what_is_too_old(mut broker: Broker) {
    const FORTNIGHT: Duration = Duration::from_secs(336 * 3600);
    let client = broker.connect("TODO").await;
    let history = bucket(&client, "eventhistory", "file", FORTNIGHT).await;
    let cache = bucket(&client, "cache-userinfo", "file", Duration::from_secs(3)).await;

    assert_eq!(
        history.get(key(0)).await.expect("an answer"),
        None,
        "a missing key is no error"
    );
    let mut expected = BTreeSet::new();
    for number in 0..200 {
        history
            .put(key(number), format!("first {number}").into())
            .await
            .expect("written");
        expected.insert(key(number));
    }
    // With discard new and one value a key, a new value replaces the old one.
    for number in 0..50 {
        history
            .put(key(number), format!("second {number}").into())
            .await
            .expect("replaced");
    }
    for number in 190..200 {
        history.delete(key(number)).await.expect("deleted");
        expected.remove(&key(number));
    }
    cache
        .put("OVZWK4Q=", "before the crash".into())
        .await
        .expect("written");

    broker.crash_and_restart();
    let client = broker.connect("TODO").await;
    let history = bucket(&client, "eventhistory", "file", FORTNIGHT).await;
    let cache = bucket(&client, "cache-userinfo", "file", Duration::from_secs(3)).await;
    assert_eq!(listed(&history).await, expected);
    for number in 0..200 {
        let wanted = match number {
            0..50 => Some(format!("second {number}")),
            50..190 => Some(format!("first {number}")),
            _ => None,
        };
        let found = history.get(key(number)).await.expect("an answer");
        assert_eq!(
            found.as_deref(),
            wanted.as_deref().map(str::as_bytes),
            "{}",
            key(number)
        );
    }
    eventually(
        "the cache forgets",
        async || listed(&cache).await,
        BTreeSet::is_empty,
    )
    .await;
    assert_eq!(cache.get("OVZWK4Q=").await.expect("an answer"), None);
    cache
        .put("OVZWK4Q=", "after the crash".into())
        .await
        .expect("written");
    let found = cache.get("OVZWK4Q=").await.expect("an answer");
    assert_eq!(found.as_deref(), Some(&b"after the crash"[..]));
}

mod on {
    crate::on_every_broker!(stores_keep_what_they_acknowledged_and_forget_what_is_too_old);
}
