//! Reading typed options out of values, with nats-server's words for what does not fit.

use std::time::Duration;

use crate::{
    ConfigError, ErrorPosition, Warning, duration,
    language::{Kind, Map, Position, Value},
    unsupported::{self, Block},
};

/// What was found wrong so far; reading goes on behind an error so that all are reported at once.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) errors: Vec<ConfigError>,
    pub(crate) warnings: Vec<Warning>,
}

impl Report {
    /// Notes an error and goes on without the value.
    pub(crate) fn keep<T>(&mut self, read: Result<T, ConfigError>) -> Option<T> {
        read.map_err(|error| self.errors.push(error)).ok()
    }

    /// Warns of a doubtful use of an option.
    pub(crate) fn warn_of_use(&mut self, field: &str, value: &Value, reason: &str) {
        self.warnings
            .push(value.error(format!("invalid use of field \"{field}\": {reason}")));
    }
}

/// Whether a block knows a field.
pub(crate) enum Field {
    Read,
    Unknown,
}

/// Hands every entry of a block to `read`, with its name in lower case. What `read` does not know is refused by name if
/// nats-server knows it, else an unknown field, unless a variable refers to it.
pub(crate) fn each_field<'a>(
    block: Block,
    map: &'a Map,
    report: &mut Report,
    mut read: impl FnMut(&str, &'a Value, &mut Report) -> Result<Field, ConfigError>,
) {
    for (key, value) in map.iter() {
        let name = key.to_lowercase();
        match read(&name, value, report) {
            Ok(Field::Read) => {}
            Ok(Field::Unknown) => {
                if let Some(error) = unsupported::refusal(block, key, value) {
                    report.errors.push(error);
                }
            }
            Err(error) => report.errors.push(error),
        }
    }
}

impl Value {
    /// An error at this value.
    pub(crate) fn error(&self, text: impl Into<String>) -> ConfigError {
        self.position.error(text)
    }

    fn wrong_type(&self, wanted: &str) -> ConfigError {
        self.error(format!(
            "interface conversion: interface {{}} is {}, not {wanted}",
            self.kind.go_type()
        ))
    }

    pub(crate) fn string(&self) -> Result<&str, ConfigError> {
        match &self.kind {
            Kind::String(text) => Ok(text),
            _ => Err(self.wrong_type("string")),
        }
    }

    pub(crate) fn owned(&self) -> Result<String, ConfigError> {
        self.string().map(str::to_owned)
    }

    /// A string; empty is as good as absent.
    pub(crate) fn filled(&self) -> Result<Option<String>, ConfigError> {
        self.string()
            .map(|text| (!text.is_empty()).then(|| text.to_owned()))
    }

    pub(crate) fn boolean(&self) -> Result<bool, ConfigError> {
        match self.kind {
            Kind::Bool(flag) => Ok(flag),
            _ => Err(self.wrong_type("bool")),
        }
    }

    pub(crate) fn integer(&self) -> Result<i64, ConfigError> {
        match self.kind {
            Kind::Integer(number) => Ok(number),
            _ => Err(self.wrong_type("int64")),
        }
    }

    pub(crate) fn map(&self) -> Result<&Map, ConfigError> {
        match &self.kind {
            Kind::Map(map) => Ok(map),
            _ => Err(self.wrong_type("map[string]interface {}")),
        }
    }

    pub(crate) fn array(&self) -> Result<&[Value], ConfigError> {
        match &self.kind {
            Kind::Array(values) => Ok(values),
            _ => Err(self.wrong_type("[]interface {}")),
        }
    }

    /// A count or size that cannot be negative.
    pub(crate) fn count<T: TryFrom<i64>>(&self, field: &str) -> Result<T, ConfigError> {
        let number = self.integer()?;
        T::try_from(number)
            .map_err(|_| self.error(format!("{field} value {number} is out of range")))
    }

    /// A count of which zero means that the default holds.
    pub(crate) fn count_or_default<T: TryFrom<i64>>(
        &self,
        field: &str,
    ) -> Result<Option<T>, ConfigError> {
        if self.integer()? == 0 {
            Ok(None)
        } else {
            self.count(field).map(Some)
        }
    }

