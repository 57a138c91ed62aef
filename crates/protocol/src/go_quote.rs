//! Go's `%q`, which nats-server's error and log texts use for what peers sent.

use std::fmt;

/// Displays bytes as Go's `%q` does: in double quotes, with what is not printable or not UTF-8
/// escaped.
#[derive(Debug, Clone, Copy)]
pub struct GoQuoted<'a>(pub &'a [u8]);

impl fmt::Display for GoQuoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"")?;
        for chunk in self.0.utf8_chunks() {
            for c in chunk.valid().chars() {
                write_char(c, f)?;
            }
            for byte in chunk.invalid() {
                write!(f, "\\x{byte:02x}")?;
            }
        }
        f.write_str("\"")
    }
}

fn write_char(c: char, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match c {
        '"' => f.write_str("\\\""),
        '\\' => f.write_str("\\\\"),
        '\x07' => f.write_str("\\a"),
        '\x08' => f.write_str("\\b"),
        '\x0c' => f.write_str("\\f"),
        '\n' => f.write_str("\\n"),
        '\r' => f.write_str("\\r"),
        '\t' => f.write_str("\\t"),
        '\x0b' => f.write_str("\\v"),
        '\x00'..='\x1f' | '\x7f' => write!(f, "\\x{:02x}", u32::from(c)),
        // Go's notion of printable, but for unassigned code points, which only its tables know.
        c if c.is_control() || (c.is_whitespace() && c != ' ') || is_format(c) => {
            if u32::from(c) > 0xffff {
                write!(f, "\\U{:08x}", u32::from(c))
            } else {
                write!(f, "\\u{:04x}", u32::from(c))
            }
        }
        c => fmt::Write::write_char(f, c),
    }
}

/// Invisible format characters and private use.
fn is_format(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
        | '\u{e000}'..='\u{f8ff}' | '\u{e0000}'..='\u{e0fff}' | '\u{f0000}'..='\u{10ffff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_as_go_does() {
        let check = |input: &[u8], expected: &str| {
            assert_eq!(GoQuoted(input).to_string(), expected);
        };
        check(b"foo.bar", "\"foo.bar\"");
        check(b"a\"b\\c", "\"a\\\"b\\\\c\"");
        check(b"\x00\x01\t\r\n\x7f", "\"\\x00\\x01\\t\\r\\n\\x7f\"");
        check(b"\xff\xfe", "\"\\xff\\xfe\"");
        check("h\u{e9}llo \u{65e5}".as_bytes(), "\"h\u{e9}llo \u{65e5}\"");
        check(
            "\u{feff}\u{a0}\u{85}".as_bytes(),
            "\"\\ufeff\\u00a0\\u0085\"",
        );
    }
}
