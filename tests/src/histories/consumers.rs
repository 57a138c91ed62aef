//! Random delivery histories.
//!
//! Recording waits at each step until all is quiet, comparing does not: so nothing may depend on how long a step takes.
//! Timers are minutes, or so short that the step that starts one is followed by a [`Step::Wait`] that sees it through.

use super::random::Random;
use super::servers::Variant;
use super::step::{History, Step};

/// What kind of consumers a history has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flavour {
    Pull,
    Push,
    Queue,
    Ordered,
    Priority,
    Retention,
    Timed,
}

/// How many histories of each flavour.
const FLAVOURS: &[(Flavour, &str, u64)] = &[
    (Flavour::Pull, "pull", 160),
    (Flavour::Push, "push", 60),
    (Flavour::Queue, "queue", 30),
    (Flavour::Ordered, "ordered", 30),
    (Flavour::Priority, "priority", 60),
    (Flavour::Retention, "retention", 60),
    (Flavour::Timed, "timed", 30),
];
const OPERATIONS: usize = 60;

pub(super) fn histories() -> Vec<History> {
    let mut histories = Vec::new();
    for &(flavour, name, count) in FLAVOURS {
        for seed in 0..count {
            histories.push(history(flavour, format!("{name}-{seed}"), seed));
        }
    }
    histories
}

fn history(flavour: Flavour, name: String, seed: u64) -> History {
    let mut random = Random::new(seed * 17 + 1000 * (flavour as u64 + 1));
    let durable = [(); 2].map(|()| flavour == Flavour::Retention || random.chance(70));
    let mut maker = Maker {
        random,
        flavour,
        durable,
        steps: Vec::new(),
        seq: 0,
        members: 0,
    };
    maker.subscribe("log-stream", "$JS.EVENT.ADVISORY.STREAM.>", None);
    maker.subscribe("log-consumer", "$JS.EVENT.ADVISORY.CONSUMER.>", None);
    maker.subscribe("log-metric", "$JS.EVENT.METRIC.>", None);
    maker.stream();
    for _ in 0..maker.random.below(12) {
        maker.publish();
    }
    if matches!(flavour, Flavour::Push | Flavour::Ordered) {
        maker.subscribe("d1", "d1", None);
        maker.subscribe("d2", "d2", None);
    }
    if flavour == Flavour::Queue {
        maker.subscribe("d1", "d1", Some("g"));
        maker.subscribe("d1", "d1", Some("g"));
    }
    maker.create(0);
    maker.create(1);
    let end = maker.steps.len() + OPERATIONS;
    while maker.steps.len() < end {
        maker.operation();
    }
    for consumer in 0..2 {
        maker.info(consumer);
    }
    maker.api("STREAM.INFO.S".to_owned(), "");
    History {
        name,
        variant: Variant::Default,
        deliveries: true,
        steps: maker.steps,
    }
}

const CONSUMERS: [&str; 2] = ["c", "e"];
const GROUPS: &str = "\"priority_groups\":[\"g\"]";

struct Maker {
    random: Random,
    flavour: Flavour,
    /// Whether the first and the second consumer are durable.
    durable: [bool; 2],
    steps: Vec<Step>,
    /// A guess at the stream's last sequence.
    seq: u64,
    /// Members of the queue group besides the first two.
    members: u64,
}

impl Maker {
    fn api(&mut self, call: String, body: &str) {
        self.steps.push(Step::api(call, body));
    }

    fn subscribe(&mut self, label: &str, subject: &str, queue: Option<&str>) {
        self.steps.push(Step::Subscribe {
            label: label.to_owned(),
            subject: subject.to_owned(),
            queue: queue.map(str::to_owned),
        });
    }

