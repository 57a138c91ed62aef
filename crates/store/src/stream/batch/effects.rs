//! What the messages of an atomic batch that were checked already will do to the stream.

use hashbrown::{HashMap, HashSet};

use crate::stream::publish::IsSchedule;

/// The effects of a batch that is being checked: the stream itself does not change before all of it has passed.
#[derive(Debug, Default)]
pub(super) struct BatchEffects<'a> {
    pub(super) messages: u64,
    /// Bytes as the stream accounts them.
    pub(super) bytes: u64,
    subjects: HashMap<&'a [u8], OnSubject>,
    msg_ids: HashSet<&'a [u8]>,
}

/// What a subject gets.
#[derive(Debug, Clone, Copy)]
struct OnSubject {
    messages: u64,
    /// The place in the batch of the last one, and whether that is a schedule.
    last: usize,
    is_schedule: IsSchedule,
}

impl<'a> BatchEffects<'a> {
    pub(super) fn is_empty(&self) -> bool {
        self.messages == 0
    }

    pub(super) fn messages_on(&self, subject: &[u8]) -> u64 {
        self.subjects.get(subject).map_or(0, |on| on.messages)
    }

    /// The place in the batch of the last message of a subject.
    pub(super) fn last_on(&self, subject: &[u8]) -> Option<usize> {
        self.subjects.get(subject).map(|on| on.last)
    }

    /// Whether the last message of a subject is a schedule.
    pub(super) fn schedule_on(&self, subject: &[u8]) -> Option<IsSchedule> {
        self.subjects.get(subject).map(|on| on.is_schedule)
    }

    pub(super) fn has_id(&self, id: &[u8]) -> bool {
        self.msg_ids.contains(id)
    }

    /// Adds a message that has passed its checks.
    pub(super) fn add(
        &mut self,
        subject: &'a [u8],
        bytes: u64,
        msg_id: Option<&'a [u8]>,
        is_schedule: IsSchedule,
    ) {
        let on_subject = self.subjects.entry(subject).or_insert(OnSubject {
            messages: 0,
            last: 0,
            is_schedule,
        });
        on_subject.messages += 1;
        on_subject.last = usize::try_from(self.messages).unwrap_or(usize::MAX);
        on_subject.is_schedule = is_schedule;
        self.messages += 1;
        self.bytes += bytes;
        self.msg_ids.extend(msg_id);
    }
}
