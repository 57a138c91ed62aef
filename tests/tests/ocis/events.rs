//! Events: one stream, a durable push consumer for each group, the members of a group sharing its messages.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use async_nats::Client;
use futures::StreamExt;
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::broker::{Broker, WITHIN, api, err_code};

const EVENTS: usize = 500;
const GROUPS: [&str; 2] = ["postprocessing", "search"];
/// The services leave the default of 30 s; shorter here, so that what a crash left unacknowledged comes again soon.
const ACK_WAIT_NANOS: u64 = 3_000_000_000;

/// What each member has got, and a call when there is more.
#[derive(Default)]
struct Received {
    by_member: Mutex<BTreeMap<String, Vec<usize>>>,
    more: Notify,
}

impl Received {
    fn add(&self, member: &str, event: usize) {
        self.by_member
            .lock()
            .expect("no panic")
            .entry(member.to_owned())
            .or_default()
            .push(event);
        self.more.notify_waiters();
    }

    /// All that the members whose names begin with this have got.
    fn of(&self, group: &str) -> BTreeSet<usize> {
        let members = self.by_member.lock().expect("no panic");
        members
            .iter()
            .filter(|(member, _)| member.starts_with(group))
            .flat_map(|(_, events)| events.iter().copied())
            .collect()
    }

    async fn wait_for(&self, group: &str, wanted: &BTreeSet<usize>) {
        let all = async {
            loop {
                let more = self.more.notified();
                if wanted.is_subset(&self.of(group)) {
                    return;
                }
                more.await;
            }
        };
        if tokio::time::timeout(WITHIN, all).await.is_err() {
            let got = self.of(group);
            let missing: Vec<_> = wanted.difference(&got).collect();
            panic!(
                "{group} never got {} of {} events: {missing:?}",
                missing.len(),
                wanted.len()
            );
        }
    }
}

/// The stream as whichever service comes first makes it.
async fn ensure_stream(client: &Client) {
    let found = api(client, "STREAM.INFO.main-queue", Value::Null).await;
    if err_code(&found) == 10059 {
        let config = json!({
            "name": "main-queue",
            "retention": "limits",
            "max_consumers": 0,
            "max_msgs": 0,
            "max_bytes": 0,
            "discard": "old",
            "max_age": 0,
            "max_msgs_per_subject": 0,
            "storage": "file",
            "num_replicas": 0,
            "allow_direct": false,
            "mirror_direct": false,
            "compression": "none",
            "consumer_limits": {},
        });
        let created = api(client, "STREAM.CREATE.main-queue", config).await;
        assert_eq!(
            created["config"]["subjects"],
            json!(["main-queue"]),
            "{created}"
        );
        assert_eq!(created["config"]["max_msgs"], -1, "{created}");
        assert_eq!(created["config"]["num_replicas"], 1, "{created}");
        assert_eq!(
            created["config"]["duplicate_window"], 120_000_000_000_u64,
            "{created}"
        );
    }
    let names = api(client, "STREAM.NAMES", json!({"subject": "main-queue"})).await;
    assert_eq!(names["streams"], json!(["main-queue"]), "{names}");
    assert_eq!(
        (&names["total"], &names["limit"]),
        (&json!(1), &json!(1024)),
        "{names}"
    );
}

/// How a consumer is asked for.
enum Kind {
    /// A durable one that the members of a group share.
    Group,
    /// One of its own that goes away with its only subscriber.
    Ephemeral,
}

