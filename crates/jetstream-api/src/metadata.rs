//! The metadata that the server keeps in a configuration, and the API levels behind it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize, Serializer};

use crate::{AckPolicy, ConsumerConfig, PersistMode, PriorityPolicy, StreamConfig};

/// The API level of this server: that of nats-server 2.15.
pub const API_LEVEL: u32 = 5;
/// The key of the API level that an asset needs; stored.
pub const REQUIRED_LEVEL_KEY: &str = "_nats.req.level";
/// The key of the server's version; only in replies.
pub const VERSION_KEY: &str = "_nats.ver";
/// The key of the server's API level; only in replies.
pub const LEVEL_KEY: &str = "_nats.level";

/// Labels by key, in order of the keys. Nearly always a handful, of ten thousand consumers, so they take no more room than that.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "BTreeMap<String, String>")]
pub struct Metadata(Vec<(Box<str>, Box<str>)>);

impl Metadata {
    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The value of `key`.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        let at = self.find(key).ok()?;
        self.0.get(at).map(|(_, value)| &**value)
    }

    /// Sets the value of `key`.
    pub fn insert(&mut self, key: &str, value: &str) {
        match self.find(key) {
            Ok(at) => self.0[at].1 = value.into(),
            Err(at) => {
                self.0.reserve_exact(1);
                self.0.insert(at, (key.into(), value.into()));
            }
        }
    }

    /// Removes `key`.
    pub fn remove(&mut self, key: &str) {
        self.0.retain(|(other, _)| **other != *key);
    }

    /// Keys and values in order of the keys.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (&**key, &**value))
    }

    fn find(&self, key: &str) -> Result<usize, usize> {
        self.0.binary_search_by(|(other, _)| (**other).cmp(key))
    }
}

impl From<BTreeMap<String, String>> for Metadata {
    fn from(map: BTreeMap<String, String>) -> Self {
        let boxed = |(key, value): (String, String)| (key.into(), value.into());
        let labels: Vec<_> = map.into_iter().map(boxed).collect();
        Self(labels)
    }
}

impl Serialize for Metadata {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

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
pub(crate) fn equal_but_for_versions(left: &Metadata, right: &Metadata) -> bool {
    let own = |(key, _): &(&str, &str)| ![REQUIRED_LEVEL_KEY, VERSION_KEY, LEVEL_KEY].contains(key);
    left.iter().filter(own).eq(right.iter().filter(own))
}

fn set_stored(metadata: &mut Metadata, level: u32) {
    metadata.remove(VERSION_KEY);
    metadata.remove(LEVEL_KEY);
    metadata.insert(REQUIRED_LEVEL_KEY, &level.to_string());
}

fn set_reply(metadata: &mut Metadata, version: &str) {
    metadata.insert(VERSION_KEY, version);
    metadata.insert(LEVEL_KEY, &API_LEVEL.to_string());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_stay_in_order_of_their_keys() {
        let mut metadata: Metadata = serde_json::from_str(r#"{"b":"2","a":"1","c":""}"#).unwrap();
        metadata.insert("aa", "new");
        metadata.insert("b", "other");
        metadata.remove("c");
        metadata.remove("none");
        assert_eq!(metadata.get("b"), Some("other"));
        assert_eq!(metadata.get("c"), None);
        assert_eq!(
            serde_json::to_string(&metadata).unwrap(),
            r#"{"a":"1","aa":"new","b":"other"}"#
        );
    }
}
