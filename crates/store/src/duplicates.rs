//! Streams of one name in several shards.

use std::collections::HashMap;

use jetsled_jetstream_api::Timestamp;
use serde::Serialize;

use crate::Shard;
use crate::log::StreamId;

/// A stream behind a newer one of its account and name. Names are unique when streams are made; damage to the record of a stream's configuration frees its
/// name, and an older catalog that is put back afterwards brings the stream back. The newer one is served. This one stays as it is in its shard, and is
/// served by the first start that finds no newer one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SetAside {
    /// The account that owns both.
    pub account: String,
    /// Their name.
    pub name: String,
    /// The shard's index.
    pub shard: usize,
    /// Its number there.
    #[serde(skip)]
    pub stream: StreamId,
    /// When it was created.
    pub created: Timestamp,
    /// How many messages it has.
    pub messages: u64,
}

/// Sets all but the newest stream of each name aside; answers which.
pub(crate) fn set_older_aside(shards: &mut [Shard]) -> Vec<SetAside> {
    // By name: the newest so far. Of two of one age the one with more behind it.
    let mut newest: HashMap<(String, String), (Timestamp, u64, SetAside)> = HashMap::new();
    let mut aside = Vec::new();
    for (shard, store) in shards.iter().enumerate() {
        for stream in store.streams() {
            let (account, name) = (stream.account(), &stream.config().name);
            let found = SetAside {
                account: account.to_owned(),
                name: name.clone(),
                shard,
                stream: stream.id(),
                created: stream.created(),
                messages: stream.messages(),
            };
            let age = (stream.created(), stream.last_seq().0);
            let key = (found.account.clone(), found.name.clone());
            match newest.get_mut(&key) {
                None => {
                    newest.insert(key, (age.0, age.1, found));
                }
                Some(known) if (known.0, known.1) < age => {
                    let (.., older) = std::mem::replace(known, (age.0, age.1, found));
                    aside.push(older);
                }
                Some(_) => aside.push(found),
            }
        }
    }
    for older in &aside {
        if let Some(shard) = shards.get_mut(older.shard) {
            shard.set_aside(older.stream);
        }
    }
    aside
}
