//! The metadata that the server keeps in a configuration, and the API levels behind it.

use std::collections::BTreeMap;

use crate::{AckPolicy, ConsumerConfig, PersistMode, PriorityPolicy, StreamConfig};

/// The API level of this server: that of nats-server 2.15.
pub const API_LEVEL: u32 = 5;
/// The key of the API level that an asset needs; stored.
pub const REQUIRED_LEVEL_KEY: &str = "_nats.req.level";
/// The key of the server's version; only in replies.
pub const VERSION_KEY: &str = "_nats.ver";
/// The key of the server's API level; only in replies.
pub const LEVEL_KEY: &str = "_nats.level";

impl StreamConfig {
    /// The API level that the stream needs.
    #[must_use]
    pub fn required_api_level(&self) -> u32 {
        if self.allow_batched {
            4
        } else if self.allow_msg_counter
            || self.allow_atomic
            || self.allow_msg_schedules
            || self.persist_mode == PersistMode::Async
        {
            2
        } else {
            u32::from(self.allow_msg_ttl || self.subject_delete_marker_ttl.get() > 0)
        }
    }

    /// Removes what only replies carry and sets the level that the stream needs.
    pub fn set_stored_metadata(&mut self) {
        let level = self.required_api_level();
        set_stored(&mut self.metadata, level);
    }

    /// Adds what only replies of create, update and info carry.
    pub fn set_reply_metadata(&mut self, version: &str) {
        set_reply(&mut self.metadata, version);
    }
}

impl ConsumerConfig {
    /// The API level that the consumer needs.
    #[must_use]
    pub fn required_api_level(&self) -> u32 {
        if self.ack_policy == AckPolicy::FlowControl {
            4
        } else {
            let paused = self.pause_until.is_some_and(|until| !until.is_unset());
            let grouped = self.priority_policy != PriorityPolicy::None
                || !self.pinned_ttl.is_zero()
                || !self.priority_groups.is_empty();
            u32::from(paused || grouped)
        }
    }

    /// Removes what only replies carry and sets the level that the consumer needs.
    pub fn set_stored_metadata(&mut self) {
        let level = self.required_api_level();
        set_stored(&mut self.metadata, level);
    }

    /// Adds what only replies of create, info and reset carry.
    pub fn set_reply_metadata(&mut self, version: &str) {
        set_reply(&mut self.metadata, version);
    }
}

/// Whether two maps say the same but for the keys that the server keeps.
pub(crate) fn equal_but_for_versions(
    left: &BTreeMap<String, String>,
    right: &BTreeMap<String, String>,
) -> bool {
    let own = |key: &&String| ![REQUIRED_LEVEL_KEY, VERSION_KEY, LEVEL_KEY].contains(&key.as_str());
    left.keys().filter(own).eq(right.keys().filter(own))
        && left
            .keys()
            .filter(own)
            .all(|key| left.get(key) == right.get(key))
}

fn set_stored(metadata: &mut BTreeMap<String, String>, level: u32) {
    metadata.remove(VERSION_KEY);
    metadata.remove(LEVEL_KEY);
    metadata.insert(REQUIRED_LEVEL_KEY.to_owned(), level.to_string());
}

fn set_reply(metadata: &mut BTreeMap<String, String>, version: &str) {
    metadata.insert(VERSION_KEY.to_owned(), version.to_owned());
    metadata.insert(LEVEL_KEY.to_owned(), API_LEVEL.to_string());
}
