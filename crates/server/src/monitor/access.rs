//! Who may ask the monitoring listener, and who may see messages.

use std::net::{IpAddr, Ipv4Addr};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::Request;
use hyper::header::{AUTHORIZATION, FORWARDED, HOST, HeaderMap};
use jetsled_config::MonitorLogin;
use parking_lot::Mutex;
use sha2::{Digest, Sha256};

use crate::http::Peer;
use crate::server::ServerState;

/// Somebody whose request is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Asker {
    /// Messages are shown to it.
    pub(super) may_peek: bool,
}

/// A request without the login that monitoring asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refused;

impl Asker {
    /// Checks who asks. Blocks where the password is a bcrypt hash.
    pub(super) fn of<B>(request: &Request<B>, server: &ServerState) -> Result<Self, Refused> {
        let options = server.options();
        let monitor = &options.monitor;
        let headers = request.headers();
        let is_admitted = match &monitor.login {
            None => is_from_this_machine(request),
            Some(login) if server.monitoring.admission.admits(login, headers) => true,
            Some(_) if is_probe(request, &monitor.base_path) => false,
            Some(_) => return Err(Refused),
        };
        Ok(Self {
            may_peek: monitor.message_peek && is_admitted && !is_for_another_page(headers),
        })
    }
}

/// A health probe, which tells nothing but whether the server is well: orchestrators send no login.
fn is_probe<B>(request: &Request<B>, base: &str) -> bool {
    let uri = request.uri();
    let names_nothing = uri.query().is_none_or(|query| {
        let mut parts = query.split('&');
        parts.all(|part| part.starts_with("js-"))
    });
    uri.path().strip_prefix(base) == Some("/healthz") && names_nothing
}

/// From a browser or program on this machine, which asked for this machine by name: neither through a proxy nor through a
/// name of somebody else's that leads here.
fn is_from_this_machine<B>(request: &Request<B>) -> bool {
    let headers = request.headers();
    let peer = request.extensions().get::<Peer>();
    let is_forwarded = headers.contains_key(FORWARDED)
        || headers.contains_key("x-forwarded-for")
        || headers.contains_key("via");
    peer.is_some_and(|Peer(address)| address.is_loopback())
        && !is_forwarded
        && host(headers).is_some_and(is_loopback_name)
}

fn host(headers: &HeaderMap) -> Option<&str> {
    let host = headers.get(HOST)?.to_str().ok()?;
    match host.strip_prefix('[') {
        Some(rest) => rest.split_once(']').map(|(address, _)| address),
        None => host.split(':').next(),
    }
}

fn is_loopback_name(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback() || address == Ipv4Addr::LOCALHOST)
}

/// A browser says that a page of another origin asks.
fn is_for_another_page(headers: &HeaderMap) -> bool {
    headers
        .get("sec-fetch-site")
        .is_some_and(|site| site != "same-origin" && site != "none")
}

/// Checks logins, one at a time, so that guessing keeps at most one core busy. The last one that was right is remembered, as a
/// digest: dashboards ask every second, and bcrypt is slow on purpose.
#[derive(Debug, Default)]
pub(super) struct Admission(Mutex<Option<[u8; 32]>>);

impl Admission {
    fn admits(&self, login: &MonitorLogin, headers: &HeaderMap) -> bool {
        let Some(presented) = headers.get(AUTHORIZATION) else {
            return false;
        };
        let MonitorLogin { user, password } = login;
        let mut digest = Sha256::new();
        for part in [
            user.as_bytes(),
            password.expose().as_bytes(),
            presented.as_bytes(),
        ] {
            digest.update((part.len() as u64).to_be_bytes());
            digest.update(part);
        }
        let digest: [u8; 32] = digest.finalize().into();
        let mut last = self.0.lock();
        if *last == Some(digest) {
            return true;
        }
        let is_right = is_login(login, presented.as_bytes());
        if is_right {
            *last = Some(digest);
        }
        is_right
    }
}

