//! The dashboard file for Grafana asks for what there is.

use std::collections::BTreeSet;

use serde_json::Value;

use super::exposition::Exposition;

const FILE: &str = include_str!("../../../../docs/grafana/jetsled.json");

/// Words of PromQL, and labels to sum by, that stand where a name may stand.
const WORDS: &[&str] = &[
    "sum",
    "max",
    "rate",
    "increase",
    "topk",
    "histogram_quantile",
    "by",
    "le",
    "label_values",
];

/// Checks the file against a scrape of a server that has streams, consumers, a mirror and a source.
pub(crate) fn check(told: &Exposition) {
    let file: Value = serde_json::from_str(FILE).unwrap();
    let mut ids = BTreeSet::new();
    let mut checked = 0;
    for panel in file["panels"].as_array().unwrap() {
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{panel}");
        for place in ["x", "y", "w", "h"] {
            assert!(panel["gridPos"][place].is_u64(), "{panel}");
        }
        for target in panel["targets"].as_array().into_iter().flatten() {
            let names = names_in(target["expr"].as_str().unwrap());
            assert!(!names.is_empty(), "{target}");
            for name in names {
                assert!(told.all(&name).next().is_some(), "{name} of {target}");
                checked += 1;
            }
        }
    }
    for variable in file["templating"]["list"].as_array().unwrap() {
        if let Some(query) = variable["definition"].as_str() {
            let (name, label) = query
                .strip_prefix("label_values(")
                .and_then(|rest| rest.strip_suffix(')')?.split_once(", "))
                .unwrap();
            let sample = told.all(name).next().unwrap_or_else(|| panic!("{query}"));
            // Prometheus adds the instance.
            assert!(
                label == "instance" || sample.labels.contains_key(label),
                "{query}"
            );
        }
    }
    assert!(checked > 30, "{checked}");
}

/// Names of metrics in an expression: what is outside of braces and brackets and is no word of the language.
fn names_in(expression: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut word = String::new();
    let mut depth = 0;
    for character in expression.chars().chain([' ']) {
        match character {
            '{' | '[' => depth += 1,
            '}' | ']' => depth -= 1,
            _ => {}
        }
        if depth == 0 && (character.is_ascii_alphanumeric() || character == '_') {
            word.push(character);
            continue;
        }
        let is_name = word.starts_with(|first: char| first.is_ascii_alphabetic());
        if is_name && !WORDS.contains(&word.as_str()) {
            names.push(word.clone());
        }
        word.clear();
    }
    names
}
