//! What differs between two runs of the same server, and is masked: times, durations, and random parts.
//!
//! JSON is masked in place: which members there are, their order, the form of times, numbers and escapes stay as they
//! were sent. Server and account names need no mask, both servers run under the same ones.

/// Times in JSON, by member name. The zero time stays, and what has not nats-server's form (RFC 3339, UTC, up to nine
/// digits and no zero at the end).
const TIMES: &[&str] = &[
    "created",
    "ts",
    "first_ts",
    "last_ts",
    "time",
    "timestamp",
    "last_active",
    "pinned_ts",
    "start",
    "stop",
];
/// Durations in JSON, by member name; -1 stays.
const DURATIONS: &[&str] = &["pause_remaining", "active", "ack_time", "rtt"];
/// Random texts in JSON, by member name: unique ids, and a client's own in advisories.
const IDS: &[&str] = &["id", "pinned_client_id", "pinned_id"];
/// Headers with a time in them.
const TIME_HEADERS: &[&str] = &["Nats-Time-Stamp"];
/// Headers with a random value.
const ID_HEADERS: &[&str] = &["Nats-Pin-Id", "Nats-Stream-Identity"];

/// A payload: masked if it is JSON, as it is if not.
pub(super) fn payload(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    if !text.starts_with('{') {
        return text.into_owned();
    }
    let text = with_sources_sorted(&text);
    let mut out = String::with_capacity(text.len());
    let mut rest = text.as_str();
    let mut member = "";
    while let Some(first) = rest.chars().next() {
        match first {
            '"' => {
                let (string, after) = rest.split_at(string_len(rest));
                if after.starts_with(':') {
                    member = string.trim_matches('"');
                    out += string;
                } else {
                    out += masked_string(member, string);
                }
                rest = after;
            }
            '-' | '0'..='9' => {
                let len = rest
                    .find(|c: char| !matches!(c, '-' | '+' | '.' | 'e' | 'E' | '0'..='9'))
                    .unwrap_or(rest.len());
                let (number, after) = rest.split_at(len);
                out += masked_number(member, number);
                rest = after;
            }
            other => {
                out.push(other);
                rest = &rest[other.len_utf8()..];
            }
        }
    }
    out
}

/// A stream's sources are told of in random order.
fn with_sources_sorted(text: &str) -> String {
    const MEMBER: &str = ",\"sources\":[";
    let Some(begin) = text.rfind(MEMBER).map(|at| at + MEMBER.len()) else {
        return text.to_owned();
    };
    let rest = &text[begin..];
    let mut sources = Vec::new();
    let (mut at, mut depth, mut from) = (0, 0, 0);
    while let Some(byte) = rest.as_bytes().get(at) {
        match byte {
            b'"' => {
                at += string_len(&rest[at..]);
                continue;
            }
            b'{' | b'[' => depth += 1,
            b']' if depth == 0 => break,
            b'}' | b']' => {
                depth -= 1;
                if depth == 0 {
                    sources.push(&rest[from..=at]);
                }
            }
            b',' if depth == 0 => from = at + 1,
            _ => {}
        }
        at += 1;
    }
    // The configuration's have the order that they were given.
    if !sources.iter().all(|source| source.contains("\"lag\":")) {
        return text.to_owned();
    }
    sources.sort_unstable();
    format!("{}{}{}", &text[..begin], sources.join(","), &rest[at..])
}

/// A header block, its line ends written as `|`.
pub(super) fn headers(block: &[u8]) -> String {
    let text = String::from_utf8_lossy(block);
    let body = text.strip_suffix("\r\n\r\n").unwrap_or(&text);
    let lines = body.split("\r\n").map(|line| match line.split_once(": ") {
        Some((name, value)) if TIME_HEADERS.contains(&name) && is_time(value) => {
            format!("{name}: <time>")
        }
        // The status that nobody is there names the subject: an ack subject, perhaps.
        Some(("Nats-Subject", subject)) => format!("Nats-Subject: {}", reply(subject)),
        Some((name, _)) if ID_HEADERS.contains(&name) => format!("{name}: <id>"),
        _ => line.to_owned(),
    });
    lines.collect::<Vec<_>>().join("|")
}

/// A reply subject: the stored time in an ack subject and the random end of a flow control one.
pub(super) fn reply(subject: &str) -> String {
    let mut tokens: Vec<&str> = subject.split('.').collect();
    match tokens.as_mut_slice() {
        ["$JS", "ACK", _, _, _, _, _, time, _] if time.len() == 19 => *time = "<time>",
        ["$JS", "FC", _, _, id] => *id = "<id>",
        _ => {}
    }
    tokens.join(".")
}

