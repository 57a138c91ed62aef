//! The streams of an account by name and by subject, and what they have reserved.

use std::collections::BTreeMap;
use std::sync::Arc;

use jetsled_jetstream_api::{StorageType, StreamConfig};
use jetsled_protocol::{Sublist, subject};

use super::StreamHandle;

/// What questions about all streams of an account are put to; none costs in proportion to their number.
#[derive(Default)]
pub(super) struct Registry {
    by_name: BTreeMap<Arc<str>, StreamHandle>,
    /// Names, by the subjects on which the streams listen.
    by_subject: Sublist<Arc<str>>,
    /// Sums of `max_bytes`, which together may exceed any number of bytes.
    reserved_memory: u128,
    reserved_file: u128,
}

impl Registry {
    pub(super) fn len(&self) -> usize {
        self.by_name.len()
    }

    pub(super) fn get(&self, name: &str) -> Option<&StreamHandle> {
        self.by_name.get(name)
    }

    /// By name.
    pub(super) fn iter(&self) -> impl Iterator<Item = &StreamHandle> {
        self.by_name.values()
    }

    /// Adds a stream, in the place of the one of its name.
    pub(super) fn insert(&mut self, handle: StreamHandle) {
        self.remove(&handle.config.name);
        let name: Arc<str> = handle.config.name.as_str().into();
        for subject in &handle.config.subjects {
            self.by_subject
                .insert(subject.as_bytes(), None, Arc::clone(&name));
        }
        *self.reserved_mut(handle.config.storage) += reservation(&handle.config);
        self.by_name.insert(name, handle);
    }

    pub(super) fn remove(&mut self, name: &str) {
        let Some((name, handle)) = self.by_name.remove_entry(name) else {
            return;
        };
        for subject in &handle.config.subjects {
            self.by_subject
                .remove(subject.as_bytes(), None, |of| *of == name);
        }
        *self.reserved_mut(handle.config.storage) -= reservation(&handle.config);
    }

    /// Streams that listen on a subject which overlaps `pattern`, by name; none for an invalid one.
    pub(super) fn on(&self, pattern: &[u8]) -> Vec<StreamHandle> {
        if !subject::is_valid(pattern) {
            return Vec::new();
        }
        let mut names = std::collections::BTreeSet::new();
        self.by_subject
            .for_each_collision(pattern, |_, _, name| _ = names.insert(Arc::clone(name)));
        let found = names.iter().filter_map(|name| self.by_name.get(name));
        found.cloned().collect()
    }

    /// Whether a stream of another name listens on a subject which overlaps one of `config`.
    pub(super) fn has_other_on_subjects_of(&self, config: &StreamConfig) -> bool {
        config.subjects.iter().any(|subject| {
            let mut found = false;
            self.by_subject
                .for_each_collision(subject.as_bytes(), |_, _, name| {
                    found |= **name != *config.name;
                });
            found
        })
    }

    /// What streams of other names than that of `config` have reserved of its kind of storage, in bytes.
    pub(super) fn reserved_beside(&self, config: &StreamConfig) -> u128 {
        let all = match config.storage {
            StorageType::Memory => self.reserved_memory,
            StorageType::File => self.reserved_file,
        };
        let own = self.get(&config.name).map(|handle| &*handle.config);
        let own = own.filter(|own| own.storage == config.storage);
        all - own.map_or(0, reservation)
    }

    fn reserved_mut(&mut self, storage: StorageType) -> &mut u128 {
        match storage {
            StorageType::Memory => &mut self.reserved_memory,
            StorageType::File => &mut self.reserved_file,
        }
    }
}

/// A stream's `max_bytes`, if it has one.
pub(super) fn reservation(config: &StreamConfig) -> u128 {
    u128::try_from(config.max_bytes).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use jetsled_jetstream_api::Timestamp;
    use jetsled_store::StreamId;

    use super::*;
    use crate::jetstream::target::StreamTarget;

    fn config(name: &str, subjects: &[&str], max_bytes: i64) -> StreamConfig {
        StreamConfig {
            name: name.to_owned(),
            subjects: subjects.iter().map(|s| (*s).to_owned()).collect(),
            max_bytes,
            ..StreamConfig::default()
        }
    }

    fn handle(config: StreamConfig) -> StreamHandle {
        StreamHandle {
            target: StreamTarget {
                shard: 0,
                stream: StreamId(1),
            },
            config: Arc::new(config),
            created: Timestamp(0),
        }
    }

    #[test]
    fn streams_are_found_by_overlapping_subjects() {
        let mut registry = Registry::default();
        registry.insert(handle(config("A", &["a.>", "b.*"], -1)));
        registry.insert(handle(config("B", &["c.*.d"], -1)));
        registry.insert(handle(config("M", &[], -1)));
        let check = |pattern: &str, names: &[&str]| {
            let found = registry.on(pattern.as_bytes());
            let found: Vec<&str> = found.iter().map(|h| h.config.name.as_str()).collect();
            assert_eq!(found, names, "{pattern}");
        };
        check(">", &["A", "B"]);
        check("a.1", &["A"]);
        check("a", &[]);
        check("b.1.2", &[]);
        check("*.x.*", &["A", "B"]);
        check("c.1.d", &["B"]);
        check("a..b", &[]);
    }

    #[test]
    fn an_update_does_not_collide_with_its_own_subjects() {
        let mut registry = Registry::default();
        registry.insert(handle(config("A", &["a.>"], -1)));
        registry.insert(handle(config("B", &["b"], -1)));
        let collides = |name, subject| {
            let config = config(name, &["x", subject], -1);
            registry.has_other_on_subjects_of(&config)
        };
        assert!(!collides("A", "a.*"));
        assert!(collides("A", "*"));
        assert!(collides("C", "a.b.c"));
        assert!(!collides("C", "a"));
    }

    #[test]
    fn reservations_go_with_their_streams() {
        let mut registry = Registry::default();
        registry.insert(handle(config("A", &[], 10)));
        registry.insert(handle(config("B", &[], i64::MAX)));
        registry.insert(handle(config("C", &["c"], -1)));
        registry.insert(handle(config("A", &[], 7)));
        assert_eq!(registry.len(), 3);
        let other = config("D", &[], -1);
        let max = i64::MAX.unsigned_abs().into();
        assert_eq!(registry.reserved_beside(&other), 7_u128 + max);
        assert_eq!(registry.reserved_beside(&config("A", &[], 1)), max);
        registry.remove("B");
        registry.remove("B");
        assert_eq!(registry.reserved_beside(&other), 7);
        registry.insert(handle(config("C", &["d"], -1)));
        assert!(registry.on(b"c").is_empty());
    }
}
