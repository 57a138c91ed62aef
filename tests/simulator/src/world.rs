//! A run: the server, its disk and clients, and the choice of what happens next.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use jetsled_config::{JetStreamOptions, Options};
use jetsled_jetstream_api::Timestamp;
use jetsled_server::ServerByHand;
use jetsled_store::StoreOptions;
use jetsled_testkit::FaultyStorage;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use crate::breakage::Rule;
use crate::catalog::CatalogCopies;
use crate::client::Client;
use crate::disk_events::DiskEvents;
use crate::figures::Figures;
use crate::history::History;
use crate::interrupt::{InterruptedStorage, set_hook};
use crate::keys::Keys;
use crate::model::{ConsumerModel, Expected, Limits, StreamModel};
use crate::plan::{ConsumerPlan, StreamPlan};

/// How many things happen in a run.
const STEPS: u32 = 700;

/// What a request was for.
#[derive(Clone, Debug)]
pub(crate) enum Waiting {
    Publish {
        stream: usize,
        id: u32,
        /// With the event at which it was sent.
        expected: Option<(Expected, u64)>,
    },
    Batch {
        stream: usize,
        batch: u32,
    },
    Removal {
        stream: usize,
        at: usize,
    },
    PutStream {
        stream: usize,
        version: u64,
    },
    DeleteStream {
        stream: usize,
    },
    PutConsumer {
        consumer: usize,
        version: u64,
    },
    DeleteConsumer {
        consumer: usize,
    },
    Reset,
    Pause {
        consumer: usize,
        until: Option<i64>,
    },
    Ack {
        consumer: usize,
        seq: u64,
    },
    Pull {
        consumer: usize,
    },
}

/// A change of a stream or consumer of which no answer has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Create,
    Update,
    Delete,
}

pub(crate) struct StreamRun {
    pub(crate) plan: StreamPlan,
    pub(crate) model: StreamModel,
    /// Its creation was acknowledged and no deletion since.
    pub(crate) exists: bool,
    /// What may have happened beyond that.
    pub(crate) maybe: Option<Change>,
    /// Configurations by version.
    pub(crate) versions: Vec<Limits>,
    /// Sequences for which somebody sent an ack.
    pub(crate) acked: BTreeSet<u64>,
    /// Earlier streams of this name, with their acks: damage to the record of a deletion brings one back.
    former: Vec<(StreamModel, BTreeSet<u64>)>,
}

pub(crate) struct ConsumerRun {
    pub(crate) plan: ConsumerPlan,
    pub(crate) model: ConsumerModel,
    pub(crate) exists: bool,
    pub(crate) maybe: Option<Change>,
    pub(crate) next_version: u64,
    /// Confirmed acks that count once all queues were read: an earlier delivery may still be in one.
    pub(crate) confirmed: Vec<u64>,
}

/// A delivery that was not acknowledged.
#[derive(Clone, Debug)]
pub(crate) struct Unacked {
    pub(crate) consumer: usize,
    pub(crate) seq: u64,
    pub(crate) subject: String,
}

/// Everything.
pub(crate) struct World {
    pub(crate) random: SmallRng,
    pub(crate) time: i64,
    pub(crate) event: u64,
    pub(crate) next_id: u32,
    pub(crate) next_token: u64,
    pub(crate) history: History,
    pub(crate) figures: Figures,
    pub(crate) disk: FaultyStorage,
    pub(crate) store: StoreOptions,
    pub(crate) catalog: CatalogCopies,
    pub(crate) server: Option<Rc<ServerByHand>>,
    pub(crate) clients: Vec<Client<Waiting>>,
    pub(crate) unacked: Vec<Unacked>,
    pub(crate) streams: Vec<StreamRun>,
    pub(crate) consumers: Vec<ConsumerRun>,
    pub(crate) disk_events: Rc<RefCell<DiskEvents>>,
    /// Steps until a failing disk is seen to.
    pub(crate) ailing: Option<u32>,
    /// Whether it may do without a restart then.
    pub(crate) may_go_on: bool,
    /// Whether bits of segments may be flipped in this run.
    pub(crate) may_damage: bool,
    pub(crate) damaged: bool,
    /// An older catalog was put in the place of the newest.
    pub(crate) catalog_put_back: bool,
    pub(crate) keys: Option<Keys>,
    broken: Option<Rule>,
}

/// The first moment of every run.
const BEGIN: i64 = 1_750_000_000_000_000_000;

