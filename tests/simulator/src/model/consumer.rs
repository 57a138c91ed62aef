//! What clients know of a consumer, and what it must therefore do.

use std::collections::{BTreeMap, BTreeSet};

use super::Content;
use crate::plan::{ConsumerPlan, Deliver};

/// A consumer as its clients know it.
#[derive(Debug)]
pub(crate) struct ConsumerModel {
    pub(crate) name: String,
    pub(crate) policy: AckPolicy,
    /// A subject, or empty for all.
    pub(crate) filter: String,
    /// 0 for no limit.
    pub(crate) max_deliver: u64,
    /// 0 for no limit.
    pub(crate) max_ack_pending: u64,
    pub(crate) deliver: Deliver,
    /// The event at which it was asked for.
    pub(crate) asked: u64,
    /// It was, or may have been, told to go on with this sequence, whatever it had done with those below.
    pub(crate) reset_to: u64,
    /// The event at which it was certainly there.
    pub(crate) born: Option<u64>,
    /// Its creation as the server has told it: another time is another consumer.
    pub(crate) created: Option<String>,
    /// The number that the description must show, and one that it may show instead.
    pub(crate) version: u64,
    pub(crate) maybe_version: Option<u64>,
    pub(crate) delivered: BTreeSet<u64>,
    /// Acks and terms that were sent.
    pub(crate) acks: BTreeMap<u64, Sent>,
    /// Who was pinned since the server's start, by the pin's name.
    pub(crate) pins: BTreeMap<String, Pin>,
    /// As the server has told it last, if nothing was asked for since.
    pub(crate) pause: Option<Pause>,
    pub(crate) is_pausing: bool,
}

/// Nothing is delivered until then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pause {
    pub(crate) until: i64,
    /// What was under way when it began has come.
    pub(crate) has_begun: bool,
}

/// A time for which a client was the only one to be served.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pin {
    client: usize,
    /// Numbers of its deliveries.
    first: u64,
    last: u64,
    /// The server has said so.
    is_over: bool,
}

/// How a consumer's messages are acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AckPolicy {
    None,
    All,
    Explicit,
}

/// An ack or a term that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    Unconfirmed,
    Confirmed,
}

/// A consumer as its info shows it, at rest.
#[derive(Debug, Default)]
pub(crate) struct ConsumerState {
    pub(crate) created: String,
    pub(crate) version: u64,
    pub(crate) delivered: u64,
    pub(crate) floor: u64,
    pub(crate) ack_pending: u64,
    pub(crate) pending: u64,
    pub(crate) paused_until: i64,
}

impl ConsumerModel {
    pub(crate) fn new(plan: &ConsumerPlan) -> Self {
        Self {
            name: plan.name.clone(),
            policy: plan.policy,
            filter: match plan.filter.ends_with('>') {
                true => String::new(),
                false => plan.filter.clone(),
            },
            max_deliver: plan.max_deliver,
            max_ack_pending: if plan.policy == AckPolicy::None {
                0
            } else {
                plan.max_ack_pending
            },
            deliver: plan.deliver,
            asked: 0,
            reset_to: 0,
            born: None,
            created: None,
            version: 0,
            maybe_version: None,
            delivered: BTreeSet::new(),
            acks: BTreeMap::new(),
            pins: BTreeMap::new(),
            pause: None,
            is_pausing: false,
        }
    }

    /// A delivery with this number has come with a pin: a pin has one client, and one comes behind the other.
    pub(crate) fn note_pin(&mut self, pin: &str, client: usize, at: u64) -> Result<(), String> {
        let name = &self.name;
        if pin.is_empty() {
            return Err(format!("consumer {name}: delivery {at} without a pin"));
        }
        let first = Pin {
            client,
            first: at,
            last: at,
            is_over: false,
        };
        let noted = self.pins.entry(pin.to_owned()).or_insert(first);
        noted.first = noted.first.min(at);
        noted.last = noted.last.max(at);
        let (noted, pins) = (*noted, &self.pins);
        let meets = |other: &Pin| other.first <= noted.last && noted.first <= other.last;
        let others = pins.iter().filter(|(other, _)| *other != pin);
        if noted.client != client || others.into_iter().any(|(_, other)| meets(other)) {
            return Err(format!(
                "consumer {name}: delivery {at} with pin {pin} to client {client}, of {pins:?}"
            ));
        }
        Ok(())
    }

    /// The pin that a client would ask with.
    pub(crate) fn pin_of(&self, client: usize) -> Option<&str> {
        let its_own = self.pins.iter();
        let its_own = its_own.filter(|(_, pin)| pin.client == client && !pin.is_over);
        let last = its_own.max_by_key(|(_, pin)| pin.last)?;
        Some(last.0)
    }

    pub(crate) fn forget_pins_of(&mut self, client: usize) {
        let its_own = self.pins.values_mut();
        for pin in its_own.filter(|pin| pin.client == client) {
            pin.is_over = true;
        }
    }

    pub(crate) fn matches(&self, subject: &str) -> bool {
        self.filter.is_empty() || self.filter == subject
    }

    /// Whether an ack that settles this sequence was sent.
    pub(crate) fn is_ack_sent(&self, seq: u64) -> bool {
        match self.policy {
            AckPolicy::None => true,
            AckPolicy::Explicit => self.acks.contains_key(&seq),
            AckPolicy::All => self.acks.range(seq..).next().is_some(),
        }
    }

