//! Opening the store, restoring what it holds, and closing it.

#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;

use jetsled_auth::Secret;
use jetsled_config::{
    AccountJetStreamOptions, JetStreamLimits, JetStreamOptions, Options, StoreCipher, SyncPolicy,
};
use jetsled_jetstream_api::{AccountLimits, Nanos, ServerLimits};
use jetsled_store::storage::{FsStorage, Storage};
use jetsled_store::{
    Cipher, Encryption, EncryptionState, OpenReport, Opened, StorageMeters, StoreKey, StoreOptions,
};
use parking_lot::Mutex;

use super::account::{AccountJetStream, StreamHandle};
use super::batch::BatchLimits;
use super::by_hand::ByHand;
use super::checkpoints::{self, Checkpoints};
use super::observe::FoundDamage;
use super::runtime::Runtime;
use super::shard::ShardHandle;
use super::target::StreamTarget;
use super::throttle::Throttle;
use super::upkeep::{self, Upkeep};
use super::worker::{self, Helpers};
use super::{clock, domain, verify};
use crate::account::Account;
use crate::chance;
use crate::routing::FlushSet;
use crate::server::ServerState;

/// The JetStream of a running server.
pub(crate) struct JetStream {
    runtime: Arc<Runtime>,
    store_dir: PathBuf,
    found: FoundDamage,
    workers: Mutex<Vec<JoinHandle<()>>>,
}

/// Where the API listens. Pull requests and direct gets are not among them: they go to their consumer or stream, and to nobody
/// (503, no responders) if there is none (observed nats-server 2.15.1).
const API_SUBJECTS: &[&str] = &[
    "$JS.API.*",
    "$JS.API.INFO.>",
    "$JS.API.STREAM.>",
    "$JS.API.CONSUMER.*",
    "$JS.API.CONSUMER.CREATE.>",
    "$JS.API.CONSUMER.DURABLE.>",
    "$JS.API.CONSUMER.NAMES.>",
    "$JS.API.CONSUMER.LIST.>",
    "$JS.API.CONSUMER.INFO.>",
    "$JS.API.CONSUMER.DELETE.>",
    "$JS.API.CONSUMER.PAUSE.>",
    "$JS.API.CONSUMER.UNPIN.>",
    "$JS.API.CONSUMER.RESET.>",
    "$JS.API.CONSUMER.LEADER.>",
    "$JS.API.CONSUMER.PEER.>",
    "$JS.API.META.>",
    "$JS.API.SERVER.>",
    "$JS.API.ACCOUNT.>",
];

/// Where the system account hears of everything that its own services do not answer.
const ALL_API_SUBJECTS: &[&str] = &["$JS.API.>"];

/// Lets an account listen to the API, whether it has JetStream or is to be told that it has not.
fn listen_to_api(account: &Account, domain: Option<&str>) {
    account.listen_to_api(|| {
        let subjects = if account.is_system() {
            ALL_API_SUBJECTS
        } else {
            API_SUBJECTS
        };
        let forms = |subject: &&str| domain::forms((*subject).to_owned(), domain);
        subjects.iter().flat_map(forms).collect()
    });
}

/// Why JetStream could not start. The text follows `Can't start JetStream: ` in the log.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The directory itself will not do.
    #[error("storage directory is not a directory")]
    NotADirectory,
    /// The directory cannot be made or written.
    #[error("could not create storage directory - {0}")]
    CreateDirectory(jetsled_store::OpenError),
    /// The store could not be opened.
    #[error(transparent)]
    Open(jetsled_store::OpenError),
    /// A worker thread could not be started.
    #[error("could not start a shard's thread: {0}")]
    Thread(std::io::Error),
}

impl From<jetsled_store::OpenError> for StartError {
    fn from(error: jetsled_store::OpenError) -> Self {
        use jetsled_store::OpenError;
        match error {
            OpenError::NotADirectory(_) => Self::NotADirectory,
            OpenError::CreateDirectory { .. } | OpenError::NotWritable(_) => {
                Self::CreateDirectory(error)
            }
            error => Self::Open(error),
        }
    }
}

impl JetStream {
    /// Opens the store. Nothing is served yet, and dropping it closes it.
    pub(crate) fn open(options: &Options) -> Result<Opened, StartError> {
        let jetstream = &options.jetstream;
        let mut store = StoreOptions::new(jetstream.store_dir(), chance::number());
        if let SyncPolicy::Every(interval) = jetstream.sync {
            store.sync = jetsled_store::SyncPolicy::Interval(interval);
        }
        store.encryption = encryption(jetstream);
        Ok(jetsled_store::open(
            &store,
            Arc::new(FsStorage),
            clock::now(),
        )?)
    }

