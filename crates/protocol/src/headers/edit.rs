//! Editing of header blocks.

/// Makes `key: value` the block's only line with that key, as nats-server does: removes the key, then appends the line before the
/// final CR LF. An empty block becomes a new one.
pub fn set(block: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    remove(block, key);
    append(block, key, value);
}

/// Appends `key: value` before the final CR LF. An empty block becomes a new one.
pub fn append(block: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let _ = (block, key, value);
    todo!()
}

/// Removes every line with `key`, and the whole block if nothing is left but a first line without status. Answers whether there
/// was one.
pub fn remove(block: &mut Vec<u8>, key: &[u8]) -> bool {
    let _ = (block, key);
    todo!()
}
