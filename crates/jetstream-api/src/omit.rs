//! Go's `omitempty` as predicates for serde.
#![expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature that serde asks for"
)]

pub(crate) fn is_false(value: &bool) -> bool {
    !*value
}

pub(crate) fn is_zero_i64(value: &i64) -> bool {
    *value == 0
}

pub(crate) fn is_zero_u64(value: &u64) -> bool {
    *value == 0
}

pub(crate) fn is_zero_i32(value: &i32) -> bool {
    *value == 0
}
