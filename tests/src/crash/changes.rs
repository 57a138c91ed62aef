//! Streams and consumers: which there are, and in which version, as it was answered last.

use std::collections::BTreeMap;

use super::read::Found;
use super::violation::{Kind, Violation};

/// Which creation of its name something is, and which configuration it has; written into its description.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Version {
    pub(super) creation: u64,
    pub(super) change: u64,
}

impl Version {
    pub(super) fn describe(self) -> String {
        format!("{}.{}", self.creation, self.change)
    }

    pub(super) fn read(description: &str) -> Option<Self> {
        let (creation, change) = description.split_once('.')?;
        Some(Self {
            creation: creation.parse().ok()?,
            change: change.parse().ok()?,
        })
    }
}

/// A stream, or a consumer of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Name {
    pub(super) stream: String,
    pub(super) consumer: Option<String>,
}

impl Name {
    pub(super) fn stream(stream: &str) -> Self {
        Self {
            stream: stream.to_owned(),
            consumer: None,
        }
    }

    pub(super) fn consumer(stream: &str, consumer: &str) -> Self {
        Self {
            stream: stream.to_owned(),
            consumer: Some(consumer.to_owned()),
        }
    }
}

/// What is known of a stream or consumer. `None` is that it is not there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) answered: Option<Version>,
    /// A change that was not answered.
    pub(super) maybe: Option<Option<Version>>,
}

/// All streams and consumers that there ever were.
#[derive(Clone, Debug, Default)]
pub(super) struct Changes {
    pub(super) known: BTreeMap<Name, Known>,
    count: u64,
    /// How many changes were answered.
    pub(super) answered: u64,
}

impl Changes {
    /// The version that a creation or an update gives.
    pub(super) fn next(&mut self, name: &Name) -> Version {
        self.count += 1;
        let creation = self.now(name).map_or(self.count, |now| now.creation);
        Version {
            creation,
            change: self.count,
        }
    }

    /// What there is as far as it was answered.
    pub(super) fn now(&self, name: &Name) -> Option<Version> {
        self.known.get(name)?.answered
    }

    /// A change is sent.
    pub(super) fn send(&mut self, name: &Name, version: Option<Version>) {
        self.each(name, version, |known| known.maybe = Some(version));
    }

    /// It was answered.
    pub(super) fn confirm(&mut self, name: &Name, version: Option<Version>) {
        self.answered += 1;
        self.each(name, version, |known| {
            *known = Known {
                answered: version,
                maybe: None,
            };
        });
    }

    /// With a stream its consumers go.
    fn each(&mut self, name: &Name, version: Option<Version>, change: impl Fn(&mut Known)) {
        change(self.known.entry(name.clone()).or_default());
        if name.consumer.is_none() && version.is_none() {
            let of_stream = |other: &&mut Name| other.stream == name.stream;
            let mut names: Vec<_> = self.known.keys().cloned().collect();
            for other in names.iter_mut().filter(of_stream) {
                change(self.known.entry(other.clone()).or_default());
            }
        }
    }

    /// Compares with what the server has.
    pub(super) fn check(&self, found: &Found) -> Vec<Violation> {
        let there = found.versions();
        let mut violations = Vec::new();
        for (name, known) in &self.known {
            let now = there.get(name).copied();
            if now == known.answered || Some(now) == known.maybe {
                continue;
            }
            violations.push(Violation {
                kind: Kind::ChangeLost,
                what: format!("{name:?} is {now:?}, should be {known:?}"),
            });
        }
        for (name, version) in &there {
            if !self.known.contains_key(name) {
                violations.push(Violation {
                    kind: Kind::ChangeLost,
                    what: format!("{name:?} is there ({version:?}), nobody has made it"),
                });
            }
        }
        violations
    }

    /// From now on what the server has is what is known.
    pub(super) fn settle(&mut self, found: &Found) {
        let there = found.versions();
        for (name, known) in &mut self.known {
            *known = Known {
                answered: there.get(name).copied(),
                maybe: None,
            };
        }
    }
}
