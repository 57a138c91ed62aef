//! What an answer leaves out when it says nothing.
#![expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]

pub(super) fn is_false(value: &bool) -> bool {
    !value
}

pub(super) fn is_zero(value: &u64) -> bool {
    *value == 0
}
