//! The parts of the test.

use super::recording::folder;
use super::script;
use super::step::History;
use super::{consumers, streams};

/// A part: it has a recording of its own.
#[derive(Clone, Copy, Debug)]
pub struct Part {
    /// The name of its files.
    pub name: &'static str,
    histories: fn() -> Vec<History>,
}

/// All parts.
pub const PARTS: &[Part] = &[
    Part {
        name: "stream-api",
        histories: || read_script("stream-api"),
    },
    Part {
        name: "stream-random",
        histories: streams::histories,
    },
    Part {
        name: "consumer-api",
        histories: || read_script("consumer-api"),
    },
    Part {
        name: "consumer-random",
        histories: consumers::histories,
    },
];

impl Part {
    /// Its histories.
    ///
    /// # Panics
    ///
    /// When its script is wrong.
    pub fn histories(&self) -> Vec<History> {
        (self.histories)()
    }
}

fn read_script(name: &str) -> Vec<History> {
    let path = folder().join(format!("{name}.txt"));
    match std::fs::read_to_string(&path) {
        Ok(text) => script::parse(&text),
        Err(error) => panic!("{}: {error}", path.display()),
    }
}