    fn operation(&mut self) {
        if self.flavour == Flavour::Timed {
            return self.timed();
        }
        let consumer = usize::from(self.random.chance(25));
        let pulls = match self.flavour {
            Flavour::Pull | Flavour::Priority | Flavour::Retention => 22,
            _ => 1,
        };
        match self
            .random
            .weighted(&[20, pulls, 24, 9, 3, 3, 2, 4, 2, 3, 2, 2, 1])
        {
            0 => self.publish(),
            1 => self.pull(consumer),
            2 => self.ack(),
            3 => self.info(consumer),
            4 => self.create(consumer),
            5 => self.update(consumer),
            6 => {
                self.api(format!("CONSUMER.DELETE.S.{}", CONSUMERS[consumer]), "");
                if self.random.chance(70) {
                    self.create(consumer);
                }
            }
            7 => {
                let seq = 1 + self.random.below(self.seq + 1);
                self.api(
                    "STREAM.MSG.DELETE.S".to_owned(),
                    &format!("{{\"seq\":{seq},\"no_erase\":true}}"),
                );
            }
            8 => self.purge(),
            9 => self.pause(consumer),
            10 => self.reset(consumer),
            11 => self.interest(),
            _ => self.api("STREAM.INFO.S".to_owned(), ""),
        }
    }

    fn stream(&mut self) {
        let mut members = vec!["\"name\":\"S\",\"subjects\":[\"s.>\"]".to_owned()];
        if self.random.chance(40) {
            members.push("\"storage\":\"memory\"".to_owned());
        }
        if self.random.chance(15) {
            members.push(format!("\"max_msgs\":{}", 5 + self.random.below(20)));
        }
        if self.random.chance(15) {
            members.push(format!(
                "\"max_msgs_per_subject\":{}",
                1 + self.random.below(3)
            ));
        }
        if self.flavour == Flavour::Retention {
            let retention = self.random.pick(&["interest", "workqueue"]);
            members.push(format!("\"retention\":\"{retention}\""));
        }
        self.api(
            "STREAM.CREATE.S".to_owned(),
            &format!("{{{}}}", members.join(",")),
        );
    }

