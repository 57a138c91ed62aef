//! What is wrong with a text, in nats-server's words.

use std::path::PathBuf;

use jetsled_auth::REDACTED;

/// Why a text is no configuration. The words are those of nats-server 2.15.1, which tools search for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LanguageError {
    #[error("Parse error on line {line}: '{message}'")]
    Syntax { line: u32, message: String },
    #[error("config is invalid ({}:{line}:{column})", file.display())]
    Unfinished {
        file: PathBuf,
        line: u32,
        column: u32,
    },
    #[error("{0}")]
    Number(String),
    #[error("variable reference for '{name}' on line {line} can not be found")]
    UnknownVariable { name: String, line: u32 },
    #[error("variable reference for '{name}' on line {line} could not be parsed: {source}")]
    Variable {
        name: String,
        line: u32,
        source: Box<LanguageError>,
    },
    #[error("variable reference cycle for '{0}'")]
    VariableCycle(String),
    #[error("error parsing include file '{path}', {source}")]
    Include {
        path: String,
        source: Box<LanguageError>,
    },
    #[error("{0}")]
    Unreadable(String),
}

impl LanguageError {
    /// The same without what was written there: it is, or was meant to be, a secret.
    pub(super) fn without_values(self) -> Self {
        match self {
            Self::Number(_) => Self::Number(format!("expected a number, but got '{REDACTED}'")),
            Self::UnknownVariable { line, .. } => Self::UnknownVariable {
                name: REDACTED.to_owned(),
                line,
            },
            Self::Variable { line, source, .. } => Self::Variable {
                name: REDACTED.to_owned(),
                line,
                source: Box::new(source.without_values()),
            },
            Self::VariableCycle(_) => Self::VariableCycle(REDACTED.to_owned()),
            // These quote a key, a path or one character.
            Self::Syntax { .. }
            | Self::Unfinished { .. }
            | Self::Include { .. }
            | Self::Unreadable(_) => self,
        }
    }
}

/// Whether the value of this key is a password, a token or a key.
pub(super) fn names_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    ["key", "ek"].contains(&&*key)
        || key.ends_with("_key")
        || key.ends_with("_ek")
        || ["pass", "token", "secret"]
            .iter()
            .any(|word| key.contains(word))
}
