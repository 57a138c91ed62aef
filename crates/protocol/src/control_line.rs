//! Control lines: verbs, arguments, sizes, payloads. Shared by both directions.

use nom::bytes::complete::take_while1;
use nom::combinator::{all_consuming, opt};
use nom::sequence::{preceded, terminated};
use nom::{IResult, Parser};

use crate::{Limits, ParseError};

/// Why there is no answer yet, or never will be.
pub(crate) enum Stop<'a> {
    Incomplete { needed: usize },
    Error(ParseError<'a>),
}

impl<'a> From<ParseError<'a>> for Stop<'a> {
    fn from(error: ParseError<'a>) -> Self {
        Self::Error(error)
    }
}

/// Longest run of bytes quoted in [`ParseError::UnknownOperation`].
const SNIPPET_LEN: usize = 32;

pub(crate) fn unknown(input: &[u8], at: usize) -> Stop<'_> {
    let rest = input.get(at..).unwrap_or_default();
    let snippet = rest.get(..SNIPPET_LEN).unwrap_or(rest);
    Stop::Error(ParseError::UnknownOperation { snippet })
}

/// A verb and whether a blank must follow it.
pub(crate) struct Verb<V> {
    pub(crate) name: &'static [u8],
    pub(crate) blank: bool,
    pub(crate) verb: V,
}

/// Finds which of `verbs` the input starts with. Case does not matter. This is the slow and exact
/// way, for what is incomplete or wrong, too.
#[cold]
pub(crate) fn verb<'a, V: Copy>(
    input: &'a [u8],
    verbs: &[Verb<V>],
) -> Result<(V, usize), Stop<'a>> {
    let mut failed_at = 0;
    for candidate in verbs {
        let same = input
            .iter()
            .zip(candidate.name)
            .take_while(|(given, name)| given.to_ascii_uppercase() == **name)
            .count();
        if same == candidate.name.len() {
            match input.get(same) {
                Some(b) if !candidate.blank || is_blank(*b) => return Ok((candidate.verb, same)),
                None if !candidate.blank => return Ok((candidate.verb, same)),
                Some(_) => return Err(unknown(input, same)),
                None => {}
            }
        }
        if same == input.len() {
            return Err(Stop::Incomplete { needed: same + 1 });
        }
        failed_at = failed_at.max(same);
    }
    Err(unknown(input, failed_at))
}

/// The argument part of a control line and where the line ends.
pub(crate) struct Line<'a> {
    /// Without blanks in front and without line end.
    pub(crate) args: &'a [u8],
    /// Offset in the input of what follows the LF.
    pub(crate) end: usize,
}

/// Reads to the end of a control line whose verb takes `verb_len` bytes.
///
/// The line ends at LF. As in nats-server, a CR anywhere in the arguments drops one byte from their
/// end, which is that CR in all lines that are not garbage. Unlike nats-server, an LF right after
/// the verb's blanks ends the line, too; there it would become part of a subject and so of the
/// lines sent to subscribers.
#[inline]
pub(crate) fn line<'a>(
    input: &'a [u8],
    verb_len: usize,
    limits: &Limits,
) -> Result<Line<'a>, Stop<'a>> {
    let limit = limits.max_control_line;
    let after_verb = input.get(verb_len..).unwrap_or_default();
    let rest = skip_blanks(after_verb);
    let blanks = after_verb.len() - rest.len();
    if blanks > limit {
        return Err(ParseError::MaxControlLine { limit }.into());
    }
    // The longest line is `limit` bytes and CR LF.
    let longest = limit.saturating_add(2);
    let window = rest.get(..longest).unwrap_or(rest);
    let Some(lf) = memchr::memchr(b'\n', window) else {
        if window.len() == longest {
            return Err(ParseError::MaxControlLine { limit }.into());
        }
        return Err(Stop::Incomplete {
            needed: input.len() + 1,
        });
    };
    let text = window.get(..lf).unwrap_or_default();
    let args = match text {
        [args @ .., b'\r'] => args,
        [_, tail @ ..] if memchr::memchr(b'\r', tail).is_some() => {
            text.get(..text.len() - 1).unwrap_or_default()
        }
        text => text,
    };
    if args.len() > limit {
        return Err(ParseError::MaxControlLine { limit }.into());
    }
    Ok(Line {
        args,
        end: verb_len + blanks + lf + 1,
    })
}

