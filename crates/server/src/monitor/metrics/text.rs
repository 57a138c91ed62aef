//! Prometheus' text format, version 0.0.4.
//!
//! Written by hand: libraries either name counters as OpenMetrics wants them, which prometheus-nats-exporter's names are not, or keep each label of
//! each sample as a string of its own, which is much for what is written once.

use std::collections::HashSet;
use std::fmt::Write;

/// The format's media type.
pub(crate) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What is told, family after family.
#[derive(Debug, Default)]
pub(crate) struct Exposition {
    text: String,
    told: HashSet<String>,
}

/// What a family's values mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// The labels of a sample, as they are written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Labels(String);

/// A sample's value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Value {
    Count(u64),
    Signed(i64),
    Float(f64),
}

/// The samples of one family.
#[derive(Debug)]
pub(crate) struct Family<'a> {
    text: &'a mut String,
    name: &'a str,
}

impl Exposition {
    /// Begins a family. One of a name that was told before is `None`: samples of a family stand together.
    pub(crate) fn family<'a>(
        &'a mut self,
        name: &'a str,
        kind: Kind,
        help: &str,
    ) -> Option<Family<'a>> {
        if !is_name(name) || !self.told.insert(name.to_owned()) {
            return None;
        }
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        let text = &mut self.text;
        text.extend(["# HELP ", name, " "]);
        escape(help, false, text);
        text.extend(["\n# TYPE ", name, " ", kind, "\n"]);
        Some(Family { text, name })
    }

    /// A family of one sample.
    pub(crate) fn single(
        &mut self,
        name: &str,
        kind: Kind,
        help: &str,
        labels: &Labels,
        value: impl Into<Value>,
    ) {
        if let Some(mut family) = self.family(name, kind, help) {
            family.sample(labels, value);
        }
    }

    /// Everything that was told.
    pub(crate) fn into_text(self) -> String {
        self.text
    }
}

impl Family<'_> {
    /// One sample.
    pub(crate) fn sample(&mut self, labels: &Labels, value: impl Into<Value>) {
        self.suffixed("", labels, value);
    }

    /// One sample whose name goes on with `suffix`, as those of histograms do.
    pub(crate) fn suffixed(&mut self, suffix: &str, labels: &Labels, value: impl Into<Value>) {
        self.text.extend([self.name, suffix]);
        if !labels.0.is_empty() {
            self.text.extend(["{", &labels.0, "}"]);
        }
        self.text.push(' ');
        value.into().write(self.text);
        self.text.push('\n');
    }
}

impl Labels {
    /// These labels and one more.
    #[must_use]
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        if !self.0.is_empty() {
            self.0.push(',');
        }
        self.0.extend([name, "=\""]);
        escape(value, true, &mut self.0);
        self.0.push('"');
        self
    }
}

impl Value {
    fn write(self, out: &mut String) {
        // Writing to a string cannot fail.
        let _: std::fmt::Result = match self {
            Self::Count(count) => write!(out, "{count}"),
            Self::Signed(number) => write!(out, "{number}"),
            Self::Float(number) if number.is_infinite() => {
                out.write_str(if number > 0.0 { "+Inf" } else { "-Inf" })
            }
            Self::Float(number) => write!(out, "{number}"),
        };
    }
}

impl From<u64> for Value {
    fn from(count: u64) -> Self {
        Self::Count(count)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Signed(number)
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self::Float(number)
    }
}

fn is_name(name: &str) -> bool {
    let is_start = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_' || byte == b':';
    name.bytes().next().is_some_and(is_start)
        && name
            .bytes()
            .all(|byte| is_start(byte) || byte.is_ascii_digit())
}

fn escape(text: &str, quotes: bool, out: &mut String) {
    for character in text.chars() {
        match character {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '"' if quotes => out.push_str("\\\""),
            character => out.push(character),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_are_written_with_help_type_and_escaped_labels() {
        let mut exposition = Exposition::default();
        let labels = Labels::default().with("a", "x\"y\\z\n").with("b", "");
        exposition.single("n:1", Kind::Gauge, "says \"a\"\nand \\", &labels, 7_u64);
        exposition.single("m", Kind::Counter, "m", &Labels::default(), f64::INFINITY);
        assert_eq!(
            exposition.into_text(),
            "# HELP n:1 says \"a\"\\nand \\\\\n# TYPE n:1 gauge\nn:1{a=\"x\\\"y\\\\z\\n\",b=\"\"} 7\n\
             # HELP m m\n# TYPE m counter\nm +Inf\n"
        );
    }

    #[test]
    fn a_name_is_told_once_and_has_to_be_one() {
        let mut exposition = Exposition::default();
        for name in ["a", "a", "1a", "a-b", ""] {
            exposition.single(name, Kind::Gauge, "", &Labels::default(), 1_u64);
        }
        assert_eq!(exposition.into_text(), "# HELP a \n# TYPE a gauge\na 1\n");
    }
}
