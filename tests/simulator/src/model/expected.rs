//! What the server says, by storing a message that expects it or refusing one, of the last sequence of a stream or of a subject.

use super::stream::StreamModel;
use super::{Content, Limits};

/// What a publish expects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Expected {
    /// `None`: of the stream.
    pub(crate) subject: Option<String>,
    pub(crate) last: u64,
}

/// A sequence behind which nothing was, of a subject.
#[derive(Clone, Debug)]
pub(crate) struct LastTold {
    subject: String,
    last: u64,
    when: When,
}

#[derive(Clone, Copy, Debug)]
enum When {
    /// When the message with this sequence was stored.
    Stored(u64),
    /// After this event.
    Refused(u64),
}

impl StreamModel {
    /// A message was stored that expects this.
    pub(crate) fn learn_expected(&mut self, expected: Expected, seq: u64) -> Result<(), String> {
        let Expected { subject, last } = expected;
        match subject {
            Some(subject) => {
                let when = When::Stored(seq);
                self.last_told.push(LastTold {
                    subject,
                    last,
                    when,
                });
                Ok(())
            }
            None if seq == last + 1 => Ok(()),
            None => Err(format!(
                "{}: {seq} was stored although it expects {last} to be the last",
                self.name
            )),
        }
    }

    /// A message that was sent at this event was refused, since this is the last sequence.
    pub(crate) fn learn_unexpected(
        &mut self,
        expected: Expected,
        last: u64,
        issued: u64,
    ) -> Result<(), String> {
        if last == expected.last {
            let name = &self.name;
            return Err(format!("{name}: refused although it is as in {expected:?}"));
        }
        // An answer that refuses waits for no disk: what it speaks of may have been removed to make room for what a crash then took.
        let unlimited = Limits::default();
        let keeps_all = self.limits.iter().all(|limits| *limits == unlimited) && !self.by_interest;
        if let Some(subject) = expected.subject.filter(|_| keeps_all) {
            let when = When::Refused(issued);
            self.last_told.push(LastTold {
                subject,
                last,
                when,
            });
        }
        Ok(())
    }

    /// Nothing is there that must have been there then.
    pub(super) fn check_last_told(&mut self, content: &Content) -> Result<(), String> {
        let told = std::mem::take(&mut self.last_told);
        if self.damaged {
            return Ok(());
        }
        for told in told {
            let behind = content.messages.range(told.last + 1..);
            let mut behind = behind.filter(|(_, message)| message.subject == told.subject);
            let between = behind.find(|(seq, _)| match told.when {
                When::Stored(stored) => **seq < stored,
                When::Refused(issued) => self.known.get(seq).is_some_and(|id| {
                    let publish = &self.publishes[id];
                    publish.acknowledged().any(|at| at == **seq)
                        && publish.last_chance().is_some_and(|last| last < issued)
                        && !self.may_be_removed(**seq, *id, publish)
                }),
            });
            if let Some((seq, _)) = between {
                return Err(format!("{}: {seq} is there, told was {told:?}", self.name));
            }
        }
        Ok(())
    }

    /// The last sequence on a subject that clients know of; 0 if they know none.
    pub(crate) fn last_known_of(&self, subject: &str) -> u64 {
        let known = self.known.iter().rev();
        let mut on_subject = known.filter(|(seq, id)| {
            self.publishes[id].subject == subject && !self.sent.contains_key(seq)
        });
        on_subject.next().map_or(0, |(seq, _)| *seq)
    }
}
