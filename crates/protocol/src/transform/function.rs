//! Functions of the transform language: one per destination token.

use nom::Parser;
use nom::bytes::complete::take_while1;
use nom::character::complete::{char, multispace0};
use nom::combinator::rest;
use nom::sequence::{preceded, terminated};

use super::TransformError;

/// A function as it stands in a destination token, with the 1-based wildcards that it names.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) function: Function,
    pub(super) wildcards: Vec<i64>,
}

/// What to do with the source tokens that a destination token names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Function {
    Wildcard,
    /// Over the whole subject if it names no token.
    Partition(i32),
    Split(Box<[u8]>),
    SplitFromLeft(i32),
    SplitFromRight(i32),
    SliceFromLeft(i32),
    SliceFromRight(i32),
    Left(i32),
    Right(i32),
    Random(i32),
}

impl Call {
    /// Reads a destination token: `$1` or `{{function(arguments)}}`. `None` is an ordinary token.
    pub(super) fn parse(token: &[u8]) -> Result<Option<Self>, TransformError> {
        if let Some(digits) = token.strip_prefix(b"$") {
            // Much else starts with `$`, so what is no number is ordinary.
            let wildcard = |index| Self {
                function: Function::Wildcard,
                wildcards: vec![index],
            };
            return Ok(integer(digits).map(wildcard));
        }
        let inner = token
            .strip_prefix(b"{{")
            .and_then(|rest| rest.strip_suffix(b"}}"));
        let Some(inner) = inner.filter(|inner| !inner.is_empty()) else {
            return Ok(None);
        };
        let unknown = || TransformError::UnknownFunction { token: text(token) };
        let (name, arguments) = name_and_arguments(inner).ok_or_else(unknown)?;
        let known = FUNCTIONS.iter().find(|(words, _)| is_name(name, words));
        let (_, kind) = known.ok_or_else(unknown)?;
        kind.read(&arguments, token).map(Some)
    }
}

/// Functions by their arguments.
#[derive(Clone, Copy)]
enum Kind {
    Wildcard,
    Partition,
    Split,
    Random,
    /// A wildcard and a number.
    Two(fn(i32) -> Function),
}

/// Names as words, each of which may start with a capital.
const FUNCTIONS: &[(&[&str], Kind)] = &[
    (&["wildcard"], Kind::Wildcard),
    (&["partition"], Kind::Partition),
    (&["split"], Kind::Split),
    (
        &["split", "from", "left"],
        Kind::Two(Function::SplitFromLeft),
    ),
    (
        &["split", "from", "right"],
        Kind::Two(Function::SplitFromRight),
    ),
    (
        &["slice", "from", "left"],
        Kind::Two(Function::SliceFromLeft),
    ),
    (
        &["slice", "from", "right"],
        Kind::Two(Function::SliceFromRight),
    ),
    (&["left"], Kind::Two(Function::Left)),
    (&["right"], Kind::Two(Function::Right)),
    (&["random"], Kind::Random),
];

impl Kind {
    fn read(self, arguments: &[&[u8]], token: &[u8]) -> Result<Call, TransformError> {
        let too_few = || TransformError::NotEnoughArguments { token: text(token) };
        let too_many = || TransformError::TooManyArguments { token: text(token) };
        let invalid = || TransformError::InvalidArgument { token: text(token) };
        let wildcard = |argument| integer(argument).ok_or_else(invalid);
        let number = |argument| {
            integer(argument)
                .and_then(|number| i32::try_from(number).ok())
                .ok_or_else(invalid)
        };
        match (self, arguments) {
            (Self::Wildcard, [b""]) => Err(too_few()),
            (Self::Wildcard, [index]) => Ok(Call {
                function: Function::Wildcard,
                wildcards: vec![wildcard(index)?],
            }),
            (Self::Partition, [buckets, indexes @ ..]) => Ok(Call {
                function: Function::Partition(number(buckets)?),
                wildcards: indexes
                    .iter()
                    .copied()
                    .map(wildcard)
                    .collect::<Result<_, _>>()?,
            }),
            (Self::Random, [ceiling]) => Ok(Call {
                function: Function::Random(number(ceiling)?),
                wildcards: Vec::new(),
            }),
            (Self::Split, [index, separator]) => {
                let wildcards = vec![wildcard(index)?];
                if separator.iter().any(|b| matches!(b, b' ' | b'.')) {
                    return Err(invalid());
                }
                Ok(Call {
                    function: Function::Split((*separator).into()),
                    wildcards,
                })
            }
            (Self::Two(function), [index, argument]) => Ok(Call {
                wildcards: vec![wildcard(index)?],
                function: function(number(argument)?),
            }),
            // nats-server says "not enough" for too many arguments of `random`, too.
            (Self::Random, _) => Err(too_few()),
            (Self::Split | Self::Two(_), [] | [_]) => Err(too_few()),
            (Self::Wildcard | Self::Split | Self::Two(_), _) => Err(too_many()),
            (Self::Partition, []) => Err(too_few()),
        }
    }
}

/// Splits `name ( arguments )`. There is at least one argument, which may be empty.
fn name_and_arguments(inner: &[u8]) -> Option<(&[u8], Vec<&[u8]>)> {
    let name = take_while1(|b: u8| b.is_ascii_alphabetic());
    let head = terminated(preceded(multispace0, name), (multispace0, char('(')));
    let (_, (name, tail)) = nom_pair(head, inner)?;
    let arguments = tail.trim_ascii_end().strip_suffix(b")")?;
    let mut arguments: Vec<&[u8]> = arguments.split(|b| *b == b',').collect();
    for argument in arguments.iter_mut().skip(1) {
        *argument = argument.trim_ascii_start();
    }
    Some((name, arguments))
}

type Named<'a> = (&'a [u8], (&'a [u8], &'a [u8]));

fn nom_pair<'a>(
    head: impl Parser<&'a [u8], Output = &'a [u8], Error = nom::error::Error<&'a [u8]>>,
    input: &'a [u8],
) -> Option<Named<'a>> {
    (head, rest).parse(input).ok()
}

fn is_name(name: &[u8], words: &[&str]) -> bool {
    let mut left = name;
    for word in words {
        let Some((given, tail)) = left.split_at_checked(word.len()) else {
            return false;
        };
        let same_rest = given.get(1..) == word.as_bytes().get(1..);
        if !same_rest || !given.eq_ignore_ascii_case(word.as_bytes()) {
            return false;
        }
        left = tail;
    }
    left.is_empty()
}

/// A decimal number with an optional sign, spaces around it trimmed.
fn integer(argument: &[u8]) -> Option<i64> {
    std::str::from_utf8(argument)
        .ok()?
        .trim_matches(' ')
        .parse()
        .ok()
}

pub(super) fn text(token: &[u8]) -> String {
    String::from_utf8_lossy(token).into_owned()
}
