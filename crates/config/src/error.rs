use std::{fmt, path::PathBuf};

/// One thing wrong with a configuration, said as nats-server says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// Where, if the error belongs to one place.
    pub position: Option<ErrorPosition>,
    /// What.
    pub text: String,
}

/// A place in a configuration file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorPosition {
    /// The file as named.
    pub file: PathBuf,
    /// From 1.
    pub line: u32,
    /// As nats-server counts: bytes in the line before the item.
    pub column: u32,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(position) = &self.position {
            write!(
                f,
                "{}:{}:{}: ",
                position.file.display(),
                position.line,
                position.column
            )?;
        }
        f.write_str(&self.text)
    }
}

/// Everything that is wrong, in the order of the file; one line each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors(pub Vec<ConfigError>);

impl ConfigErrors {
    /// One error that belongs to no place in a file.
    pub(crate) fn one(text: impl Into<String>) -> Self {
        Self(vec![ConfigError {
            position: None,
            text: text.into(),
        }])
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            error.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

/// Something doubtful that does not keep the server from starting; `-t` treats it as an error.
pub type Warning = ConfigError;
