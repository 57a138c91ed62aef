//! Random histories on streams: few names and subjects, so that everything meets everything.

use super::random::{Random, of_flavours};
use super::servers::Variant;
use super::step::{History, Step};

/// A part of JetStream that a history uses besides what every stream has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flavour {
    Plain,
    Counters,
    Atomic,
}

/// How many histories of each flavour.
const FLAVOURS: &[(Flavour, &str, u64)] = &[
    (Flavour::Plain, "plain", 160),
    (Flavour::Counters, "counters", 20),
    (Flavour::Atomic, "atomic", 20),
];
const OPERATIONS: usize = 500;

pub(super) fn histories() -> Vec<History> {
    of_flavours(FLAVOURS, history)
}

fn history(flavour: Flavour, name: String, seed: u64) -> History {
    let mut maker = Maker {
        random: Random::new(seed * 31 + flavour as u64),
        flavour,
        steps: Vec::new(),
        streams: [0; 3],
        batch: 0,
    };
    for (label, subject) in [
        ("log-advisories", "$JS.EVENT.ADVISORY.STREAM.>"),
        ("log-republished", "re.>"),
    ] {
        maker.steps.push(Step::Subscribe {
            label: label.to_owned(),
            subject: subject.to_owned(),
            queue: None,
        });
    }
    let begin = maker.steps.len();
    maker.create(0);
    maker.create(1);
    maker.create(2);
    while maker.steps.len() < begin + OPERATIONS {
        maker.operation();
    }
    maker.steps.truncate(begin + OPERATIONS);
    History {
        name,
        variant: Variant::Default,
        deliveries: false,
        steps: maker.steps,
    }
}

const STREAMS: [&str; 3] = ["A", "B", "C"];

struct Maker {
    random: Random,
    flavour: Flavour,
    steps: Vec<Step>,
    /// A guess at each stream's last sequence, so that expectations are met often enough.
    streams: [u64; 3],
    batch: u64,
}

impl Maker {
    fn operation(&mut self) {
        let stream = usize::from(self.random.chance(40)) + usize::from(self.random.chance(10));
        match self
            .random
            .weighted(&[2, 3, 52, 9, 10, 7, 4, 5, 2, 1, 1, 4])
        {
            0 => self.create(stream),
            1 => self.update(stream),
            2 => self.publish(stream),
            3 => self.msg_get(stream),
            4 => self.direct_get(stream),
            5 => self.msg_delete(stream),
            6 => self.purge(stream),
            7 => self.info(stream),
            8 => self.list(),
            9 => self.delete(stream),
            10 => self.steps.push(Step::api("INFO", "")),
            _ => match self.flavour {
                Flavour::Atomic => self.atomic_batch(stream),
                Flavour::Plain | Flavour::Counters => self.publish(stream),
            },
        }
    }

    fn create(&mut self, stream: usize) {
        let config = self.config(stream);
        self.steps.push(Step::api(
            format_args!("STREAM.CREATE.{}", STREAMS[stream]),
            config,
        ));
    }

    fn update(&mut self, stream: usize) {
        let config = self.config(stream);
        self.steps.push(Step::api(
            format_args!("STREAM.UPDATE.{}", STREAMS[stream]),
            config,
        ));
    }

