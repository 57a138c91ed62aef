//! A server without threads on a disk that can fail, for tests between two lock sections of what a client asks for.

use std::io::ErrorKind;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use jetsled_config::{Command, Environment, Options, parse_command_line};
use jetsled_jetstream_api::{Nanos, StorageType, Timestamp};
use jetsled_testkit::{Call, Fault, FaultyStorage, jetstream_options, one_shard};
use tempfile::TempDir;

use super::shard::CommitLost;
use super::{AccountJetStream, ByHand, JetStream, clock};
use crate::account::Account;
use crate::client;
use crate::server::ServerState;

pub(super) struct TestServer {
    state: Arc<ServerState>,
    pub(super) jetstream: JetStream,
    workers: Vec<ByHand>,
    disk: FaultyStorage,
    now: Timestamp,
    _dir: TempDir,
}

impl TestServer {
    /// One shard; the global account has JetStream.
    pub(super) fn start() -> Self {
        Self::with(Options::default())
    }

    /// One shard, and what a configuration file of this text says of accounts.
    pub(super) fn configured(text: &str) -> Self {
        let environment = Environment {
            read_file: &|_| Ok(text.to_owned()),
            variable: &|_| None,
        };
        let arguments = ["nats-server", "-c", "test.conf"].map(Into::into);
        match parse_command_line(arguments, &environment).unwrap() {
            Command::Run { options, .. } => Self::with(*options),
            other => panic!("not a command to run a server: {other:?}"),
        }
    }

    fn with(options: Options) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let disk = FaultyStorage::new();
        let now = Timestamp(1_750_000_000_000_000_000);
        clock::give(Some(now));
        let store = one_shard(dir.path());
        let options = Options {
            jetstream: jetstream_options(),
            ..options
        };
        let state = Arc::new(ServerState::new(options).unwrap());
        let storage = Arc::new(disk.clone());
        let (jetstream, _, workers) = JetStream::start_by_hand(&state, &store, storage).unwrap();
        let mut server = Self {
            state,
            jetstream,
            workers,
            disk,
            now,
            _dir: dir,
        };
        server.commit();
        server
    }

    pub(super) fn account(&self) -> &Arc<Account> {
        self.state.global()
    }

    pub(super) fn account_named(&self, name: &str) -> Arc<Account> {
        self.state.account(name).unwrap()
    }

    pub(super) fn of_account(&self) -> &Arc<AccountJetStream> {
        self.account().jetstream().unwrap()
    }

    /// Lets the worker do what is due, a second later, so that nothing waits for more.
    pub(super) fn commit(&mut self) {
        self.now = self.now.saturating_add(Nanos::from_secs(1));
        clock::give(Some(self.now));
        for _ in 0..10 {
            self.workers[0].step();
        }
    }

    /// As [`TestServer::commit`], on a disk that is full for the first write.
    pub(super) fn fail_to_commit(&mut self) {
        let full = Fault::Error(ErrorKind::StorageFull);
        self.disk.fail(Call::Write, 0, full);
        self.commit();
    }

    /// As [`TestServer::commit`], on a disk that does not sync: nothing is written any more.
    pub(super) fn fence(&mut self) {
        let broken = Fault::Error(ErrorKind::Other);
        self.disk.fail(Call::SyncData, 0, broken);
        self.commit();
    }

    /// Waits, as a backup does, until all that the shard has is durable; for 20 seconds at most, whatever may hang.
    pub(super) fn wait_durable(&self) -> Result<(), CommitLost> {
        let shard = Arc::clone(self.of_account().shard(0).unwrap());
        let (sender, waited) = mpsc::channel();
        thread::spawn(move || {
            let wait = shard.lock().wait(StorageType::File);
            sender.send(shard.wait_durable(wait))
        });
        waited.recv_timeout(Duration::from_secs(20)).unwrap()
    }

    pub(super) fn connect(&self) -> Client {
        self.connect_as("")
    }

    /// A client of the user of this name, and without a password.
    pub(super) fn connect_as(&self, user: &str) -> Client {
        let mut client = client::ByHand::logged_in(&self.state, user, "");
        client.receive(b"SUB answer 1\r\n");
        Client(client)
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.jetstream.let_go();
        clock::give(None);
    }
}

/// Who hears what is sent to `answer`.
pub(super) struct Client(client::ByHand);

impl Client {
    pub(super) fn publish(&mut self, subject: &str, payload: &str) {
        let frame = format!("PUB {subject} answer {}\r\n{payload}\r\n", payload.len());
        self.send(&frame);
    }

    pub(super) fn send(&mut self, frame: &str) {
        assert!(self.0.receive(frame.as_bytes()));
    }

    pub(super) fn waits_for_disk(&mut self) -> bool {
        self.0.waits_for_disk()
    }

    /// What came since the last call.
    pub(super) fn heard(&mut self) -> String {
        self.0.receive(b"");
        let mut out = Vec::new();
        self.0.take_output(usize::MAX, &mut out);
        String::from_utf8(out).unwrap()
    }
}
