//! What every delivery and every number has to keep to.

use jetsled_jetstream_api::{AckPolicy, Nanos};

use crate::history::Step;
use crate::model::{Model, Pending};
use crate::requests::{Asked, Client, Seen};

impl Model {
    /// Checks and notes what the consumer did.
    pub(crate) fn take(&mut self, lines: &[String]) {
        for line in lines {
            if let Some((to, delivery)) = line.split_once(": ")
                && line.contains(" left")
            {
                let mut words = delivery.split([' ', ',']);
                let seq: u64 = words.next().unwrap().parse().unwrap();
                let deliveries = match delivery.split_once('(') {
                    Some((_, count)) => count.split(')').next().unwrap().parse().unwrap(),
                    None => 1,
                };
                let (_, left) = delivery.split_once(", ").unwrap();
                let left: u64 = left.split(' ').next().unwrap().parse().unwrap();
                let seen = Seen {
                    pending: left + 1,
                    ack_pending: self.known.pending.len() as u64,
                };
                self.delivery(seq, deliveries);
                self.serve(to, seen);
            } else if let Some(seq) = advisory_seq(line, "MaxDeliveries") {
                assert!(
                    self.known.pending.remove(&seq).is_some(),
                    "{seq} was pending"
                );
                self.known.exhausted.insert(seq);
            } else if let Some(seq) = advisory_seq(line, "Terminated")
                && line.contains("was deleted")
            {
                assert!(
                    self.known.pending.remove(&seq).is_some(),
                    "{seq} was pending"
                );
                assert!(!self.world.stream.messages.contains_key(&seq));
            } else if let Some((_, pin)) = line.split_once(r#"Pinned { group: "g", pinned_id: ""#) {
                self.requests.pin(pin.split('"').next());
            } else if line.starts_with("Unpinned") {
                self.requests.pin(None);
            } else if let Some((to, status)) = line.split_once(": ")
                && status.starts_with(['3', '4'])
            {
                self.end_of_request(to, status);
            }
        }
    }

    /// A delivery goes to one request, and to one that may have it.
    fn serve(&mut self, to: &str, seen: Seen) {
        if self.choice.push {
            assert_eq!(to, "push");
        } else {
            self.requests.serve(to, seen);
        }
    }

    fn end_of_request(&mut self, to: &str, status: &str) {
        if status.starts_with("409 Consumer is push based") {
            return;
        }
        // `+NXT` always asks in the same name.
        if to != "i" {
            assert!(self.requests.end(to), "{to} had asked: {status}");
        }
    }

    fn delivery(&mut self, seq: u64, deliveries: u64) {
        let stored = self
            .world
            .stream
            .messages
            .get(&seq)
            .expect("a stored message");
        let now = self.world.now;
        assert!(
            !self.confirmed.contains_key(&seq),
            "{seq} was confirmed as acked"
        );
        assert!(now >= self.paused_until, "{seq} comes during a pause");
        assert!(
            deliveries <= self.choice.max_deliver,
            "{seq} comes the {deliveries}th time"
        );
        assert!(!self.known.exhausted.contains(&seq), "{seq} was given up");
        if seq > self.known.delivered_to {
            assert!(self.choice.matches(&stored.subject), "{seq} matches");
            self.assert_nothing_between(self.known.delivered_to, seq);
            assert!(
                self.choice.ack_policy == AckPolicy::None
                    || self.known.pending.len() < self.choice.max_ack_pending,
                "{seq} comes although {:?} are unacked",
                self.known.pending
            );
            self.known.delivered_to = seq;
            if self.choice.ack_policy != AckPolicy::None {
                let pending = Pending {
                    deliveries: 0,
                    since: now,
                    asked: true,
                };
                self.known.pending.insert(seq, pending);
            }
        } else {
            assert!(
                self.known.pending.contains_key(&seq),
                "{seq} comes again and is pending"
            );
        }
        if let Some(pending) = self.known.pending.get_mut(&seq) {
            // Times on disk are whole milliseconds.
            let wait = self.choice.ack_wait(pending.deliveries);
            let due = pending.since.saturating_add(wait);
            let due = due.saturating_sub(Nanos::from_millis(1));
            assert!(
                pending.asked || now >= due,
                "{seq} comes at {now} although it is due at {due}"
            );
            pending.deliveries += 1;
            assert_eq!(
                deliveries, pending.deliveries,
                "the deliveries of {seq} are counted"
            );
            pending.asked = false;
            pending.since = now;
        }
        self.ever_delivered.insert(seq);
    }

