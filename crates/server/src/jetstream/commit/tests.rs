use std::panic::{AssertUnwindSafe, catch_unwind};

use jetsled_jetstream_api::StreamConfig;

use super::*;
use crate::jetstream::shard::CommitLost;
use crate::jetstream::test_server::TestServer;

/// Else a panic in one connection would end all publishing.
#[test]
fn a_commit_that_nobody_runs_runs() {
    let mut server = TestServer::start();
    let config = StreamConfig {
        name: "S".to_owned(),
        ..StreamConfig::default()
    };
    let shard = Arc::clone(server.of_account().shard(0).unwrap());
    let mut state = shard.lock();
    let now = state.now;
    state.store.create_stream("$G", config, now).unwrap();
    state.commit_now();
    let taken = InlineCommit::take(&shard, &mut state, true);
    drop(state);
    drop(taken.expect("the worker sleeps"));
    let state = shard.lock();
    assert_eq!(state.store.durable(), state.store.position());
    assert!(state.commits.may_run_inline());
    drop(state);
    server.commit();
}

/// A backup would hang, and with it the stop of the server.
#[test]
fn nobody_waits_for_a_commit_whose_thread_has_panicked() {
    let server = TestServer::start();
    let shard = Arc::clone(server.of_account().shard(0).unwrap());
    let config = StreamConfig {
        name: "S".to_owned(),
        ..StreamConfig::default()
    };
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let _fenced = shard.fence_on_panic();
        let mut state = shard.lock_to_commit();
        let now = state.now;
        state.store.create_stream("$G", config, now).unwrap();
        let _commit = take(&mut state, Sync::Always).expect("something to write");
        panic!("a bug");
    }));
    panicked.unwrap_err();
    assert_eq!(server.wait_durable(), Err(CommitLost));
}