    /// Restores streams and consumers of all accounts that have JetStream, and starts a worker for each shard.
    pub(crate) fn start(server: &Arc<ServerState>, opened: Opened) -> Result<Self, StartError> {
        Self::serve(server, opened, start_threads)
    }

    /// As [`JetStream::start`], without workers: whoever has what is answered calls them.
    pub(crate) fn start_by_hand(
        server: &Arc<ServerState>,
        store: &StoreOptions,
        storage: Arc<dyn Storage>,
    ) -> Result<(Self, OpenReport, Vec<ByHand>), StartError> {
        let opened = jetsled_store::open(store, storage, clock::now())?;
        let report = opened.report.clone();
        let started = Self::serve(server, opened, |_| Ok(Vec::new()))?;
        let shards = started.runtime.shards.iter();
        let workers = shards.map(ByHand::new).collect();
        Ok((started, report, workers))
    }

    fn serve(
        server: &Arc<ServerState>,
        opened: Opened,
        start_workers: impl FnOnce(&Runtime) -> Result<Vec<JoinHandle<()>>, StartError>,
    ) -> Result<Self, StartError> {
        let options = server.options();
        report(&opened.report);
        let found = FoundDamage::in_report(&opened.report);
        let runtime = Arc::new(Runtime::new(server, &options, opened));
        // Until their accounts get JetStream.
        for shard in &*runtime.shards {
            let state = &mut *shard.lock();
            for consumer in state.store.recovered_consumers() {
                state.resting.insert(consumer);
            }
        }
        let started = Self {
            workers: Mutex::default(),
            runtime,
            found,
            store_dir: options.jetstream.store_dir(),
        };
        // As soon as an account is configured, or claims say what accounts there are, only those that say so have JetStream
        // (observed nats-server 2.15.1).
        if options.accounts.is_empty() && !options.operator.is_on() {
            started.enable(server.global(), AccountLimits::default());
        }
        for configured in &options.accounts {
            if let Some(limits) = &configured.jetstream
                && let Some(account) = server.account(&configured.name)
            {
                started.enable(&account, account_limits(limits));
            }
        }
        // Every stream that can be followed is there.
        for shard in &*started.runtime.shards {
            shard.lock().following.open();
        }
        // The first thing that a worker does may be a checkpoint, which has what is known of each consumer: all of them are there.
        *started.workers.lock() = start_workers(&started.runtime)?;
        // The others are told so when they ask.
        for account in server.accounts() {
            if account.jetstream().is_none() {
                listen_to_api(&account, started.runtime.domain.as_deref());
            }
        }
        Ok(started)
    }

    /// Gives an account JetStream within these limits, or other limits if it has it already; takes it from an account that is not to have
    /// it, and tells those that ask.
    pub(crate) fn adopt(&self, account: &Arc<Account>, options: Option<&AccountJetStreamOptions>) {
        match (options, account.jetstream()) {
            (Some(options), Some(running)) => running.set_account_limits(account_limits(options)),
            (Some(options), None) => self.enable(account, account_limits(options)),
            (None, None) => listen_to_api(account, self.runtime.domain.as_deref()),
            (None, Some(_)) => self.disable(account),
        }
    }

    /// Larger limits of the server come into force.
    pub(crate) fn raise_limits(&self, options: &JetStreamOptions) {
        for (meter, configured) in [
            (&self.runtime.meters.memory, options.max_memory_store),
            (&self.runtime.meters.file, options.max_file_store),
        ] {
            if configured > meter.limit() {
                meter.set_limit(configured);
            }
        }
    }

    /// Names of the accounts that have streams in the store.
    pub(crate) fn stored_accounts(&self) -> Vec<String> {
        let mut names = Vec::new();
        for shard in &*self.runtime.shards {
            let state = shard.lock();
            names.extend(
                state
                    .store
                    .streams()
                    .map(|stream| stream.account().to_owned()),
            );
        }
        names
    }

    pub(super) fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    /// What opening the store has found.
    pub(super) fn found(&self) -> FoundDamage {
        self.found
    }

    /// Tells clients that wait for messages of pull consumers that the server stops. Comes before their connections close.
    pub(crate) fn announce_shutdown(&self) {
        let mut flush = FlushSet::new();
        for shard in &*self.runtime.shards {
            shard.lock().end_pull_requests(&mut flush);
        }
        flush.flush();
    }

    /// Where the store lies.
    pub(crate) fn store_dir(&self) -> &std::path::Path {
        &self.store_dir
    }