    /// Settings that have effects within a history; the other ones are in the list of requests. Nothing here waits for a
    /// clock: ages and windows are hours or nothing.
    fn config(&mut self, stream: usize) -> String {
        let name = STREAMS[stream];
        let lower = name.to_lowercase();
        let mut members = vec![format!("\"name\":\"{name}\"")];
        let random = &mut self.random;
        let subjects = match random.below(4) {
            0 => format!("[\"{lower}.>\"]"),
            1 => format!("[\"{lower}.*\",\"{lower}.x.>\"]"),
            2 => format!("[\"{lower}.1\",\"{lower}.2\",\"{lower}.3\",\"x.{lower}\"]"),
            _ => format!("[\"{lower}.>\",\"x.{lower}\"]"),
        };
        members.push(format!("\"subjects\":{subjects}"));
        let mut maybe = |percent: u64, member: &str| {
            if random.chance(percent) {
                members.push(member.to_owned());
            }
        };
        // Mostly the same storage, so that updates are not refused for it alone.
        maybe(if stream == 1 { 85 } else { 3 }, "\"storage\":\"memory\"");
        maybe(88, "\"allow_direct\":true");
        maybe(60, "\"allow_rollup_hdrs\":true");
        maybe(4, "\"deny_delete\":true");
        maybe(4, "\"deny_purge\":true");
        maybe(12, "\"duplicate_window\":3600000000000");
        maybe(6, "\"compression\":\"s2\"");
        maybe(6, "\"description\":\"a <b> & \\\"c\\\"\"");
        maybe(5, "\"metadata\":{\"k\":\"v\",\"_nats.ver\":\"0\"}");
        maybe(1, "\"retention\":\"interest\"");
        maybe(1, "\"sealed\":true");
        if self.flavour == Flavour::Plain {
            maybe(40, "\"allow_msg_ttl\":true");
            maybe(
                8,
                &format!("\"republish\":{{\"src\":\"{lower}.>\",\"dest\":\"re.{lower}.>\"}}"),
            );
            maybe(
                4,
                &format!("\"republish\":{{\"dest\":\"re.h.{lower}.>\",\"headers_only\":true}}"),
            );
            maybe(
                5,
                &format!(
                    "\"subject_transform\":{{\"src\":\"{lower}.*\",\"dest\":\"{lower}.x.$1\"}}"
                ),
            );
            maybe(15, "\"discard\":\"new\"");
            maybe(5, "\"discard_new_per_subject\":true");
        }
        if self.flavour == Flavour::Counters {
            maybe(
                if stream == 0 { 95 } else { 30 },
                "\"allow_msg_counter\":true",
            );
        }
        if self.flavour == Flavour::Atomic {
            maybe(90, "\"allow_atomic\":true");
            maybe(10, "\"discard\":\"new\"");
        }
        let random = &mut self.random;
        let mut limit = |percent: u64, name: &str, values: &[&str]| {
            if random.chance(percent) {
                members.push(format!("\"{name}\":{}", random.pick(values)));
            }
        };
        limit(35, "max_msgs_per_subject", &["1", "2", "3", "5"]);
        limit(25, "max_msgs", &["1", "5", "10", "20"]);
        limit(12, "max_bytes", &["300", "800", "2000"]);
        limit(8, "max_msg_size", &["10", "60", "200"]);
        limit(8, "max_age", &["3600000000000"]);
        limit(8, "first_seq", &["1", "7", "1000"]);
        limit(4, "subject_delete_marker_ttl", &["3600000000000"]);
        format!("{{{}}}", members.join(","))
    }

    fn subject(&mut self, stream: usize) -> String {
        let lower = STREAMS[stream].to_lowercase();
        match self.random.below(14) {
            0..=3 => format!("{lower}.1"),
            4..=6 => format!("{lower}.2"),
            7..=8 => format!("{lower}.3"),
            9 => format!("{lower}.x.1"),
            10 => format!("{lower}.x.y.z"),
            11 => format!("x.{lower}"),
            12 => format!("{lower}.4"),
            _ => format!("{lower}.longer-token.5"),
        }
    }

    fn filter(&mut self, stream: usize) -> String {
        let lower = STREAMS[stream].to_lowercase();
        match self.random.below(8) {
            0..=2 => self.subject(stream),
            3 => format!("{lower}.*"),
            4 => format!("{lower}.>"),
            5 => ">".to_owned(),
            6 => format!("*.{}", self.random.pick(&["1", "2", "3", "nothing"])),
            _ => format!("{lower}.x.*"),
        }
    }

    /// A sequence near the end of the stream, or near its beginning.
    fn seq(&mut self, stream: usize) -> u64 {
        let last = self.streams[stream];
        match self.random.below(12) {
            0 => 0,
            1 => last + 1,
            2 => last + 5,
            3 => 1,
            _ => last.saturating_sub(self.random.below(12)),
        }
    }

