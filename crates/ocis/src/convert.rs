//! Values of a file in the type of a setting. What fits is taken, and some of what does not (observed oCIS 7.0.0).

use crate::number;
use crate::yaml::Value;

/// A value that cannot be converted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unfit {
    /// What a setting is, with its article.
    pub(crate) expected: &'static str,
    /// What the value is.
    pub(crate) found: &'static str,
}

pub(crate) const INTEGER: &str = "a whole number";
pub(crate) const BOOLEAN: &str = "true or false";
const TEXT: &str = "a text";

/// A fraction is cut off, an empty text is 0, a truth value 1 or 0.
pub(crate) fn integer(value: &Value) -> Result<i64, Unfit> {
    match value {
        Value::Int(number) => Ok(*number),
        #[expect(clippy::cast_possible_truncation, reason = "that is the rule")]
        Value::Float(number) => Ok(*number as i64),
        Value::Bool(truth) => Ok(i64::from(*truth)),
        Value::Text(text) if text.is_empty() => Ok(0),
        Value::Text(text) => number::integer(text).ok_or(unfit(INTEGER, value)),
        Value::Null | Value::List | Value::Map(_) => Err(unfit(INTEGER, value)),
    }
}

/// Any number but 0 is true; an empty text is false.
pub(crate) fn boolean(value: &Value) -> Result<bool, Unfit> {
    match value {
        Value::Bool(truth) => Ok(*truth),
        Value::Int(number) => Ok(*number != 0),
        Value::Float(number) => Ok(*number != 0.0),
        Value::Text(text) if text.is_empty() => Ok(false),
        Value::Text(text) => number::boolean(text).ok_or(unfit(BOOLEAN, value)),
        Value::Null | Value::List | Value::Map(_) => Err(unfit(BOOLEAN, value)),
    }
}

/// Numbers are written in decimal, truth values as 1 and 0.
pub(crate) fn text(value: &Value) -> Result<String, Unfit> {
    match value {
        Value::Text(text) => Ok(text.clone()),
        Value::Int(number) => Ok(number.to_string()),
        Value::Float(number) => Ok(number.to_string()),
        Value::Bool(truth) => Ok(u8::from(*truth).to_string()),
        Value::Null | Value::List | Value::Map(_) => Err(unfit(TEXT, value)),
    }
}

fn unfit(expected: &'static str, value: &Value) -> Unfit {
    Unfit {
        expected,
        found: value.kind(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conversions_are_lenient() {
        let words = |text: &str| Value::Text(text.to_owned());
        let rows = [
            // value, as integer, as boolean, as text
            (Value::Int(16), Some(16), Some(true), Some("16")),
            (Value::Int(0), Some(0), Some(false), Some("0")),
            (Value::Float(1.5), Some(1), Some(true), Some("1.5")),
            (
                Value::Float(1e21),
                Some(i64::MAX),
                Some(true),
                Some("1000000000000000000000"),
            ),
            (Value::Bool(true), Some(1), Some(true), Some("1")),
            (Value::Bool(false), Some(0), Some(false), Some("0")),
            (words(""), Some(0), Some(false), Some("")),
            (words("0x10"), Some(16), None, Some("0x10")),
            (words("T"), None, Some(true), Some("T")),
            (words("yes"), None, None, Some("yes")),
            (Value::List, None, None, None),
            (Value::Map(Vec::new()), None, None, None),
        ];
        for (value, as_integer, as_boolean, as_text) in rows {
            assert_eq!(integer(&value).ok(), as_integer, "{value:?}");
            assert_eq!(boolean(&value).ok(), as_boolean, "{value:?}");
            assert_eq!(text(&value).ok().as_deref(), as_text, "{value:?}");
        }
    }
}
