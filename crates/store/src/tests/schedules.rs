//! Message schedules in a whole store: what they send and when, and what a restart makes of them.

use jetsled_jetstream_api::{StorageType, StreamConfig, StreamSeq, Timestamp};

use super::{SECOND, Store, code, config, header_block};
use crate::{Publish, Scheduled, Sender, StreamId};

fn scheduling(storage: StorageType) -> StreamConfig {
    StreamConfig {
        allow_msg_schedules: true,
        allow_msg_ttl: true,
        ..config("S", storage)
    }
}

impl Store {
    /// What schedules send now, stored as the server does.
    fn fire(&mut self, stream: StreamId) -> Vec<Scheduled> {
        self.tick();
        let now = self.now;
        let mut sent = Vec::new();
        self.shard().take_scheduled(&mut sent);
        for message in &sent {
            let message = Publish {
                subject: &message.subject,
                headers: &message.headers,
                payload: &message.payload,
                has_interest: true,
                sender: Sender::Server,
            };
            assert!(self.shard().publish(stream, &message, now).unwrap().stored);
        }
        sent
    }

    fn schedule(&mut self, stream: StreamId, subject: &str, pattern: &str) {
        let headers = [
            ("Nats-Schedule", pattern),
            ("Nats-Schedule-Target", "S.target"),
        ];
        self.publish(stream, subject, &headers, b"x").unwrap();
    }

    /// The subjects of the schedules that fire now.
    fn fired(&mut self, stream: StreamId) -> Vec<String> {
        let sent = self.fire(stream);
        sent.iter()
            .map(|sent| {
                let scheduler = jetsled_protocol::headers::get(&sent.headers, b"Nats-Scheduler");
                String::from_utf8(scheduler.unwrap().to_vec()).unwrap()
            })
            .collect()
    }
}

#[test]
fn a_one_shot_sends_its_message_without_its_own_headers_and_goes() {
    for storage in [StorageType::File, StorageType::Memory] {
        let mut store = Store::new(1 << 20);
        let stream = store.create(scheduling(storage));
        let at = Timestamp(store.now.0 + 5 * SECOND).to_string();
        let headers = [
            ("Nats-Schedule", &*at_pattern(&at)),
            ("Nats-Schedule-Target", "S.target"),
            ("Nats-Schedule-TTL", "5m"),
            ("Nats-Schedule-Rollup", "sub"),
            ("Nats-Msg-Id", "1"),
            ("Nats-TTL", "1h"),
            ("Nats-Expected-Last-Sequence", "0"),
            ("Kept", "yes"),
        ];
        store.publish(stream, "S.once", &headers, b"body").unwrap();
        assert!(store.fire(stream).is_empty(), "not before its time");
        store.advance(5);
        let sent = store.fire(stream);
        assert_eq!(sent.len(), 1);
        let stored = store.shard().load(stream, StreamSeq(2)).unwrap().unwrap();
        let expected = header_block(&[
            ("Kept", "yes"),
            ("Nats-Scheduler", "S.once"),
            ("Nats-Schedule-Next", "purge"),
            ("Nats-TTL", "5m"),
            ("Nats-Rollup", "sub"),
        ]);
        assert_eq!(
            (stored.subject, stored.payload),
            (&b"S.target"[..], &b"body"[..])
        );
        assert_eq!(
            String::from_utf8_lossy(stored.headers),
            String::from_utf8_lossy(&expected)
        );
        assert_eq!(store.shard().stream(stream).unwrap().messages(), 1);
        store.advance(100);
        assert!(store.fire(stream).is_empty());
    }
}

fn at_pattern(time: &str) -> String {
    format!("@at {time}")
}

#[test]
fn a_schedule_takes_its_message_from_its_source_while_there_is_one() {
    let mut store = Store::new(1 << 20);
    let stream = store.create(scheduling(StorageType::File));
    let headers = [
        ("Nats-Schedule", "@every 1s"),
        ("Nats-Schedule-Target", "S.target"),
        ("Nats-Schedule-Source", "S.source"),
    ];
    store.publish(stream, "S.copy", &headers, b"own").unwrap();
    store.advance(1);
    assert_eq!(store.fire(stream)[0].payload, b"own");
    store
        .publish(stream, "S.source", &[("A", "b")], b"newest")
        .unwrap();
    store.advance(1);
    let sent = store.fire(stream).remove(0);
    assert_eq!(sent.payload, b"newest");
    assert!(
        sent.headers
            .starts_with(b"NATS/1.0\r\nA: b\r\nNats-Scheduler: S.copy\r\n")
    );
}

