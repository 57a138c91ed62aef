use serde::Deserialize;

use crate::{Nanos, json};

/// What the payload of an ack says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AckKind<'a> {
    /// Done: empty, `+ACK` or `+OK`.
    Ack,
    /// Deliver again: `-NAK`.
    Nak {
        /// After this time instead of at once: `-NAK {"delay": 1000000}` or `-NAK 2s`.
        delay: Option<Nanos>,
        /// Whether there was an argument that is neither, which makes it a plain nak (and a warning).
        bad_argument: bool,
    },
    /// Still working, start the ack timer anew: `+WPI`.
    InProgress,
    /// Done, and the rest of the payload is a pull request: `+NXT`.
    Next(&'a [u8]),
    /// Never deliver again: `+TERM`.
    Term {
        /// The words after it, without surrounding white space.
        reason: &'a [u8],
    },
    /// Anything else: has no effect, but is answered.
    Unknown,
}

impl<'a> AckKind<'a> {
    /// Reads the payload of an ack, without the message's headers. Never fails.
    #[must_use]
    pub fn parse(payload: &'a [u8]) -> Self {
        match payload {
            b"" | b"+ACK" | b"+OK" => return Self::Ack,
            b"+WPI" => return Self::InProgress,
            _ => {}
        }
        if let Some(request) = payload.strip_prefix(b"+NXT") {
            Self::Next(request)
        } else if let Some(argument) = payload.strip_prefix(b"-NAK") {
            Self::parse_nak(argument.trim_ascii())
        } else if let Some(reason) = payload.strip_prefix(b"+TERM") {
            Self::Term {
                reason: reason.trim_ascii(),
            }
        } else {
            Self::Unknown
        }
    }

    fn parse_nak(argument: &[u8]) -> Self {
        if argument.is_empty() {
            return Self::Nak {
                delay: None,
                bad_argument: false,
            };
        }
        let delay = if argument.starts_with(b"{") {
            json::decode_one::<NakOptions>(argument)
                .ok()
                .map(|options| options.delay)
        } else {
            std::str::from_utf8(argument)
                .ok()
                .and_then(|text| text.parse().ok())
        };
        Self::Nak {
            delay,
            bad_argument: delay.is_none(),
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct NakOptions {
    delay: Nanos,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nak(delay: Option<i64>, bad_argument: bool) -> AckKind<'static> {
        AckKind::Nak {
            delay: delay.map(Nanos),
            bad_argument,
        }
    }

    #[test]
    fn reads_every_payload_of_an_ack() {
        for (payload, want) in [
            ("", AckKind::Ack),
            ("+ACK", AckKind::Ack),
            ("+OK", AckKind::Ack),
            ("+WPI", AckKind::InProgress),
            ("+WPI ", AckKind::Unknown),
            ("+ACK ", AckKind::Unknown),
            ("-NAK", nak(None, false)),
            ("-NAK  ", nak(None, false)),
            ("-NAK {\"delay\": 2000}", nak(Some(2000), false)),
            ("-NAK {\"Delay\":2000,\"x\":1}", nak(Some(2000), false)),
            ("-NAK {\"delay\":1,\"DELAY\":2}", nak(Some(2), false)),
            ("-NAK {\"delay\":null}", nak(Some(0), false)),
            ("-NAK {\"delay\":1.5}", nak(None, true)),
            ("-NAK {\"delay\":1} x", nak(None, true)),
            ("-NAK {}", nak(Some(0), false)),
            ("-NAK 2s", nak(Some(2_000_000_000), false)),
            ("-NAK soon", nak(None, true)),
            ("-NAK {\"delay\": \"x\"}", nak(None, true)),
            ("+NXT", AckKind::Next(b"")),
            ("+NXT 5", AckKind::Next(b" 5")),
            ("+TERM", AckKind::Term { reason: b"" }),
            ("+TERM  because \r\n", AckKind::Term { reason: b"because" }),
            ("hello", AckKind::Unknown),
        ] {
            assert_eq!(AckKind::parse(payload.as_bytes()), want, "{payload:?}");
        }
    }
}