/// Subscribes one service instance and acknowledges what it gets, as the event library does, until the task is ended.
async fn consume(
    client: Client,
    name: &str,
    kind: Kind,
    member: String,
    received: Arc<Received>,
) -> JoinHandle<()> {
    ensure_stream(&client).await;
    let known = match kind {
        Kind::Group => {
            api(
                &client,
                &format!("CONSUMER.INFO.main-queue.{name}"),
                Value::Null,
            )
            .await
        }
        Kind::Ephemeral => Value::Null,
    };
    let mut config = json!({
        "deliver_policy": "new",
        "ack_policy": "explicit",
        "ack_wait": ACK_WAIT_NANOS,
        "filter_subject": "main-queue",
        "replay_policy": "instant",
        "num_replicas": 0,
    });
    let stored_subject = known["config"]["deliver_subject"]
        .as_str()
        .map(str::to_owned);
    let is_new = stored_subject.is_none();
    let deliver_subject = stored_subject.unwrap_or_else(|| client.new_inbox());
    config["deliver_subject"] = json!(deliver_subject);
    let mut subscription = match kind {
        Kind::Group => {
            config["durable_name"] = json!(name);
            config["deliver_group"] = json!(name);
            client
                .queue_subscribe(deliver_subject, name.to_owned())
                .await
        }
        Kind::Ephemeral => {
            config["name"] = json!(name);
            client.subscribe(deliver_subject).await
        }
    }
    .expect("a subscription");
    if is_new {
        if matches!(kind, Kind::Group) {
            assert_eq!(err_code(&known), 10014, "{known}");
        }
        let create = json!({"stream_name": "main-queue", "config": config});
        let call = format!("CONSUMER.CREATE.main-queue.{name}.main-queue");
        let created = api(&client, &call, create).await;
        assert_eq!(created["push_bound"], true, "{created}");
        assert_eq!(created["config"]["max_ack_pending"], 1000, "{created}");
    }
    client.flush().await.expect("flushed");
    tokio::spawn(async move {
        while let Some(message) = subscription.next().await {
            let event: Value = serde_json::from_slice(&message.payload).expect("an event is JSON");
            received.add(
                &member,
                event["Number"].as_u64().expect("a number") as usize,
            );
            let reply = message.reply.expect("a delivery has an ack subject");
            client
                .publish(reply, "+ACK".into())
                .await
                .expect("the client takes the ack");
        }
    })
}

/// An envelope as services send them, between 0.8 and 2 KB.
fn event(number: usize) -> String {
    json!({
        "Timestamp": "2025-01-06T10:00:00.123456789Z",
        "Metadata": {"eventid": format!("7d3c-{number:08}"), "eventtype": "events.UploadReady"},
        "ID": format!("a1b2-{number:08}"),
        "Topic": "main-queue",
        "Payload": "e30=".repeat(150 + number % 300),
        "Number": number,
    })
    .to_string()
}

/// Publishes these events, 16 at a time; returns those that were acknowledged.
async fn publish(
    client: &Client,
    events: impl Iterator<Item = usize>,
    half_way: Option<&Notify>,
) -> BTreeSet<usize> {
    let mut answers = futures::stream::iter(events)
        .map(|number| async move {
            let answer = client
                .request("main-queue", event(number).into())
                .await
                .ok()?;
            let ack: Value = serde_json::from_slice(&answer.payload).ok()?;
            (ack["stream"] == "main-queue" && ack["seq"].is_u64()).then_some(number)
        })
        .buffer_unordered(16);
    let mut acknowledged = BTreeSet::new();
    while let Some(answer) = answers.next().await {
        acknowledged.extend(answer);
        if acknowledged.len() == EVENTS / 2
            && let Some(half_way) = half_way
        {
            half_way.notify_one();
        }
    }
    acknowledged
}

