use std::io::ErrorKind;
use std::num::NonZeroU8;

use jetsled_config::{JetStreamOptions, Options};
use jetsled_store::StoreOptions;
use jetsled_testkit::{Call, Fault, FaultyStorage};

use super::*;
use crate::client;
use crate::jetstream::JetStream;
use crate::server::ServerState;

/// A change and its reply take the shard's lock one after the other; the simulator, which has one thread, gets nothing in between.
#[test]
fn a_commit_that_fails_between_a_change_and_its_reply_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let disk = FaultyStorage::new();
    let store = StoreOptions {
        shards: NonZeroU8::new(1),
        ..StoreOptions::new(dir.path(), 1)
    };
    let options = Options {
        jetstream: JetStreamOptions {
            enabled: true,
            max_memory_store: Some(1 << 20),
            max_file_store: Some(1 << 30),
            ..JetStreamOptions::default()
        },
        ..Options::default()
    };
    let server = Arc::new(ServerState::new(options).unwrap());
    let (running, _, mut workers) =
        JetStream::start_by_hand(&server, &store, Arc::new(disk.clone())).unwrap();
    let mut commit = |fails: bool| {
        if fails {
            disk.fail(Call::Write, 0, Fault::Error(ErrorKind::StorageFull));
        }
        for _ in 0..10 {
            workers[0].step();
        }
    };
    let mut client = client::ByHand::open(&server);
    client.receive(b"CONNECT {\"verbose\":false}\r\nSUB answer 1\r\n");
    let mut answer_to = |durable: DurableAt, commit: &mut dyn FnMut(bool)| {
        let jetstream = server.global().jetstream.get().unwrap();
        let reply = ApiReply {
            subject: b"answer",
            headers: b"",
            body: b"done",
        };
        let mut flush = FlushSet::new();
        jetstream.reply(&reply, Some(durable), || b"lost".to_vec(), &mut flush);
        flush.flush();
        commit(false);
        client.receive(b"");
        let mut out = Vec::new();
        client.take_output(usize::MAX, &mut out);
        String::from_utf8(out).unwrap()
    };
    let create = |name: &str| {
        let config = StreamConfig {
            name: name.to_owned(),
            ..StreamConfig::default()
        };
        let jetstream = server.global().jetstream.get().unwrap();
        jetstream.create_stream(config).unwrap().1
    };
    commit(false);

    let lost = create("LOST");
    commit(true);
    let answer = answer_to(lost, &mut commit);
    assert!(answer.ends_with("\r\nlost\r\n"), "{answer}");

    let kept = create("KEPT");
    commit(false);
    let answer = answer_to(kept, &mut commit);
    assert!(answer.ends_with("\r\ndone\r\n"), "{answer}");

    let waits = create("WAITS");
    let answer = answer_to(waits, &mut commit);
    assert!(answer.ends_with("\r\ndone\r\n"), "{answer}");
    running.let_go();
}
