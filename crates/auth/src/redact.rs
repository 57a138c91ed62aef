//! Secrets that stand where nobody expects them: seeds given as user names, tokens in payloads, passwords in URLs.

use std::borrow::Cow;
use std::fmt;

use nkeys::{KeyPair, XKey};
use serde::{Serialize, Serializer};

/// What stands where a secret was.
pub const REDACTED: &str = "[REDACTED]";

/// The characters of a seed: two bytes of prefix, 32 of the key and two of checksum in base32.
const SEED_LEN: usize = 58;

/// `text` without what is a secret whatever it was meant to be: seeds of nkeys and curve keys, signed claims, bcrypt
/// hashes, and who a URL logs in. Nothing is copied if there is none.
///
/// ```
/// use jetsled_auth::redacted;
///
/// assert_eq!(redacted("nats://me:secret@host:4222"), "nats://[REDACTED]@host:4222");
/// assert_eq!(redacted("orders.new"), "orders.new");
/// ```
pub fn redacted(text: &str) -> Cow<'_, str> {
    let mut rest = text;
    let mut shown = String::new();
    while let Some((at, len)) = next_secret(rest) {
        let (before, found) = rest.split_at(at);
        shown.push_str(before);
        shown.push_str(REDACTED);
        rest = found.get(len..).unwrap_or_default();
    }
    if shown.is_empty() {
        return Cow::Borrowed(text);
    }
    shown.push_str(rest);
    Cow::Owned(shown)
}

/// A text that a peer gave about itself. Shown in any way it is [`redacted`]: people give seeds for names.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct PeerText(String);

impl PeerText {
    /// The text as it was given, to decide with; never to show.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The text for whoever looks on.
    pub fn shown(&self) -> Cow<'_, str> {
        redacted(&self.0)
    }

    /// Whether nothing was given.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<String> for PeerText {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<&str> for PeerText {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Display for PeerText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown())
    }
}

impl fmt::Debug for PeerText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.shown(), f)
    }
}

impl Serialize for PeerText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.shown())
    }
}

/// Where the first secret begins, and its length in bytes.
fn next_secret(text: &str) -> Option<(usize, usize)> {
    let bytes = text.as_bytes();
    bytes.iter().enumerate().find_map(|(at, first)| {
        let rest = bytes.get(at..)?;
        let len = match first {
            b'S' => seed(rest),
            b'e' => claims(rest),
            b'2' => hash(rest),
            // Behind `://`, which stays.
            b':' => return user_info(rest).map(|len| (at + SCHEME_END.len(), len)),
            _ => None,
        };
        len.map(|len| (at, len))
    })
}

fn seed(text: &[u8]) -> Option<usize> {
    let seed = str::from_utf8(text.get(..SEED_LEN)?).ok()?;
    let is_base32 = |byte: u8| matches!(byte, b'A'..=b'Z' | b'2'..=b'7');
    let is_seed = seed.bytes().all(is_base32)
        && (KeyPair::from_seed(seed).is_ok() || XKey::from_seed(seed).is_ok());
    is_seed.then_some(SEED_LEN)
}

/// `eyJ`, which is how an object's base64 begins, in at least two parts: the last one or two may have been cut off.
fn claims(text: &[u8]) -> Option<usize> {
    const OBJECT: &[u8] = b"eyJ";
    if !text.starts_with(OBJECT) {
        return None;
    }
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let len = run(text, is_part);
    let token = text.get(..len)?;
    let dot = token.iter().position(|byte| *byte == b'.')?;
    token.get(dot + 1..)?.starts_with(OBJECT).then_some(len)
}

/// `2a$10$` and what belongs to it. Without the `$` before it, which is a reference in a configuration file.
fn hash(text: &[u8]) -> Option<usize> {
    let [
        b'2',
        b'a' | b'b' | b'x' | b'y',
        b'$',
        tens,
        ones,
        b'$',
        rest @ ..,
    ] = text
    else {
        return None;
    };
    let is_cost = tens.is_ascii_digit() && ones.is_ascii_digit();
    let len = run(rest, |byte| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'/')
    });
    (is_cost && len > 0).then_some(6 + len)
}

