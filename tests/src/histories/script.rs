//! Histories written as text.
//!
//! ```text
//! # a comment
//! = name [variant]        begins a history; variants are those of the servers
//! STREAM.INFO.A {}        a request to $JS.API.STREAM.INFO.A: what begins with a capital is below $JS.API.
//! a.b [Nats-Msg-Id: 1 | Nats-TTL: 5s] payload    a request (publish with a reply subject) with headers
//! pub a.b payload         without a reply subject
//! sub LABEL SUBJECT [QUEUE], unsub LABEL, ack BACK BODY, acksync BACK BODY, wait MILLIS
//! each 1 | "x" | null     the lines until `end` for each value, which stands for $$
//! setup                   the lines until `end` begin every history of `field`
//! template                the lines until `end` are played for each value of a `field`
//! field NAME 1 | 2        a history of its own: setup, then the template with NAME for $F and each value for $$
//! deliveries              the history's steps may bring more than one answer
//! ```
//!
//! `<<x*300>>` is `x` three hundred times. `\r`, `\n` and `\t` in a payload or header are those bytes.

use super::servers::Variant;
use super::step::{History, Step};

/// Reads a script.
///
/// # Panics
///
/// On a line that is wrong: scripts are part of the tests.
pub fn parse(text: &str) -> Vec<History> {
    let mut script = Script::default();
    let mut lines = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    while let Some(line) = lines.next() {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let mut block = || -> Vec<String> {
            lines
                .by_ref()
                .take_while(|line| *line != "end")
                .map(str::to_owned)
                .collect()
        };
        match word {
            "=" => script.begin(rest),
            "setup" => script.setup = block(),
            "template" => script.template = block(),
            "each" => {
                let block = block();
                for value in values(rest) {
                    script.play(&block, "", value);
                }
            }
            "field" => script.field(rest),
            "deliveries" => script.current().deliveries = true,
            _ => script.play(&[line.to_owned()], "", ""),
        }
    }
    script.histories
}

#[derive(Default)]
struct Script {
    histories: Vec<History>,
    group: String,
    variant: Variant,
    setup: Vec<String>,
    template: Vec<String>,
}

impl Script {
    fn begin(&mut self, title: &str) {
        let (name, variant) = title.split_once(" [").unwrap_or((title, "default]"));
        let variant = variant.trim_end_matches(']');
        self.variant = Variant::ALL
            .into_iter()
            .find(|known| known.name() == variant)
            .unwrap_or_else(|| panic!("no variant {variant}"));
        self.group = name.to_owned();
        self.history(name.to_owned());
    }

    fn history(&mut self, name: String) {
        // A group that has only fields has no history of its own.
        self.histories.retain(|history| !history.steps.is_empty());
        assert!(
            self.histories.iter().all(|history| history.name != name),
            "two histories are named {name}"
        );
        self.histories.push(History {
            name,
            variant: self.variant,
            deliveries: false,
            steps: Vec::new(),
        });
    }

    fn current(&mut self) -> &mut History {
        self.histories.last_mut().expect("a script begins with =")
    }

    fn play(&mut self, lines: &[String], field: &str, value: &str) {
        for line in lines {
            let line = line.replace("$F", field).replace("$$", value);
            let step = step(&line);
            self.current().steps.push(step);
        }
    }

    fn field(&mut self, rest: &str) {
        let (field, list) = rest.split_once(' ').expect("field NAME VALUES");
        let mut name = format!("{}/{field}", self.group);
        let taken = |name: &str| self.histories.iter().any(|history| history.name == name);
        let mut number = 2;
        while taken(&name) {
            name = format!("{}/{field}#{number}", self.group);
            number += 1;
        }
        self.history(name);
        self.play(&self.setup.clone(), field, "");
        for value in values(list) {
            self.play(&self.template.clone(), field, value);
        }
    }
}

fn values(list: &str) -> impl Iterator<Item = &str> {
    list.split('|').map(str::trim)
}

