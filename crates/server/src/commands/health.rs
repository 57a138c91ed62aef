//! `jetsled health [URL]`: for what looks after a server without a tool of its own, such as a container without a shell.

use std::ffi::OsString;
use std::io;
use std::process::ExitCode;
use std::time::Duration;

use hyper::{StatusCode, Uri};

use crate::http_client::get_and_wait;
use crate::program::say;

/// The monitoring port by its custom.
const DEFAULT: &str = "http://127.0.0.1:8222/healthz";

/// How long the server may take to answer.
const WITHIN: Duration = Duration::from_secs(5);

/// Bytes of an answer at most.
const MAX_ANSWER: usize = 1 << 20;

/// Exit code 0 if the server is well; else 1, and a line of standard error that says why.
pub(super) fn run(arguments: &[OsString]) -> ExitCode {
    let url = match arguments {
        [] => DEFAULT.to_owned(),
        [url] => with_path(&url.to_string_lossy()),
        _ => return fail("usage: jetsled health [URL]"),
    };
    match get_and_wait(&url, MAX_ANSWER, WITHIN) {
        Ok((StatusCode::OK, _)) => {
            say(io::stdout(), "ok\n");
            ExitCode::SUCCESS
        }
        Ok((status, _)) => fail(&format!("{url}: {status}")),
        Err(error) => fail(&format!("{url}: {error}")),
    }
}

fn fail(reason: &str) -> ExitCode {
    say(io::stderr(), &format!("jetsled health: {reason}\n"));
    ExitCode::FAILURE
}

/// A URL of a server alone asks for `/healthz`.
fn with_path(url: &str) -> String {
    match url.parse::<Uri>() {
        Ok(uri) if uri.path() == "/" && uri.query().is_none() => {
            format!("{}/healthz", url.trim_end_matches('/'))
        }
        _ => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_alone_is_asked_for_its_health() {
        for (url, expected) in [
            ("http://h:8222", "http://h:8222/healthz"),
            ("http://[::1]:8222/", "http://[::1]:8222/healthz"),
            (
                "https://h/base/healthz?js-enabled-only=true",
                "https://h/base/healthz?js-enabled-only=true",
            ),
            ("not a url", "not a url"),
        ] {
            assert_eq!(with_path(url), expected);
        }
    }
}
