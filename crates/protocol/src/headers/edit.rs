//! Editing of header blocks.

use std::ops::Range;

use super::{HEADER_LINE, split_line};

/// A block with nothing in it: the first line and the empty one.
const EMPTY_BLOCK_LEN: usize = HEADER_LINE.len() + 2;

/// Makes `key: value` the block's only line with that key, as nats-server does: removes the key,
/// then appends the line before the final CR LF. An empty block becomes a new one.
pub fn set(block: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    remove(block, key);
    append(block, key, value);
}

/// Appends `key: value` before the final CR LF. An empty block becomes a new one.
///
/// As in nats-server, line ends in the value become spaces, and blanks around it go.
pub fn append(block: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    if block.is_empty() {
        block.extend_from_slice(HEADER_LINE);
    } else if block.ends_with(b"\r\n\r\n") {
        block.truncate(block.len() - 2);
    } else if !block.ends_with(b"\r\n") {
        block.extend_from_slice(b"\r\n");
    }
    push_line(block, key, value);
    block.extend_from_slice(b"\r\n");
}

/// Removes every line with `key`, and the whole block if no more is left than a first line without
/// status. Answers whether there was one.
pub fn remove(block: &mut Vec<u8>, key: &[u8]) -> bool {
    let mut removed = false;
    while let Some(line) = find_line(block, key) {
        block.drain(line);
        removed = true;
    }
    if removed && block.len() <= EMPTY_BLOCK_LEN {
        block.clear();
    }
    removed
}

/// Puts `value` in the place of the first value of `key`; appends the line if there is none.
///
/// The value goes in as it is.
pub fn replace(block: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    match find_line(block, key) {
        Some(line) => {
            let mut start = line.start + key.len() + 1;
            if block.get(start) == Some(&b' ') {
                start += 1;
            }
            let end = line.end.saturating_sub(2).max(start);
            block.splice(start..end, value.iter().copied());
        }
        None => append(block, key, value),
    }
}

/// Removes every line whose key begins with `prefix`, and the whole block as [`remove`] does.
pub fn remove_prefix(block: &mut Vec<u8>, prefix: &[u8]) {
    let mut removed = false;
    while let Some(line) = find(block, |line| line.starts_with(prefix)) {
        block.drain(line);
        removed = true;
    }
    if removed && block.len() <= EMPTY_BLOCK_LEN {
        block.clear();
    }
}

pub(super) fn push_line(block: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    block.extend_from_slice(key);
    block.extend_from_slice(b": ");
    let printable = value.trim_ascii().iter();
    block.extend(printable.map(|b| if matches!(b, b'\r' | b'\n') { b' ' } else { *b }));
    block.extend_from_slice(b"\r\n");
}

/// Where the first line with `key` lies, line end included, if it has one.
fn find_line(block: &[u8], key: &[u8]) -> Option<Range<usize>> {
    find(block, |line| {
        line.strip_prefix(key)
            .is_some_and(|value| value.starts_with(b":"))
    })
}

fn find(block: &[u8], is_it: impl Fn(&[u8]) -> bool) -> Option<Range<usize>> {
    let mut rest = split_line(block).1?;
    loop {
        let (line, after) = split_line(rest);
        if is_it(line) {
            return Some(block.len() - rest.len()..block.len() - after.map_or(0, <[u8]>::len));
        }
        rest = after?;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::headers::{get, get_all, iter};

    #[test]
    fn edits_as_nats_server_does() {
        let check = |block: &[u8], edit: fn(&mut Vec<u8>), expected: &[u8]| {
            let mut block = block.to_vec();
            edit(&mut block);
            assert_eq!(
                block.escape_ascii().to_string(),
                expected.escape_ascii().to_string()
            );
        };
        check(b"", |b| set(b, b"K", b"v"), b"NATS/1.0\r\nK: v\r\n\r\n");
        check(
            b"NATS/1.0\r\nK: 1\r\nA: 2\r\nK: 3\r\n\r\n",
            |b| set(b, b"K", b"v"),
            b"NATS/1.0\r\nA: 2\r\nK: v\r\n\r\n",
        );
        check(
            b"NATS/1.0\r\nK: 1\r\n\r\n",
            |b| append(b, b"K", b" a\r\nX: b "),
            b"NATS/1.0\r\nK: 1\r\nK: a  X: b\r\n\r\n",
        );
        check(
            b"NATS/1.0\r\nK: 1\r\n\r\n",
            |b| assert!(remove(b, b"K")),
            b"",
        );
        check(
            b"NATS/1.0 503\r\nK: 1\r\n\r\n",
            |b| assert!(remove(b, b"K")),
            b"NATS/1.0 503\r\n\r\n",
        );
        check(
            b"NATS/1.0\r\n\r\n",
            |b| assert!(!remove(b, b"K")),
            b"NATS/1.0\r\n\r\n",
        );
        check(
            b"x\r\nK: 1",
            |b| set(b, b"K", b"v"),
            b"NATS/1.0\r\nK: v\r\n\r\n",
        );
        check(b"abcd", |b| append(b, b"K", b"v"), b"abcd\r\nK: v\r\n\r\n");
        check(
            b"NATS/1.0\r\nK: 1\r\nA:2\r\nK: 3\r\n\r\n",
            |b| {
                replace(b, b"K", b"long");
                replace(b, b"A", b"");
                replace(b, b"B", b"new");
            },
            b"NATS/1.0\r\nK: long\r\nA:\r\nK: 3\r\nB: new\r\n\r\n",
        );
        check(
            b"NATS/1.0\r\nKa: 1\r\nA: 2\r\nKb: 3\r\n\r\n",
            |b| remove_prefix(b, b"K"),
            b"NATS/1.0\r\nA: 2\r\n\r\n",
        );
        check(
            b"NATS/1.0\r\nKa: 1\r\n\r\n",
            |b| remove_prefix(b, b"K"),
            b"",
        );
    }

    proptest! {
        #[test]
        fn what_is_set_is_got(
            keys in proptest::collection::vec("[A-C]{1,2}", 1..8),
            value in "[a-z:]{0,8}",
            garbage in proptest::collection::vec(any::<u8>(), 0..30),
        ) {
            let mut block = Vec::new();
            for key in &keys {
                append(&mut block, key.as_bytes(), value.as_bytes());
            }
            let found: Vec<_> = iter(&block).map(|(key, _)| key.to_vec()).collect();
            prop_assert_eq!(found, keys.iter().map(|k| k.clone().into_bytes()).collect::<Vec<_>>());

            let key = keys[0].as_bytes();
            set(&mut block, key, b"new");
            prop_assert_eq!(get_all(&block, key).collect::<Vec<_>>(), vec![&b"new"[..]]);
            prop_assert!(remove(&mut block, key));
            prop_assert_eq!(get(&block, key), None);

            let mut block = garbage;
            set(&mut block, key, b"new");
            prop_assert_eq!(get(&block, key), Some(&b"new"[..]));
        }
    }
}
