//! The API level that a request may ask for (ADR-44).

use jetsled_jetstream_api::metadata::API_LEVEL;
use jetsled_protocol::headers;

const REQUIRED_API_LEVEL: &[u8] = b"Nats-Required-Api-Level";

/// Whether `Nats-Required-Api-Level` asks for more than this server has, or for what is no number.
pub(in crate::jetstream) fn level_too_high(block: &[u8]) -> bool {
    if block.is_empty() {
        return false;
    }
    let required = headers::get(block, REQUIRED_API_LEVEL);
    let Some(required) = required.filter(|required| !required.is_empty()) else {
        return false;
    };
    let required = std::str::from_utf8(required)
        .ok()
        .and_then(|text| text.parse::<i64>().ok());
    required.is_none_or(|level| level > i64::from(API_LEVEL))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_levels_up_to_our_own_are_served() {
        for (block, want) in [
            ("", false),
            ("NATS/1.0\r\nOther: 9\r\n\r\n", false),
            ("NATS/1.0\r\nNats-Required-Api-Level: 5\r\n\r\n", false),
            ("NATS/1.0\r\nNats-Required-Api-Level: \r\n\r\n", false),
            ("NATS/1.0\r\nNats-Required-Api-Level: 6\r\n\r\n", true),
            ("NATS/1.0\r\nNats-Required-Api-Level: x\r\n\r\n", true),
        ] {
            assert_eq!(level_too_high(block.as_bytes()), want, "{block:?}");
        }
    }
}
