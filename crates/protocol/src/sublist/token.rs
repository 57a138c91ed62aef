//! Subject tokens as the trie keeps them.

/// Longest token kept without an allocation; a NUID, as in inbox subjects, just fits.
const INLINE: usize = 22;

/// One token, inline if short.
#[derive(Debug)]
pub(super) enum Token {
    Short { len: u8, bytes: [u8; INLINE] },
    Long(Box<[u8]>),
}

impl Token {
    pub(super) const EMPTY: Self = Self::Short {
        len: 0,
        bytes: [0; INLINE],
    };

    pub(super) fn new(token: &[u8]) -> Self {
        let mut bytes = [0; INLINE];
        match (bytes.get_mut(..token.len()), u8::try_from(token.len())) {
            (Some(room), Ok(len)) => {
                room.copy_from_slice(token);
                Self::Short { len, bytes }
            }
            _ => Self::Long(token.into()),
        }
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Short { len, bytes } => bytes.get(..usize::from(*len)).unwrap_or_default(),
            Self::Long(bytes) => bytes,
        }
    }
}