    /// Makes JetStream available in an account: its streams and consumers start to serve.
    pub(crate) fn enable(&self, account: &Arc<Account>, limits: AccountLimits) {
        let mut is_new = false;
        let jetstream = account.jetstream_or_new(|| {
            is_new = true;
            AccountJetStream::new(account, Arc::clone(&self.runtime))
        });
        jetstream.set_account_limits(limits);
        // Who wants to create a stream from now on waits until the stored ones are known.
        let administration = jetstream.administer();
        if !jetstream.switch(true) {
            return;
        }
        let mut flush = FlushSet::new();
        for shard in &*self.runtime.shards {
            let mut state = shard.lock();
            let streams: Vec<StreamHandle> = state
                .store
                .streams()
                .filter(|stream| stream.account() == account.name())
                // One that is being restored comes when it is filled.
                .filter(|stream| !stream.is_set_aside() && !stream.is_restoring())
                .map(|stream| StreamHandle {
                    target: StreamTarget {
                        shard: shard.index,
                        stream: stream.id(),
                    },
                    config: Arc::new(stream.config().clone()),
                    created: stream.created(),
                })
                .collect();
            for handle in streams {
                jetstream.insert(account, &mut state, &handle);
                for consumer in state.resting.take(handle.target.stream) {
                    state.restore_consumer(jetstream, &consumer, &mut flush);
                }
            }
            state.end_of_batch(&mut flush);
        }
        drop(administration);
        flush.flush();
        listen_to_api(account, self.runtime.domain.as_deref());
        if is_new {
            let listener = Arc::clone(jetstream);
            account.listen(listener);
        }
    }

    /// Finishes what is under way, makes it durable and closes the store. Called once, after all client connections are
    /// closed.
    pub(crate) fn shutdown(&self) {
        // While there are workers: what transfers take back is in the last commit. They do not wait for a fenced shard.
        self.runtime.transfers.stop();
        for shard in &*self.runtime.shards {
            shard.lock().stopping = true;
        }
        for worker in self.workers.lock().drain(..) {
            if worker.join().is_err() {
                tracing::error!("JetStream shard ended by a panic");
            }
        }
        self.let_go();
    }

    /// As [`JetStream::shutdown`], for workers without threads.
    pub(crate) fn stop_workers(&self, workers: impl Iterator<Item = ByHand>) {
        for shard in &*self.runtime.shards {
            shard.lock().stopping = true;
        }
        workers.for_each(ByHand::stop);
        self.let_go();
    }

    /// Whether nobody has a shard locked.
    pub(crate) fn is_at_rest(&self) -> bool {
        !self.runtime.shards.iter().any(|shard| shard.is_locked())
    }

    /// Lets the store close as soon as nobody holds this any more.
    pub(crate) fn let_go(&self) {
        for shard in &*self.runtime.shards {
            shard.let_go();
        }
    }
}

impl Runtime {
    fn new(server: &ServerState, options: &Options, opened: Opened) -> Self {
        let jetstream = &options.jetstream;
        let meters = StorageMeters::default();
        let max_memory = jetstream.max_memory_store;
        let max_memory = max_memory.unwrap_or_else(super::machine::memory_for_streams);
        let max_file = jetstream.max_file_store;
        let max_file =
            max_file.unwrap_or_else(|| super::machine::disk_for_streams(&jetstream.store_dir()));
        meters.memory.set_limit(Some(max_memory));
        meters.file.set_limit(Some(max_file));
        let shards = (0..).zip(opened.shards).map(|(index, mut shard)| {
            shard.join_server_meters(meters.clone());
            Arc::new(ShardHandle::new(index, shard))
        });
        Self {
            shards: shards.collect(),
            set_aside: opened.report.set_aside_streams,
            limits: server_limits(&jetstream.limits),
            batch_limits: Arc::new(BatchLimits::new(&jetstream.limits)),
            domain: jetstream.domain.clone(),
            server_name: server.name().to_owned(),
            cluster_name: options.cluster_name.clone().unwrap_or_default(),
            system: server.system().cloned(),
            second_form: jetstream.ack_fc_v2,
            strict: jetstream.strict,
            meters,
            full_alarm: Throttle::default(),
            transfers: Arc::default(),
            max_payload: options.max_payload,
        }
    }
}

fn server_limits(limits: &JetStreamLimits) -> ServerLimits {
    let count = |limit: Option<u64>| limit.and_then(|n| i64::try_from(n).ok()).unwrap_or(0);
    ServerLimits {
        max_ack_pending: count(limits.max_ack_pending),
        max_request_batch: count(limits.max_request_batch),
        duplicate_window: limits.max_duplicate_window.map_or(Nanos::ZERO, |window| {
            Nanos(i64::try_from(window.as_nanos()).unwrap_or(i64::MAX))
        }),
        ..ServerLimits::default()
    }
}

