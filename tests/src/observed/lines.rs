//! JSON as lines `path = value`, one a leaf, with what differs from run to run replaced by its type.

use std::collections::BTreeMap;

use serde_json::Value;

/// Paths and values; a path is `varz.jetstream.config.max_memory` or `connz.connections[0].cid`.
pub type Lines = BTreeMap<String, String>;

/// Members that are not the same in two runs of one server, wherever they stand.
const VOLATILE: &[&str] = &[
    "server_id",
    "id",
    "now",
    "start",
    "stop",
    "time",
    "timestamp",
    "uptime",
    "idle",
    "last_activity",
    "rtt",
    "mem",
    "cores",
    "gomaxprocs",
    "gomemlimit",
    "cpu",
    "go",
    "git_commit",
    "config_load_time",
    "config_digest",
    "update_time",
    "created",
    "first_ts",
    "last_ts",
    "ts",
    "nonce",
    "xkey",
    "client_id",
    "expires",
    "last_active",
    "first_seen",
    "last_duration",
    "last_time",
];

/// Lists that come from maps, in which nothing has an order.
const MAPS: &[&str] = &[
    "accounts",
    "allow",
    "deny",
    "approved_accounts",
    "subscriptions_list",
];

/// Replaces members that are a matter of chance: by name, at any depth.
#[derive(Clone, Debug, Default)]
pub struct Mask {
    /// Ends of paths.
    volatile: Vec<String>,
    ignored: Vec<String>,
    texts: Vec<(String, String)>,
    /// Ids of connections and the names that they are shown by.
    ids: Vec<(String, String)>,
}

impl Mask {
    /// Times, ids and the like.
    pub fn new() -> Self {
        Self {
            volatile: VOLATILE.iter().map(|&name| name.to_owned()).collect(),
            ignored: Vec::new(),
            texts: Vec::new(),
            ids: Vec::new(),
        }
    }

    /// Another member of which only the type counts, perhaps with those that it is in (`sent.bytes`).
    pub fn name(&mut self, name: &str) {
        self.volatile.push(name.to_owned());
    }

    /// A member that is left out: whether it is there is a matter of chance.
    pub fn ignore(&mut self, name: &str) {
        self.ignored.push(name.to_owned());
    }

    /// A text that is shown by another wherever it stands in a string.
    pub fn text(&mut self, text: impl Into<String>, shown: &str) {
        self.texts.push((text.into(), shown.to_owned()));
    }

    /// A connection's id, which is shown by a name.
    pub fn id(&mut self, id: &Value, name: &str) {
        let id = id.as_str().map_or_else(|| id.to_string(), str::to_owned);
        self.ids.push((id, name.to_owned()));
    }

    /// A question with the ids that names in braces stand for.
    pub fn with_ids(&self, question: &str) -> String {
        self.ids
            .iter()
            .fold(question.to_owned(), |text, (id, name)| {
                text.replace(&format!("{{{name}}}"), id)
            })
    }

    /// A plain text as it is shown.
    pub fn apply(&self, text: &str) -> String {
        let replaced = self.texts.iter().fold(text.to_owned(), |text, (from, to)| {
            text.replace(from.as_str(), to)
        });
        mask_server_ids(&replaced)
    }

    /// Adds a document's leaves below `path`.
    pub fn flatten(&self, path: &str, value: &Value, lines: &mut Lines) {
        let name = path.rsplit('.').next().unwrap_or(path);
        let is_volatile = |volatile: &String| {
            path.strip_suffix(volatile.as_str())
                .is_some_and(|before| before.is_empty() || before.ends_with('.'))
        };
        if self.ignored.iter().any(|ignored| ignored == name) {
            return;
        }
        if self.volatile.iter().any(is_volatile) {
            lines.insert(path.to_owned(), type_of(value).to_owned());
            return;
        }
        match value {
            Value::Object(members) if members.is_empty() => {
                lines.insert(path.to_owned(), "{}".to_owned());
            }
            Value::Object(members) => {
                for (name, member) in members {
                    self.flatten(&format!("{path}.{name}"), member, lines);
                }
            }
            Value::Array(elements) if elements.is_empty() => {
                lines.insert(path.to_owned(), "[]".to_owned());
            }
            Value::Array(elements) if elements.iter().all(|one| !one.is_object()) => {
                let mut shown: Vec<String> = elements.iter().map(ToString::to_string).collect();
                if MAPS.contains(&name) {
                    shown.sort();
                }
                lines.insert(
                    path.to_owned(),
                    self.apply(&format!("[{}]", shown.join(","))),
                );
            }
            Value::Array(elements) => self.flatten_array(path, elements, lines),
            Value::Number(number) if name == "cid" => {
                let number = number.to_string();
                let shown = self.name_of(&number);
                let shown =
                    shown.map_or("another id".to_owned(), |name| format!("the id of {name}"));
                lines.insert(path.to_owned(), shown);
            }
            leaf => {
                lines.insert(path.to_owned(), self.apply(&leaf.to_string()));
            }
        }
    }