    fn subject(&mut self) -> &'static str {
        self.random
            .pick(&["s.1", "s.1", "s.1", "s.2", "s.2", "s.3", "s.x.1", "s.x.y"])
    }

    fn filter(&mut self) -> &'static str {
        self.random
            .pick(&["s.1", "s.2", "s.*", "s.>", ">", "s.x.*", "s.nothing", "s.3"])
    }

    fn publish(&mut self) {
        let headers = match self.random.chance(20) {
            true => vec![("H".to_owned(), format!("v{}", self.random.below(9)))],
            false => Vec::new(),
        };
        let body = match self.random.below(6) {
            0 => String::new(),
            1 => "x".repeat(usize::try_from(self.random.below(200)).unwrap_or(0)),
            _ => format!("m{}", self.seq),
        };
        self.seq += 1;
        let subject = self.subject().to_owned();
        self.steps.push(Step::Request {
            subject,
            headers,
            body,
        });
    }

    fn create(&mut self, consumer: usize) {
        let action = self.random.pick(&["", "", "", ",\"action\":\"create\""]);
        self.put(consumer, action);
    }

    fn update(&mut self, consumer: usize) {
        self.put(consumer, ",\"action\":\"update\"");
    }

    fn put(&mut self, consumer: usize, action: &str) {
        let name = CONSUMERS[consumer];
        let config = self.config(name);
        self.api(
            format!("CONSUMER.CREATE.S.{name}"),
            &format!("{{\"stream_name\":\"S\",\"config\":{config}{action}}}"),
        );
    }

    /// A consumer that never goes away by itself, whose messages come back only when told to.
    fn config(&mut self, name: &str) -> String {
        let flavour = self.flavour;
        let mut members = vec![if self.durable[usize::from(name == CONSUMERS[1])] {
            format!("\"durable_name\":\"{name}\"")
        } else {
            format!("\"name\":\"{name}\",\"inactive_threshold\":3600000000000")
        }];
        if flavour == Flavour::Ordered {
            members.push(format!(
                "\"deliver_subject\":\"{}\",\"ack_policy\":\"none\",\"max_deliver\":1,\"flow_control\":true,\
                 \"idle_heartbeat\":3600000000000,\"mem_storage\":true,\"num_replicas\":1",
                if name == "c" { "d1" } else { "d2" }
            ));
        } else {
            let ack = match self.random.below(10) {
                0 => "none",
                1 | 2 if flavour != Flavour::Priority => "all",
                _ => "explicit",
            };
            members.push(format!("\"ack_policy\":\"{ack}\""));
            if ack != "none" {
                members.push("\"ack_wait\":600000000000".to_owned());
                if self.random.chance(30) {
                    members.push(format!("\"max_ack_pending\":{}", 1 + self.random.below(6)));
                }
            }
            if self.random.chance(25) {
                members.push(format!("\"max_deliver\":{}", 1 + self.random.below(3)));
            }
        }
        match flavour {
            Flavour::Push => members.push(format!(
                "\"deliver_subject\":\"{}\"",
                if name == "c" { "d1" } else { "d2" }
            )),
            Flavour::Queue => members.push(format!(
                "\"deliver_subject\":\"{}\",\"deliver_group\":\"g\"",
                if name == "c" { "d1" } else { "d2" }
            )),
            Flavour::Priority => {
                let policy = self
                    .random
                    .pick(&["overflow", "pinned_client", "prioritized"]);
                members.push(format!(
                    "{GROUPS},\"priority_policy\":\"{policy}\",\"priority_timeout\":600000000000"
                ));
            }
            Flavour::Pull if self.random.chance(15) => members.push(format!(
                "\"max_batch\":{},\"max_waiting\":{}",
                1 + self.random.below(6),
                1 + self.random.below(4)
            )),
            _ => {}
        }
        match self.random.below(10) {
            0 => members.push("\"deliver_policy\":\"last\"".to_owned()),
            1 => members.push("\"deliver_policy\":\"new\"".to_owned()),
            2 => members.push(
                "\"deliver_policy\":\"last_per_subject\",\"filter_subject\":\"s.>\"".to_owned(),
            ),
            3 => members.push(format!(
                "\"deliver_policy\":\"by_start_sequence\",\"opt_start_seq\":{}",
                1 + self.random.below(self.seq + 2)
            )),
            4 => members.push(
                "\"deliver_policy\":\"by_start_time\",\"opt_start_time\":\"2020-01-01T00:00:00Z\""
                    .to_owned(),
            ),
            5 | 6 => {
                let filter = self.filter();
                members.push(format!("\"filter_subject\":\"{filter}\""));
            }
            7 => members.push("\"filter_subjects\":[\"s.1\",\"s.x.>\"]".to_owned()),
            _ => {}
        }
        if self.random.chance(10) {
            members.push("\"headers_only\":true".to_owned());
        }
        if self.random.chance(8) {
            members.push("\"sample_freq\":\"100\"".to_owned());
        }
        format!("{{{}}}", members.join(","))
    }

    /// Requests wait for minutes, if they wait; a short expiry is seen through.
    fn pull(&mut self, consumer: usize) {
        let call = format!("CONSUMER.MSG.NEXT.S.{}", CONSUMERS[consumer]);
        let batch = 1 + self.random.below(5);
        if self.flavour == Flavour::Priority && self.random.chance(85) {
            let extra = self.random.pick(&[
                "",
                ",\"no_wait\":true",
                ",\"min_pending\":3",
                ",\"min_ack_pending\":2",
                ",\"priority\":1",
                ",\"priority\":5",
                ",\"priority\":11",
                ",\"id\":\"other\"",
            ]);
            let body =
                format!("{{\"batch\":{batch},\"expires\":600000000000,\"group\":\"g\"{extra}}}");
            return self.api(call, &body);
        }
        let body = match self.random.below(13) {
            0 => String::new(),
            1 => batch.to_string(),
            2..=4 => format!("{{\"batch\":{batch},\"no_wait\":true}}"),
            5..=7 => format!("{{\"batch\":{batch},\"expires\":600000000000}}"),
            8 => format!(
                "{{\"batch\":{batch},\"expires\":600000000000,\"max_bytes\":{}}}",
                batch * 60
            ),
            9 => format!("{{\"batch\":{batch},\"no_wait\":true,\"expires\":600000000000}}"),
            10 => "{\"batch\":-1,\"no_wait\":true}".to_owned(),
            11 => format!("{{\"batch\":{batch},\"no_wait\":true,\"max_bytes\":90}}"),
            _ => {
                self.api(
                    call,
                    &format!("{{\"batch\":{batch},\"expires\":300000000}}"),
                );
                return self.steps.push(Step::Wait { millis: 1000 });
            }
        };
        self.api(call, &body);
    }

    fn ack(&mut self) {
        let body = self.random.pick(&[
            "",
            "+ACK",
            "+ACK",
            "+ACK",
            "+ACK",
            "-NAK",
            "-NAK",
            "-NAK",
            "+WPI",
            "+TERM",
            "+TERM because",
            "+OK",
            "+NXT",
            "other",
            "-NAK {\"delay\":400000000}",
        ]);
        let step = Step::Ack {
            back: usize::try_from(self.random.below(7)).unwrap_or(0),
            body: body.to_owned(),
            confirm: self.random.chance(60),
        };
        self.steps.push(step);
        if body.contains("delay") {
            self.steps.push(Step::Wait { millis: 1300 });
        }
    }

    fn info(&mut self, consumer: usize) {
        self.api(format!("CONSUMER.INFO.S.{}", CONSUMERS[consumer]), "");
    }

    fn purge(&mut self) {
        let body = match self.random.below(4) {
            0 => String::new(),
            1 => format!("{{\"seq\":{}}}", 1 + self.random.below(self.seq + 1)),
            2 => format!("{{\"keep\":{}}}", 1 + self.random.below(4)),
            _ => format!("{{\"filter\":\"{}\"}}", self.filter()),
        };
        self.api("STREAM.PURGE.S".to_owned(), &body);
    }

    fn pause(&mut self, consumer: usize) {
        let body = self.random.pick(&[
            "{\"pause_until\":\"2100-01-01T00:00:00Z\"}",
            "{\"pause_until\":\"2000-01-01T00:00:00Z\"}",
            "{}",
            "",
        ]);
        let call = format!("CONSUMER.PAUSE.S.{}", CONSUMERS[consumer]);
        if body.contains("2100") {
            self.api(call.clone(), body);
            self.publish();
            self.info(consumer);
            self.api(call, "{}");
        } else {
            self.api(call, body);
        }
    }

    fn reset(&mut self, consumer: usize) {
        if self.flavour == Flavour::Priority {
            return self.api(
                format!("CONSUMER.UNPIN.S.{}", CONSUMERS[consumer]),
                "{\"group\":\"g\"}",
            );
        }
        let body = match self.random.below(3) {
            0 => String::new(),
            _ => format!("{{\"seq\":{}}}", self.random.below(self.seq + 2)),
        };
        self.api(format!("CONSUMER.RESET.S.{}", CONSUMERS[consumer]), &body);
    }

    /// A push consumer's subscriber leaves, something happens, and it comes back.
    fn interest(&mut self) {
        match self.flavour {
            Flavour::Push | Flavour::Ordered => {
                self.steps.push(Step::Unsubscribe {
                    label: "d1".to_owned(),
                });
                self.publish();
                self.info(0);
                self.ack();
                self.subscribe("d1", "d1", None);
            }
            Flavour::Queue if self.members < 3 => {
                self.members += 1;
                self.subscribe("d1", "d1", Some("g"));
            }
            _ => self.publish(),
        }
    }

    /// One round of what time does: each begins and ends with nothing outstanding.
    fn timed(&mut self) {
        let name = "t";
        let config = match self.random.below(4) {
            0 => "\"ack_wait\":1500000000",
            1 => "\"backoff\":[1000000000,1500000000]",
            2 => "\"ack_wait\":1500000000,\"max_deliver\":2",
            _ => "\"ack_wait\":1500000000,\"max_ack_pending\":2",
        };
        let batch = 1 + self.random.below(3);
        self.api(
            format!("CONSUMER.CREATE.S.{name}"),
            &format!(
                "{{\"stream_name\":\"S\",\"config\":{{\"durable_name\":\"{name}\",\"ack_policy\":\"explicit\",{config}}}}}"
            ),
        );
        self.publish();
        self.publish();
        self.api(
            format!("CONSUMER.MSG.NEXT.S.{name}"),
            &format!("{{\"batch\":{batch},\"no_wait\":true}}"),
        );
        if self.random.chance(60) {
            let body = self.random.pick(&["+ACK", "+TERM"]);
            self.steps.push(Step::Ack {
                back: 0,
                body: body.to_owned(),
                confirm: true,
            });
        }
        self.steps.push(Step::Wait { millis: 2600 });
        self.api(
            format!("CONSUMER.MSG.NEXT.S.{name}"),
            "{\"batch\":4,\"no_wait\":true}",
        );
        for back in 0..4 {
            self.steps.push(Step::Ack {
                back,
                body: "+ACK".to_owned(),
                confirm: true,
            });
        }
        self.api(format!("CONSUMER.INFO.S.{name}"), "");
        self.api(format!("CONSUMER.DELETE.S.{name}"), "");
    }
}
