//! The making of a store, cut short by power cuts.

#[expect(dead_code, reason = "other tests need more of it")]
mod support;

use std::sync::Arc;

use jetsled_testkit::{FaultyStorage, one_shard};
use support::{NOW, commit, config};

/// Whatever is left of a store that was not finished, the next start makes one of it, with the shards that it is to have.
#[test]
fn a_store_may_be_cut_off_at_each_step_of_its_making() {
    let mut cut_short = 0;
    for change in 0.. {
        let disk = FaultyStorage::new();
        let dir = tempfile::tempdir().expect("a directory");
        disk.cut_power_at(change);
        let made = jetsled_store::open(&one_shard(dir.path()), Arc::new(disk.clone()), NOW);
        let is_made = made.is_ok();
        drop(made);
        for seed in 0..4 {
            let what = format!("change {change}, seed {seed}");
            let disk = disk.after_power_cut(seed);
            let opened = jetsled_store::open(&one_shard(dir.path()), Arc::new(disk.clone()), NOW);
            let mut opened = opened.unwrap_or_else(|error| panic!("{what}: {error}"));
            let created = opened.shards[0].create_stream("A", config("S"), NOW);
            created.unwrap_or_else(|error| panic!("{what}: {error}"));
            commit(&mut opened.shards[0]);
        }
        if is_made {
            break;
        }
        cut_short += 1;
    }
    assert!(cut_short >= 8, "{cut_short} steps");
}
