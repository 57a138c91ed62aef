//! One server, ended again and again.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use jetsled_testkit::{Launch, Peer, Server};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use tempfile::TempDir;

use super::admin::Admin;
use super::changes::Name;
use super::consumers::{self, Consumer};
use super::disk::Disk;
use super::journal::{Publish, Removal, Round, State, StreamKey, StreamState};
use super::load::{Load, Part, Shared};
use super::plan::{CONSUMERS, StreamPlan};
use super::read::{self, Found};
use super::verify::Expected;
use super::violation::{Kind, Tally, Violation};

/// How a round ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// SIGKILL: what was written stays.
    Kill,
    /// As when the power goes: what was not synced is gone. Needs root and loop devices.
    PowerCut,
    /// SIGTERM: an orderly stop, under load all the same.
    Stop,
}

/// How long consumers may take to come to their end.
const DRAIN_WITHIN: Duration = Duration::from_secs(60);

/// A server under trial.
#[derive(Debug)]
pub struct Trial {
    launch: Launch,
    end: End,
    longest: Duration,
    seed: u64,
    random: SmallRng,
    running: Option<Running>,
    scratch: TempDir,
    round: u64,
    stores: u64,
    state: State,
    tally: Tally,
}

#[derive(Debug)]
struct Running {
    // Before the place that it uses.
    server: Server,
    place: Place,
}

#[derive(Debug)]
enum Place {
    Directory(PathBuf),
    Disk(Disk),
}

impl Place {
    fn store(&self) -> PathBuf {
        match self {
            Self::Directory(dir) => dir.clone(),
            Self::Disk(disk) => disk.path().join("store"),
        }
    }
}

impl Trial {
    /// A server that is started as `launch` says, in a store of the trial. Rounds last up to `longest`.
    ///
    /// # Errors
    ///
    /// When there is no place for its store.
    pub fn new(launch: Launch, end: End, longest: Duration, seed: u64) -> io::Result<Self> {
        Ok(Self {
            launch,
            end,
            longest,
            seed,
            random: SmallRng::seed_from_u64(seed),
            running: None,
            scratch: tempfile::Builder::new()
                .prefix("jetsled-crash-")
                .tempdir()?,
            round: 0,
            stores: 0,
            state: State::default(),
            tally: Tally::default(),
        })
    }

    /// What all rounds have come to.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// A round: load, the end, a start, and the comparison. What is wrong is counted and given back; the next round then
    /// begins with an empty store. One round in eight is followed by an orderly restart.
    ///
    /// # Errors
    ///
    /// When the machine fails, or the server refuses what it must take.
    pub fn round(&mut self) -> io::Result<Vec<Violation>> {
        let shortest = Duration::from_millis(20).min(self.longest);
        let pause = self.random.random_range(shortest..=self.longest);
        let violations = self.run(Part::Everybody, |_| {
            std::thread::sleep(pause);
            Ok(true)
        })?;
        if violations.is_empty() && self.random.random_bool(0.125) {
            return self.restart();
        }
        Ok(violations)
    }

    /// A round in which consumers come to their end: what was not acknowledged must come again.
    ///
    /// # Errors
    ///
    /// As [`Trial::round`].
    pub fn drain(&mut self) -> io::Result<Vec<Violation>> {
        self.run(Part::Workers, |server| {
            let (mut peer, _info) = Peer::ready(server.address())?;
            let deadline = Instant::now() + DRAIN_WITHIN;
            while Instant::now() < deadline {
                let infos = read::consumers(&mut peer)?;
                if infos
                    .iter()
                    .all(|info| info.pending == 0 && info.ack_pending == 0)
                {
                    return Ok(true);
                }
                std::thread::sleep(Duration::from_millis(50));
            }
            Ok(false)
        })
    }