fn string_len(text: &str) -> usize {
    let mut escaped = false;
    for (index, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return index + 1,
            _ => {}
        }
    }
    text.len()
}

fn masked_string<'a>(member: &str, string: &'a str) -> &'a str {
    let value = string.trim_matches('"');
    if TIMES.contains(&member) && is_time(value) {
        "\"<time>\""
    } else if IDS.contains(&member) && !value.is_empty() {
        "\"<id>\""
    } else {
        string
    }
}

fn masked_number<'a>(member: &str, number: &'a str) -> &'a str {
    if DURATIONS.contains(&member) && number != "-1" {
        "<duration>"
    } else if member == "id" {
        "<id>"
    } else {
        number
    }
}

/// Whether this is a time as nats-server writes it, and not the zero time.
fn is_time(text: &str) -> bool {
    let Some((date, rest)) = text.split_at_checked(19) else {
        return false;
    };
    let digits_as = |text: &str, form: &str| {
        text.len() == form.len()
            && text.bytes().zip(form.bytes()).all(|(byte, form)| {
                if form == b'0' {
                    byte.is_ascii_digit()
                } else {
                    byte == form
                }
            })
    };
    let Some(fraction) = rest.strip_suffix('Z') else {
        return false;
    };
    let good_fraction = fraction.is_empty()
        || fraction.strip_prefix('.').is_some_and(|digits| {
            (1..=9).contains(&digits.len())
                && digits.bytes().all(|byte| byte.is_ascii_digit())
                && !digits.ends_with('0')
        });
    digits_as(date, "0000-00-00T00:00:00") && good_fraction && !date.starts_with("0001-01-01")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_times_of_known_members_are_masked() {
        assert_eq!(
            payload(br#"{"ts":"2026-01-02T03:04:05.6Z","created":"0001-01-01T00:00:00Z","description":"2026-01-02T03:04:05Z"}"#),
            r#"{"ts":"<time>","created":"0001-01-01T00:00:00Z","description":"2026-01-02T03:04:05Z"}"#
        );
    }

    #[test]
    fn a_time_in_another_form_is_not_masked() {
        for time in [
            "2026-01-02T03:04:05.60Z",
            "2026-01-02T03:04:05+00:00",
            "2026-01-02 03:04:05Z",
            "2026-01-02T03:04:05.Z",
            "",
        ] {
            let json = format!("{{\"ts\":\"{time}\"}}");
            assert_eq!(payload(json.as_bytes()), json);
        }
    }

    #[test]
    fn states_of_sources_are_sorted() {
        let check = |sources: &str, want: &str| {
            let json = |sources| format!("{{\"a\":1,\"sources\":[{sources}],\"ts\":\"\"}}");
            assert_eq!(payload(json(sources).as_bytes()), json(want));
        };
        let (m, n) = (
            r#"{"name":"M]}","lag":0,"x":[1,{}]}"#,
            r#"{"name":"N","lag":0}"#,
        );
        check(&format!("{n},{m}"), &format!("{m},{n}"));
        check("", "");
        let configured = r#"{"name":"N"},{"name":"M"}"#;
        check(configured, configured);
    }

    #[test]
    fn escapes_and_order_stay() {
        let json = r#"{"b":"\"\\","a":["x\u003e",1,-2.5e3,null],"seq":7}"#;
        assert_eq!(payload(json.as_bytes()), json);
    }

    #[test]
    fn ack_subjects_lose_their_time_only() {
        assert_eq!(
            reply("$JS.ACK.A.C.1.2.3.1764104661123456789.4"),
            "$JS.ACK.A.C.1.2.3.<time>.4"
        );
        assert_eq!(reply("$JS.ACK.A.C.1.2.3.0.4"), "$JS.ACK.A.C.1.2.3.0.4");
        assert_eq!(reply("_R.5"), "_R.5");
    }

    #[test]
    fn headers_keep_all_but_times() {
        assert_eq!(
            headers(
                b"NATS/1.0\r\nNats-Sequence: 4\r\nNats-Time-Stamp: 2026-01-02T03:04:05.6Z\r\n\r\n"
            ),
            "NATS/1.0|Nats-Sequence: 4|Nats-Time-Stamp: <time>"
        );
    }
}
