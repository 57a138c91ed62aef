//! Numbers and truths as Go's `strconv` reads them.

/// `ParseInt(text, 0, 64)`: a sign, a prefix for the base (`0x`, `0o`, `0b`, a leading `0` for octal), underscores
/// between digits.
pub(crate) fn integer(text: &str) -> Option<i64> {
    let (sign, unsigned) = match text.as_bytes() {
        [b'-', ..] => ("-", text.get(1..)?),
        [b'+', ..] => ("", text.get(1..)?),
        _ => ("", text),
    };
    let prefix = unsigned.get(..2).map(str::to_ascii_lowercase);
    let (base, digits) = match prefix.as_deref() {
        Some("0x") => (16, unsigned.get(2..)?),
        Some("0o") => (8, unsigned.get(2..)?),
        Some("0b") => (2, unsigned.get(2..)?),
        Some(other) if other.starts_with('0') => (8, unsigned.get(1..)?),
        _ => (10, unsigned),
    };
    // An underscore may also stand behind a prefix.
    let after_prefix = digits.len() < unsigned.len();
    let trimmed = match digits.strip_prefix('_') {
        Some(rest) if after_prefix => rest,
        _ => digits,
    };
    let is_separated = trimmed.split('_').all(|part| !part.is_empty());
    let has_sign = trimmed.starts_with(['+', '-']);
    if !is_separated || has_sign {
        return None;
    }
    i64::from_str_radix(&format!("{sign}{}", trimmed.replace('_', "")), base).ok()
}

/// `ParseBool`.
pub(crate) fn boolean(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_have_go_s_prefixes() {
        let cases = [
            ("9233", Some(9233)),
            ("+1", Some(1)),
            ("-1", Some(-1)),
            ("0", Some(0)),
            ("00", Some(0)),
            ("0x4b69", Some(19305)),
            ("0X4B69", Some(19305)),
            ("-0x10", Some(-16)),
            ("0b101", Some(5)),
            ("0o17", Some(15)),
            ("017", Some(15)),
            ("0_17", Some(15)),
            ("0x_ff", Some(255)),
            ("9_233", Some(9233)),
            ("9223372036854775807", Some(i64::MAX)),
            ("-9223372036854775808", Some(i64::MIN)),
            ("9223372036854775808", None),
            ("_9", None),
            ("9_", None),
            ("9__2", None),
            ("08", None),
            ("0x", None),
            ("0x+1", None),
            ("--1", None),
            ("-", None),
            ("", None),
            (" 1", None),
            ("1e3", None),
            ("abc", None),
            ("ä1", None),
        ];
        for (text, expected) in cases {
            assert_eq!(integer(text), expected, "{text:?}");
        }
    }

    #[test]
    fn booleans_have_twelve_spellings() {
        for text in ["1", "t", "T", "TRUE", "true", "True"] {
            assert_eq!(boolean(text), Some(true), "{text:?}");
        }
        for text in ["0", "f", "F", "FALSE", "false", "False"] {
            assert_eq!(boolean(text), Some(false), "{text:?}");
        }
        for text in ["", "yes", "no", "on", "tRUE", "2", " true"] {
            assert_eq!(boolean(text), None, "{text:?}");
        }
    }
}