    /// A limit of which zero and negative numbers mean that there is none.
    pub(crate) fn limit<T: TryFrom<i64>>(&self, field: &str) -> Result<Option<T>, ConfigError> {
        if self.integer()? <= 0 {
            Ok(None)
        } else {
            self.count(field).map(Some)
        }
    }

    /// A duration string; a number is taken as seconds, with a warning. Zero means that the default holds.
    pub(crate) fn duration(
        &self,
        field: &str,
        report: &mut Report,
    ) -> Result<Option<Duration>, ConfigError> {
        let time = match &self.kind {
            Kind::String(_) => self.duration_string(&format!("error parsing {field}"))?,
            _ => {
                report.warn_of_use(
                    field,
                    self,
                    &format!("{field} should be converted to a duration"),
                );
                Duration::from_secs(self.count(field)?)
            }
        };
        Ok((!time.is_zero()).then_some(time))
    }

    /// A duration string and nothing else; `what` begins the message if it is none.
    pub(crate) fn duration_string(&self, what: &str) -> Result<Duration, ConfigError> {
        let text = self.string()?;
        let time = duration::parse(text).map_err(|error| self.error(format!("{what}: {error}")))?;
        if time.negative {
            return Err(self.error(format!("{what}: {text} is negative")));
        }
        Ok(time.magnitude)
    }

    /// Seconds as a number, or a duration string.
    pub(crate) fn seconds(&self, what: &str) -> Result<Duration, ConfigError> {
        let seconds = match &self.kind {
            Kind::Integer(seconds) => *seconds as f64,
            Kind::Float(seconds) => *seconds,
            Kind::String(text) => {
                let time =
                    duration::parse(text).map_err(|error| self.error(format!("{what} {error}")))?;
                return if time.negative {
                    Err(self.error(format!("{what} {text} is negative")))
                } else {
                    Ok(time.magnitude)
                };
            }
            _ => return Err(self.error(format!("{what} wrong type"))),
        };
        Duration::try_from_secs_f64(seconds)
            .map_err(|_| self.error(format!("{what} {seconds} is out of range")))
    }

    /// One string or an array of strings; `what` names them in a message.
    pub(crate) fn strings(&self, what: &str) -> Result<Vec<String>, ConfigError> {
        match &self.kind {
            Kind::String(text) => Ok(vec![text.clone()]),
            Kind::Array(values) => values
                .iter()
                .map(|value| match &value.kind {
                    Kind::String(text) => Ok(text.clone()),
                    other => Err(value.error(format!(
                        "error parsing {what}: unsupported type in array {}",
                        other.go_type()
                    ))),
                })
                .collect(),
            other => Err(self.error(format!(
                "error parsing {what}: unsupported type {}",
                other.go_type()
            ))),
        }
    }

    /// A size: an integer, or a string such as `10G` (powers of 1024). `Ok(None)`, which leaves the default, for an empty
    /// string and for what is negative (observed nats-server 2.15.1).
    pub(crate) fn storage_size(&self, field: &str) -> Result<Option<u64>, ConfigError> {
        let refused = |reason: &str| self.error(format!("{field} {reason}"));
        let text = match &self.kind {
            Kind::Integer(bytes) => return Ok(u64::try_from(*bytes).ok()),
            Kind::String(text) if text.is_empty() => return Ok(None),
            Kind::String(text) => text,
            _ => return Err(refused("must be int64 or string")),
        };
        let mut digits = text.chars();
        let shift = match digits.next_back() {
            Some('K') => 10,
            Some('M') => 20,
            Some('G') => 30,
            Some('T') => 40,
            _ => return Err(refused("sizes defined as strings must end in K, M, G, T")),
        };
        let number: i64 = digits.as_str().parse().map_err(|_| {
            refused(&format!(
                "strconv.ParseInt: parsing {:?}: invalid syntax",
                digits.as_str()
            ))
        })?;
        let Ok(number) = u64::try_from(number) else {
            return Ok(None);
        };
        number
            .checked_mul(1 << shift)
            .map(Some)
            .ok_or_else(|| refused(&format!("{text} is out of range")))
    }
}

impl Position {
    pub(crate) fn error(&self, text: impl Into<String>) -> ConfigError {
        ConfigError {
            position: Some(ErrorPosition {
                file: self.file.to_path_buf(),
                line: self.line,
                column: self.column,
            }),
            text: text.into(),
        }
    }
}