    pub(crate) fn assert_nothing_between(&self, after: u64, before: u64) {
        let after = after.max(self.known.blind_to);
        let passed_by = self
            .world
            .stream
            .messages
            .range(after.saturating_add(1)..before.max(after.saturating_add(1)))
            .find(|(_, message)| self.choice.matches(&message.subject));
        assert_eq!(
            passed_by.map(|(seq, _)| *seq),
            None,
            "passed by on the way to {before}"
        );
    }

    pub(crate) fn check_numbers(&mut self) {
        let info = self.world.info();
        let told = std::mem::take(&mut self.world.told);
        self.take(&told);
        let (delivered, floor) = (
            info.delivered.stream_seq.get(),
            info.ack_floor.stream_seq.get(),
        );
        assert!(
            floor <= delivered && delivered <= self.world.stream.last,
            "{info:?}"
        );
        assert!(
            floor >= self.known.floor,
            "the floor {floor} went back from {}",
            self.known.floor
        );
        self.known.floor = floor;
        if let Some(first) = self.known.pending.keys().next() {
            assert!(
                floor < *first,
                "the floor {floor} is below {:?}",
                self.known.pending
            );
        }
        assert_eq!(
            info.num_ack_pending,
            self.known.pending.len() as u64,
            "{:?}",
            self.known
        );
        let again = self.known.pending.values().filter(|p| p.deliveries > 1);
        let again = again.count() + self.known.exhausted.len();
        if !self.crashed && self.choice.max_deliver > 1 {
            assert_eq!(info.num_redelivered, again as u64, "{:?}", self.known);
        }
        let after = |seq: u64| {
            let matching = self.world.stream.messages.range(seq + 1..);
            matching
                .filter(|(_, message)| self.choice.matches(&message.subject))
                .count() as u64
        };
        let least = after(delivered.max(self.known.blind_to));
        assert!(
            (least..=after(delivered)).contains(&info.num_pending),
            "pending after {delivered}: {} {:?}",
            info.num_pending,
            self.known
        );
        for seq in self.known.pending.keys() {
            let subject = &self.world.stream.messages[seq].subject;
            if self.choice.matches(subject) {
                let needs = self.world.consumer.needs((*seq).into(), subject.as_bytes());
                assert!(needs, "{seq} is needed");
            }
        }
        if !self.requests.contains("i") {
            assert_eq!(info.num_waiting, self.requests.len() as u64, "{info:?}");
        }
    }

    /// With a client that acks everything, everything gets done.
    pub(crate) fn finish(&mut self) {
        self.run(&Step::Listen { listens: true });
        self.run(&Step::Advance { millis: 2000 });
        for _ in 0..1000 {
            self.run(&Step::Pull {
                batch: 100,
                no_wait: false,
                expires_millis: 900,
                asked: Asked {
                    client: Client::Pinned,
                    ..Asked::default()
                },
            });
            self.run(&Step::AnswerFlowControl { at: usize::MAX });
            if self.known.pending.is_empty() && self.world.info().num_pending == 0 {
                break;
            }
            let (unacked, takes_acks) = (self.known.pending.clone(), self.choice.takes_acks());
            for seq in unacked.into_keys().filter(|_| takes_acks) {
                if self.world.stream.messages.contains_key(&seq) {
                    self.known.pending.remove(&seq);
                    if self.choice.ack_policy == AckPolicy::All {
                        self.done_through(seq);
                    }
                    let lines = self.world.ack(seq, "", "");
                    self.take(&lines);
                }
            }
            self.run(&Step::Advance { millis: 5000 });
        }
        assert!(
            self.known.pending.is_empty(),
            "still pending: {:?}",
            self.known.pending
        );
        for (seq, message) in self.world.stream.messages.range(self.sure_above + 1..) {
            assert!(
                !self.choice.matches(&message.subject) || self.ever_delivered.contains(seq),
                "{seq} was never delivered"
            );
        }
    }
}

fn advisory_seq(line: &str, name: &str) -> Option<u64> {
    let rest = line.strip_prefix(name)?;
    let (_, rest) = rest.split_once("stream_seq: (")?;
    rest.split(')').next()?.parse().ok()
}
