//! A client connection.

/// What others may know of and do with a client connection, from any thread.
#[derive(Debug)]
pub(crate) struct Client {
    cid: u64,
}

impl Client {
    /// The connection's number, unique in this server's life.
    pub(crate) fn cid(&self) -> u64 {
        self.cid
    }
}

/// One subscription of a client.
#[derive(Debug)]
pub(crate) struct Subscription {
    /// The client's own name for it.
    sid: Box<[u8]>,
}
