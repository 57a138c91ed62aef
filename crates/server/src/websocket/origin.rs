//! Where a browser's page may come from.

use jetsled_config::WebsocketOptions;

/// A scheme, a host in lower case, and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Origin {
    scheme: String,
    host: String,
    port: String,
}

/// An origin that is not allowed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum OriginError {
    #[error("parse {0:?}: invalid URI for request")]
    NoUrl(String),
    #[error("not same origin")]
    NotSame,
    #[error("not in the allowed list")]
    NotAllowed,
}

impl Origin {
    fn parse(url: &str) -> Option<Self> {
        let (scheme, rest) = url.split_once("://")?;
        let authority = rest.split(['/', '?', '#']).next()?;
        let host = authority
            .rsplit_once('@')
            .map_or(authority, |(_, host)| host);
        Some(Self::new(&scheme.to_lowercase(), host))
    }

    /// Without a port, the one of the scheme.
    fn new(scheme: &str, host_port: &str) -> Self {
        let default = if scheme == "https" { "443" } else { "80" };
        let (host, port) = match host_port.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => (host, port),
            _ => (host_port, default),
        };
        Self {
            scheme: scheme.to_owned(),
            host: host.trim_matches(['[', ']']).to_lowercase(),
            port: port.to_owned(),
        }
    }
}

/// Checks the origin that a request names, if any: clients that are no browsers name none.
pub(super) fn check(
    options: &WebsocketOptions,
    origin: Option<&str>,
    request_host: &str,
) -> Result<(), OriginError> {
    if !options.same_origin && options.allowed_origins.is_empty() {
        return Ok(());
    }
    let Some(origin) = origin.filter(|origin| !origin.is_empty()) else {
        return Ok(());
    };
    let parsed = Origin::parse(origin).ok_or_else(|| OriginError::NoUrl(origin.to_owned()))?;
    if options.same_origin {
        let scheme = if options.tls.is_some() {
            "https"
        } else {
            "http"
        };
        if parsed != Origin::new(scheme, request_host) {
            return Err(OriginError::NotSame);
        }
    }
    let mut allowed = options.allowed_origins.iter();
    if options.allowed_origins.is_empty()
        || allowed.any(|allowed| Origin::parse(allowed).as_ref() == Some(&parsed))
    {
        Ok(())
    } else {
        Err(OriginError::NotAllowed)
    }
}

#[cfg(test)]
mod tests {
    use jetsled_config::Port;

    use super::*;

    #[track_caller]
    fn check_origin(same: bool, allowed: &[&str], origin: &str, expected: Result<(), OriginError>) {
        let options = WebsocketOptions {
            same_origin: same,
            allowed_origins: allowed.iter().map(|&origin| origin.to_owned()).collect(),
            ..WebsocketOptions::new(Port::Random)
        };
        assert_eq!(
            check(&options, Some(origin), "Host:8080"),
            expected,
            "{origin}"
        );
    }

    #[test]
    fn the_same_origin_is_that_of_the_request() {
        check_origin(true, &[], "http://host:8080", Ok(()));
        check_origin(true, &[], "HTTP://HOST:8080/x", Ok(()));
        check_origin(true, &[], "", Ok(()));
        check_origin(true, &[], "https://host:8080", Err(OriginError::NotSame));
        check_origin(true, &[], "http://host", Err(OriginError::NotSame));
        check_origin(true, &[], "http://other:8080", Err(OriginError::NotSame));
        check_origin(
            true,
            &[],
            "null",
            Err(OriginError::NoUrl("null".to_owned())),
        );
        check_origin(false, &[], "null", Ok(()));
    }

    #[test]
    fn listed_origins_are_allowed() {
        let list = ["http://a.b", "https://c.d:444", "http://[::1]:8"];
        check_origin(false, &list, "http://A.b:80", Ok(()));
        check_origin(false, &list, "https://c.d:444", Ok(()));
        check_origin(false, &list, "http://[::1]:8", Ok(()));
        for other in ["https://c.d", "http://a.b:8", "https://a.b", "http://x@y"] {
            check_origin(false, &list, other, Err(OriginError::NotAllowed));
        }
    }

    #[test]
    fn both_must_hold() {
        check_origin(
            true,
            &["http://a"],
            "http://host:8080",
            Err(OriginError::NotAllowed),
        );
        check_origin(true, &["http://host:8080"], "http://host:8080", Ok(()));
    }
}