    fn is_confirmed(&self, seq: u64) -> bool {
        match self.policy {
            AckPolicy::None => false,
            AckPolicy::Explicit => self.acks.get(&seq) == Some(&Sent::Confirmed),
            AckPolicy::All => self
                .acks
                .range(seq..)
                .any(|(_, sent)| *sent == Sent::Confirmed),
        }
    }

    /// It goes back, or on, to a sequence; 0 for its floor. What was settled behind that comes again.
    pub(crate) fn reset(&mut self, seq: u64) {
        self.reset_to = self.reset_to.max(seq);
        for sent in self.acks.values_mut() {
            *sent = Sent::Unconfirmed;
        }
    }

    /// A message was delivered, for the `times`th time as it says. `was_stored`: its last copy was known before this event.
    pub(crate) fn deliver(
        &mut self,
        seq: u64,
        times: u64,
        was_stored: Option<u64>,
        now: i64,
        damaged: bool,
    ) -> Result<(), String> {
        let name = &self.name;
        let is_older = match self.deliver {
            Deliver::New => was_stored.is_some_and(|stored| stored < self.asked),
            Deliver::From(first) => seq < first,
            Deliver::All | Deliver::Last | Deliver::LastPerSubject => false,
        };
        if is_older && !damaged {
            let deliver = self.deliver;
            return Err(format!("consumer {name}: {seq} came, it has {deliver:?}"));
        }
        if let Some(pause) = self.pause_at(now)
            && pause.has_begun
            && !damaged
        {
            return Err(format!("consumer {name}: {seq} came in {pause:?}"));
        }
        if self.is_confirmed(seq) && !damaged {
            return Err(format!(
                "consumer {name}: {seq} came again after its confirmed ack"
            ));
        }
        if self.max_deliver > 0 && times > self.max_deliver {
            return Err(format!(
                "consumer {name}: {seq} came for the {times}th time"
            ));
        }
        self.delivered.insert(seq);
        Ok(())
    }

    /// The pause that is certainly in force.
    fn pause_at(&self, now: i64) -> Option<Pause> {
        self.pause.filter(|pause| now < pause.until)
    }

    /// Compares its state, at rest, with what it must be. `is_later`: whether a message was stored when it was there already.
    pub(crate) fn check(
        &self,
        state: &ConsumerState,
        content: &Content,
        is_later: &dyn Fn(u64) -> bool,
        now: i64,
        damaged: bool,
    ) -> Result<(), String> {
        let name = &self.name;
        let fail = |what: &str| {
            Err(format!(
                "consumer {name}: {what}: {state:?}, stream up to {}",
                content.last
            ))
        };
        if state.floor > state.delivered {
            return fail("floor beyond what was delivered");
        }
        // Damage to the record of an ack brings its message back among those that await one, and another one was delivered in its place.
        let acked = self.delivered.iter().filter(|seq| self.is_ack_sent(**seq));
        let forgotten = if damaged { acked.count() as u64 } else { 0 };
        if self.max_ack_pending > 0 && state.ack_pending > self.max_ack_pending + forgotten {
            return fail("more await an ack than may");
        }
        if let Some(pause) = self.pause_at(now)
            && pause.until != state.paused_until
            && !damaged
        {
            return fail(&format!("{pause:?}"));
        }
        let is_ahead = matches!(self.deliver, Deliver::From(_)) || self.reset_to > content.last;
        if state.delivered > content.last && !is_ahead {
            return fail("delivered beyond the stream");
        }
        let counted = content
            .messages
            .range(state.delivered + 1..)
            .filter(|(_, message)| self.matches(&message.subject))
            .count() as u64;
        let has_list = self.deliver == Deliver::LastPerSubject;
        if counted != state.pending && !has_list && !damaged {
            return fail(&format!("{counted} messages are pending"));
        }
        if self.policy == AckPolicy::None || self.max_deliver > 0 || damaged {
            return Ok(());
        }
        let passed = content
            .messages
            .range(..=state.floor)
            .find(|(seq, message)| {
                self.matches(&message.subject)
                    && self.must_have(**seq, is_later)
                    && !self.is_ack_sent(**seq)
            });
        if let Some((seq, _)) = passed {
            return fail(&format!("floor beyond {seq}, for which no ack was sent"));
        }
        Ok(())
    }

    /// Whether it must have delivered a message before it passes it.
    fn must_have(&self, seq: u64, is_later: &dyn Fn(u64) -> bool) -> bool {
        let is_of_it = match self.deliver {
            Deliver::All => true,
            Deliver::From(first) => seq >= first,
            Deliver::New | Deliver::Last | Deliver::LastPerSubject => is_later(seq),
        };
        is_of_it && seq >= self.reset_to
    }

    /// Compares what it has delivered in its life, when it was asked last, with what it was to deliver.
    pub(crate) fn check_complete(
        &self,
        content: &Content,
        is_later: &dyn Fn(u64) -> bool,
        asked_at: i64,
    ) -> Result<(), String> {
        if self.max_deliver > 0 || self.policy == AckPolicy::None {
            // What is under way to a client that goes is lost with it.
            return Ok(());
        }
        let missing = content.messages.iter().find(|(seq, message)| {
            self.matches(&message.subject)
                && message.time < asked_at
                && self.must_have(**seq, is_later)
                && !self.delivered.contains(seq)
                && !(self.policy != AckPolicy::None && self.is_ack_sent(**seq))
        });
        match missing {
            None => Ok(()),
            Some((seq, _)) => Err(format!("consumer {}: {seq} never came", self.name)),
        }
    }
}
