//! Subject tokens as the trie keeps them.

use crate::subject;

/// Longest label kept without an allocation; a NUID, as in inbox subjects, just fits.
const INLINE: usize = 22;

/// One token, or several literal ones with the `.` between them. Inline if short.
#[derive(Debug)]
pub(super) enum Label {
    Short { len: u8, bytes: [u8; INLINE] },
    Long(Box<[u8]>),
}

impl Label {
    pub(super) const EMPTY: Self = Self::Short {
        len: 0,
        bytes: [0; INLINE],
    };

    pub(super) fn new(label: &[u8]) -> Self {
        let mut bytes = [0; INLINE];
        match (bytes.get_mut(..label.len()), u8::try_from(label.len())) {
            (Some(room), Ok(len)) => {
                room.copy_from_slice(label);
                Self::Short { len, bytes }
            }
            _ => Self::Long(label.into()),
        }
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Short { len, bytes } => bytes.get(..usize::from(*len)).unwrap_or_default(),
            Self::Long(bytes) => bytes,
        }
    }

    /// The first token.
    pub(super) fn first(&self) -> &[u8] {
        let bytes = self.as_bytes();
        let len = memchr::memchr(b'.', bytes).unwrap_or(bytes.len());
        bytes.get(..len).unwrap_or_default()
    }

    /// Whether the first token is this one.
    pub(super) fn starts_with(&self, token: &[u8]) -> bool {
        match self.as_bytes().strip_prefix(token) {
            Some(rest) => matches!(rest, [] | [b'.', ..]),
            None => false,
        }
    }

    /// The tokens after the first one.
    pub(super) fn tail(&self) -> impl Iterator<Item = &[u8]> {
        subject::tokens(self.as_bytes()).skip(1)
    }
}
