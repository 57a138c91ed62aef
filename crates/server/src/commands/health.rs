//! `jetsled health [URL]`: for what looks after a server without a tool of its own, such as a container without a shell.

use std::ffi::OsString;
use std::io;
use std::process::ExitCode;

use crate::http_probe;
use crate::program::say;

/// The monitoring port by its custom.
const DEFAULT: &str = "http://127.0.0.1:8222/healthz";

/// Exit code 0 if the server is well; else 1, and a line of standard error that says why.
pub(super) fn run(arguments: &[OsString]) -> ExitCode {
    let url = match arguments {
        [] => DEFAULT.into(),
        [url] => url.to_string_lossy(),
        _ => return fail("usage: jetsled health [URL]"),
    };
    let Some((address, path)) = address_and_path(&url) else {
        return fail(&format!("{url:?} is not http://HOST[:PORT][/PATH]"));
    };
    match http_probe::status(&address, path) {
        Ok(status) if status.is_ok() => {
            say(io::stdout(), "ok\n");
            ExitCode::SUCCESS
        }
        Ok(status) => fail(&format!("{url}: {}", status.line)),
        Err(error) => fail(&format!("{url}: {error}")),
    }
}

fn fail(reason: &str) -> ExitCode {
    say(io::stderr(), &format!("jetsled health: {reason}\n"));
    ExitCode::FAILURE
}

/// What to connect to and what to ask for: port 80 and `/healthz` unless the URL says otherwise.
fn address_and_path(url: &str) -> Option<(String, &str)> {
    let rest = url.strip_prefix("http://")?;
    let (authority, path) = match rest.find('/') {
        Some(at) if at + 1 < rest.len() => rest.split_at(at),
        Some(at) => (&rest[..at], "/healthz"),
        None => (rest, "/healthz"),
    };
    if authority.is_empty() || authority.contains('@') || path.contains(char::is_whitespace) {
        return None;
    }
    let has_port = match authority.rfind(']') {
        Some(end) => authority[end..].contains(':'),
        None => authority.contains(':'),
    };
    let address = match has_port {
        true => authority.to_owned(),
        false => format!("{authority}:80"),
    };
    Some((address, path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(url: &str, expected: Option<(&str, &str)>) {
        let found = address_and_path(url);
        let found = found
            .as_ref()
            .map(|(address, path)| (address.as_str(), *path));
        assert_eq!(found, expected, "{url}");
    }

    #[test]
    fn urls_of_one_server() {
        check(
            "http://h:8222/healthz?x=1",
            Some(("h:8222", "/healthz?x=1")),
        );
        check("http://h:8222", Some(("h:8222", "/healthz")));
        check("http://h/", Some(("h:80", "/healthz")));
        check(
            "http://[::1]/base/healthz",
            Some(("[::1]:80", "/base/healthz")),
        );
        check("http://[::1]:8222", Some(("[::1]:8222", "/healthz")));
        check(DEFAULT, Some(("127.0.0.1:8222", "/healthz")));
    }

    #[test]
    fn what_is_no_such_url_is_refused() {
        for url in [
            "",
            "h:8222",
            "https://h",
            "http://",
            "http:///healthz",
            "http://u:p@h/",
            "http://h/a b",
        ] {
            check(url, None);
        }
    }
}