    fn name_of(&self, id: &str) -> Option<&str> {
        let found = self.ids.iter().find(|(known, _)| known == id);
        found.map(|(_, name)| name.as_str())
    }

    fn is_of_peer(&self, subscription: &Value) -> bool {
        self.name_of(&subscription["cid"].to_string()).is_some()
    }

    /// Elements in the order of their text: neither server promises one.
    fn flatten_array(&self, path: &str, elements: &[Value], lines: &mut Lines) {
        let mut flat: Vec<Vec<(String, String)>> = elements
            .iter()
            // What a server itself listens on is its own affair.
            .filter(|element| !path.ends_with(".subscriptions_list") || self.is_of_peer(element))
            .map(|element| {
                let mut lines = Lines::new();
                self.flatten("", element, &mut lines);
                lines.into_iter().collect()
            })
            .collect();
        let cids: Vec<String> = flat
            .iter()
            .filter_map(|lines| lines.iter().find(|(path, _)| path == ".cid"))
            .map(|(_, id)| id.trim_start_matches("the id of ").to_owned())
            .collect();
        if path.ends_with(".connections") {
            lines.insert(format!("{path}.order"), cids.join(", "));
        }
        flat.sort();
        for (index, element) in flat.into_iter().enumerate() {
            let id = element.iter().find(|(path, _)| path == ".cid");
            let name = id.and_then(|(_, id)| id.strip_prefix("the id of "));
            let place = match name {
                Some(name) if path.ends_with(".connections") => name.to_owned(),
                _ => index.to_string(),
            };
            for (rest, value) in element {
                lines.insert(format!("{path}[{place}]{rest}"), value);
            }
        }
    }
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "<null>",
        Value::Bool(_) => "<boolean>",
        Value::Number(_) => "<number>",
        Value::String(_) => "<string>",
        Value::Array(_) => "<array>",
        Value::Object(_) => "<object>",
    }
}

/// Generated server ids (56 letters and digits that begin with N) also stand in names and texts.
fn mask_server_ids(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('N') {
        let id = rest.get(at..at + 56);
        let is_id = id.is_some_and(|id| {
            id.bytes()
                .all(|byte| byte.is_ascii_uppercase() || (b'2'..=b'7').contains(&byte))
        });
        let len = if is_id { 56 } else { 1 };
        out += &rest[..at];
        out += if is_id { "SERVER-ID" } else { "N" };
        rest = &rest[at + len..];
    }
    out + rest
}

/// How `found` differs from `wanted`, one line each: `path: wanted ..., got ...`.
pub fn differences(wanted: &Lines, found: &Lines) -> Vec<String> {
    let nothing = "nothing".to_owned();
    let paths = wanted
        .keys()
        .chain(found.keys().filter(|path| !wanted.contains_key(*path)));
    let mut differences: Vec<String> = paths
        .filter_map(|path| {
            let (wanted, found) = (wanted.get(path), found.get(path));
            (wanted != found).then(|| {
                format!(
                    "{path}: wanted {}, got {}",
                    wanted.unwrap_or(&nothing),
                    found.unwrap_or(&nothing)
                )
            })
        })
        .collect();
    // Where only one of two runs came up, the rest says nothing.
    if wanted.get("start") != found.get("start") {
        differences.retain(|line| line.starts_with("start: ") || line.starts_with("check: "));
    }
    differences
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaves_have_paths_and_chance_is_a_type() {
        let mut mask = Mask::new();
        mask.text("127.1.2.3", "HOST");
        let id = "N".to_owned() + &"A2".repeat(27) + "B";
        let document = serde_json::json!({
            "now": "2026", "name": id, "a": [{"b": 2}, {"b": 1}], "c": [1, "127.1.2.3:4"], "d": {},
        });
        let mut lines = Lines::new();
        mask.flatten("x", &document, &mut lines);
        let lines: Vec<String> = lines
            .iter()
            .map(|(path, value)| format!("{path} {value}"))
            .collect();
        assert_eq!(
            lines,
            [
                "x.a[0].b 1",
                "x.a[1].b 2",
                "x.c [1,\"HOST:4\"]",
                "x.d {}",
                "x.name \"SERVER-ID\"",
                "x.now <string>"
            ]
        );
    }
}