async fn each_group_gets_every_acknowledged_event_although_the_broker_is_killed(
    mut broker: Broker,
) {
    let starting: Vec<_> =
        futures::future::join_all((0..10).map(|_| broker.connect("start"))).await;
    futures::future::join_all(starting.iter().map(ensure_stream)).await;

    let received = Arc::new(Received::default());
    let mut members = Vec::new();
    for group in GROUPS {
        for instance in 0..2 {
            let client = broker.connect(group).await;
            let member = format!("{group}-{instance}");
            members.push(consume(client, group, Kind::Group, member, received.clone()).await);
        }
    }
    let sse = broker.connect("sse").await;
    let sse = consume(
        sse,
        "sse-4711",
        Kind::Ephemeral,
        "sse".to_owned(),
        received.clone(),
    )
    .await;

    let publisher = broker.connect("frontend").await;
    let half_way = Arc::new(Notify::new());
    let publishing = tokio::spawn({
        let (publisher, half_way) = (publisher.clone(), half_way.clone());
        async move { publish(&publisher, 0..EVENTS, Some(&half_way)).await }
    });
    tokio::time::timeout(WITHIN, half_way.notified())
        .await
        .expect("half of the events go through");
    broker.crash_and_restart();
    let mut acknowledged = publishing.await.expect("no panic");
    // What was in flight in the moment of the crash may have failed, no more.
    assert!(
        acknowledged.len() >= EVENTS - 16,
        "only {} acknowledged",
        acknowledged.len()
    );

    for group in GROUPS {
        received.wait_for(group, &acknowledged).await;
    }
    received.wait_for("sse", &acknowledged).await;
    {
        let by_member = received.by_member.lock().expect("no panic");
        assert_eq!(by_member.len(), 5, "every member got some");
    }

    // The application goes, events arrive meanwhile, and it comes back to what is pending.
    for member in members.drain(..).chain([sse]) {
        member.abort();
        assert!(member.await.is_err_and(|ended| ended.is_cancelled()));
    }
    let missed = publish(&publisher, EVENTS..EVENTS + 20, None).await;
    assert_eq!(missed.len(), 20);
    acknowledged.extend(missed);
    for group in GROUPS {
        let client = broker.connect(group).await;
        let member = format!("{group}-back");
        members.push(consume(client, group, Kind::Group, member, received.clone()).await);
    }
    for group in GROUPS {
        received.wait_for(group, &acknowledged).await;
        let call = format!("CONSUMER.INFO.main-queue.{group}");
        let idle = |info: &Value| info["num_pending"] == 0 && info["num_ack_pending"] == 0;
        let info = crate::broker::eventually(
            "everything is acknowledged",
            async || api(&publisher, &call, Value::Null).await,
            idle,
        )
        .await;
        assert_eq!(
            info["ack_floor"]["stream_seq"], info["delivered"]["stream_seq"],
            "{info}"
        );
    }
    let stream = api(&publisher, "STREAM.INFO.main-queue", Value::Null).await;
    assert!(
        stream["state"]["messages"].as_u64() >= Some(acknowledged.len() as u64),
        "{stream}"
    );
    for member in members {
        member.abort();
    }
}

async fn what_a_lost_member_did_not_acknowledge_goes_to_another_one(broker: Broker) {
    let publisher = broker.connect("frontend").await;
    ensure_stream(&publisher).await;
    let silent = broker.connect("search").await;
    let deliver_subject = silent.new_inbox();
    let mut subscription = silent
        .queue_subscribe(deliver_subject.clone(), "search".to_owned())
        .await
        .expect("subscribed");
    let config = json!({
        "durable_name": "search", "deliver_policy": "new", "ack_policy": "explicit", "ack_wait": 1_000_000_000,
        "filter_subject": "main-queue", "deliver_subject": deliver_subject, "deliver_group": "search",
    });
    let create = json!({"stream_name": "main-queue", "config": config});
    let created = api(
        &silent,
        "CONSUMER.CREATE.main-queue.search.main-queue",
        create,
    )
    .await;
    assert_eq!(created["push_bound"], true, "{created}");
    let sent = publish(&publisher, 0..30, None).await;
    assert_eq!(sent.len(), 30);
    for _ in 0..30 {
        let next = tokio::time::timeout(WITHIN, subscription.next()).await;
        assert!(
            next.is_ok_and(|message| message.is_some()),
            "the first member gets all"
        );
    }
    silent.drain().await.expect("drained");

    let received = Arc::new(Received::default());
    let client = broker.connect("search").await;
    let member = consume(
        client,
        "search",
        Kind::Group,
        "search-1".to_owned(),
        received.clone(),
    )
    .await;
    received.wait_for("search", &sent).await;
    member.abort();
}

mod on {
    crate::on_every_broker!(each_group_gets_every_acknowledged_event_although_the_broker_is_killed);
    crate::on_every_broker!(what_a_lost_member_did_not_acknowledge_goes_to_another_one);
}
