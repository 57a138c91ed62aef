//! The persistent stream store: shards, log, segments, indexes, catalog, memory streams.

pub mod catalog;
pub mod log;
pub mod storage;