/// Whether the header's value is this login, by HTTP's Basic scheme. Both parts are compared whatever the first says.
fn is_login(login: &MonitorLogin, presented: &[u8]) -> bool {
    let Some((scheme, credentials)) = std::str::from_utf8(presented)
        .ok()
        .and_then(|text| text.split_once(' '))
    else {
        return false;
    };
    let decoded = STANDARD.decode(credentials.trim()).ok();
    let Some(text) = decoded.and_then(|bytes| String::from_utf8(bytes).ok()) else {
        return false;
    };
    let Some((user, password)) = text.split_once(':') else {
        return false;
    };
    let user_is_right = jetsled_auth::Secret::new(&*login.user).admits(user);
    let password_is_right = login.password.admits(password);
    scheme.eq_ignore_ascii_case("basic") & user_is_right & password_is_right
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(peer: &str, headers: &[(&str, &str)]) -> Request<()> {
        let mut request = Request::builder().uri("/dashboard");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let peer = Peer(peer.parse().unwrap());
        request.extension(peer).body(()).unwrap()
    }

    #[test]
    fn this_machine_is_who_asks_it_by_its_own_name() {
        for (peer, headers, expected) in [
            ("127.0.0.1", &[("host", "localhost:8222")][..], true),
            ("127.0.0.1", &[("host", "127.0.0.1")], true),
            ("::1", &[("host", "[::1]:8222")], true),
            ("127.0.0.1", &[("host", "evil.example:8222")], false),
            ("127.0.0.1", &[("host", "127.0.0.1.evil.example")], false),
            ("127.0.0.1", &[], false),
            ("10.0.0.1", &[("host", "localhost")], false),
            (
                "127.0.0.1",
                &[("host", "localhost"), ("x-forwarded-for", "10.0.0.1")],
                false,
            ),
            (
                "127.0.0.1",
                &[("host", "localhost"), ("forwarded", "for=10.0.0.1")],
                false,
            ),
        ] {
            assert_eq!(
                is_from_this_machine(&request(peer, headers)),
                expected,
                "{peer} {headers:?}"
            );
        }
    }

    #[test]
    fn probes_name_nothing() {
        for (uri, base, expected) in [
            ("/healthz", "", true),
            ("/healthz?js-enabled-only=true", "", true),
            ("/healthz?js-server-only=1&account=A", "", false),
            ("/healthz?account=A", "", false),
            ("/varz", "", false),
            ("/base/healthz", "/base", true),
            ("/base/healthz", "", false),
        ] {
            let request = Request::builder().uri(uri).body(()).unwrap();
            assert_eq!(is_probe(&request, base), expected, "{uri}");
        }
    }

    #[test]
    fn other_pages_see_no_messages() {
        for (site, expected) in [
            ("same-origin", false),
            ("none", false),
            ("cross-site", true),
            ("same-site", true),
        ] {
            let request = request("127.0.0.1", &[("sec-fetch-site", site)]);
            assert_eq!(is_for_another_page(request.headers()), expected, "{site}");
        }
    }

    #[test]
    fn logins_are_users_with_their_passwords() {
        // Of `pass`, at the lowest cost.
        let hash = "$2a$04$ipDbpQY9Qyd0qUEK.LOLvuoyfgHEkFtyWOCnOaMySyvO/unv/wPFC";
        for (password, presented, expected) in [
            ("s3cret", "me:s3cret", true),
            ("s3cret", "me:other", false),
            ("s3cret", "you:s3cret", false),
            ("s:x", "me:s:x", true),
            (hash, "me:pass", true),
            (hash, "me:word", false),
        ] {
            let login = MonitorLogin {
                user: "me".to_owned(),
                password: password.into(),
            };
            let header = format!("Basic {}", STANDARD.encode(presented));
            let request = request("10.0.0.1", &[("authorization", &header)]);
            let admission = Admission::default();
            for _ in 0..2 {
                assert_eq!(
                    admission.admits(&login, request.headers()),
                    expected,
                    "{presented}"
                );
            }
            let changed = MonitorLogin {
                password: "new".into(),
                ..login
            };
            assert!(
                !admission.admits(&changed, request.headers()),
                "the old password of {presented}"
            );
        }
        let login = MonitorLogin {
            user: "me".to_owned(),
            password: "p".into(),
        };
        for broken in ["", "Basic", "Basic !", "Bearer bWU6cA==", "Basic bWU="] {
            assert!(!is_login(&login, broken.as_bytes()), "{broken}");
        }
        assert!(is_login(&login, b"basic bWU6cA=="));
    }
}
