//! Values that are neither maps nor arrays: strings, numbers, dates, bare words.

use super::{
    cursor::{Cursor, is_blank, is_line_end},
    error::LanguageError,
    value::Kind,
};

/// What a word stands for.
pub(crate) enum Scalar<'a> {
    Value(Kind),
    /// The name without its `$`.
    Variable(&'a str),
}

/// Reads one scalar; the cursor is at its first character and is left behind its last.
pub(crate) fn read<'a>(cursor: &mut Cursor<'a>) -> Result<Scalar<'a>, LanguageError> {
    let kind = match cursor.peek() {
        Some('\'') => single_quoted(cursor)?,
        Some('"') => double_quoted(cursor)?,
        Some('(') => block(cursor)?,
        Some('-') => {
            cursor.next();
            negative_number(cursor)?
        }
        Some(c) if c.is_numeric() => number_or_word(cursor)?,
        _ => return bare_word(cursor, cursor.offset()),
    };
    Ok(Scalar::Value(kind))
}

fn single_quoted(cursor: &mut Cursor<'_>) -> Result<Kind, LanguageError> {
    cursor.next();
    let start = cursor.offset();
    cursor.skip_while(|c| c != '\'');
    let text = cursor.since(start).to_owned();
    if cursor.take('\'') {
        Ok(Kind::String(text))
    } else {
        Err(syntax(cursor, "Unexpected EOF."))
    }
}

fn double_quoted(cursor: &mut Cursor<'_>) -> Result<Kind, LanguageError> {
    cursor.next();
    let mut text = Vec::new();
    loop {
        match cursor.next() {
            Some('"') => return utf8(cursor, text),
            Some('\\') => escape(cursor, &mut text)?,
            Some(c) => push(&mut text, c),
            None => return Err(syntax(cursor, "Unexpected EOF.")),
        }
    }
}

/// `(` ... `)`, the closing one alone on its line. Everything between is the string, the first line feed included.
fn block(cursor: &mut Cursor<'_>) -> Result<Kind, LanguageError> {
    cursor.next();
    let start = cursor.offset();
    let mut at_line_start = false;
    loop {
        let text = cursor.since(start);
        match cursor.next() {
            Some(')') if at_line_start && matches!(cursor.peek(), Some('\n') | None) => {
                return Ok(Kind::String(text.to_owned()));
            }
            Some(c) => at_line_start = c == '\n',
            None => return Err(syntax(cursor, "Unexpected EOF processing block.")),
        }
    }
}

/// Text without quotes, from `start` (what is before the cursor belongs to it): a boolean, a variable, or a string.
fn bare_word<'a>(cursor: &mut Cursor<'a>, start: usize) -> Result<Scalar<'a>, LanguageError> {
    let mut text = cursor.since(start).as_bytes().to_vec();
    let mut escaped = false;
    loop {
        match cursor.peek() {
            Some('\\') => {
                cursor.next();
                escape(cursor, &mut text)?;
                escaped = true;
            }
            // A single quote ends a word, as if the word had been quoted.
            Some('\'') => {
                cursor.next();
                return utf8(cursor, text).map(Scalar::Value);
            }
            Some(c) if !ends_word(c) => {
                cursor.next();
                push(&mut text, c);
            }
            _ => break,
        }
    }
    if escaped {
        return utf8(cursor, text).map(Scalar::Value);
    }
    let word = cursor.since(start);
    Ok(match word.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" => Scalar::Value(Kind::Bool(true)),
        "false" | "no" | "off" => Scalar::Value(Kind::Bool(false)),
        _ => match word.strip_prefix('$') {
            Some(name) => Scalar::Variable(name),
            None => Scalar::Value(Kind::String(word.to_owned())),
        },
    })
}

/// Something that begins with a digit: integer, float, date, address, or a word such as `10s`.
fn number_or_word(cursor: &mut Cursor<'_>) -> Result<Kind, LanguageError> {
    let start = cursor.offset();
    cursor.skip_while(char::is_numeric);
    match cursor.peek() {
        Some('-') => {
            cursor.next();
            date_after_year(cursor, start)
        }
        Some('.') => {
            cursor.next();
            float_or_address(cursor, start)
        }
        Some(c) if is_suffix(c) => suffixed_number(cursor, start),
        Some(c) if !ends_word(c) => word(cursor, start),
        _ => integer(cursor.since(start)),
    }
}

