//! What a server would start from, setting by setting, and who said so.

mod settings;
#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::fmt;
use std::path::Path;

use settings::{SETTINGS, Setting};

use crate::command_line::{Command, CommandLineError, Flags, parse_command_line};
use crate::language::{self, Kind, Map, Position, Value};
use crate::{ConfigErrors, Environment, Options};

/// Keys whose values nobody else should read.
const SECRET_KEYS: &[&str] = &[
    "password",
    "pass",
    "token",
    "jwt",
    "nkey_seed",
    "seed",
    "xkey_seed",
];

/// One line of an explanation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explained {
    /// The option, as in a configuration file; blocks are joined by dots, entries of lists are numbered from 1.
    pub name: String,
    /// The value in force; a secret is never shown.
    pub value: String,
    /// Who said so.
    pub source: Source,
}

/// Who said what a setting is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Nobody.
    Default,
    /// `jetsled` by its name, where it differs from nats-server; see [`Program::Jetsled`](crate::Program::Jetsled).
    ProgramName,
    /// A flag; without its dash.
    Flag(String),
    /// An entry of the configuration file, or of one that it includes.
    File {
        /// `file:line:column`.
        place: String,
        /// The variable that holds the value: another entry, or one of the environment.
        variable: Option<String>,
    },
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::ProgramName => f.write_str("default of jetsled"),
            Self::Flag(name) => write!(f, "flag -{name}"),
            Self::File {
                place,
                variable: None,
            } => f.write_str(place),
            Self::File {
                place,
                variable: Some(name),
            } => write!(f, "{place} by ${name}"),
        }
    }
}

/// Explains what a server with these arguments (the first is the program's own name) would start from: the settings that every server has, then whatever else the
/// file says, in its order.
///
/// # Errors
/// The arguments that [`parse_command_line`] refuses, or that do not start a server.
pub fn explain(
    arguments: &[OsString],
    environment: &Environment<'_>,
) -> Result<Vec<Explained>, CommandLineError> {
    let command = parse_command_line(arguments.to_vec(), environment)?;
    let (Command::Run { options, .. } | Command::ConfigIsValid { options, .. }) = command else {
        return Err(CommandLineError::Refused {
            program: "jetsled".to_owned(),
            message: "these arguments do not start a server".to_owned(),
        });
    };
    let words = arguments.iter().skip(1);
    let words = words.map(|word| word.to_string_lossy().into_owned());
    let flags = Flags::parse(words)
        .map(|(flags, _)| flags)
        .unwrap_or_default();
    let map = match &options.config_file {
        Some(path) => read_again(path, environment)?,
        None => Map::default(),
    };
    Ok(explained(&options, &flags, &map))
}

/// It was read a moment ago; only its places are wanted now.
fn read_again(path: &Path, environment: &Environment<'_>) -> Result<Map, CommandLineError> {
    language::parse_file(path, environment).map_err(|error| CommandLineError::Config {
        program: "jetsled".to_owned(),
        errors: ConfigErrors::one(error.to_string()),
    })
}

fn explained(options: &Options, flags: &Flags, map: &Map) -> Vec<Explained> {
    let mut lines: Vec<_> = SETTINGS
        .iter()
        .map(|setting| Explained {
            name: setting.name.to_owned(),
            value: (setting.show)(options),
            source: setting.source(options, flags, map),
        })
        .collect();
    rest_of(map, "", &mut lines);
    lines
}

impl Setting {
    fn source(&self, options: &Options, flags: &Flags, map: &Map) -> Source {
        // The last one that was given wins, in a file as among flags.
        let given = flags.given.iter().rev();
        if let Some(flag) = given
            .clone()
            .find(|flag| self.flags.contains(&flag.as_str()))
        {
            return Source::Flag(flag.clone());
        }
        let entries = self.keys.iter().filter_map(|key| find(map, key));
        if let Some(value) = entries.max_by_key(|value| order(&value.position)) {
            return value.into();
        }
        if (self.by_name)(options) {
            Source::ProgramName
        } else {
            Source::Default
        }
    }
}

fn order(position: &Position) -> (u32, u32) {
    (position.line, position.column)
}

impl From<&Value> for Source {
    fn from(value: &Value) -> Self {
        let Position { file, line, column } = &value.position;
        Self::File {
            place: format!("{}:{line}:{column}", file.display()),
            variable: value.variable.as_deref().map(str::to_owned),
        }
    }
}

/// The value at a path of lower-case names joined by dots.
fn find<'a>(map: &'a Map, path: &str) -> Option<&'a Value> {
    let (name, rest) = match path.split_once('.') {
        Some((name, rest)) => (name, Some(rest)),
        None => (path, None),
    };
    let found = map.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name));
    let (_, value) = found.last()?;
    match (rest, &value.kind) {
        (None, _) => Some(value),
        (Some(rest), Kind::Map(inner)) => find(inner, rest),
        (Some(_), _) => None,
    }
}

/// Lines for what no setting of the table has told.
fn rest_of(map: &Map, prefix: &str, lines: &mut Vec<Explained>) {
    for (key, value) in map.iter() {
        let path = match prefix {
            "" => key.to_owned(),
            prefix => format!("{prefix}.{key}"),
        };
        let is_told = |name: &&str| path.eq_ignore_ascii_case(name);
        let is_variable = value.used_as_variable && prefix.is_empty();
        if is_variable
            || SETTINGS
                .iter()
                .any(|setting| setting.keys.iter().any(is_told))
        {
            continue;
        }
        rest_of_value(value, key, path, lines);
    }
}

fn rest_of_value(value: &Value, key: &str, path: String, lines: &mut Vec<Explained>) {
    match &value.kind {
        Kind::Map(inner) if !inner.is_empty() => rest_of(inner, &path, lines),
        Kind::Array(items) if items.iter().any(|item| matches!(item.kind, Kind::Map(_))) => {
            for (index, item) in items.iter().enumerate() {
                rest_of_value(item, key, format!("{path}.{}", index + 1), lines);
            }
        }
        kind => lines.push(Explained {
            value: shown(key, kind),
            source: value.into(),
            name: path,
        }),
    }
}

fn shown(key: &str, kind: &Kind) -> String {
    if SECRET_KEYS
        .iter()
        .any(|secret| key.eq_ignore_ascii_case(secret))
    {
        return "(not shown)".to_owned();
    }
    match kind {
        Kind::Array(items) => {
            let items: Vec<_> = items.iter().map(|item| shown(key, &item.kind)).collect();
            format!("[{}]", items.join(", "))
        }
        Kind::Map(_) => "{}".to_owned(),
        Kind::String(text) => format!("{text:?}"),
        kind => kind.to_string(),
    }
}
