use std::{fmt, path::Path, rc::Rc};

/// A value with the place that errors about it name.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Value {
    pub(crate) kind: Kind,
    /// Of the key in a map (more useful in a message), of the value itself in an array.
    pub(crate) position: Position,
    /// A `$variable` refers to it, so that its key need not be an option.
    pub(crate) used_as_variable: bool,
    /// The variable that the value was written as, without its `$`.
    pub(crate) variable: Option<Rc<str>>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Kind {
    Bool(bool),
    Integer(i64),
    Float(f64),
    String(String),
    /// `2006-01-02T15:04:05Z`; no option takes one.
    Datetime(String),
    Array(Vec<Value>),
    Map(Map),
}

impl Kind {
    /// Go's name of the type that nats-server holds such a value in; its messages have it.
    pub(crate) fn go_type(&self) -> &'static str {
        match self {
            Self::Bool(_) => "bool",
            Self::Integer(_) => "int64",
            Self::Float(_) => "float64",
            Self::String(_) => "string",
            Self::Datetime(_) => "time.Time",
            Self::Array(_) => "[]interface {}",
            Self::Map(_) => "map[string]interface {}",
        }
    }
}

impl fmt::Display for Kind {
    /// Scalars as Go's `%v` prints them, the others by their type.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(flag) => flag.fmt(f),
            Self::Integer(number) => number.fmt(f),
            Self::Float(number) => number.fmt(f),
            Self::String(text) | Self::Datetime(text) => text.fmt(f),
            Self::Array(_) | Self::Map(_) => f.write_str(self.go_type()),
        }
    }
}

/// Entries in the order of the file. A key that comes again replaces the value and keeps its place in the order.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Map {
    entries: Vec<(String, Value)>,
}

impl Map {
    pub(crate) fn insert(&mut self, key: String, value: Value) {
        match self.entries.iter_mut().find(|(known, _)| *known == key) {
            Some((_, old)) => *old = value,
            None => self.entries.push((key, value)),
        }
    }

    pub(crate) fn get_mut(&mut self, key: &str) -> Option<&mut Value> {
        self.entries
            .iter_mut()
            .find(|(known, _)| known == key)
            .map(|(_, value)| value)
    }

    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Value)> {
        self.entries
            .iter()
            .map(|(key, value)| (key.as_str(), value))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

impl IntoIterator for Map {
    type Item = (String, Value);
    type IntoIter = std::vec::IntoIter<(String, Value)>;

    fn into_iter(self) -> Self::IntoIter {
        self.entries.into_iter()
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) file: Rc<Path>,
    /// From 1.
    pub(crate) line: u32,
    /// As nats-server counts: bytes since the last line feed, that one included; so from 0 in the first line, from 1
    /// in the others.
    pub(crate) column: u32,
}
