//! A strict reader of Prometheus' text format: what it takes, `promtool check metrics` takes.

use std::collections::{BTreeMap, HashSet};

/// A sample as it was written.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sample {
    /// The family's name, without a histogram's suffix.
    pub(crate) family: String,
    pub(crate) name: String,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) value: f64,
}

impl Sample {
    pub(crate) fn label(&self, name: &str) -> &str {
        self.labels.get(name).map_or("", String::as_str)
    }
}

/// Families with their types, and all samples.
#[derive(Debug, Default)]
pub(crate) struct Exposition {
    pub(crate) kinds: BTreeMap<String, String>,
    pub(crate) samples: Vec<Sample>,
}

impl Exposition {
    /// Reads a whole answer; the error names the line.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut read = Self::default();
        let mut seen = HashSet::new();
        if !text.ends_with('\n') {
            return Err("the last line has no end".to_owned());
        }
        let mut family: Option<(String, String)> = None;
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            let wrong = |what: &str| Err(format!("{what}: {line}"));
            if let Some(help) = line.strip_prefix("# HELP ") {
                let (name, help) = help.split_once(' ').ok_or("HELP without a text")?;
                if help.is_empty() || unescape(help, false).is_none() {
                    return wrong("HELP is no text");
                }
                let kind = lines
                    .next()
                    .and_then(|line| line.strip_prefix("# TYPE "))
                    .and_then(|line| line.strip_prefix(name)?.strip_prefix(' '));
                let Some(kind @ ("gauge" | "counter" | "histogram")) = kind else {
                    return wrong("no TYPE behind this HELP");
                };
                if !is_name(name, true) {
                    return wrong("no name");
                }
                if read
                    .kinds
                    .insert(name.to_owned(), kind.to_owned())
                    .is_some()
                {
                    return wrong("a second time");
                }
                family = Some((name.to_owned(), kind.to_owned()));
                continue;
            }
            let Some((family, kind)) = &family else {
                return wrong("a sample without a family");
            };
            let (name, labels, value) = sample(line).ok_or(format!("no sample: {line}"))?;
            let suffix = name.strip_prefix(family.as_str());
            let fits = match (kind.as_str(), suffix) {
                ("histogram", Some("_sum" | "_count")) => !labels.contains_key("le"),
                ("histogram", Some("_bucket")) => labels.contains_key("le"),
                ("histogram", _) => false,
                (_, suffix) => suffix == Some(""),
            };
            if !fits {
                return wrong("not of the family before it");
            }
            if kind == "counter" && (value.is_nan() || value < 0.0) {
                return wrong("a counter below zero");
            }
            if !seen.insert((name.clone(), labels.clone())) {
                return wrong("a duplicate");
            }
            read.samples.push(Sample {
                family: family.clone(),
                name,
                labels,
                value,
            });
        }
        read.check_histograms()?;
        Ok(read)
    }

    fn check_histograms(&self) -> Result<(), String> {
        for (name, _) in self.kinds.iter().filter(|(_, kind)| *kind == "histogram") {
            let part = |suffix: &str| -> Vec<&Sample> {
                let full = format!("{name}{suffix}");
                self.samples.iter().filter(|s| s.name == full).collect()
            };
            let (buckets, sums, counts) = (part("_bucket"), part("_sum"), part("_count"));
            let ([_], [count]) = (&sums[..], &counts[..]) else {
                return Err(format!("{name} has no sum or no count"));
            };
            let limits: Vec<f64> = buckets
                .iter()
                .filter_map(|b| number(b.label("le")))
                .collect();
            let rises = limits.windows(2).all(|pair| pair[0] < pair[1])
                && buckets
                    .windows(2)
                    .all(|pair| pair[0].value <= pair[1].value);
            let last = buckets.last().map(|last| (last.label("le"), last.value));
            if !rises || limits.len() != buckets.len() || last != Some(("+Inf", count.value)) {
                return Err(format!("buckets of {name} do not add up"));
            }
        }
        Ok(())
    }

    /// All samples of this name.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Sample> {
        self.samples
            .iter()
            .filter(move |sample| sample.name == name)
    }

    /// The value of the only sample of this name.
    #[track_caller]
    pub(crate) fn value(&self, name: &str) -> f64 {
        let all: Vec<_> = self.all(name).collect();
        let [only] = all[..] else {
            panic!("{name}: {all:?}");
        };
        only.value
    }
}