const SCHEME_END: &[u8] = b"://";

/// What stands before the `@` of a URL.
fn user_info(text: &[u8]) -> Option<usize> {
    let rest = text.strip_prefix(SCHEME_END)?;
    let is_end = |byte: u8| byte.is_ascii_whitespace() || matches!(byte, b'/' | b'?' | b'#' | b'"');
    let authority = rest.get(..run(rest, |byte| !is_end(byte)))?;
    authority
        .iter()
        .rposition(|byte| *byte == b'@')
        .filter(|len| *len > 0)
}

/// How many bytes at the start are `wanted`.
fn run(text: &[u8], wanted: impl Fn(u8) -> bool) -> usize {
    text.iter()
        .position(|byte| !wanted(*byte))
        .unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(redacted(text), expected, "{text}");
    }

    #[test]
    fn seeds_of_every_kind_are_hidden_wherever_they_stand() {
        let mut seeds: Vec<String> = [
            KeyPair::new_user(),
            KeyPair::new_account(),
            KeyPair::new_operator(),
            KeyPair::new_server(),
            KeyPair::new_cluster(),
        ]
        .iter()
        .map(|key| key.seed().unwrap())
        .collect();
        seeds.push(XKey::new().seed().unwrap());
        for seed in seeds {
            check(&seed, REDACTED);
            check(&format!("{seed}{seed}"), "[REDACTED][REDACTED]");
            check(&format!("\\x02{seed}\u{e9}"), "\\x02[REDACTED]\u{e9}");
            let spoilt = format!("{}A{}", &seed[..20], &seed[21..]);
            let spoilt = if spoilt == seed {
                spoilt.replace('A', "B")
            } else {
                spoilt
            };
            check(&spoilt, &spoilt);
            check(&seed[..57], &seed[..57]);
        }
        let public = KeyPair::new_user().public_key();
        check(&public, &public);
    }

    #[test]
    fn claims_are_hidden_whole_and_cut() {
        check(
            "jwt=eyJhbGciOiJ4In0.eyJpc3MiOiJ4In0.c2ln;",
            "jwt=[REDACTED];",
        );
        check("\\neyJhbGciOiJ4In0.eyJpc3Mi...\"", "\\n[REDACTED]\"");
        check("eyJhbGciOiJ4In0", "eyJhbGciOiJ4In0");
        check("eyJ.x", "eyJ.x");
    }

    #[test]
    fn hashes_are_hidden_with_and_without_their_dollar() {
        let hash = "2a$04$WqsjYh.oQmrT6MHI/Tlhse6lfYJGAPBiCbbcyZ64uA00LXYxK0zo2";
        check(&format!("'${hash}'"), "'$[REDACTED]'");
        check(&format!("for '{hash}' on"), "for '[REDACTED]' on");
        check("2a$ 12$", "2a$ 12$");
    }

    #[test]
    fn whoever_logs_in_by_a_url_is_hidden() {
        check(
            "[http://u:p@host/jwt/v1/]",
            "[http://[REDACTED]@host/jwt/v1/]",
        );
        check(
            "nats://token@host nats://b@c",
            "nats://[REDACTED]@host nats://[REDACTED]@c",
        );
        check("nats://u:p@ss@host", "nats://[REDACTED]@host");
        for plain in [
            "http://host/a@b",
            "http://@host",
            "a@b",
            "://",
            "wss://h?x@y",
        ] {
            check(plain, plain);
        }
    }

    #[test]
    fn a_peers_text_shows_no_secret_in_any_form() {
        let seed = KeyPair::new_user().seed().unwrap();
        let text = PeerText::from(seed.as_str());
        let shown = format!("{text} {text:?} {}", serde_json::to_string(&text).unwrap());
        assert_eq!(shown, r#"[REDACTED] "[REDACTED]" "[REDACTED]""#);
        assert_eq!(text.expose(), seed);
    }
}
