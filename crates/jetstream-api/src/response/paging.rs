use serde::Serialize;

/// The most names in one reply.
pub const NAMES_LIMIT: usize = 1024;
/// The most streams or consumers in one reply.
pub const LIST_LIMIT: usize = 256;
/// The most subjects in one stream info.
pub const SUBJECTS_LIMIT: usize = 100_000;

/// Which part of a longer result a reply holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Page {
    /// How long the whole result is.
    pub total: usize,
    /// How much of it was skipped.
    pub offset: usize,
    /// The most that one reply holds.
    pub limit: usize,
}

impl Page {
    /// Cuts a page out of a result of which `offset` are to be skipped: negative is none, too many gives an empty page.
    pub fn cut<T>(items: Vec<T>, offset: i64, limit: usize) -> (Self, Vec<T>) {
        let total = items.len();
        let offset = usize::try_from(offset.max(0))
            .unwrap_or(usize::MAX)
            .min(total);
        let items = items.into_iter().skip(offset).take(limit).collect();
        (
            Self {
                total,
                offset,
                limit,
            },
            items,
        )
    }
}