    fn publish(&mut self, stream: usize) {
        let subject = self.subject(stream);
        let mut headers = Vec::new();
        self.headers(stream, &mut headers);
        let mut body = match self.random.below(8) {
            0 => String::new(),
            1 => self.random.filler(300),
            _ => format!("m{}", self.random.below(100)),
        };
        if self.flavour == Flavour::Counters && self.random.chance(85) {
            let increment = self.random.pick(&[
                "1",
                "+1",
                "-1",
                "0",
                "+10",
                "-250",
                "x",
                "",
                "1.5",
                " 2",
                "00012",
                "+-1",
                "99999999999999999999999999",
                "-99999999999999999999999999",
            ]);
            headers.push(("Nats-Incr".to_owned(), increment.to_owned()));
            if self.random.chance(92) {
                body.clear();
            }
        }
        self.streams[stream] += 1;
        self.steps.push(Step::Request {
            subject,
            headers,
            body,
        });
    }

    fn headers(&mut self, stream: usize, headers: &mut Vec<(String, String)>) {
        let mut add = |name: &str, value: String| headers.push((name.to_owned(), value));
        if self.random.chance(15) {
            add("Nats-Msg-Id", format!("id{}", self.random.below(12)));
        }
        if self.random.chance(7) {
            let near = self.streams[stream] + 1 - self.random.below(3).min(self.streams[stream]);
            add("Nats-Expected-Last-Sequence", near.to_string());
        }
        if self.random.chance(8) {
            let seq = if self.random.chance(30) {
                0
            } else {
                self.seq(stream)
            };
            add("Nats-Expected-Last-Subject-Sequence", seq.to_string());
            if self.random.chance(35) {
                let filter = self.filter(stream);
                add("Nats-Expected-Last-Subject-Sequence-Subject", filter);
            }
        }
        if self.random.chance(4) {
            add(
                "Nats-Expected-Last-Msg-Id",
                format!("id{}", self.random.below(12)),
            );
        }
        if self.random.chance(4) {
            add(
                "Nats-Expected-Stream",
                self.random.pick(&STREAMS).to_owned(),
            );
        }
        if self.random.chance(5) {
            let value = self.random.pick(&["sub", "all", "SUB", "other", ""]);
            add("Nats-Rollup", value.to_owned());
        }
        if self.random.chance(5) {
            let value = self.random.pick(&[
                "1h", "never", "3600", "0", "-1", "abc", "1h30m", "500ms", "",
            ]);
            add("Nats-TTL", value.to_owned());
        }
        if self.random.chance(12) {
            add("X-Any", format!("value {}", self.random.below(5)));
        }
    }

    /// Some messages of a batch, now and then with a mistake, and its end.
    fn atomic_batch(&mut self, stream: usize) {
        self.batch += 1;
        let id = format!("batch{}", self.batch);
        let size = 1 + self.random.below(5);
        let mut sequence = 0;
        for index in 1..=size {
            sequence += 1;
            if self.random.chance(4) {
                sequence += 1;
            }
            let mut headers = vec![
                ("Nats-Batch-Id".to_owned(), id.clone()),
                ("Nats-Batch-Sequence".to_owned(), sequence.to_string()),
            ];
            if index == size && self.random.chance(92) {
                let value = self.random.pick(&["1", "1", "1", "eob", "2"]);
                headers.push(("Nats-Batch-Commit".to_owned(), value.to_owned()));
            }
            if self.random.chance(40) {
                self.headers(stream, &mut headers);
            }
            let subject = self.subject(stream);
            let body = format!("b{}", self.random.below(100));
            self.streams[stream] += 1;
            self.steps.push(Step::Request {
                subject,
                headers,
                body,
            });
        }
    }

    fn msg_get(&mut self, stream: usize) {
        let body = match self.random.below(8) {
            0..=2 => format!("{{\"seq\":{}}}", self.seq(stream)),
            3 | 4 => format!("{{\"last_by_subj\":\"{}\"}}", self.filter(stream)),
            5 | 6 => format!(
                "{{\"seq\":{},\"next_by_subj\":\"{}\"}}",
                self.seq(stream),
                self.filter(stream)
            ),
            _ => format!(
                "{{\"seq\":{},\"no_hdr\":true,\"next_by_subj\":\"{}\"}}",
                self.seq(stream),
                self.filter(stream)
            ),
        };
        self.steps.push(Step::api(
            format_args!("STREAM.MSG.GET.{}", STREAMS[stream]),
            body,
        ));
    }

