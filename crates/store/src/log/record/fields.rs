//! Reading fields off the front of a body.

pub(super) fn u16(body: &mut &[u8]) -> Option<u16> {
    take(body).map(u16::from_le_bytes)
}

pub(super) fn u32(body: &mut &[u8]) -> Option<u32> {
    take(body).map(u32::from_le_bytes)
}

pub(super) fn u64(body: &mut &[u8]) -> Option<u64> {
    take(body).map(u64::from_le_bytes)
}

pub(super) fn bytes<'a>(body: &mut &'a [u8], len: usize) -> Option<&'a [u8]> {
    let (head, rest) = body.split_at_checked(len)?;
    *body = rest;
    Some(head)
}

fn take<const N: usize>(body: &mut &[u8]) -> Option<[u8; N]> {
    let (head, rest) = body.split_first_chunk::<N>()?;
    *body = rest;
    Some(*head)
}
