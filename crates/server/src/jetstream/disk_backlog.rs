//! Publishers wait for a disk that does not keep up.

use std::sync::Arc;
use std::time::Duration;

use super::shard::{ShardHandle, ShardState};

/// Bytes of a shard that may wait to be written, beside what a commit has begun to write and what each connection has read.
const MOST: usize = 128 << 20;

/// How often a publisher looks whether less than half of that waits.
const LOOK: Duration = Duration::from_millis(5);

/// A publisher waits at most so long before it reads once more, so that it is not deaf for long if the disk hangs.
const LIMIT: Duration = Duration::from_secs(1);

/// A shard with more to write than it should have in memory.
pub(crate) struct DiskBacklog(Arc<ShardHandle>);

impl DiskBacklog {
    /// `None` as long as there is not too much.
    pub(super) fn of(shard: &Arc<ShardHandle>, state: &ShardState) -> Option<Self> {
        (state.store.unwritten_bytes() > MOST).then(|| Self(Arc::clone(shard)))
    }

    /// Waits until more may come. What is written has its acks on their way.
    pub(crate) async fn eased(self) {
        let looks = LIMIT.as_millis() / LOOK.as_millis();
        for _ in 0..looks {
            tokio::time::sleep(LOOK).await;
            let state = self.0.lock_as_worker();
            let store = &state.store;
            if store.unwritten_bytes() < MOST / 2 || store.is_fenced() || state.stopping {
                return;
            }
        }
    }
}

impl std::fmt::Debug for DiskBacklog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("DiskBacklog").field(&self.0.index).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jetstream::test_server::TestServer;

    #[test]
    fn publishers_wait_once_too_much_is_unwritten() {
        let mut server = TestServer::start();
        let mut client = server.connect();
        client.publish(
            "$JS.API.STREAM.CREATE.S",
            r#"{"name":"S","subjects":["s"]}"#,
        );
        server.commit();
        // Two at a time, since a single one would be written at once.
        let message = format!("PUB s 1000000\r\n{}\r\n", "x".repeat(1_000_000));
        let two = message.repeat(2);
        let mut published = 0;
        while !client.waits_for_disk() {
            client.send(&two);
            published += 2_000_000;
            assert!(published < 2 * MOST, "nobody waits");
        }
        assert!(published > MOST - 10_000_000);
        server.commit();
        client.send(&two);
        assert!(!client.waits_for_disk());
    }
}