#[test]
fn a_schedule_ends_when_replaced_cancelled_purged_or_ended() {
    let mut store = Store::new(1 << 20);
    let stream = store.create(scheduling(StorageType::File));
    for subject in ["S.replaced", "S.cancelled", "S.purged", "S.ended", "S.kept"] {
        store.schedule(stream, subject, "@every 10s");
    }
    store.schedule(stream, "S.replaced", "@every 1h");
    store
        .publish(stream, "S.cancelled", &[], b"a message")
        .unwrap();
    let purge = crate::Purge {
        filter: Some(b"S.purged"),
        ..crate::Purge::default()
    };
    store.shard().purge(stream, &purge).unwrap();
    let ending = [
        ("Nats-Schedule-Next", "purge"),
        ("Nats-Scheduler", "S.ended"),
    ];
    store.publish(stream, "S.other", &ending, b"").unwrap();
    for restart in [None, Some(true), Some(false)] {
        if let Some(keep_catalog) = restart {
            store.reopen(keep_catalog);
        }
        store.advance(10);
        assert_eq!(store.fired(stream), ["S.kept"], "{restart:?}");
    }
    let wrong = [
        ("Nats-Schedule-Next", "purge"),
        ("Nats-Scheduler", "S.cancelled"),
    ];
    let outcome = store.publish(stream, "S.other", &wrong, b"");
    assert_eq!(code(&outcome).0, 10212, "that is no schedule any more");
}

#[test]
fn what_was_missed_while_stopped_fires_once_however_the_store_starts() {
    for (checkpoint, keep_catalog, churn) in [
        (false, true, false),
        (true, true, false),
        (false, false, false),
        (true, false, true),
    ] {
        let mut store = Store::new(64 << 10);
        let stream = store.create(scheduling(StorageType::File));
        let other = store.create(StreamConfig {
            max_msgs: 10,
            ..config("O", StorageType::File)
        });
        store.schedule(stream, "S.often", "@every 5s");
        store.schedule(stream, "S.rare", "0 0 0 1 1 *");
        store.advance(5);
        assert_eq!(store.fired(stream), ["S.often"]);
        if churn {
            // The segment of the schedules is rewritten or replaced by the stream's head.
            for n in 0..400 {
                store
                    .publish(other, &format!("O.{n}"), &[], &[0; 2000])
                    .unwrap();
                if n % 50 == 0 {
                    store.commit();
                    store.checkpoint();
                    let now = store.now;
                    for _ in 0..20 {
                        store.shard().tick(now);
                        store.commit();
                    }
                }
            }
        }
        if checkpoint {
            store.checkpoint();
        }
        store.reopen(keep_catalog);
        assert!(
            store.fired(stream).is_empty(),
            "its time has not come again"
        );
        store.advance(3600);
        store.reopen(keep_catalog);
        assert_eq!(store.fired(stream), ["S.often"], "missed often, fires once");
        assert!(store.fired(stream).is_empty());
        store.advance(5);
        assert_eq!(store.fired(stream), ["S.often"]);
    }
}

#[test]
fn a_schedule_whose_message_was_refused_waits_for_what_it_is_put_off_to() {
    let mut store = Store::new(1 << 20);
    let stream = store.create(scheduling(StorageType::File));
    store.schedule(stream, "S.a", "@every 5s");
    store.advance(5);
    store.tick();
    let mut sent = Vec::new();
    store.shard().take_scheduled(&mut sent);
    let until = Timestamp(store.now.0 + 60 * SECOND);
    store
        .shard()
        .put_off_schedule(stream, sent[0].schedule, until);
    store.advance(59);
    assert!(store.fired(stream).is_empty());
    store.advance(1);
    assert_eq!(store.fired(stream), ["S.a"]);
}

#[test]
fn a_sealed_stream_wants_no_ticks_for_its_schedules() {
    let mut store = Store::new(1 << 20);
    let stream = store.create(scheduling(StorageType::Memory));
    store.schedule(stream, "S.a", "@every 5s");
    let sealed = StreamConfig {
        sealed: true,
        ..scheduling(StorageType::Memory)
    };
    let now = store.now;
    store.shard().update_stream(stream, sealed, now).unwrap();
    store.advance(60);
    let now = store.now;
    let next = store.shard().tick(now).unwrap();
    assert!(next > Timestamp(now.0 + SECOND), "asks again at {next}");
    assert!(store.fired(stream).is_empty());
}
