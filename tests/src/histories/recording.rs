//! Recorded answers: one compressed text file a part.
//!
//! The text is a line `= <name> <fingerprint of the steps>` for each history, then its steps: a step with one answer is
//! that line, any other is a line `!<count>` and its lines; last, as if it were a step, the log.

use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;

use super::player::Answers;
use super::step::History;

/// What was recorded of one history.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// The history's name.
    pub name: String,
    /// [`History::fingerprint`] when it was recorded.
    pub fingerprint: u64,
    /// What came back.
    pub answers: Answers,
}

impl Recorded {
    /// The answers to a history.
    pub fn new(history: &History, answers: Answers) -> Self {
        Self {
            name: history.name.clone(),
            fingerprint: history.fingerprint(),
            answers,
        }
    }
}

/// The folder of scripts and recordings.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("histories")
}

/// Writes a part's file.
///
/// # Errors
///
/// When the file cannot be written.
pub fn write(part: &str, recorded: &[Recorded]) -> io::Result<()> {
    let mut text = String::new();
    for history in recorded {
        text += &format!("= {} {:016x}\n", history.name, history.fingerprint);
        let steps = history.answers.steps.iter();
        for lines in steps.chain([&history.answers.log]) {
            // An answer that looks like a count of answers is written with its count.
            if lines.len() != 1 || lines[0].starts_with(['!', '=']) {
                text += &format!("!{}\n", lines.len());
            }
            for line in lines {
                text += line;
                text.push('\n');
            }
        }
    }
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(text.as_bytes())?;
    fs::write(path(part), encoder.finish()?)
}

/// Reads a part's file.
///
/// # Errors
///
/// When the file is not there or is no recording.
pub fn read(part: &str) -> io::Result<Vec<Recorded>> {
    let mut text = String::new();
    GzDecoder::new(fs::File::open(path(part))?).read_to_string(&mut text)?;
    parse(&text).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "not a recording"))
}

fn parse(text: &str) -> Option<Vec<Recorded>> {
    let mut recorded: Vec<Recorded> = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some(title) = line.strip_prefix("= ") {
            let (name, fingerprint) = title.rsplit_once(' ')?;
            recorded.push(Recorded {
                name: name.to_owned(),
                fingerprint: u64::from_str_radix(fingerprint, 16).ok()?,
                answers: Answers::default(),
            });
            continue;
        }
        let step = match line.strip_prefix('!') {
            Some(count) => {
                let count: usize = count.parse().ok()?;
                let answers: Vec<String> = lines.by_ref().take(count).map(str::to_owned).collect();
                answers
            }
            None => vec![line.to_owned()],
        };
        recorded.last_mut()?.answers.steps.push(step);
    }
    for history in &mut recorded {
        history.answers.log = history.answers.steps.pop()?;
    }
    Some(recorded)
}

fn path(part: &str) -> PathBuf {
    folder().join(format!("{part}.gz"))
}
