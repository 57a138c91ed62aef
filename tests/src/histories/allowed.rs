//! The differences that are meant, and the histories that are not mended yet.

use super::compare::Difference;
use super::positions;
use super::recording::folder;

/// A difference, recognised by what both sides say.
struct Allowed {
    /// As in `docs/compatibility.md`.
    reason: &'static str,
    /// Part of the step's text.
    step: &'static str,
    /// Part of what nats-server answers.
    want: &'static str,
    /// Part of what this server answers.
    got: &'static str,
}

const ALLOWED: &[Allowed] = &[
    Allowed {
        reason: "JSON with half a surrogate pair is refused",
        step: "\\ud800",
        want: "",
        got: "hex escape",
    },
    Allowed {
        reason: "below $JS.API, an unknown first token has no responders",
        step: "$JS.API.stream.info.A",
        want: "",
        got: "NATS/1.0 503",
    },
    Allowed {
        reason: "the length of a consumer's name in the subject is checked before a file is made",
        step: "$JS.API.CONSUMER.CREATE.S.xxxxxxxx",
        want: "error creating store for consumer",
        got: "consumer name is too long, maximum allowed is 255",
    },
    Allowed {
        reason: "an invalid subject filters out all streams",
        step: "{\"subject\":\"a..b\"}",
        want: "",
        got: "\"total\":0",
    },
];

/// Why a difference is meant, if it is. `before` is what came in the steps before, `purged` whether one of them purged.
pub(super) fn reason(
    difference: &Difference,
    before: &[Vec<String>],
    purged: bool,
) -> Option<&'static str> {
    if let Some(reason) = positions::reason(difference, before, purged) {
        return Some(reason);
    }
    let has = |lines: &[String], part: &str| {
        part.is_empty() || lines.iter().any(|line| line.contains(part))
    };
    let found = ALLOWED.iter().find(|allowed| {
        difference.step.contains(allowed.step)
            && has(&difference.want, allowed.want)
            && has(&difference.got, allowed.got)
    });
    found.map(|allowed| allowed.reason)
}

/// The histories of a part that this server does not answer as nats-server does yet: `tests/histories/open.txt`, a line
/// each with part, name and reason.
///
/// # Panics
///
/// When the file cannot be read.
pub fn open(part: &str) -> Vec<String> {
    let path = folder().join("open.txt");
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) => panic!("{}: {error}", path.display()),
    };
    text.lines()
        .filter_map(|line| {
            let (of, rest) = line.split_once(": ")?;
            let (name, _reason) = rest.split_once(" # ").unwrap_or((rest, ""));
            (of == part).then(|| name.to_owned())
        })
        .collect()
}
