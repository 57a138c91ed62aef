//! The servers that histories are played to, and who plays what at the same time.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use jetsled_testkit::{Launch, Server};
use parking_lot::Mutex;

use super::player::{self, Answers, Pace};
use super::step::History;

/// A configuration that histories ask for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Variant {
    /// JetStream as it is by default.
    #[default]
    Default,
    /// `domain: D`.
    Domain,
    /// `strict: false`.
    Lenient,
    /// Accounts with small limits.
    Limited,
    /// Accounts that may store 2 KB of each kind.
    Small,
    /// A server that may store 64 KB of each kind. For one history, since others would take of it.
    Tiny,
}

impl Variant {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Default,
        Self::Domain,
        Self::Lenient,
        Self::Limited,
        Self::Small,
        Self::Tiny,
    ];

    /// As in scripts.
    pub fn name(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Domain => "domain",
            Self::Lenient => "lenient",
            Self::Limited => "limited",
            Self::Small => "small",
            Self::Tiny => "tiny",
        }
    }

    fn config(self, accounts: usize) -> String {
        let extra = match self {
            Self::Domain => "domain: D, ",
            Self::Lenient => "strict: false, ",
            _ => "",
        };
        let room = if self == Self::Tiny { "64KB" } else { "1TB" };
        let limits = match self {
            Self::Limited => {
                "{max_mem: 64KB, max_file: 64KB, max_streams: 3, max_consumers: 3, \
                 mem_max_stream_bytes: 32KB, disk_max_stream_bytes: 32KB, max_bytes_required: true, \
                 max_ack_pending: 500}"
            }
            Self::Small => "{max_mem: 2KB, max_file: 2KB}",
            _ => "enabled",
        };
        // On a slow machine a history may take longer than the ten seconds after which a batch is abandoned.
        let patience = r#"limits: {batch: {timeout: "10m"}}"#;
        let mut text = format!(
            "server_name: histories\njetstream {{{extra}max_mem: {room}, max_file: {room}, {patience}}}\naccounts {{\n"
        );
        for index in 0..accounts {
            text += &format!(
                "  H{index} {{ jetstream: {limits}, users: [{{user: h{index}, password: p}}] }}\n"
            );
        }
        text + "}\n"
    }
}

/// How many histories are played at the same time: most of a history is waiting.
const PLAYERS: usize = 48;

/// Plays every history once, each in an account of its own. `pace` says what is known about a history's answers. The
/// outcome of a history whose connection failed is the reason.
///
/// # Errors
///
/// When a server does not start.
pub fn play_all<'a>(
    program: &Path,
    histories: &[History],
    pace: impl Fn(usize) -> Pace<'a> + Sync,
) -> io::Result<Vec<Result<Answers, String>>> {
    let outcomes: Vec<Mutex<Result<Answers, String>>> = histories
        .iter()
        .map(|_| Mutex::new(Err("not played".to_owned())))
        .collect();
    for variant in Variant::ALL {
        let wanted: Vec<usize> = (0..histories.len())
            .filter(|&index| histories[index].variant == variant)
            .collect();
        if wanted.is_empty() {
            continue;
        }
        let store = store_dir()?;
        let server = Launch::of(program)
            .jetstream(store.path())
            .config(variant.config(wanted.len()))
            .start()
            .map_err(io::Error::other)?;
        play_on(&server, &wanted, histories, &pace, &outcomes);
    }
    Ok(outcomes.into_iter().map(Mutex::into_inner).collect())
}

fn play_on<'a>(
    server: &Server,
    wanted: &[usize],
    histories: &[History],
    pace: &(impl Fn(usize) -> Pace<'a> + Sync),
    outcomes: &[Mutex<Result<Answers, String>>],
) {
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..PLAYERS.min(wanted.len()) {
            scope.spawn(|| {
                loop {
                    let account = next.fetch_add(1, Ordering::Relaxed);
                    let Some(&index) = wanted.get(account) else {
                        return;
                    };
                    let user = format!("h{account}");
                    let outcome =
                        player::play(&histories[index], server.address(), &user, pace(index));
                    *outcomes[index].lock() = outcome.map_err(|error| error.to_string());
                }
            });
        }
    });
}

/// In memory where the system has such a place: nothing here is about disks.
fn store_dir() -> io::Result<tempfile::TempDir> {
    let memory = Path::new("/dev/shm");
    let mut builder = tempfile::Builder::new();
    builder.prefix("jetsled-histories-");
    if memory.is_dir() {
        builder.tempdir_in(memory)
    } else {
        builder.tempdir()
    }
}