    fn direct_get(&mut self, stream: usize) {
        let name = STREAMS[stream];
        let call = format!("DIRECT.GET.{name}");
        let seq = self.seq(stream);
        let batch = 1 + self.random.below(8);
        let filter = self.filter(stream);
        let body = match self.random.below(11) {
            0 | 1 => format!("{{\"seq\":{seq}}}"),
            2 => format!("{{\"last_by_subj\":\"{filter}\"}}"),
            3 => format!("{{\"seq\":{seq},\"next_by_subj\":\"{filter}\"}}"),
            4 => format!("{{\"seq\":{seq},\"batch\":{batch}}}"),
            5 => format!("{{\"seq\":{seq},\"batch\":{batch},\"next_by_subj\":\"{filter}\"}}"),
            6 => format!(
                "{{\"seq\":{seq},\"batch\":{batch},\"max_bytes\":{}}}",
                batch * 40
            ),
            7 => format!("{{\"multi_last\":[\"{filter}\"]}}"),
            8 => format!(
                "{{\"multi_last\":[\"{filter}\",\"{}\"],\"up_to_seq\":{seq},\"batch\":{batch}}}",
                self.subject(stream)
            ),
            9 => format!(
                "{{\"seq\":{seq},\"batch\":{batch},\"start_time\":\"2020-01-01T00:00:00Z\"}}"
            ),
            _ => {
                let subject = self.subject(stream);
                self.steps
                    .push(Step::api(format_args!("{call}.{subject}"), ""));
                return;
            }
        };
        self.steps.push(Step::api(call, body));
    }

    fn msg_delete(&mut self, stream: usize) {
        let seq = self.seq(stream);
        let no_erase = if self.random.chance(60) {
            ",\"no_erase\":true"
        } else {
            ""
        };
        self.steps.push(Step::api(
            format_args!("STREAM.MSG.DELETE.{}", STREAMS[stream]),
            format!("{{\"seq\":{seq}{no_erase}}}"),
        ));
    }

    fn purge(&mut self, stream: usize) {
        let mut members = Vec::new();
        if self.random.chance(60) {
            members.push(format!("\"filter\":\"{}\"", self.filter(stream)));
        }
        if self.random.chance(40) {
            members.push(format!("\"seq\":{}", self.seq(stream)));
        }
        if self.random.chance(25) {
            members.push(format!("\"keep\":{}", self.random.below(5)));
        }
        let body = match members.is_empty() {
            true => String::new(),
            false => format!("{{{}}}", members.join(",")),
        };
        self.steps.push(Step::api(
            format_args!("STREAM.PURGE.{}", STREAMS[stream]),
            body,
        ));
    }

    fn info(&mut self, stream: usize) {
        let body = match self.random.below(4) {
            0 => String::new(),
            1 => "{\"deleted_details\":true}".to_owned(),
            2 => format!("{{\"subjects_filter\":\"{}\"}}", self.filter(stream)),
            _ => format!(
                "{{\"deleted_details\":true,\"subjects_filter\":\">\",\"offset\":{}}}",
                self.random.below(4)
            ),
        };
        self.steps.push(Step::api(
            format_args!("STREAM.INFO.{}", STREAMS[stream]),
            body,
        ));
    }

    fn list(&mut self) {
        let call = self.random.pick(&["STREAM.NAMES", "STREAM.LIST"]);
        let body = match self.random.below(3) {
            0 => String::new(),
            1 => format!("{{\"subject\":\"{}\"}}", self.filter(0)),
            _ => format!("{{\"offset\":{}}}", self.random.below(4)),
        };
        self.steps.push(Step::api(call, body));
    }

    fn delete(&mut self, stream: usize) {
        self.streams[stream] = 0;
        self.steps.push(Step::api(
            format_args!("STREAM.DELETE.{}", STREAMS[stream]),
            "",
        ));
        if self.random.chance(90) {
            self.create(stream);
        }
    }
}
