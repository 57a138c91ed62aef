//! The persistent stream store: shards, log, segments, indexes, catalog, memory streams.
