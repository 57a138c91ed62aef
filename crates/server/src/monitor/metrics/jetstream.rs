//! `jetstream_...`: what `/jsz?consumers=true&config=true` has of the server, its accounts, streams and consumers.

use jetsled_jetstream_api::{ConsumerInfo, SourceInfo, Timestamp};

use super::text::{Exposition, Labels, Value};
use super::{MAX_ACCOUNTS, MAX_CONSUMERS, MAX_STREAMS, Row};
use crate::jetstream::{AccountUse, ObservedStream, Room};
use crate::monitor::jsz;
use crate::server::ServerState;

/// JetStream as a whole.
struct Whole {
    is_disabled: bool,
    max_memory: u64,
    max_storage: u64,
    used: AccountUse,
}

/// An origin of a stream.
type Origin = SourceInfo;

/// Answers how many streams and consumers were left out.
pub(super) fn tell(
    server: &ServerState,
    id: &Labels,
    exposition: &mut Exposition,
) -> [(&'static str, usize); 2] {
    let options = server.options();
    let jetstream = server.jetstream();
    // A server alone is not led by a meta group.
    let labels = id
        .clone()
        .with("server_name", server.name())
        .with("cluster", "")
        .with(
            "domain",
            options.jetstream.domain.as_deref().unwrap_or_default(),
        )
        .with("meta_leader", "")
        .with("is_meta_leader", "true");
    let uses = jsz::account_uses(server);
    let mut whole = Whole {
        is_disabled: jetstream.is_none(),
        max_memory: 0,
        max_storage: 0,
        used: AccountUse::default(),
    };
    if let Some(jetstream) = jetstream {
        (whole.max_memory, whole.max_storage) = jetstream.limits();
    }
    for (_, used) in &uses {
        whole.used.memory += used.memory;
        whole.used.storage += used.storage;
        whole.used.streams += used.streams;
        whole.used.consumers += used.consumers;
        whole.used.messages += used.messages;
    }
    let (streams, consumers) = (whole.used.streams, whole.used.consumers);
    Row::tell_all(&WHOLE, &[(labels.clone(), whole)], exposition);

    let mut room = Room {
        streams: MAX_STREAMS,
        consumers: MAX_CONSUMERS,
    };
    let mut told = Told::default();
    for (name, used) in uses.into_iter().take(MAX_ACCOUNTS) {
        let shown = server.name_tag(&name);
        let labels = labels
            .clone()
            .with("account", &shown)
            .with("account_name", &shown)
            .with("account_id", &name);
        let account = server.account(&name);
        let streams = account
            .and_then(|account| Some(account.jetstream()?.observe(&mut room)))
            .unwrap_or_default();
        for stream in streams {
            told.take(stream, &labels, server.name());
        }
        told.accounts.push((labels, used));
    }
    Row::tell_all(&ACCOUNTS, &told.accounts, exposition);
    Row::tell_all(&STREAMS, &told.streams, exposition);
    Row::tell_all(&SOURCES, &told.sources, exposition);
    Row::tell_all(&MIRRORS, &told.mirrors, exposition);
    Row::tell_all(&CONSUMERS, &told.consumers, exposition);
    [
        ("streams", streams.saturating_sub(told.streams.len())),
        ("consumers", consumers.saturating_sub(told.consumers.len())),
    ]
}

/// What is told, with its labels.
#[derive(Default)]
struct Told {
    accounts: Vec<(Labels, AccountUse)>,
    streams: Vec<(Labels, ObservedStream)>,
    sources: Vec<(Labels, Origin)>,
    mirrors: Vec<(Labels, Origin)>,
    consumers: Vec<(Labels, ConsumerInfo)>,
}

impl Told {
    fn take(&mut self, mut stream: ObservedStream, account: &Labels, leader: &str) {
        let labels = account
            .clone()
            .with("stream_name", &stream.config.name)
            .with("stream_leader", leader)
            .with("is_stream_leader", "true")
            .with("stream_raft_group", "");
        for consumer in std::mem::take(&mut stream.consumers) {
            let leader = consumer
                .cluster
                .as_ref()
                .map(|cluster| cluster.leader.as_str());
            let labels = labels
                .clone()
                .with("consumer_name", &consumer.name)
                .with("consumer_leader", leader.unwrap_or_default())
                .with("is_consumer_leader", "true")
                .with("consumer_desc", &consumer.config.description);
            self.consumers.push((labels, consumer));
        }
        for source in std::mem::take(&mut stream.sources) {
            let labels = origin_labels(&labels, "source", &source);
            self.sources.push((labels, source));
        }
        if let Some(mirror) = stream.mirror.take() {
            self.mirrors
                .push((origin_labels(&labels, "mirror", &mirror), mirror));
        }
        self.streams.push((labels, stream));
    }
}

fn origin_labels(stream: &Labels, kind: &str, origin: &Origin) -> Labels {
    let external = origin.external.as_ref();
    let api = external.map_or("", |external| &external.api);
    let deliver = external.map_or("", |external| &external.deliver);
    stream
        .clone()
        .with(&format!("{kind}_name"), &origin.name)
        .with(&format!("{kind}_api"), api)
        .with(&format!("{kind}_deliver"), deliver)
}

/// Seconds from one time to another, if there is one.
fn seconds_since(then: Option<Timestamp>, now: Timestamp) -> Option<Value> {
    Some(Value::Float(now.since(then?).0 as f64 / 1e9))
}

const WHOLE: [Row<Whole>; 7] = [
    Row {
        name: "jetstream_server_jetstream_disabled",
        help: "1 if JetStream is off, else 0.",
        value: |whole| Some(u64::from(whole.is_disabled).into()),
    },
    Row {
        name: "jetstream_server_max_memory",
        help: "Bytes that memory streams may take.",
        value: |whole| Some(whole.max_memory.into()),
    },
    Row {
        name: "jetstream_server_max_storage",
        help: "Bytes that file streams may take.",
        value: |whole| Some(whole.max_storage.into()),
    },
    Row {
        name: "jetstream_server_total_streams",
        help: "Streams.",
        value: |whole| Some((whole.used.streams as u64).into()),
    },
    Row {
        name: "jetstream_server_total_consumers",
        help: "Consumers.",
        value: |whole| Some((whole.used.consumers as u64).into()),
    },
    Row {
        name: "jetstream_server_total_messages",
        help: "Stored messages.",
        value: |whole| Some(whole.used.messages.into()),
    },
    Row {
        name: "jetstream_server_total_message_bytes",
        help: "Bytes of stored messages.",
        value: |whole| Some((whole.used.memory + whole.used.storage).into()),
    },
];

const ACCOUNTS: [Row<AccountUse>; 4] = [
    Row {
        name: "jetstream_account_max_memory",
        help: "Bytes that memory streams of the account may take; 2^64 - 1 is no limit.",
        value: |used| Some(used.memory_limit.unwrap_or(u64::MAX).into()),
    },
    Row {
        name: "jetstream_account_max_storage",
        help: "Bytes that file streams of the account may take; 2^64 - 1 is no limit.",
        value: |used| Some(used.storage_limit.unwrap_or(u64::MAX).into()),
    },
    Row {
        name: "jetstream_account_storage_used",
        help: "Bytes that file streams of the account take.",
        value: |used| Some(used.storage.into()),
    },
    Row {
        name: "jetstream_account_memory_used",
        help: "Bytes that memory streams of the account take.",
        value: |used| Some(used.memory.into()),
    },
];

const STREAMS: [Row<ObservedStream>; 9] = [
    Row {
        name: "jetstream_stream_total_messages",
        help: "Messages in the stream.",
        value: |stream| Some(stream.state.messages.into()),
    },
    Row {
        name: "jetstream_stream_total_bytes",
        help: "Bytes of the stream's messages.",
        value: |stream| Some(stream.state.bytes.into()),
    },
    Row {
        name: "jetstream_stream_first_seq",
        help: "The first sequence in the stream.",
        value: |stream| Some(stream.state.first_seq.0.into()),
    },
    Row {
        name: "jetstream_stream_last_seq",
        help: "The last sequence that the stream gave.",
        value: |stream| Some(stream.state.last_seq.0.into()),
    },
    Row {
        name: "jetstream_stream_consumer_count",
        help: "Consumers of the stream.",
        value: |stream| Some(stream.state.consumer_count.into()),
    },
    Row {
        name: "jetstream_stream_subject_count",
        help: "Subjects in the stream.",
        value: |stream| Some(stream.state.num_subjects.into()),
    },
    Row {
        name: "jetstream_stream_limit_bytes",
        help: "Bytes that the stream's messages may have; -1 is no limit.",
        value: |stream| Some(stream.config.max_bytes.into()),
    },
    Row {
        name: "jetstream_stream_limit_messages",
        help: "Messages that the stream may have; -1 is no limit.",
        value: |stream| Some(stream.config.max_msgs.into()),
    },
    Row {
        name: "jetsled_stream_lost_messages",
        help: "Messages of the stream that damage took, as far as its state lists them (65,536 at most); told where there are any.",
        value: |stream| {
            let lost = stream.state.lost.as_ref()?;
            Some((lost.messages.len() as u64).into())
        },
    },
];

const SOURCES: [Row<Origin>; 2] = [
    Row {
        name: "jetstream_stream_source_lag",
        help: "Messages of the source that are still to be copied.",
        value: |source| Some(source.lag.into()),
    },
    Row {
        name: "jetstream_stream_source_active_duration_ns",
        help: "Nanoseconds since the source was last heard of; -1 is never.",
        value: |source| Some(source.active.0.into()),
    },
];

const MIRRORS: [Row<Origin>; 2] = [
    Row {
        name: "jetstream_stream_mirror_lag",
        help: "Messages of the mirrored stream that are still to be copied.",
        value: |mirror| Some(mirror.lag.into()),
    },
    Row {
        name: "jetstream_stream_mirror_active_duration_ns",
        help: "Nanoseconds since the mirrored stream was last heard of; -1 is never.",
        value: |mirror| Some(mirror.active.0.into()),
    },
];

const CONSUMERS: [Row<ConsumerInfo>; 10] = [
    Row {
        name: "jetstream_consumer_delivered_consumer_seq",
        help: "The consumer sequence of the last delivery.",
        value: |consumer| Some(consumer.delivered.consumer_seq.0.into()),
    },
    Row {
        name: "jetstream_consumer_delivered_stream_seq",
        help: "The stream sequence of the last delivery.",
        value: |consumer| Some(consumer.delivered.stream_seq.0.into()),
    },
    Row {
        name: "jetstream_consumer_last_delivery_seconds",
        help: "Seconds since the last delivery; told once there was one.",
        value: |consumer| seconds_since(consumer.delivered.last_active, consumer.timestamp),
    },
    Row {
        name: "jetstream_consumer_last_ack_seconds",
        help: "Seconds since the ack floor moved; told once it did.",
        value: |consumer| seconds_since(consumer.ack_floor.last_active, consumer.timestamp),
    },
    Row {
        name: "jetstream_consumer_num_ack_pending",
        help: "Delivered messages that wait for their ack.",
        value: |consumer| Some(consumer.num_ack_pending.into()),
    },
    Row {
        name: "jetstream_consumer_num_redelivered",
        help: "Messages that wait for their ack and were delivered more than once.",
        value: |consumer| Some(consumer.num_redelivered.into()),
    },
    Row {
        name: "jetstream_consumer_num_waiting",
        help: "Pull requests that wait.",
        value: |consumer| Some(consumer.num_waiting.into()),
    },
    Row {
        name: "jetstream_consumer_num_pending",
        help: "Messages that are still to be delivered.",
        value: |consumer| Some(consumer.num_pending.into()),
    },
    Row {
        name: "jetstream_consumer_ack_floor_stream_seq",
        help: "The stream sequence up to which everything is acknowledged.",
        value: |consumer| Some(consumer.ack_floor.stream_seq.0.into()),
    },
    Row {
        name: "jetstream_consumer_ack_floor_consumer_seq",
        help: "The consumer sequence up to which everything is acknowledged.",
        value: |consumer| Some(consumer.ack_floor.consumer_seq.0.into()),
    },
];
