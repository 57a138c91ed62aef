//! Header blocks (ADR-4): `NATS/1.0[ status[ description]]` CR LF, then `Key: value` CR LF lines,
//! then CR LF.
//!
//! A server passes on any bytes as a block, so nothing here assumes that it is well formed: lookups
//! in garbage find nothing.

mod edit;
mod status;

pub use edit::{append, remove, remove_prefix, replace, set};
pub use status::{Status, build_status};

/// The first line of a block without a status, with its line end.
pub const HEADER_LINE: &[u8] = b"NATS/1.0\r\n";

/// The first value of `key`: matched case-sensitively at the start of a line after the first,
/// leading spaces trimmed.
#[must_use]
pub fn get<'a>(block: &'a [u8], key: &[u8]) -> Option<&'a [u8]> {
    get_all(block, key).next()
}

/// All values of `key` in order.
pub fn get_all<'a>(block: &'a [u8], key: &[u8]) -> impl Iterator<Item = &'a [u8]> {
    lines(block).filter_map(move |line| match line.strip_prefix(key)?.split_first()? {
        (b':', value) => Some(trim_start(value)),
        _ => None,
    })
}

/// All keys and values in order. Lines without a `:` are left out.
pub fn iter(block: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    lines(block).filter_map(|line| {
        let colon = memchr::memchr(b':', line)?;
        let (key, rest) = line.split_at_checked(colon)?;
        Some((key, trim_start(rest.get(1..)?)))
    })
}

/// The lines after the first, without line ends. Only CR LF ends a line.
fn lines(block: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = split_line(block).1;
    std::iter::from_fn(move || {
        let (line, tail) = split_line(rest?);
        rest = tail;
        Some(line)
    })
}

/// The text before the first CR LF, and what follows it unless there is none.
fn split_line(text: &[u8]) -> (&[u8], Option<&[u8]>) {
    for lf in memchr::memchr_iter(b'\n', text) {
        let before = text.get(..lf).unwrap_or_default();
        if let [line @ .., b'\r'] = before {
            return (line, text.get(lf + 1..));
        }
    }
    (text, None)
}

fn trim_start(value: &[u8]) -> &[u8] {
    let spaces = value.iter().take_while(|b| **b == b' ').count();
    value.get(spaces..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLOCK: &[u8] =
        b"NATS/1.0\r\nFoo: one\r\nBar:  two words \r\nFoo:three\r\nfoo: 4\r\nno colon\r\n\r\n";

    #[test]
    fn finds_values() {
        let check = |block: &[u8], key: &str, expected: &[&str]| {
            let found: Vec<_> = get_all(block, key.as_bytes()).collect();
            let expected: Vec<_> = expected.iter().map(|value| value.as_bytes()).collect();
            assert_eq!(found, expected, "{key}");
            assert_eq!(get(block, key.as_bytes()), expected.first().copied());
        };
        check(BLOCK, "Foo", &["one", "three"]);
        check(BLOCK, "Bar", &["two words "]);
        check(BLOCK, "foo", &["4"]);
        check(BLOCK, "oo", &[]);
        check(BLOCK, "Fo", &[]);
        check(BLOCK, "no colon", &[]);
        check(BLOCK, "NATS/1.0", &[]);
        check(b"", "Foo", &[]);
        check(b"Foo: 1\r\n\r\n", "Foo", &[]);
        check(b"NATS/1.0\r\nFoo: 1", "Foo", &["1"]);
        check(b"NATS/1.0\r\nA: x\nFoo: 1\r\n\r\n", "Foo", &[]);
        check(b"NATS/1.0\r\nFoo:\r\n\r\n", "Foo", &[""]);
    }

    #[test]
    fn iterates_over_lines_with_a_colon() {
        let found: Vec<_> = iter(BLOCK)
            .map(|(k, v)| (k.escape_ascii().to_string(), v))
            .collect();
        let keys: Vec<_> = found.iter().map(|(key, _)| key.as_str()).collect();
        assert_eq!(keys, ["Foo", "Bar", "Foo", "foo"]);
        assert_eq!(found[1].1, b"two words ");
        assert_eq!(iter(b"garbage").count(), 0);
    }
}