fn negative_number(cursor: &mut Cursor<'_>) -> Result<Kind, LanguageError> {
    let start = cursor.offset() - 1;
    match cursor.next() {
        Some(c) if c.is_numeric() => {}
        Some('.') => return Err(syntax(cursor, "Floats must start with a digit, not '.'.")),
        other => {
            let got = other.map_or_else(|| "\0".to_owned(), escape_line_feed);
            return Err(syntax(cursor, format!("Expected a digit but got '{got}'.")));
        }
    }
    cursor.skip_while(char::is_numeric);
    match cursor.peek() {
        Some('.') => {
            cursor.next();
            float_or_address(cursor, start)
        }
        Some(c) if is_suffix(c) => suffixed_number(cursor, start),
        _ => integer(cursor.since(start)),
    }
}

/// The cursor is at a suffix such as the `m` of `64mb`, or of `10ms`, which is a word.
fn suffixed_number(cursor: &mut Cursor<'_>, start: usize) -> Result<Kind, LanguageError> {
    cursor.next();
    cursor.skip_while(|c| matches!(c, 'b' | 'B' | 'i' | 'I'));
    match cursor.peek() {
        // A bracket makes a word of it too: `[1m]` is a duration.
        Some(c) if c == ']' || !(c.is_numeric() || ends_word(c)) => word(cursor, start),
        _ => integer(cursor.since(start)),
    }
}

fn float_or_address(cursor: &mut Cursor<'_>, start: usize) -> Result<Kind, LanguageError> {
    match cursor.next() {
        Some(c) if c.is_numeric() => {}
        other => {
            let got = other.map_or_else(|| "\0".to_owned(), escape_line_feed);
            return Err(syntax(
                cursor,
                format!("Floats must have a digit after the '.', but got '{got}' instead."),
            ));
        }
    }
    cursor.skip_while(char::is_numeric);
    if cursor.take('.') {
        cursor.skip_while(|c| c.is_numeric() || matches!(c, '.' | ':' | '-'));
        return Ok(Kind::String(cursor.since(start).to_owned()));
    }
    let text = cursor.since(start);
    text.parse()
        .map(Kind::Float)
        .map_err(|_| LanguageError::Number(format!("expected float, but got '{text}'")))
}

/// The year and its dash are read.
fn date_after_year(cursor: &mut Cursor<'_>, start: usize) -> Result<Kind, LanguageError> {
    if cursor.offset() - start != 5 {
        return Err(syntax(
            cursor,
            "All ISO8601 dates must be in full Zulu form.",
        ));
    }
    for expected in "00-00T00:00:00Z".chars() {
        let got = cursor.next();
        let shown = got.map_or_else(|| "\0".to_owned(), escape_line_feed);
        if expected == '0' {
            if !got.is_some_and(char::is_numeric) {
                return Err(syntax(
                    cursor,
                    format!("Expected digit in ISO8601 datetime, but found '{shown}' instead."),
                ));
            }
        } else if got != Some(expected) {
            return Err(syntax(
                cursor,
                format!("Expected '{expected}' in ISO8601 datetime, but found '{shown}' instead."),
            ));
        }
    }
    let text = cursor.since(start);
    if is_calendar_date(text) {
        Ok(Kind::Datetime(text.to_owned()))
    } else {
        Err(LanguageError::Number(format!(
            "expected Zulu formatted DateTime, but got '{text}'"
        )))
    }
}

/// Whether month, day and time of `YYYY-MM-DDThh:mm:ssZ` exist.
fn is_calendar_date(text: &str) -> bool {
    let part = |from: usize, to: usize| {
        text.get(from..to)
            .and_then(|digits| digits.parse::<u32>().ok())
    };
    let (Some(year), Some(month), Some(day), Some(hour), Some(minute), Some(second)) = (
        part(0, 4),
        part(5, 7),
        part(8, 10),
        part(11, 13),
        part(14, 16),
        part(17, 19),
    ) else {
        return false;
    };
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return false,
    };
    (1..=days).contains(&day) && hour < 24 && minute < 60 && second < 60
}

