//! Random delivery histories.
//!
//! What a history does is chosen so that nats-server 2.15.1 has one answer: it either takes messages away (deletes, purges,
//! limits) or changes what consumers want (filters, pauses, small `max_ack_pending`, `last_per_subject`), and so on (see
//! [`Maker`]). Elsewhere it miscounts, or owes deliveries until some other event makes it look again, as
//! `docs/compatibility.md` tells. Where one event is known to owe deliveries, it is played [`Step::Together`] with one that
//! brings them.
//!
//! Recording waits at each step until all is quiet, comparing does not: so nothing may depend on how long a step takes.
//! Timers are minutes, or so short that the step that starts one is followed by a [`Step::Wait`] that sees it through.

mod config;
mod timed;

use super::player::LATER;
use super::random::{Random, of_flavours};
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
    of_flavours(FLAVOURS, history)
}

fn history(flavour: Flavour, name: String, seed: u64) -> History {
    let mut random = Random::new(seed * 17 + 1000 * (flavour as u64 + 1));
    let durable = [(); 2].map(|()| flavour == Flavour::Retention || random.chance(70));
    let removals = random.chance(50);
    let lists = !removals && random.chance(40);
    let changes = !removals
        && !lists
        && matches!(flavour, Flavour::Pull | Flavour::Retention)
        && random.chance(60);
    let policies = [(); 2].map(|()| random.pick(&["overflow", "pinned_client", "prioritized"]));
    let acks_all = !removals && random.chance(30);
    let sampled = [(); 2].map(|()| random.chance(15));
    let mut maker = Maker {
        random,
        flavour,
        durable,
        removals,
        lists,
        changes,
        policies,
        acks_all,
        sampled,
        filters: Default::default(),
        steps: Vec::new(),
        seq: 0,
        members: 0,
    };
    maker.subscribe("log-stream", "$JS.EVENT.ADVISORY.STREAM.>", None);
    maker.subscribe("log-consumer", "$JS.EVENT.ADVISORY.CONSUMER.>", None);
    maker.subscribe("log-metric", "$JS.EVENT.METRIC.>", None);
    maker.filters = [maker.filters(), maker.filters()];
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
    /// Whether this history takes messages away.
    removals: bool,
    /// Whether its consumers may begin with the last message of each subject.
    lists: bool,
    /// Whether updates change filters. Then no request waits: where nats-server stands in the stream when a filter changes
    /// depends on what woke it last.
    changes: bool,
    /// The `priority_policy` of a consumer. nats-server keeps the pin over a change.
    policies: [&'static str; 2],
    /// Whether its consumers may have `ack_policy` `all`. There nats-server takes the consumer sequence of an ack as the
    /// floor, also where it is that of a redelivery or of an earlier consumer of the name; so nothing is negatively
    /// acknowledged, reset or deleted.
    acks_all: bool,
    /// Whether a consumer has a `sample_freq`: nats-server goes on sampling when an update takes it away.
    sampled: [bool; 2],
    /// The filters of consumers that keep them.
    filters: [Option<String>; 2],
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
            6 if !self.acks_all => {
                self.api(format!("CONSUMER.DELETE.S.{}", CONSUMERS[consumer]), "");
                if self.random.chance(70) {
                    self.create(consumer);
                }
            }
            7 if self.removals => {
                let seq = 1 + self.random.below(self.seq + 1);
                self.api(
                    "STREAM.MSG.DELETE.S".to_owned(),
                    &format!("{{\"seq\":{seq},\"no_erase\":true}}"),
                );
            }
            8 if self.removals => self.purge(),
            9 => self.pause(consumer),
            10 if !(self.acks_all || self.lists) || self.flavour == Flavour::Priority => {
                self.reset(consumer);
            }
            11 => self.interest(),
            _ => self.api("STREAM.INFO.S".to_owned(), ""),
        }
    }

    fn stream(&mut self) {
        let mut members = vec!["\"name\":\"S\",\"subjects\":[\"s.>\"]".to_owned()];
        if self.random.chance(40) {
            members.push("\"storage\":\"memory\"".to_owned());
        }
        if self.removals && self.random.chance(25) {
            members.push(format!("\"max_msgs\":{}", 5 + self.random.below(20)));
        }
        if self.removals && self.random.chance(25) {
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
            1 => self.random.filler(200),
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
        let step = Step::api(
            format!("CONSUMER.CREATE.S.{name}"),
            format!("{{\"stream_name\":\"S\",\"config\":{config}{action}}}"),
        );
        self.steps.push(step);
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
        let kind = match (self.changes, self.random.below(13)) {
            (true, kind @ (0 | 1 | 5..=9)) => 2 + kind % 3,
            (_, kind) => kind,
        };
        let body = match kind {
            0 => String::new(),
            1 => batch.to_string(),
            2..=4 => format!("{{\"batch\":{batch},\"no_wait\":true}}"),
            5..=7 => format!("{{\"batch\":{batch},\"expires\":600000000000}}"),
            8 => format!(
                "{{\"batch\":{batch},\"expires\":600000000000,\"max_bytes\":{}}}",
                batch * 60
            ),
            // At the end of what a purge left nats-server ends it with the next event.
            9 if self.removals => format!("{{\"batch\":{batch},\"no_wait\":true}}"),
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
        let body = match body {
            _ if self.acks_all && body.starts_with("-NAK") => "+WPI",
            "+NXT" if self.changes => "+ACK",
            _ => body,
        };
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
        // None with a filter: nats-server moves the ack floors of consumers with wider ones past what is pending.
        let body = match self.random.below(3) {
            0 => String::new(),
            1 => format!("{{\"seq\":{}}}", 1 + self.random.below(self.seq + 1)),
            _ => format!("{{\"keep\":{}}}", 1 + self.random.below(4)),
        };
        self.api("STREAM.PURGE.S".to_owned(), &body);
    }

    fn pause(&mut self, consumer: usize) {
        let call = format!("CONSUMER.PAUSE.S.{}", CONSUMERS[consumer]);
        if !self.removals && self.random.chance(60) {
            // It ends by itself, because nats-server takes up a consumer that is resumed before only with its next event.
            self.api(call, &format!("{{\"pause_until\":\"{LATER}\"}}"));
            let pause = self.steps.pop();
            self.publish();
            let publish = self.steps.pop();
            let mut together: Vec<Step> = pause.into_iter().chain(publish).collect();
            if matches!(self.flavour, Flavour::Pull | Flavour::Retention) {
                // Requests that do not wait end, where max_ack_pending let them.
                together.push(Step::Nudge {
                    consumer: CONSUMERS[consumer].to_owned(),
                });
            }
            self.steps.push(Step::Together(together));
            self.info(consumer);
            return self.steps.push(Step::Wait { millis: 3600 });
        }
        let body = self
            .random
            .pick(&["{\"pause_until\":\"2000-01-01T00:00:00Z\"}", "{}", ""]);
        self.api(call, body);
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
}
