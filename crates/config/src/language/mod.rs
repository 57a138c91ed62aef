//! The configuration language: text in, a tree of values with their places out. It knows no option.
//!
//! ```text
//! file    = entries                      top level, may be wrapped in { }
//! entry   = key (blank | '=' | ':') value (newline | ',' | ';')   |   'include' blank path
//! value   = map | array | "string" | 'string' | (block string) | number | date | bare word | $variable
//! comment = '#' or '//' to the end of the line
//! ```

mod cursor;
mod error;
mod parser;
mod scalar;
mod value;

pub(crate) use parser::{go_words, parse_file};
pub(crate) use value::{Kind, Map, Position, Value};

#[cfg(test)]
mod tests;