fn integer(text: &str) -> Result<Kind, LanguageError> {
    let digits_end = text
        .find(|c: char| !c.is_numeric() && c != '-')
        .unwrap_or(text.len());
    let (digits, suffix) = text.split_at(digits_end);
    let invalid = || LanguageError::Number(format!("expected integer, but got '{text}'"));
    let out_of_range = || LanguageError::Number(format!("integer '{text}' is out of the range"));
    let factor: i64 = match suffix.to_ascii_lowercase().as_str() {
        "" => 1,
        "k" => 1_000,
        "m" => 1_000_000,
        "g" => 1_000_000_000,
        "t" => 1_000_000_000_000,
        "p" => 1_000_000_000_000_000,
        "e" => 1_000_000_000_000_000_000,
        "kb" | "ki" | "kib" => 1 << 10,
        "mb" | "mi" | "mib" => 1 << 20,
        "gb" | "gi" | "gib" => 1 << 30,
        "tb" | "ti" | "tib" => 1 << 40,
        "pb" | "pi" | "pib" => 1 << 50,
        "eb" | "ei" | "eib" => 1 << 60,
        _ => return Err(invalid()),
    };
    let number: i64 =
        digits
            .parse()
            .map_err(|error: std::num::ParseIntError| match error.kind() {
                std::num::IntErrorKind::PosOverflow | std::num::IntErrorKind::NegOverflow => {
                    out_of_range()
                }
                _ => invalid(),
            })?;
    number
        .checked_mul(factor)
        .map(Kind::Integer)
        .ok_or_else(out_of_range)
}

fn word(cursor: &mut Cursor<'_>, start: usize) -> Result<Kind, LanguageError> {
    match bare_word(cursor, start)? {
        Scalar::Value(kind) => Ok(kind),
        // A word that begins with a digit is no variable.
        Scalar::Variable(name) => Ok(Kind::String(name.to_owned())),
    }
}

/// The backslash is read.
fn escape(cursor: &mut Cursor<'_>, text: &mut Vec<u8>) -> Result<(), LanguageError> {
    match cursor.next() {
        Some('x') => {
            let start = cursor.offset();
            for _ in 0..2 {
                if cursor.next().is_some_and(is_line_end) {
                    return Err(syntax(
                        cursor,
                        "Expected two hexadecimal digits after '\\x', but hit end of line",
                    ));
                }
            }
            let digits = cursor.since(start);
            let all_hex = digits.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
            match u8::from_str_radix(digits, 16) {
                Ok(byte) if all_hex => text.push(byte),
                _ => {
                    return Err(syntax(
                        cursor,
                        format!("Expected two hexadecimal digits after '\\x', but got '{digits}'"),
                    ));
                }
            }
        }
        Some('t') => text.push(b'\t'),
        Some('n') => text.push(b'\n'),
        Some('r') => text.push(b'\r'),
        Some('"') => text.push(b'"'),
        Some('\\') => text.push(b'\\'),
        other => {
            let got = other.map_or_else(|| "\0".to_owned(), escape_line_feed);
            return Err(syntax(
                cursor,
                format!(
                    "Invalid escape character '{got}'. Only the following escape characters are allowed: \
                     \\xXX, \\t, \\n, \\r, \\\", \\\\."
                ),
            ));
        }
    }
    Ok(())
}

fn utf8(cursor: &Cursor<'_>, text: Vec<u8>) -> Result<Kind, LanguageError> {
    String::from_utf8(text)
        .map(Kind::String)
        .map_err(|_| syntax(cursor, "Escapes of a string do not add up to UTF-8 text"))
}

fn push(text: &mut Vec<u8>, c: char) {
    text.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
}

fn ends_word(c: char) -> bool {
    is_line_end(c) || is_blank(c) || matches!(c, ';' | ',' | ']' | '}')
}

fn is_suffix(c: char) -> bool {
    matches!(c.to_ascii_lowercase(), 'k' | 'm' | 'g' | 't' | 'p' | 'e')
}

fn escape_line_feed(c: char) -> String {
    if c == '\n' {
        "\\n".to_owned()
    } else {
        c.to_string()
    }
}

fn syntax(cursor: &Cursor<'_>, message: impl Into<String>) -> LanguageError {
    LanguageError::Syntax {
        line: cursor.line(),
        message: message.into(),
    }
}
