use std::sync::Arc;

use jetsled_config::Options;
use jetsled_testkit::{FaultyStorage, jetstream_options, one_shard};

use super::*;
use crate::server::ServerByHand;

/// A worker's first round may write a checkpoint: consumers that were not there yet had no state in it, so that the next start forgot their acks
/// (`tests/kill-rounds.sh` with more than 256 MiB of log behind the last checkpoint).
#[test]
fn workers_begin_when_all_consumers_are_there() {
    let dir = tempfile::tempdir().unwrap();
    let disk = FaultyStorage::new();
    let store = one_shard(dir.path());
    let options = Options {
        jetstream: jetstream_options(),
        ..Options::default()
    };
    let server = ServerByHand::start(options.clone(), &store, Arc::new(disk.clone())).unwrap();
    let mut client = server.connect();
    client.receive(b"CONNECT {\"verbose\":false}\r\n");
    for (call, body) in [
        ("STREAM.CREATE.S", r#"{"name":"S","subjects":["s.>"]}"#),
        (
            "CONSUMER.CREATE.S.C",
            r#"{"stream_name":"S","config":{"durable_name":"C","name":"C","ack_policy":"explicit"}}"#,
        ),
    ] {
        let line = format!("PUB $JS.API.{call} r {}\r\n{body}\r\n", body.len());
        assert!(client.receive(line.as_bytes()));
    }
    drop(client);
    server.stop();

    let state = Arc::new(ServerState::new(options).unwrap());
    let opened = jetsled_store::open(&store, Arc::new(disk), clock::now()).unwrap();
    let mut consumers = None;
    let started = JetStream::serve(&state, opened, |runtime| {
        let shard = runtime.shards[0].lock();
        let streams = shard.streams.values();
        consumers = Some(streams.map(|stream| stream.consumers.iter().count()).sum());
        Ok(Vec::new())
    });
    started.unwrap().let_go();
    assert_eq!(consumers, Some(1_usize));
}