fn step(line: &str) -> Step {
    let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
    let words = || rest.split_once(' ').unwrap_or((rest, ""));
    match word {
        "pub" => {
            let (subject, headers, body) = message(rest);
            Step::Publish {
                subject,
                headers,
                body,
            }
        }
        "sub" => {
            let mut words = rest.split(' ').map(str::to_owned);
            Step::Subscribe {
                label: words.next().expect("sub LABEL SUBJECT"),
                subject: words.next().expect("sub LABEL SUBJECT"),
                queue: words.next(),
            }
        }
        "unsub" => Step::Unsubscribe {
            label: rest.to_owned(),
        },
        "ack" | "acksync" => Step::Ack {
            back: words().0.parse().expect("ack BACK"),
            body: bytes(words().1),
            confirm: word == "acksync",
        },
        "wait" => Step::Wait {
            millis: rest.parse().expect("wait MILLIS"),
        },
        "nudge" => Step::Nudge {
            consumer: rest.to_owned(),
        },
        _ => {
            let (subject, headers, body) = message(line);
            let subject = if subject.starts_with(|c: char| c.is_ascii_uppercase()) {
                format!("$JS.API.{subject}")
            } else {
                subject
            };
            Step::Request {
                subject,
                headers,
                body,
            }
        }
    }
}

fn message(line: &str) -> (String, Vec<(String, String)>, String) {
    let (subject, rest) = line.split_once(' ').unwrap_or((line, ""));
    let with_headers = rest
        .strip_prefix('[')
        .and_then(|rest| rest.split_once(']'))
        .filter(|(headers, _)| headers.contains(':'));
    let (headers, body) = match with_headers {
        Some((headers, body)) => (headers, body.strip_prefix(' ').unwrap_or(body)),
        None => ("", rest),
    };
    let headers = headers.split(" | ").filter(|header| !header.is_empty());
    let headers = headers.map(|header| {
        let (name, value) = header
            .split_once(':')
            .unwrap_or_else(|| panic!("no header in {line}"));
        (bytes(name), bytes(value.trim()))
    });
    (bytes(subject), headers.collect(), bytes(body))
}

/// With repetitions and escapes written out.
fn bytes(text: &str) -> String {
    let mut text = text.to_owned();
    while let Some((before, rest)) = text.split_once("<<") {
        let (what, after) = rest.split_once(">>").expect("<<x*n>>");
        let (what, times) = what.rsplit_once('*').expect("<<x*n>>");
        text = format!(
            "{before}{}{after}",
            what.repeat(times.parse().expect("a number"))
        );
    }
    text.replace("\\r", "\r")
        .replace("\\n", "\n")
        .replace("\\t", "\t")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, want: &[&str]) {
        let histories = parse(text);
        let steps: Vec<String> = histories
            .iter()
            .flat_map(|history| {
                let steps = history.steps.iter().map(ToString::to_string);
                [format!("= {}", history.name)].into_iter().chain(steps)
            })
            .collect();
        assert_eq!(steps, want);
    }

    #[test]
    fn a_field_is_a_history_of_its_own() {
        check(
            "= g\nsetup\nS.$F\nend\ntemplate\nA {\"$F\":$$}\nend\nfield x 1 | []\nfield y null",
            &[
                "= g/x",
                "$JS.API.S.x",
                "$JS.API.A {\"x\":1}",
                "$JS.API.A {\"x\":[]}",
                "= g/y",
                "$JS.API.S.y",
                "$JS.API.A {\"y\":null}",
            ],
        );
    }

    #[test]
    fn messages_have_headers_and_repetitions() {
        check(
            "= g\na.b [K: v | L: <<x*3>>] body\npub c [] d\nack 1 -NAK\nsub s d.> q",
            &[
                "= g",
                "a.b [K: v | L: xxx] body",
                "pub c [] d",
                "ack 1 -NAK",
                "sub s d.> q",
            ],
        );
    }
}
