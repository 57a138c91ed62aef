//! `jetsled doctor [URL] [STREAM [CONSUMER]]`: what an experienced operator would see in a server's monitoring.

mod answers;
mod consumers;
mod server;
mod streams;

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::process::ExitCode;
use std::time::Duration;

use hyper::StatusCode;
use serde::de::DeserializeOwned;

use crate::http_client::get_and_wait;
use crate::program::say;
use answers::{Jsz, Varz};

/// The monitoring port by its custom.
const DEFAULT: &str = "http://127.0.0.1:8222";

/// How long the server may take for an answer.
const WITHIN: Duration = Duration::from_secs(30);

/// Bytes of an answer at most: a hundred thousand consumers and their streams.
const MAX_ANSWER: usize = 256 << 20;

/// Exit code when something is wrong.
const FOUND: u8 = 1;

/// Exit code when nobody could be asked.
const UNASKED: u8 = 2;

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Weight {
    /// Good to know.
    Note,
    /// Something does not work, or will not one day.
    Problem,
}

/// One thing that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Finding {
    weight: Weight,
    /// What it is about: `server`, `stream ORDERS`, `consumer ORDERS > kitchen`.
    about: String,
    /// What is the case, and what to do.
    text: String,
}

impl Finding {
    fn note(about: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            weight: Weight::Note,
            about: about.into(),
            text: text.into(),
        }
    }

    fn problem(about: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            weight: Weight::Problem,
            ..Self::note(about, text)
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let weight = match self.weight {
            Weight::Note => "note   ",
            Weight::Problem => "problem",
        };
        write!(f, "{weight}  {}: {}", self.about, self.text)
    }
}

/// Exit code 0 if no problem was found, 1 if one was, 2 if the server could not be asked.
pub(super) fn run(arguments: &[OsString]) -> ExitCode {
    let arguments: Vec<_> = arguments
        .iter()
        .map(|argument| argument.to_string_lossy())
        .collect();
    let (url, names) = match arguments.split_first() {
        Some((url, names)) if url.contains("://") => (url.trim_end_matches('/'), names),
        _ => (DEFAULT, &arguments[..]),
    };
    let wanted = match names {
        [] => Wanted::default(),
        [stream] => Wanted {
            stream: Some(stream),
            consumer: None,
        },
        [stream, consumer] => Wanted {
            stream: Some(stream),
            consumer: Some(consumer),
        },
        _ => return fail("usage: jetsled doctor [URL] [STREAM [CONSUMER]]"),
    };
    let varz: Varz = match ask(url, "/varz") {
        Ok(varz) => varz,
        Err(reason) => return fail(&reason),
    };
    let jsz: Jsz = match ask(
        url,
        "/jsz?accounts=true&streams=true&consumers=true&config=true",
    ) {
        Ok(jsz) => jsz,
        Err(reason) => return fail(&reason),
    };
    match examine(&varz, &jsz, &wanted) {
        Ok(findings) => tell(&findings),
        Err(missing) => fail(&missing),
    }
}

/// What one wants to know of.
#[derive(Clone, Copy, Debug, Default)]
struct Wanted<'a> {
    stream: Option<&'a str>,
    consumer: Option<&'a str>,
}

/// Everything that is to be said, or the name that is nowhere.
fn examine(varz: &Varz, jsz: &Jsz, wanted: &Wanted<'_>) -> Result<Vec<Finding>, String> {
    let mut findings = Vec::new();
    if wanted.stream.is_none() {
        server::examine(varz, &mut findings);
    }
    let (mut has_stream, mut has_consumer) = (wanted.stream.is_none(), wanted.consumer.is_none());
    for stream in jsz.streams() {
        if wanted.stream.is_some_and(|name| name != stream.name) {
            continue;
        }
        has_stream = true;
        if wanted.consumer.is_none() {
            streams::examine(stream, &mut findings);
        }
        for consumer in &stream.consumers {
            if wanted.consumer.is_some_and(|name| name != consumer.name) {
                continue;
            }
            has_consumer = true;
            consumers::examine(stream, consumer, &mut findings);
        }
    }
    match (wanted.stream, wanted.consumer) {
        (Some(stream), _) if !has_stream => Err(format!("there is no stream {stream}")),
        (Some(stream), Some(consumer)) if !has_consumer => {
            Err(format!("stream {stream} has no consumer {consumer}"))
        }
        _ => Ok(findings),
    }
}

fn tell(findings: &[Finding]) -> ExitCode {
    if findings.is_empty() {
        say(io::stdout(), "nothing found\n");
    }
    for finding in findings {
        say(io::stdout(), &format!("{finding}\n"));
    }
    let has_problem = |finding: &Finding| finding.weight == Weight::Problem;
    match findings.iter().any(has_problem) {
        true => ExitCode::from(FOUND),
        false => ExitCode::SUCCESS,
    }
}

fn fail(reason: &str) -> ExitCode {
    say(io::stderr(), &format!("jetsled doctor: {reason}\n"));
    ExitCode::from(UNASKED)
}

fn ask<T: DeserializeOwned>(url: &str, path: &str) -> Result<T, String> {
    let url = format!("{url}{path}");
    match get_and_wait(&url, MAX_ANSWER, WITHIN) {
        Ok((StatusCode::OK, body)) => {
            serde_json::from_slice(&body).map_err(|error| format!("{url}: {error}"))
        }
        Ok((status, _)) => Err(format!("{url}: {status}")),
        Err(error) => Err(format!("{url}: {error}; is monitoring on (http_port)?")),
    }
}

#[cfg(test)]
mod tests;
