//! The corpus of configurations: text files of cases, each with what nats-server made of it.
//!
//! ```text
//! >>> a title
//! the configuration
//! --- file NAME
//! a file beside it
//! --- login {"user":"a","pass":"b"}
//! <<<
//! check: what `-t` says
//! varz.max_payload = 1024
//! varz.jetstream gone
//! ```
//!
//! Only what differs from the first case, the one of all defaults, is written.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::lines::Lines;

/// One configuration, and what to try with it.
#[derive(Clone, Debug, Default)]
pub struct Case {
    /// What it is about.
    pub title: String,
    /// The configuration file.
    pub config: String,
    /// Files beside it: name and text.
    pub files: Vec<(String, String)>,
    /// Options of CONNECT to log in with.
    pub logins: Vec<String>,
    /// What was recorded, in full.
    pub recorded: Lines,
    source: String,
}

/// A file of cases.
#[derive(Clone, Debug)]
pub struct Part {
    /// The file.
    pub path: PathBuf,
    /// In the order of the file.
    pub cases: Vec<Case>,
}

/// The files, in order. The first case of the first one has nothing but defaults; the others are compared with it.
const PARTS: &[&str] = &[
    "defaults",
    "language",
    "server",
    "authorization",
    "accounts",
    "jetstream",
    "tls",
    "operator",
];

/// All parts.
///
/// # Errors
///
/// When a file cannot be read, or is not of the form.
pub fn read() -> io::Result<Vec<Part>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("observed/configurations");
    let mut defaults: Option<Lines> = None;
    let mut parts: Vec<Part> = Vec::new();
    for name in PARTS {
        let path = folder.join(format!("{name}.txt"));
        let text = fs::read_to_string(&path)?;
        let mut cases = Vec::new();
        for source in text.split("\n>>> ").skip(1) {
            let case = parse(source, defaults.as_ref())?;
            defaults.get_or_insert_with(|| case.recorded.clone());
            cases.push(case);
        }
        parts.push(Part { path, cases });
    }
    Ok(parts)
}

/// Writes all files with what is now recorded.
///
/// # Errors
///
/// When a file cannot be written.
pub fn write(parts: &[Part]) -> io::Result<()> {
    let mut defaults: Option<&Lines> = None;
    for part in parts {
        let mut text = "Configurations and what nats-server 2.15.1 makes of them; tests/src/observed/corpus.rs has the form.\n".to_owned();
        for case in &part.cases {
            text += &format!(">>> {}\n<<<\n{}", case.source, case.answers(defaults));
            defaults.get_or_insert(&case.recorded);
        }
        fs::write(&part.path, text)?;
    }
    Ok(())
}

impl Case {
    /// The recorded lines that are not those of the defaults.
    fn answers(&self, defaults: Option<&Lines>) -> String {
        let none = Lines::new();
        let defaults = defaults
            .filter(|_| is_ready(&self.recorded))
            .unwrap_or(&none);
        let mut text = String::new();
        for (path, value) in &self.recorded {
            if path == START || defaults.get(path) != Some(value) {
                text += &format!("{path} = {}\n", value.replace('\n', NEXT_LINE));
            }
        }
        for path in defaults.keys() {
            if !self.recorded.contains_key(path) {
                text += &format!("{path} gone\n");
            }
        }
        text
    }
}

/// The line that tells whether the server came up: one that did not shows nothing else.
pub(super) const START: &str = "start";
/// A value's further lines begin so.
const NEXT_LINE: &str = "\n    ";

fn is_ready(recorded: &Lines) -> bool {
    recorded.get(START).is_some_and(|start| start == "ready")
}

fn parse(text: &str, defaults: Option<&Lines>) -> io::Result<Case> {
    let invalid = || io::Error::new(io::ErrorKind::InvalidData, format!("no case: {text}"));
    let (source, answers) = text.split_once("\n<<<").ok_or_else(invalid)?;
    let (title, body) = source.split_once('\n').unwrap_or((source, ""));
    let mut case = Case {
        title: title.to_owned(),
        source: source.to_owned(),
        ..Case::default()
    };
    let mut sections = format!("\n{body}\n");
    let rest = sections.split_off(sections.find("\n--- ").map_or(sections.len(), |at| at + 1));
    case.config = sections[1..].to_owned();
    for section in rest
        .split("\n--- ")
        .map(|section| section.trim_start_matches("--- "))
    {
        let (head, text) = section.split_once('\n').unwrap_or((section, ""));
        match head.split_once(' ') {
            Some(("file", name)) => case
                .files
                .push((name.to_owned(), text.trim_end().to_owned() + "\n")),
            Some(("login", options)) => case.logins.push(options.to_owned()),
            _ if section.is_empty() => {}
            _ => return Err(invalid()),
        }
    }
    let mut gone = Vec::new();
    for line in answers.trim().replace(NEXT_LINE, "\u{1}").lines() {
        let line = line.replace('\u{1}', "\n");
        match line.split_once(" = ") {
            Some((path, value)) => {
                case.recorded.insert(path.to_owned(), value.to_owned());
            }
            None => gone.push(line.strip_suffix(" gone").ok_or_else(invalid)?.to_owned()),
        }
    }
    if let Some(defaults) = defaults.filter(|_| is_ready(&case.recorded)) {
        for (path, value) in defaults {
            if !gone.contains(path) {
                case.recorded
                    .entry(path.clone())
                    .or_insert_with(|| value.clone());
            }
        }
    }
    Ok(case)
}
