use std::io;

use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter};

/// Writes `value` as compact JSON with `<`, `>` and `&` escaped inside strings.
///
/// # Panics
///
/// If `value`'s `Serialize` fails, which those of this crate never do: their maps have string keys.
#[must_use]
pub fn to_vec<T: Serialize + ?Sized>(value: &T) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    let mut serializer = serde_json::Serializer::with_formatter(&mut out, HtmlEscaping);
    value
        .serialize(&mut serializer)
        .expect("writing to memory fails only for maps without string keys");
    out
}

/// A compact formatter that escapes what would be special in HTML, and the two line separators of JavaScript.
struct HtmlEscaping;

impl Formatter for HtmlEscaping {
    fn write_string_fragment<W: io::Write + ?Sized>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let mut rest = fragment;
        while let Some(at) = rest.find(['<', '>', '&', '\u{2028}', '\u{2029}']) {
            let (plain, special) = rest.split_at(at);
            CompactFormatter.write_string_fragment(writer, plain)?;
            let mut chars = special.chars();
            let special = chars.next().map_or(0, u32::from);
            write!(writer, "\\u{special:04x}")?;
            rest = chars.as_str();
        }
        CompactFormatter.write_string_fragment(writer, rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_html_inside_strings_only() {
        let value = serde_json::json!({"a.>": ["<b>", "c & d", "\u{2028}", "plain \"é\""]});
        let want = r#"{"a.\u003e":["\u003cb\u003e","c \u0026 d","\u2028","plain \"é\""]}"#;
        assert_eq!(String::from_utf8(to_vec(&value)).unwrap(), want);
    }
}