/// Skips what follows `PING`, `PONG` and `+OK` on their line, and answers where the line ends.
#[inline]
pub(crate) fn ignored_line<'a>(
    input: &'a [u8],
    verb_len: usize,
    limits: &Limits,
) -> Result<usize, Stop<'a>> {
    let rest = input.get(verb_len..).unwrap_or_default();
    // Nearly always: CR LF.
    if let [b'\r', b'\n', ..] = rest {
        return Ok(verb_len + 2);
    }
    let limit = limits.max_control_line;
    let longest = limit.saturating_add(2);
    let window = rest.get(..longest).unwrap_or(rest);
    match memchr::memchr(b'\n', window) {
        Some(lf) => Ok(verb_len + lf + 1),
        None if window.len() == longest => Err(ParseError::MaxControlLine { limit }.into()),
        None => Err(Stop::Incomplete {
            needed: input.len() + 1,
        }),
    }
}

/// Splits at runs of blanks, up to `N` arguments. The count is `N + 1` if there are more.
#[inline]
pub(crate) fn split_args<const N: usize>(args: &[u8]) -> ([&[u8]; N], usize) {
    let mut parts = [&[][..]; N];
    let mut count = 0;
    let mut rest = skip_blanks(args);
    while !rest.is_empty() {
        let Some(part) = parts.get_mut(count) else {
            return (parts, N + 1);
        };
        let len = memchr::memchr2(b' ', b'\t', rest).unwrap_or(rest.len());
        (*part, rest) = rest.split_at_checked(len).unwrap_or((rest, &[]));
        rest = skip_blanks(rest);
        count += 1;
    }
    (parts, count)
}

#[inline]
fn skip_blanks(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', tail @ ..] = text {
        text = tail;
    }
    text
}

/// A size: 1 to 9 ASCII digits.
#[inline]
pub(crate) fn size(digits: &[u8]) -> Option<usize> {
    if digits.is_empty() || digits.len() > 9 {
        return None;
    }
    let mut value = 0usize;
    for byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value * 10 + usize::from(digit);
    }
    Some(value)
}

/// The `size` bytes at `start`, which CR LF must follow, and where that ends.
#[inline]
pub(crate) fn payload(input: &[u8], start: usize, size: usize) -> Result<(&[u8], usize), Stop<'_>> {
    let end = start + size;
    match input.get(end..) {
        Some([b'\r', b'\n', ..]) => Ok((input.get(start..end).unwrap_or_default(), end + 2)),
        None | Some([] | [b'\r']) => Err(Stop::Incomplete { needed: end + 2 }),
        Some([b'\r', ..]) => Err(unknown(input, end + 1)),
        Some(_) => Err(unknown(input, end)),
    }
}

#[inline]
pub(crate) fn is_blank(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}

/// One argument of a `SUB` or `UNSUB` line, where stray CR and LF separate, too.
fn argument(input: &[u8]) -> IResult<&[u8], &[u8]> {
    take_while1(|b| !is_separator(b)).parse(input)
}

fn separator(input: &[u8]) -> IResult<&[u8], &[u8]> {
    take_while1(is_separator).parse(input)
}

fn is_separator(byte: u8) -> bool {
    is_blank(byte) || byte == b'\r' || byte == b'\n'
}

/// `<argument> [argument]`.
pub(crate) fn one_or_two(args: &[u8]) -> Option<(&[u8], Option<&[u8]>)> {
    let second = opt(preceded(separator, argument));
    let mut grammar = all_consuming(preceded(
        opt(separator),
        terminated((argument, second), opt(separator)),
    ));
    grammar.parse(args).ok().map(|(_, found)| found)
}

/// Two arguments and perhaps a third.
type TwoOrThree<'a> = (&'a [u8], &'a [u8], Option<&'a [u8]>);

/// `<argument> <argument> [argument]`.
pub(crate) fn two_or_three(args: &[u8]) -> Option<TwoOrThree<'_>> {
    let second = preceded(separator, argument);
    let third = opt(preceded(separator, argument));
    let mut grammar = all_consuming(preceded(
        opt(separator),
        terminated((argument, second, third), opt(separator)),
    ));
    grammar.parse(args).ok().map(|(_, found)| found)
}