fn account_limits(configured: &AccountJetStreamOptions) -> AccountLimits {
    let limit = |limit: Option<u64>| limit.map_or(-1, |n| i64::try_from(n).unwrap_or(i64::MAX));
    AccountLimits {
        max_memory: limit(configured.max_memory),
        max_storage: limit(configured.max_store),
        max_streams: limit(configured.max_streams),
        max_consumers: limit(configured.max_consumers),
        max_ack_pending: limit(configured.max_ack_pending),
        memory_max_stream_bytes: limit(configured.memory_max_stream_bytes),
        storage_max_stream_bytes: limit(configured.store_max_stream_bytes),
        max_bytes_required: configured.max_bytes_required,
    }
}

/// Each shard's worker, and the threads that keep their logs and write their checkpoints.
fn start_threads(runtime: &Runtime) -> Result<Vec<JoinHandle<()>>, StartError> {
    let (upkeep, jobs) = Upkeep::new();
    let (checkpoints, unwritten) = Checkpoints::new();
    let helpers = Helpers {
        upkeep,
        checkpoints,
    };
    let mut threads = Vec::new();
    for shard in &*runtime.shards {
        let (shard, helpers) = (Arc::clone(shard), helpers.clone());
        let name = format!("shard-{}", shard.index);
        threads.push(start_thread(name, move || worker::run(&shard, helpers))?);
    }
    let name = "checkpoints".to_owned();
    threads.push(start_thread(name, move || checkpoints::run(&unwritten))?);
    let shards = runtime.shards.clone();
    let name = "upkeep".to_owned();
    threads.push(start_thread(name, move || upkeep::run(&shards, &jobs))?);
    let shards = runtime.shards.clone();
    let name = "verify".to_owned();
    threads.push(start_thread(name, move || verify::run(&shards))?);
    Ok(threads)
}

fn start_thread(
    name: String,
    run: impl FnOnce() + Send + 'static,
) -> Result<JoinHandle<()>, StartError> {
    let thread = std::thread::Builder::new().name(name);
    thread.spawn(run).map_err(StartError::Thread)
}

/// How the store is to be encrypted, if it is. An empty key is none (observed nats-server 2.15.1).
pub(crate) fn encryption(options: &JetStreamOptions) -> Option<Encryption> {
    let key = |secret: &Secret| StoreKey::new(secret.expose());
    Some(Encryption {
        key: options.encryption_key.as_ref().map(key)?,
        previous: options.previous_encryption_key.as_ref().map(key),
        cipher: match options.cipher {
            StoreCipher::ChaCha => Cipher::ChaCha,
            StoreCipher::Aes => Cipher::Aes,
        },
        random: Arc::new(chance::bytes),
    })
}

/// Tells the operator what opening the store has found.
fn report(report: &OpenReport) {
    for older in &report.set_aside_streams {
        tracing::error!(
            "JetStream stream '{} > {}' of {} with {} messages is set aside and not served: a newer one has its name",
            older.account,
            older.name,
            older.created,
            older.messages,
        );
    }
    let plain: usize = report.shards.iter().map(|shard| shard.plain_segments).sum();
    match report.encryption {
        EncryptionState::Begun => tracing::info!("Encrypting the store"),
        EncryptionState::KeyChanged => {
            tracing::info!("The store was encrypted with the previous key and has the new one now");
        }
        EncryptionState::Plain | EncryptionState::Created | EncryptionState::Opened => {}
    }
    if plain > 0 {
        tracing::info!(
            "{plain} segments are from before the store was encrypted; they are being rewritten"
        );
    }
    for (index, shard) in report.shards.iter().enumerate() {
        for damage in &shard.log.damage {
            tracing::error!(
                "JetStream shard {index}: segment {} is damaged from byte {} to {}, what was stored there is lost",
                damage.segment,
                damage.from,
                damage.to,
            );
        }
        for path in &shard.log.set_aside {
            tracing::error!("JetStream shard {index}: set aside {}", path.display());
        }
        if shard.orphaned_messages > 0 {
            tracing::error!(
                "JetStream shard {index}: {} messages belong to streams whose configuration is lost; they are kept and not served",
                shard.orphaned_messages,
            );
        }
        if shard.log.torn_bytes > 0 {
            tracing::warn!(
                "JetStream shard {index}: dropped {} bytes of an unfinished, never acknowledged write",
                shard.log.torn_bytes,
            );
        }
    }
}

impl std::fmt::Debug for JetStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JetStream")
            .field("store_dir", &self.store_dir)
            .finish_non_exhaustive()
    }
}
