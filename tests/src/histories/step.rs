//! What a history is made of.

use std::fmt;

use super::servers::Variant;

/// One thing that a client does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A message with an inbox for answers: an API request, a publish, a pull.
    Request {
        /// The whole subject.
        subject: String,
        /// Headers, in order.
        headers: Vec<(String, String)>,
        /// The payload.
        body: String,
    },
    /// A message without a reply subject.
    Publish {
        /// The whole subject.
        subject: String,
        /// Headers, in order.
        headers: Vec<(String, String)>,
        /// The payload.
        body: String,
    },
    /// Listens; what comes is written down under `label`. Several subscriptions may share a label (a queue group).
    Subscribe {
        /// The name in the answers. One that begins with `log-` is written down at the history's end, not by step:
        /// for what the server sends of its own accord, at any time.
        label: String,
        /// The subject.
        subject: String,
        /// The queue group, if any.
        queue: Option<String>,
    },
    /// Ends all subscriptions of a label.
    Unsubscribe {
        /// The label.
        label: String,
    },
    /// Answers a delivery.
    Ack {
        /// Which delivery that could be acknowledged, counted back from the latest: 0 is the latest.
        back: usize,
        /// `+ACK`, `-NAK`, ...; empty is an ack, too.
        body: String,
        /// Whether to ask for a confirmation.
        confirm: bool,
    },
    /// Lets time pass.
    Wait {
        /// Milliseconds.
        millis: u64,
    },
    /// If requests wait, one more whose reply nobody hears. It gets nothing, but makes nats-server look again what its
    /// consumer owes to the others.
    Nudge {
        /// The consumer of the stream `S`.
        consumer: String,
    },
    /// Requests and nudges, one after the other, whose answers and deliveries are looked at as one step's: which of them a
    /// delivery followed is not compared.
    Together(Vec<Step>),
}

impl Step {
    /// A request without headers.
    pub fn request(subject: impl Into<String>, body: impl Into<String>) -> Self {
        Self::Request {
            subject: subject.into(),
            headers: Vec::new(),
            body: body.into(),
        }
    }

    /// A request below `$JS.API.`.
    pub fn api(call: impl fmt::Display, body: impl Into<String>) -> Self {
        Self::request(format!("$JS.API.{call}"), body)
    }
}

/// As in `tests/histories/*.txt`; a payload that is longer than 200 bytes is cut.
impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let message = |f: &mut fmt::Formatter<'_>,
                       subject: &str,
                       headers: &[(String, String)],
                       body: &str| {
            write!(f, "{subject}")?;
            if !headers.is_empty() {
                let list: Vec<String> = headers.iter().map(|(k, v)| format!("{k}: {v}")).collect();
                write!(f, " [{}]", list.join(" | "))?;
            }
            match body.char_indices().nth(200) {
                _ if body.is_empty() => Ok(()),
                Some((cut, _)) => write!(f, " {}... ({} bytes)", &body[..cut], body.len()),
                None => write!(f, " {body}"),
            }
        };
        match self {
            Self::Request {
                subject,
                headers,
                body,
            } => message(f, subject, headers, body),
            Self::Publish {
                subject,
                headers,
                body,
            } => {
                f.write_str("pub ")?;
                message(f, subject, headers, body)
            }
            Self::Subscribe {
                label,
                subject,
                queue,
            } => {
                write!(f, "sub {label} {subject}")?;
                queue.iter().try_for_each(|queue| write!(f, " {queue}"))
            }
            Self::Unsubscribe { label } => write!(f, "unsub {label}"),
            Self::Ack {
                back,
                body,
                confirm,
            } => {
                let verb = if *confirm { "acksync" } else { "ack" };
                write!(f, "{verb} {back} {body}")
            }
            Self::Wait { millis } => write!(f, "wait {millis}"),
            Self::Nudge { consumer } => write!(f, "nudge {consumer}"),
            Self::Together(steps) => {
                f.write_str("together")?;
                let mut steps = steps.iter();
                steps.try_for_each(|step| write!(f, " / {step}"))
            }
        }
    }
}

/// Steps that one client plays in an account of its own.
#[derive(Clone, Debug)]
pub struct History {
    /// Unique in its part.
    pub name: String,
    /// Which server it wants.
    pub variant: Variant,
    /// Whether a step may bring more than one answer: then recording waits at each step until nothing more comes.
    pub deliveries: bool,
    /// What to do, in order.
    pub steps: Vec<Step>,
}

impl History {
    /// A fingerprint (FNV-1a) of the steps: a recording is only good for the steps that it was made with.
    pub fn fingerprint(&self) -> u64 {
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        for step in &self.steps {
            for byte in format!("{step:?}\n").bytes() {
                hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
            }
        }
        hash
    }
}