    fn run(
        &mut self,
        part: Part,
        wait: impl FnOnce(&Server) -> io::Result<bool>,
    ) -> io::Result<Vec<Violation>> {
        let mut running = match self.running.take() {
            Some(running) => running,
            None => self.fresh()?,
        };
        self.round += 1;
        let address = running.server.address();
        let due = self.due();
        let load = Load::start(address, &mut self.state, self.round, self.seed, part)?;
        let waited = wait(&running.server);
        let log = running.server.log();
        load.end();
        match self.end {
            End::Stop => drop(running.server.stop()),
            End::Kill | End::PowerCut => running.server.kill(),
        }
        let place = match running.place {
            Place::Disk(disk) => {
                drop(running.server);
                let name = format!("disk-{}-{}", self.stores, self.round);
                Place::Disk(disk.cut(self.scratch.path(), &name)?)
            }
            place => place,
        };
        let round = load.finish(&mut self.state);
        let round = round.map_err(|error| at(self.round, &error, &log))?;
        self.tally.rounds += 1;
        self.count(&round);
        let mut violations = Vec::new();
        for consumer in &mut self.state.consumers {
            violations.append(&mut consumer.violations);
        }
        if part == Part::Workers {
            let is_over = waited.map_err(|error| at(self.round, &error, &log))?;
            violations.extend(self.never_came(&due, is_over));
        }
        match self.start(&place) {
            Err(error) => violations.push(Violation {
                kind: Kind::NoStart,
                what: error.to_string(),
            }),
            Ok(server) => {
                match patiently(|| Found::read(server.address())) {
                    Ok(found) => violations.extend(self.verify(&round, &found)),
                    Err(error) => violations.push(Violation {
                        kind: Kind::NoStart,
                        what: format!("started, but: {error}; its log:\n{}", server.log()),
                    }),
                }
                self.running = Some(Running { server, place });
            }
        }
        Ok(self.concluded(violations))
    }

    /// Counts what is wrong. A server that has lost something starts anew, so that no later round suffers from that.
    fn concluded(&mut self, violations: Vec<Violation>) -> Vec<Violation> {
        if !violations.is_empty() {
            self.tally.broken_rounds += 1;
            self.tally.count(&violations);
            self.running = None;
        }
        violations
    }

    /// An orderly stop and a start, with the comparison.
    fn restart(&mut self) -> io::Result<Vec<Violation>> {
        let Some(mut running) = self.running.take() else {
            return Ok(Vec::new());
        };
        running.server.stop();
        match self.start(&running.place) {
            Ok(server) => {
                // Nothing has happened since what was there was compared.
                let found = patiently(|| Found::read(server.address()))?;
                let violations = self.verify(&Round::default(), &found);
                running.server = server;
                self.running = Some(running);
                Ok(self.concluded(violations))
            }
            Err(error) => Ok(self.concluded(vec![Violation {
                kind: Kind::NoStart,
                what: format!("after an orderly stop: {error}"),
            }])),
        }
    }

    fn start(&self, place: &Place) -> io::Result<Server> {
        let launch = self.launch.clone().jetstream(place.store());
        launch.start().map_err(io::Error::other)
    }

    /// An empty store with what is always there.
    fn fresh(&mut self) -> io::Result<Running> {
        self.stores += 1;
        let name = format!("store-{}", self.stores);
        let dir: &Path = self.scratch.path();
        let place = match self.end {
            End::Kill | End::Stop => Place::Directory(dir.join(name)),
            End::PowerCut => Place::Disk(Disk::format(dir, &name)?),
        };
        let server = self.start(&place)?;
        self.state = State::default();
        let (peer, _info) = Peer::ready(server.address())?;
        let shared = Shared::new(&self.state);
        let random = SmallRng::seed_from_u64(self.seed);
        let changes = std::mem::take(&mut self.state.changes);
        self.state.changes = Admin::new(peer, changes, self.round, random, &shared).set_up()?;
        self.state.changes.answered = 0;
        self.state.consumers = CONSUMERS.map(Consumer::new).to_vec();
        if let Place::Disk(disk) = &place {
            // The streams are old: what is at stake is what the round does.
            disk.sync()?;
        }
        Ok(Running { server, place })
    }

    fn count(&mut self, round: &Round) {
        let stored = |publish: &&Publish| matches!(publish.fate, super::journal::Fate::Stored(_));
        self.tally.messages += round.publishes.iter().filter(stored).count() as u64;
        self.tally.acks += self.state.consumers.iter().map(|one| one.acks).sum::<u64>();
        self.tally.changes += std::mem::take(&mut self.state.changes.answered);
    }

