//! What functions of the transform language give.

use super::function::Function;

/// What one destination token is evaluated with.
#[derive(Clone, Copy)]
pub(super) struct Arguments<'a> {
    /// The whole source subject.
    pub(super) subject: &'a [u8],
    /// Its tokens.
    pub(super) tokens: &'a [&'a [u8]],
    /// Which of them the function names.
    pub(super) indexes: &'a [usize],
    /// For `random`.
    pub(super) random: u64,
}

impl<'a> Arguments<'a> {
    fn first(&self) -> &'a [u8] {
        self.indexes
            .first()
            .and_then(|index| self.tokens.get(*index))
            .copied()
            .unwrap_or_default()
    }
}

impl Function {
    /// Appends the result; it may have dots and may be empty.
    pub(super) fn evaluate(&self, arguments: Arguments<'_>, out: &mut Vec<u8>) {
        let token = arguments.first();
        match self {
            Self::Wildcard => out.extend_from_slice(token),
            Self::Partition(buckets) => partition(*buckets, arguments, out),
            Self::Random(ceiling) => random(*ceiling, arguments.random, out),
            Self::Split(separator) => split(token, separator, out),
            Self::SplitFromLeft(n) => match position(token, *n) {
                Some(n) => cut(token, [n], out),
                None => out.extend_from_slice(token),
            },
            Self::SplitFromRight(n) => match position(token, *n) {
                Some(n) => cut(token, [token.len() - n], out),
                None => out.extend_from_slice(token),
            },
            Self::SliceFromLeft(n) => match position(token, *n) {
                Some(n) => cut(token, (n..token.len()).step_by(n), out),
                None => out.extend_from_slice(token),
            },
            Self::SliceFromRight(n) => match position(token, *n) {
                Some(n) => {
                    let first = token.len() % n;
                    let first = if first == 0 { n } else { first };
                    cut(token, (first..token.len()).step_by(n), out);
                }
                None => out.extend_from_slice(token),
            },
            Self::Left(n) => {
                let len = position(token, *n).unwrap_or(token.len());
                out.extend_from_slice(token.get(..len).unwrap_or_default());
            }
            Self::Right(n) => {
                let start = position(token, *n).map_or(0, |n| token.len() - n);
                out.extend_from_slice(token.get(start..).unwrap_or_default());
            }
        }
    }
}

/// `n` if it lies strictly within the token; otherwise tokens stay as they are.
fn position(token: &[u8], n: i32) -> Option<usize> {
    usize::try_from(n)
        .ok()
        .filter(|n| *n > 0 && *n < token.len())
}

/// Appends the token with a dot put in at each of the ascending positions.
fn cut(token: &[u8], positions: impl IntoIterator<Item = usize>, out: &mut Vec<u8>) {
    let mut start = 0;
    for position in positions {
        out.extend_from_slice(token.get(start..position).unwrap_or_default());
        out.push(b'.');
        start = position;
    }
    out.extend_from_slice(token.get(start..).unwrap_or_default());
}

/// Joins the pieces between separators with dots. nats-server's rule for empty pieces is kept,
/// which loses them but for two separators at the start.
fn split(token: &[u8], separator: &[u8], out: &mut Vec<u8>) {
    let pieces = pieces(token, separator);
    for (at, piece) in pieces.iter().enumerate() {
        out.extend_from_slice(piece);
        let leading = at == 0 && piece.is_empty();
        if !leading && pieces.get(at + 1).is_some_and(|next| !next.is_empty()) {
            out.push(b'.');
        }
    }
}

/// An empty separator splits between UTF-8 characters, and between bytes that are not UTF-8.
fn pieces<'a>(token: &'a [u8], separator: &[u8]) -> Vec<&'a [u8]> {
    let mut pieces = Vec::new();
    if separator.is_empty() {
        for chunk in token.utf8_chunks() {
            let valid = chunk.valid();
            pieces.extend(
                valid
                    .char_indices()
                    .filter_map(|(at, c)| valid.as_bytes().get(at..at + c.len_utf8())),
            );
            pieces.extend(chunk.invalid().chunks(1));
        }
        return pieces;
    }
    let mut start = 0;
    for at in memchr::memmem::find_iter(token, separator) {
        pieces.push(token.get(start..at).unwrap_or_default());
        start = at + separator.len();
    }
    pieces.push(token.get(start..).unwrap_or_default());
    pieces
}

fn partition(buckets: i32, arguments: Arguments<'_>, out: &mut Vec<u8>) {
    let hash = if arguments.indexes.is_empty() {
        fnv1a(FNV_OFFSET, arguments.subject)
    } else {
        let tokens = arguments
            .indexes
            .iter()
            .filter_map(|index| arguments.tokens.get(*index));
        tokens.fold(FNV_OFFSET, |hash, token| fnv1a(hash, token))
    };
    // Negative counts become large ones there, too.
    let bucket = hash.checked_rem(buckets.cast_unsigned()).unwrap_or(0);
    out.extend_from_slice(itoa::Buffer::new().format(bucket).as_bytes());
}

fn random(ceiling: i32, random: u64, out: &mut Vec<u8>) {
    let number = i64::from((random >> 33) as u32);
    let number = number.checked_rem(i64::from(ceiling)).unwrap_or(0);
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

const FNV_OFFSET: u32 = 2_166_136_261;

fn fnv1a(hash: u32, bytes: &[u8]) -> u32 {
    bytes.iter().fold(hash, |hash, byte| {
        (hash ^ u32::from(*byte)).wrapping_mul(16_777_619)
    })
}
