//! Waiting awake for a peer that answers at once.
//!
//! Between a request and its answer lie two wake-ups of sleeping processors, one of the peer's and one of the server's, and in a virtual machine
//! each takes longer than all the work. A connection whose peer has the habit of answering at once therefore looks at its socket
//! for a moment before its thread goes to sleep.
//!
//! What that costs has bounds:
//! - Only after something short was sent to this connection alone, by a connection's task, and while no third connection does anything: one that
//!   begins to may have to wait for the end of it.
//! - A wait in vain lasts [`LIMIT`] at most, and is followed by twice as many sleeps as the last one, [`MOST_SLEEPS`] at most.
//! - One thread for every two processors may wait so, on a single one none. Another one that wants this processor gets it, and that ends the wait.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::net::TcpStream;

/// A peer that is awake answers within a few microseconds, one that sleeps needs 50 to 70 to wake up in a virtual machine.
const LIMIT: Duration = Duration::from_micros(100);

/// A look at the socket that took so long was one of several threads' turns.
const CROWDED: Duration = Duration::from_micros(20);

/// Sleeps before the first wait.
const FIRST_SLEEPS: u8 = 8;
/// Sleeps between two waits, if all are in vain.
const MOST_SLEEPS: u8 = 250;

/// Reads that were acted on since a connection was here last, if none but itself and who answers it is active.
const ALONE: u64 = 2;

/// Reads that were acted on in the whole process.
static ACTS: AtomicU64 = AtomicU64::new(0);

/// Waits of the whole process at the moment.
static WAITS: AtomicUsize = AtomicUsize::new(0);

/// Waits that may be under way at a time.
static AT_A_TIME: LazyLock<usize> =
    LazyLock::new(|| thread::available_parallelism().map_or(1, usize::from) / 2);

/// Reads that were acted on in the whole process so far.
pub(super) fn acts() -> u64 {
    ACTS.load(Relaxed)
}

/// A connection has acted on a read.
pub(super) fn acted() {
    ACTS.fetch_add(1, Relaxed);
}

/// Whether a connection waits awake the next time; what others know of it.
#[derive(Debug)]
pub(crate) struct Attention(AtomicU8);

/// The next wait is one.
const NOW: u8 = u8::MAX;

impl Default for Attention {
    fn default() -> Self {
        Self(AtomicU8::new(FIRST_SLEEPS))
    }
}

impl Attention {
    /// Something was sent to the peer that it may answer. Returns whether its connection should wait awake now: its task, if it is another
    /// one, has to be woken for that.
    pub(crate) fn sent(&self) -> bool {
        // Two senders at a time may count as one.
        match self.0.load(Relaxed) {
            NOW => false,
            0 => {
                self.0.store(NOW, Relaxed);
                true
            }
            sleeps => {
                self.0.store(sleeps - 1, Relaxed);
                false
            }
        }
    }

    /// Waits awake for `socket` if it is time to. To be called by the connection's task whenever it is about to wait.
    pub(super) fn wait(&self, socket: &TcpStream, habit: &mut Habit) {
        let acts = ACTS.load(Relaxed);
        let others = acts.wrapping_sub(std::mem::replace(&mut habit.acts, acts));
        if self.0.load(Relaxed) == NOW {
            let answered = others <= ALONE && wait(socket);
            self.0.store(habit.sleeps_after(answered), Relaxed);
        }
    }
}

/// What a connection's own task knows of its peer.
#[derive(Debug, Default)]
pub(super) struct Habit {
    /// Sleeps after the last wait.
    sleeps: u8,
    /// [`ACTS`] when it was about to wait the last time.
    acts: u64,
}

impl Habit {
    fn sleeps_after(&mut self, answered: bool) -> u8 {
        self.sleeps = if answered {
            0
        } else {
            (self.sleeps.saturating_mul(2)).clamp(1, MOST_SLEEPS)
        };
        self.sleeps
    }
}

/// Whether there was something to read in time.
fn wait(socket: &TcpStream) -> bool {
    Place::take().is_some_and(|_place| watch(socket))
}

/// One of the threads that may keep from the runtime's own waiting at a time.
pub(super) struct Place(());

impl Place {
    /// `None`: there are enough of them.
    pub(super) fn take() -> Option<Self> {
        let place = Self(());
        (WAITS.fetch_add(1, Relaxed) < *AT_A_TIME).then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        WAITS.fetch_sub(1, Relaxed);
    }
}

/// As [`wait`], without a place.
fn watch(socket: &TcpStream) -> bool {
    let acts = ACTS.load(Relaxed);
    let started = Instant::now();
    let mut looked = started;
    loop {
        let mut sockets = [PollFd::new(socket, PollFlags::IN)];
        match poll(&mut sockets, Some(&Timespec::default())) {
            Ok(0) => {}
            Ok(_) => return true,
            Err(_) => return false,
        }
        if ACTS.load(Relaxed) != acts {
            return false;
        }
        thread::yield_now();
        let now = Instant::now();
        if now - looked > CROWDED || now - started > LIMIT {
            return false;
        }
        looked = now;
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    /// How often something was sent until it was time to wait again.
    fn sleeps(attention: &Attention) -> usize {
        (0..1000).find(|_| attention.sent()).unwrap()
    }

    #[test]
    fn a_wait_in_vain_is_paid_for_with_more_and_more_sleeps_and_an_answer_ends_that() {
        let (attention, mut habit) = (Attention::default(), Habit::default());
        let mut after = |answered| {
            attention.0.store(habit.sleeps_after(answered), Relaxed);
            let sleeps = sleeps(&attention);
            assert!(!attention.sent(), "it is time until it was waited");
            sleeps
        };
        let in_vain: Vec<usize> = (0..10).map(|_| after(false)).collect();
        assert_eq!(in_vain, [1, 2, 4, 8, 16, 32, 64, 128, 250, 250]);
        assert_eq!([after(true), after(true), after(false)], [0, 0, 1]);
    }

    #[test]
    fn a_new_connection_sleeps_at_first() {
        assert_eq!(sleeps(&Attention::default()), usize::from(FIRST_SLEEPS));
    }

    #[tokio::test]
    async fn what_has_come_ends_the_wait() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let peer = TcpStream::connect(address).await.unwrap();
        let (socket, _) = listener.accept().await.unwrap();
        assert!(!watch(&socket), "nothing has come");
        peer.writable().await.unwrap();
        peer.try_write(b"PING\r\n").unwrap();
        socket.readable().await.unwrap();
        assert!(watch(&socket), "something has come");
        let mut bytes = [0; 6];
        assert_eq!(
            socket.try_read(&mut bytes).unwrap(),
            6,
            "and is still there"
        );
    }
}
