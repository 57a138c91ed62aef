//! Reading the settings: defaults, `ocis.yaml`, `nats.yaml`, variables, each over those before it.

use std::io;
use std::path::{Path, PathBuf};

use jetsled_config::Environment;

use crate::expression::expand;
use crate::paths::Paths;
use crate::settings::Settings;
use crate::table::{ROWS, Row, Section};
use crate::warning::{OTHER_NAMES, Warning};
use crate::yaml::Value;

/// A file whose values cannot be taken over.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// A value of another type.
    #[error("{}: '{key}' expected {expected}, got {found}", path.display())]
    Type {
        /// The file.
        path: PathBuf,
        /// The setting, such as `Nats.port`.
        key: String,
        /// What it is.
        expected: &'static str,
        /// What the file has.
        found: &'static str,
    },
    /// A variable that a value asks for (`${NAME|?text}`) is empty.
    #[error("{}: '{key}' {reason}", path.display())]
    Required {
        /// The file.
        path: PathBuf,
        /// The setting, such as `Nats.port`.
        key: String,
        /// What the file says of it.
        reason: String,
    },
}

/// Reads everything that sets something. The top-level `log` and `tracing` of `ocis.yaml` count only if the service has
/// no such section of its own in either file.
///
/// # Errors
/// A value in a file that does not fit its setting. What does not fit in a variable is passed over, with a warning.
pub fn load(environment: &Environment<'_>) -> Result<(Settings, Vec<Warning>), LoadError> {
    let paths = Paths::of(environment);
    let mut loading = Loading {
        environment,
        settings: Settings::new(&paths),
        warnings: Vec::new(),
    };
    let shared = loading.file(&paths.config.join("ocis.yaml"));
    let own = loading.file(&paths.config.join("nats.yaml"));
    let of_service = shared.section("nats", "Nats.");
    for section in [Section::Log, Section::Tracing] {
        let key = section.key();
        if of_service.has(key) || own.has(key) {
            continue;
        }
        loading.section(section, &shared)?;
    }
    loading.service(&of_service)?;
    loading.service(&own)?;
    loading.variables();
    loading.look_over();
    Ok((loading.settings, loading.warnings))
}

struct Loading<'a> {
    environment: &'a Environment<'a>,
    settings: Settings,
    warnings: Vec<Warning>,
}

/// A map in a file.
struct Node {
    path: PathBuf,
    /// Names of the maps above it, each with a dot behind it.
    above: String,
    value: Value,
}

impl Node {
    fn has(&self, key: &str) -> bool {
        self.value
            .get(key)
            .is_some_and(|value| *value != Value::Null)
    }

    /// The map below a key; an empty one if there is none.
    fn section(&self, key: &str, name: &str) -> Self {
        Self {
            path: self.path.clone(),
            above: format!("{}{name}", self.above),
            value: self.value.get(key).cloned().unwrap_or(Value::Null),
        }
    }

    fn type_error(&self, key: &str, expected: &'static str, found: &'static str) -> LoadError {
        LoadError::Type {
            path: self.path.clone(),
            key: format!("{}{key}", self.above),
            expected,
            found,
        }
    }

    /// Only maps have settings below them.
    fn expect_map(&self) -> Result<(), LoadError> {
        match &self.value {
            Value::Null | Value::Map(_) => Ok(()),
            other => Err(LoadError::Type {
                path: self.path.clone(),
                key: self.above.trim_end_matches('.').to_owned(),
                expected: "a map",
                found: other.kind(),
            }),
        }
    }
}

impl Loading<'_> {
    /// A file that is not there is empty, and so is one that is no YAML.
    fn file(&mut self, path: &Path) -> Node {
        let value = match (self.environment.read_file)(path) {
            Ok(text) => Value::parse(&text).map_err(|error| error.to_string()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Value::Null),
            Err(error) => Err(error.to_string()),
        };
        let value = value.unwrap_or_else(|reason| {
            self.warnings.push(Warning::FileIgnored {
                path: path.to_owned(),
                reason,
            });
            Value::Null
        });
        Node {
            path: path.to_owned(),
            above: String::new(),
            value,
        }
    }

    /// All that a file has for this service.
    fn service(&mut self, service: &Node) -> Result<(), LoadError> {
        service.expect_map()?;
        self.report_unknown(service, |key| {
            Section::ALL
                .iter()
                .any(|section| section.key().eq_ignore_ascii_case(key))
        });
        for section in Section::ALL {
            self.section(section, service)?;
        }
        Ok(())
    }

    fn section(&mut self, section: Section, parent: &Node) -> Result<(), LoadError> {
        let node = parent.section(section.key(), &format!("{}.", section.name()));
        node.expect_map()?;
        self.report_unknown(&node, |key| {
            section.rows().any(|row| row.key.eq_ignore_ascii_case(key))
        });
        for row in section.rows() {
            if let Some(value) = node.value.get(row.key) {
                self.row(row, value, &node)?;
            }
        }
        Ok(())
    }

    fn row(&mut self, row: &Row, value: &Value, node: &Node) -> Result<(), LoadError> {
        let expanded = match value {
            Value::Text(text) => expand(text, self.environment.variable)
                .map(Value::Text)
                .map_err(|reason| LoadError::Required {
                    path: node.path.clone(),
                    key: format!("{}{}", node.above, row.key),
                    reason,
                })?,
            other => other.clone(),
        };
        row.set(&mut self.settings, &expanded)
            .map_err(|unfit| node.type_error(row.key, unfit.expected, unfit.found))
    }

    fn report_unknown(&mut self, node: &Node, is_known: impl Fn(&str) -> bool) {
        let unknown = node
            .value
            .entries()
            .iter()
            .filter(|(key, _)| !is_known(key));
        self.warnings
            .extend(unknown.map(|(key, _)| Warning::UnknownKey {
                path: node.path.clone(),
                key: format!("{}{key}", node.above.to_lowercase()),
            }));
    }

    fn variables(&mut self) {
        for row in ROWS {
            for &variable in row.variables {
                let Some(value) = (self.environment.variable)(variable) else {
                    continue;
                };
                let set = row.set_from_variable(&mut self.settings, value.clone());
                if let Err(expected) = set {
                    self.warnings.push(Warning::VariableIgnored {
                        variable,
                        value,
                        expected,
                    });
                }
            }
        }
    }

    /// Says what is doubtful about the whole.
    fn look_over(&mut self) {
        for &(variable, instead) in OTHER_NAMES {
            if (self.environment.variable)(variable).is_some() {
                self.warnings.push(Warning::OtherName { variable, instead });
            }
        }
        let Settings {
            nats, log, tracing, ..
        } = &self.settings;
        let doubts = [
            (tracing.enabled, Warning::NoTracing),
            (
                nats.enable_tls && !nats.tls_skip_verify_client_cert,
                Warning::ClientCertificates,
            ),
            (log.pretty && !log.file.is_empty(), Warning::NoLogFile),
        ];
        let applying = doubts.into_iter().filter(|(applies, _)| *applies);
        self.warnings.extend(applying.map(|(_, warning)| warning));
    }
}

#[cfg(test)]
mod tests;