    /// What each consumer has to deliver: what it has not been told to be done with.
    fn due(&self) -> Vec<Vec<u64>> {
        let due = |consumer: &Consumer| {
            let stream = self
                .state
                .streams
                .get(&self.state.key(consumer.plan.stream));
            let messages = stream.into_iter().flat_map(|stream| stream.messages.keys());
            let due = messages.filter(|seq| !consumer.is_sent(**seq));
            due.copied().collect()
        };
        self.state.consumers.iter().map(due).collect()
    }

    fn never_came(&self, due: &[Vec<u64>], is_over: bool) -> Vec<Violation> {
        let mut violations = Vec::new();
        for (consumer, due) in self.state.consumers.iter().zip(due) {
            let (stream, name) = (consumer.plan.stream, consumer.plan.name);
            // Where an ack counts for all before it, some may be settled before their turn.
            let never_came = |seq: &&u64| !consumer.seen.contains(seq) && !consumer.is_sent(**seq);
            for seq in due.iter().filter(never_came) {
                violations.push(Violation {
                    kind: Kind::Lost,
                    what: format!("{stream}/{name}: {seq} never came"),
                });
            }
        }
        if !is_over && violations.is_empty() {
            violations.push(Violation {
                kind: Kind::Lost,
                what: "a consumer has not come to its end".to_owned(),
            });
        }
        violations
    }

    /// Compares what the server has with the journal. What it has is what the next round begins with.
    fn verify(&mut self, round: &Round, found: &Found) -> Vec<Violation> {
        let mut violations = self.state.changes.check(found);
        let mut publishes: BTreeMap<&StreamKey, Vec<&Publish>> = BTreeMap::new();
        for publish in &round.publishes {
            publishes.entry(&publish.stream).or_default().push(publish);
        }
        let mut removals: BTreeMap<&StreamKey, Vec<&Removal>> = BTreeMap::new();
        for removal in &round.removals {
            removals.entry(&removal.stream).or_default().push(removal);
        }
        let mut streams = BTreeMap::new();
        let nothing = StreamState::default();
        for (name, stream) in &found.streams {
            let key = (name.clone(), stream.version.creation);
            let consumers = self.state.consumers.iter();
            let expected = Expected {
                name,
                plan: StreamPlan::of(name),
                before: self.state.streams.get(&key).unwrap_or(&nothing),
                publishes: publishes.remove(&key).unwrap_or_default(),
                removals: removals.remove(&key).unwrap_or_default(),
                consumers: consumers.filter(|one| one.plan.stream == name).collect(),
            };
            let mut after = StreamState::default();
            violations.extend(expected.check(stream, &mut after));
            for info in stream.consumers.values() {
                let mut consumers = expected.consumers.iter();
                let worked = consumers.find(|one| one.plan.name == info.name);
                violations.extend(consumers::check(
                    info,
                    worked.copied(),
                    name,
                    after.last,
                    &after.messages,
                ));
            }
            streams.insert(key, after);
        }
        self.settle(found, streams);
        violations
    }

    fn settle(&mut self, found: &Found, streams: BTreeMap<StreamKey, StreamState>) {
        self.state.changes.settle(found);
        self.state.streams = streams;
        let nothing = BTreeMap::new();
        for consumer in &mut self.state.consumers {
            let name = Name::stream(consumer.plan.stream);
            let creation = self.state.changes.now(&name).map_or(0, |now| now.creation);
            let stream = self.state.streams.get(&(name.stream, creation));
            consumer.settle(stream.map_or(&nothing, |stream| &stream.messages));
        }
    }
}

/// Tries again for a while: on a busy machine who reads may be too slow for the server's patience.
fn patiently<T>(read: impl Fn() -> io::Result<T>) -> io::Result<T> {
    const TRIES: u32 = 5;
    for _ in 1..TRIES {
        if let Ok(done) = read() {
            return Ok(done);
        }
    }
    read()
}

fn at(round: u64, error: &io::Error, log: &str) -> io::Error {
    io::Error::other(format!("round {round}: {error}; the server's log:\n{log}"))
}
