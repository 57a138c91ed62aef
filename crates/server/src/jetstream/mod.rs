//! JetStream: streams and consumers on top of `store` and `dispatch`.
//!
//! | Module | Concept |
//! |---|---|
//! | `target`, `listener`, `ingest` | what JetStream listens on, and how messages reach it |
//! | `shard`, `worker` | one owner at a time: the store's shard with its consumers; the thread that serves it |
//! | `commit`, `disk_backlog` | group commit, by the worker or by a connection that is alone; who waits for a disk that does not keep up |
//! | `batch` | atomic and fast-ingest batches |
//! | `publish`, `publish_run` | a message for a stream; many of them in a row |
//! | `parked` | replies that wait for a commit |
//! | `consumer`, `consumers`, `consumer_record` | what runs of a consumer, what is stored of it |
//! | `turn`, `deliver`, `view`, `retention` | a consumer's events, deliveries and what it sees |
//! | `account`, `access` | streams and consumers by name, for the API |
//! | `api` | `$JS.API`: requests and replies |
//! | `follower` | mirrors and sources |
//! | `rename` | subject transforms and republishing |
//! | `transfer` | streams as archives: snapshots and restores |
//! | `snapshot`, `observe` | what monitoring shows: as nats-server does; for metrics and the dashboard |
//! | `latency` | how long commits, acks and deliveries take |
//! | `throttle` | log lines that may be due very often |
//! | `by_hand` | a shard's worker without its thread |
//! | `start`, `resting` | opening the store and restoring what it holds; what is kept and not served |

mod access;
mod account;
mod advisory;
mod api;
mod batch;
mod by_hand;
mod checkpoints;
mod clock;
mod commit;
mod consumer;
mod consumer_record;
mod consumer_service;
mod consumers;
mod deliver;
mod disk_backlog;
pub(crate) mod domain;
mod follower;
mod id_map;
mod ingest;
mod latency;
mod listener;
mod machine;
mod observe;
mod parked;
mod publish;
mod publish_run;
mod push_interest;
mod rename;
mod reply;
mod resting;
mod retention;
mod runtime;
mod shard;
mod snapshot;
mod start;
mod stream;
mod target;
#[cfg(test)]
mod test_server;
mod throttle;
mod transfer;
mod turn;
mod upkeep;
mod verify;
mod view;
mod worker;

pub(crate) use account::AccountJetStream;
pub(crate) use by_hand::ByHand;
pub(crate) use clock::give as give_time;
pub(crate) use commit::InlineCommit;
pub(crate) use consumer_record::ConsumerRecord;
pub(crate) use disk_backlog::DiskBacklog;
pub(crate) use follower::{Channel, OriginFollower};
pub(crate) use ingest::IngestBatch;
pub(crate) use latency::Histogram;
pub(crate) use observe::{ObservedStream, Room, StoreHealth, StreamRow};
pub(crate) use snapshot::{AccountUse, StreamDetail, WantedDetail};
pub use start::StartError;
pub(crate) use start::{JetStream, encryption};
pub(crate) use target::{ConsumerTarget, StreamTarget, Target};
pub(crate) use turn::UnfinishedTurn;
pub(crate) use verify::DamagedStream;