impl World {
    pub(crate) fn new(seed: u64, dir: &Path, lines: usize, broken: Option<Rule>) -> Self {
        let mut random = SmallRng::seed_from_u64(seed);
        ServerByHand::seed(random.random());
        let clients = random.random_range(2..5);
        let plans: Vec<_> = (0..random.random_range(1..4))
            .map(|number| StreamPlan::draw(number, &mut random))
            .collect();
        let mut consumers = Vec::new();
        for (stream, plan) in plans.iter().enumerate() {
            for number in 0..random.random_range(0..4) {
                let plan = ConsumerPlan::draw(stream, plan, clients, number, &mut random);
                consumers.push(ConsumerRun::new(plan));
            }
        }
        let mut store = StoreOptions {
            shards: std::num::NonZeroU8::new(random.random_range(1..3)),
            segment_bytes: 64 << 10,
            cache_bytes: [1 << 20, 96 << 10][random.random_range(0..2)],
            checkpoint_log_bytes: [32 << 10, 200 << 10][random.random_range(0..2)],
            parallel: false,
            ..StoreOptions::new(dir, random.random())
        };
        // Who breaks a rule alters what is written, and can not alter what is sealed.
        let keys = match broken {
            None => Keys::of(seed, &mut store),
            Some(_) => None,
        };
        let may_damage = random.random_bool(0.25);
        let disk_events = DiskEvents::new(random.random());
        Self {
            random,
            time: BEGIN,
            event: 0,
            next_id: 1,
            next_token: 1,
            history: History::new(lines),
            figures: Figures::default(),
            disk: FaultyStorage::new(),
            catalog: CatalogCopies::new(dir),
            store,
            server: None,
            clients: Vec::with_capacity(clients),
            unacked: Vec::new(),
            streams: plans.into_iter().map(StreamRun::new).collect(),
            consumers,
            disk_events: Rc::new(RefCell::new(disk_events)),
            ailing: None,
            may_go_on: false,
            may_damage,
            damaged: false,
            catalog_put_back: false,
            keys,
            broken,
        }
        .with_clients(clients)
    }

    fn with_clients(mut self, clients: usize) -> Self {
        self.history.note(format_args!(
            "{clients} clients, {:?}, {:?} shards",
            self.streams.iter().map(|s| s.plan.kind).collect::<Vec<_>>(),
            self.store.shards
        ));
        self.set_time(0);
        self.clients.reserve(clients);
        self.open(clients).expect("an empty directory opens");
        self
    }

    /// The whole run.
    pub(crate) fn run(&mut self) -> Result<(), String> {
        for stream in 0..self.streams.len() {
            self.put_stream(stream);
        }
        self.settle()?;
        for consumer in 0..self.consumers.len() {
            if self.random.random_bool(0.8) {
                self.put_consumer(consumer);
            }
        }
        for _ in 0..STEPS {
            self.step()?;
        }
        self.heal()
    }

    fn step(&mut self) -> Result<(), String> {
        if self.disk_events.borrow().has_ended() {
            return self.crash();
        }
        if let Some(left) = self.ailing {
            if left == 0 {
                return self.recover_disk();
            }
            self.ailing = Some(left - 1);
        }
        match self.random.random_range(0..1000) {
            0..260 => self.issue(),
            260..500 => self.deliver_some(),
            500..680 => {
                let shard = self.random.random_range(0..self.shards());
                self.step_shard(shard);
                Ok(())
            }
            680..880 => {
                let client = self.random.random_range(0..self.clients.len());
                let max = self.random.random_range(1..20_000);
                self.read(client, max)
            }
            880..960 => {
                let by = match self.random.random_range(0..20) {
                    0 => 3_000_000_000,
                    1..4 => 300_000_000,
                    _ => self.random.random_range(0..2_000_000),
                };
                self.set_time(by);
                Ok(())
            }
            960..975 => self.check(),
            975..980 => {
                let client = self.random.random_range(0..self.clients.len());
                self.reconnect(client);
                Ok(())
            }
            980..985 => {
                self.history.note(format_args!("a crash is due at a sync"));
                let kill = self.random.random_bool(0.3);
                self.disk_events.borrow_mut().end_soon(kill);
                Ok(())
            }
            985..989 => self.cut_power(),
            989..991 => self.kill(),
            991..994 => self.stop(),
            _ => {
                self.fail_disk();
                Ok(())
            }
        }
    }

    pub(crate) fn shards(&self) -> usize {
        self.server.as_ref().map_or(1, |server| server.shards())
    }

    /// Lets time pass.
    pub(crate) fn set_time(&mut self, by: i64) {
        self.time += by;
        ServerByHand::set_time(Timestamp(self.time));
        if by > 100_000_000 {
            self.history.note(format_args!("{by} ns pass"));
        }
    }

    /// A number for something that happens now.
    pub(crate) fn event(&mut self) -> u64 {
        self.event += 1;
        self.event
    }

    /// One round of a shard's worker; whether there is more to do now.
    pub(crate) fn step_shard(&mut self, shard: usize) -> bool {
        let Some(server) = &self.server else {
            return false;
        };
        let next = server.step(shard);
        next.is_some_and(|next| next.0 <= self.time)
    }

