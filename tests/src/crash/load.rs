//! All that goes on in a round.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;

use jetsled_testkit::Peer;
use rand::SeedableRng;
use rand::rngs::SmallRng;

use super::admin::Admin;
use super::batches;
use super::changes::Changes;
use super::consumers::Consumer;
use super::journal::{Clock, Fate, Publish, Round, State};
use super::plan;
use super::publishers::{PUBLISHERS, Publisher};
use super::worker::{self, Acks};

/// What all connections of a round know.
#[derive(Debug, Default)]
pub(super) struct Shared {
    pub(super) clock: Clock,
    /// Last sequences of the streams that stay.
    last: BTreeMap<&'static str, AtomicU64>,
    is_ending: AtomicBool,
}

impl Shared {
    pub(super) fn new(state: &State) -> Self {
        let last = plan::STREAMS.iter().map(|plan| {
            let found = state.streams.get(&state.key(plan.name));
            (plan.name, found.map_or(0, |found| found.last).into())
        });
        Self {
            clock: Clock::default(),
            last: last.collect(),
            is_ending: AtomicBool::new(false),
        }
    }

    pub(super) fn stored(&self, stream: &str, seq: u64) {
        if let Some(last) = self.last.get(stream) {
            last.fetch_max(seq, Ordering::Relaxed);
        }
    }

    /// Whether the server is being ended: it may refuse whatever it likes, and nothing is known of what it has refused.
    pub(super) fn is_ending(&self) -> bool {
        self.is_ending.load(Ordering::SeqCst)
    }

    pub(super) fn last(&self, stream: &str) -> u64 {
        let last = self.last.get(stream);
        last.map_or(0, |last| last.load(Ordering::Relaxed))
    }
}

/// How many there are at most: publishers, workers, batches, the admin.
const CONNECTIONS: usize = PUBLISHERS.len() + plan::CONSUMERS.len() + 2;

/// Who takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Everybody,
    /// Workers alone, who acknowledge all that comes.
    Workers,
}

/// A load that runs until its connections break.
#[derive(Debug)]
pub(super) struct Load {
    shared: Arc<Shared>,
    publishers: Vec<(u64, JoinHandle<io::Result<Vec<Publish>>>)>,
    workers: Vec<JoinHandle<Consumer>>,
    admin: Option<JoinHandle<io::Result<(Changes, Round)>>>,
}

impl Load {
    /// Connects and begins. The consumers, and the changes if there is an admin, are the load's until it ends.
    ///
    /// # Errors
    ///
    /// When a connection cannot be made.
    pub(super) fn start(
        address: SocketAddr,
        state: &mut State,
        round: u64,
        seed: u64,
        part: Part,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared::new(state));
        let random =
            |who: u64| SmallRng::seed_from_u64(seed ^ round.wrapping_mul(1 << 20) ^ (who << 56));
        let mut peers = Vec::new();
        for _ in 0..CONNECTIONS {
            peers.push(Peer::ready(address)?.0);
        }
        let mut connect = || peers.pop().expect("as many connections as there are users");
        let mut load = Self {
            shared: Arc::clone(&shared),
            publishers: Vec::new(),
            workers: Vec::new(),
            admin: None,
        };
        let acks = match part {
            Part::Everybody => Acks::Mixed,
            Part::Workers => Acks::All,
        };
        let publishers = match part {
            Part::Everybody => Publisher::all(round, state, random),
            Part::Workers => Vec::new(),
        };
        let batches = state.key(plan::BATCHES);
        if part == Part::Everybody {
            let (peer, changes) = (connect(), std::mem::take(&mut state.changes));
            let (shared, random) = (Arc::clone(&shared), random(200));
            let work = move || Admin::new(peer, changes, round, random, &shared).run();
            load.admin = Some(std::thread::spawn(work));
        }
        for (who, consumer) in (100..).zip(std::mem::take(&mut state.consumers)) {
            let (peer, random) = (connect(), random(who));
            let work = move || worker::run(peer, consumer, acks, random);
            load.workers.push(std::thread::spawn(work));
        }
        for publisher in publishers {
            let (peer, shared, number) = (connect(), Arc::clone(&shared), publisher.number);
            let work = move || publisher.run(peer, &shared);
            load.publishers.push((number, std::thread::spawn(work)));
        }
        if part == Part::Everybody {
            let (peer, random) = (connect(), random(batches::NUMBER));
            let work = move || batches::run(peer, &batches, round, random, &shared);
            load.publishers
                .push((batches::NUMBER, std::thread::spawn(work)));
        }
        Ok(load)
    }

    /// From now on the server is being ended.
    pub(super) fn end(&self) {
        self.shared.is_ending.store(true, Ordering::SeqCst);
    }

    /// What was sent and answered, once the connections have broken. Consumers and changes go back to the state, with
    /// messages that may be sent again.
    ///
    /// # Errors
    ///
    /// When something was refused without a reason that this load gives.
    ///
    /// # Panics
    ///
    /// If one of its threads panicked.
    pub(super) fn finish(self, state: &mut State) -> io::Result<Round> {
        const NO_PANIC: &str = "the load does not panic";
        let workers = self.workers.into_iter();
        state.consumers = workers
            .map(|worker| worker.join().expect(NO_PANIC))
            .collect();
        let published: Vec<_> = self
            .publishers
            .into_iter()
            .map(|(number, publisher)| (number, publisher.join().expect(NO_PANIC)))
            .collect();
        let mut round = Round::default();
        if let Some(admin) = self.admin {
            (state.changes, round) = admin.join().expect(NO_PANIC)?;
        }
        for (number, published) in published {
            let published = published?;
            let unanswered = published
                .iter()
                .filter(|publish| publish.fate == Fate::Unknown && publish.message.has_id)
                .map(|publish| Arc::clone(&publish.message));
            state.unanswered.insert(number, unanswered.collect());
            round.publishes.extend(published);
        }
        Ok(round)
    }
}