fn sample(line: &str) -> Option<(String, BTreeMap<String, String>, f64)> {
    let end = line.find(['{', ' '])?;
    let (name, mut rest) = line.split_at(end);
    let mut labels = BTreeMap::new();
    if let Some(inner) = rest.strip_prefix('{') {
        rest = inner;
        loop {
            let (label, behind) = rest.split_once("=\"")?;
            let end = end_of_value(behind)?;
            let value = unescape(&behind[..end], true)?;
            if !is_name(label, false) || labels.insert(label.to_owned(), value).is_some() {
                return None;
            }
            rest = &behind[end + 1..];
            match rest.strip_prefix(',') {
                Some(more) => rest = more,
                None => break,
            }
        }
        rest = rest.strip_prefix('}')?;
    }
    let value = number(rest.strip_prefix(' ')?)?;
    is_name(name, true).then(|| (name.to_owned(), labels, value))
}

/// Where the quote is that ends a label's value.
fn end_of_value(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.bytes().position(|byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    })
}

fn unescape(text: &str, quotes: bool) -> Option<String> {
    let mut out = String::new();
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        out.push(match character {
            '\\' => match characters.next()? {
                'n' => '\n',
                '\\' => '\\',
                '"' if quotes => '"',
                _ => return None,
            },
            '"' if quotes => return None,
            character => character,
        });
    }
    Some(out)
}

fn number(text: &str) -> Option<f64> {
    match text {
        "+Inf" => Some(f64::INFINITY),
        "-Inf" => Some(f64::NEG_INFINITY),
        "NaN" => Some(f64::NAN),
        text if text
            .bytes()
            .all(|b| b.is_ascii_digit() || b"+-.e".contains(&b)) =>
        {
            text.parse().ok()
        }
        _ => None,
    }
}

fn is_name(name: &str, colons: bool) -> bool {
    let is_start =
        |byte: u8| byte.is_ascii_alphabetic() || byte == b'_' || (colons && byte == b':');
    name.bytes().next().is_some_and(is_start)
        && name
            .bytes()
            .all(|byte| is_start(byte) || byte.is_ascii_digit())
}

#[test]
fn what_is_malformed_is_refused() {
    for text in [
        "a 1",
        "a 1\n",
        "# TYPE a gauge\na 1\n",
        "# HELP a x\na 1\n",
        "# HELP a x\n# TYPE b gauge\nb 1\n",
        "# HELP a x\n# TYPE a gauge\nb 1\n",
        "# HELP a x\n# TYPE a gauge\na 1\na 2\n",
        "# HELP a x\n# TYPE a gauge\na{b=\"1\",b=\"2\"} 1\n",
        "# HELP a x\n# TYPE a gauge\na{b=\"\"\"} 1\n",
        "# HELP a x\n# TYPE a gauge\na{b=\"\\q\"} 1\n",
        "# HELP a x\n# TYPE a gauge\na{1b=\"\"} 1\n",
        "# HELP a x\n# TYPE a gauge\na  1\n",
        "# HELP a x\n# TYPE a gauge\na inf\n",
        "# HELP a x\n# TYPE a gauge\na 1\n# HELP a x\n# TYPE a gauge\na{b=\"\"} 1\n",
        "# HELP a x\n# TYPE a counter\na -1\n",
        "# HELP a x\n# TYPE a histogram\na 1\n",
        "# HELP a x\n# TYPE a histogram\na_bucket{le=\"1\"} 2\na_bucket{le=\"+Inf\"} 1\na_sum 1\na_count 1\n",
    ] {
        assert!(Exposition::parse(text).is_err(), "{text}");
    }
    let text = "# HELP a x\n# TYPE a gauge\na{b=\"x\\\"y\\\\\",c=\"\"} 1.5\na -2e3\n";
    let read = Exposition::parse(text).unwrap();
    assert_eq!(read.samples[0].label("b"), "x\"y\\");
    assert_eq!(read.samples[1].value, -2000.0);
}