    fn deliver_some(&mut self) -> Result<(), String> {
        let client = self.random.random_range(0..self.clients.len());
        let wire = Rc::clone(&self.clients[client].wire);
        let under_way = wire.borrow().under_way();
        if under_way > 0 {
            let max = match self.random.random_range(0..4) {
                0 => under_way,
                1 => self.random.random_range(1..=under_way),
                _ => under_way.min(600),
            };
            wire.borrow_mut().deliver(max);
        }
        if self.clients[client].is_closed() {
            self.reconnect(client);
        }
        Ok(())
    }

    /// Opens the store and connects the clients.
    pub(crate) fn open(&mut self, clients: usize) -> Result<(), String> {
        let options = Options {
            server_name: Some("simulated".to_owned()),
            jetstream: JetStreamOptions {
                enabled: true,
                configured_store_dir: Some(PathBuf::from("/nonexistent")),
                max_memory_store: Some(1 << 30),
                max_file_store: Some(1 << 30),
                ..JetStreamOptions::default()
            },
            ..Options::default()
        };
        let disk = Arc::new(InterruptedStorage {
            disk: self.disk.clone(),
            broken: self.broken,
        });
        let server = ServerByHand::start(options, &self.store, disk)
            .map_err(|error| format!("the server does not start: {error}"))?;
        let server = Rc::new(server);
        self.clients = (0..clients)
            .map(|number| Client::connect(&server, number, &self.deliveries(number)))
            .collect();
        let wires = self.clients.iter().map(|client| Rc::clone(&client.wire));
        let wires = wires.collect();
        self.disk_events
            .borrow_mut()
            .begin(&server, &self.disk, wires);
        self.server = Some(server);
        let events = Rc::clone(&self.disk_events);
        set_hook(Some(Box::new(move || events.borrow_mut().on_sync())));
        Ok(())
    }

    /// Where push consumers deliver to this client.
    fn deliveries(&self, client: usize) -> Vec<String> {
        let consumers = self.consumers.iter().map(|run| &run.plan);
        let its_own = consumers.filter(|plan| plan.push == Some(client));
        its_own.map(ConsumerPlan::deliver_subject).collect()
    }

    /// Takes the server down, and what its clients wait for with it.
    pub(crate) fn close(&mut self) -> Option<ServerByHand> {
        set_hook(None);
        for client in 0..self.clients.len() {
            self.give_up(client);
            self.clients[client].disconnect();
        }
        self.unacked.clear();
        for consumer in &mut self.consumers {
            consumer.count_confirmed();
            consumer.model.pins.clear();
        }
        self.disk_events.borrow_mut().forget();
        Rc::into_inner(self.server.take()?)
    }

    /// The client's connection breaks, and it connects again.
    pub(crate) fn reconnect(&mut self, client: usize) {
        self.history
            .note(format_args!("client {client} reconnects"));
        self.give_up(client);
        self.clients[client].disconnect();
        if let Some(server) = &self.server {
            let number = self.clients[client].number;
            self.clients[client] = Client::connect(server, number, &self.deliveries(number));
        }
        let wires = self.clients.iter().map(|client| Rc::clone(&client.wire));
        let wires = wires.collect();
        self.disk_events.borrow_mut().set_wires(wires);
    }
}

impl StreamRun {
    fn new(plan: StreamPlan) -> Self {
        let model = StreamModel::new(&plan);
        Self {
            plan,
            model,
            exists: false,
            maybe: None,
            versions: Vec::new(),
            acked: BTreeSet::new(),
            former: Vec::new(),
        }
    }

    /// It is gone, whatever it was.
    pub(crate) fn begin_anew(&mut self) {
        let model = std::mem::replace(&mut self.model, StreamModel::new(&self.plan));
        if model.created.is_some() {
            self.former.push((model, std::mem::take(&mut self.acked)));
        }
        self.exists = false;
        self.maybe = None;
        self.acked.clear();
    }

    /// After damage an earlier stream of this name is there: the first one that `is_it` says.
    pub(crate) fn bring_back(&mut self, is_it: impl Fn(&StreamModel) -> bool) {
        let Some(at) = self.former.iter().position(|(model, _)| is_it(model)) else {
            return;
        };
        let (former, acked) = &mut self.former[at];
        former.damaged = true;
        former.is_reported = self.model.is_reported;
        former.may_be_cut = self.model.may_be_cut;
        std::mem::swap(former, &mut self.model);
        std::mem::swap(acked, &mut self.acked);
    }
}

impl ConsumerRun {
    fn new(plan: ConsumerPlan) -> Self {
        Self {
            model: ConsumerModel::new(&plan),
            plan,
            exists: false,
            maybe: None,
            next_version: 0,
            confirmed: Vec::new(),
        }
    }

    pub(crate) fn begin_anew(&mut self) {
        self.model = ConsumerModel::new(&self.plan);
        self.exists = false;
        self.maybe = None;
        self.confirmed.clear();
    }

    pub(crate) fn count_confirmed(&mut self) {
        for seq in self.confirmed.drain(..) {
            self.model.acks.insert(seq, crate::model::Sent::Confirmed);
        }
    }
}
