//! Archives that nats-server has written.

use jetsled_archive::{Archive, ArchiveError, Entry, LegacyEntry, Limits};

const CURRENT: &[u8] = include_bytes!("../../../tests/tests/archives/orders.natsarc");
const LEGACY: &[u8] = include_bytes!("../../../tests/tests/archives/orders-2.14.tar.s2");

fn open(bytes: &[u8]) -> Archive<&[u8]> {
    Archive::open(bytes, Limits::default()).expect("an archive")
}

#[test]
fn one_of_2_15_1_is_read() {
    let Archive::Current(mut archive) = open(CURRENT) else {
        panic!("a legacy archive");
    };
    let (mut seqs, mut consumers) = (Vec::new(), Vec::new());
    loop {
        match archive.next().expect("an entry") {
            Entry::State(state) => assert_eq!(state.messages, 27),
            Entry::Consumer(consumer) => consumers.push(consumer.name),
            Entry::Message(message) => seqs.push(message.seq.get()),
            Entry::End => break,
        }
    }
    assert_eq!((seqs.len(), seqs[0]), (27, 10));
    consumers.sort_unstable();
    assert_eq!(consumers, ["IDLE", "WORKER"]);
}

#[test]
fn one_of_2_14_9_is_read() {
    let Archive::Legacy(archive) = open(LEGACY) else {
        panic!("no legacy archive");
    };
    let mut messages = std::collections::BTreeSet::new();
    let (mut consumers, mut last) = (Vec::new(), 0);
    archive
        .read(&mut |entry| {
            match entry {
                LegacyEntry::Config(config, _) => assert_eq!(config.name, "ORDERS"),
                LegacyEntry::Message(message) => {
                    last = last.max(message.seq.get());
                    messages.insert(message.seq.get());
                }
                LegacyEntry::Gone(seq) => {
                    last = last.max(seq.get());
                    messages.remove(&seq.get());
                }
                LegacyEntry::Deleted(seq) => {
                    messages.remove(&seq.get());
                }
                LegacyEntry::First(first) => messages.retain(|seq| *seq >= first.get()),
                LegacyEntry::Consumer(consumer) => consumers.push(consumer),
            }
            Ok::<(), ArchiveError>(())
        })
        .expect("read to the end");
    assert_eq!(
        (messages.len(), messages.first(), last),
        (27, Some(&10), 49)
    );
    assert_eq!(consumers.len(), 2);
    let worker = consumers.iter().find(|consumer| consumer.name == "WORKER");
    let state = &worker.expect("the worker").state;
    assert_eq!(state.pending.len(), 5);
    assert_eq!(state.redelivered.len(), 1);
}
