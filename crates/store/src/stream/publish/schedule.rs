//! Message schedules (ADR-51): what a publish may ask for, and what a schedule sends when it is due.

use jetsled_jetstream_api::{ApiError, StreamSeq, Timestamp};
use jetsled_protocol::{headers, subject};

use crate::log::{Log, ReadError};
use crate::schedule::Pattern;
use crate::stream::publish_headers::{PURGE, PublishHeaders};
use crate::stream::ttl::MessageTtl;
use crate::stream::{Publish, PublishError, Scheduled, StoredMessage, Stream};

const TARGET: &[u8] = b"Nats-Schedule-Target";
const SOURCE: &[u8] = b"Nats-Schedule-Source";
const TTL: &[u8] = b"Nats-Schedule-TTL";
const ROLLUP: &[u8] = b"Nats-Schedule-Rollup";

/// Whether a message is a schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::stream) enum IsSchedule {
    No,
    Yes,
}

impl Stream {
    /// Checks what a client says of schedules. A schedule is stored with `Nats-Rollup: sub`. `scheduler`: whether a message that is not
    /// stored yet makes, or unmakes, the schedule that this one ends.
    pub(in crate::stream) fn check_schedule(
        &mut self,
        log: &mut Log,
        message: &Publish<'_>,
        steering: &PublishHeaders<'_>,
        now: Timestamp,
        scheduler: Option<IsSchedule>,
    ) -> Result<IsSchedule, PublishError> {
        let is_schedule = self.check_new_schedule(message, steering, now)?;
        self.check_scheduler(log, message.subject, steering, scheduler)?;
        Ok(is_schedule)
    }

    fn check_new_schedule(
        &self,
        message: &Publish<'_>,
        steering: &PublishHeaders<'_>,
        now: Timestamp,
    ) -> Result<IsSchedule, ApiError> {
        if steering.schedule.is_none() && steering.schedule_time_zone.is_none() {
            return Ok(IsSchedule::No);
        }
        let next = Pattern::parse(
            steering.schedule.unwrap_or_default(),
            steering.schedule_time_zone,
        )
        .and_then(|pattern| match pattern {
            // What matches no time of the coming years is no pattern.
            Some(pattern) => pattern
                .next(now, now)
                .map(Some)
                .ok_or(ApiError::MESSAGE_SCHEDULES_PATTERN_INVALID),
            None => Ok(None),
        });
        match next {
            Ok(None) => return Ok(IsSchedule::No),
            _ if !self.config.allow_msg_schedules => {
                return Err(ApiError::MESSAGE_SCHEDULES_DISABLED);
            }
            Err(error) => return Err(error),
            Ok(Some(_)) => {}
        }
        let given = |key| headers::get(message.headers, key).filter(|value| !value.is_empty());
        let ttl = given(TTL);
        if MessageTtl::of(ttl).is_err() {
            return Err(ApiError::MESSAGE_SCHEDULES_TTL_INVALID);
        }
        if given(ROLLUP).is_some_and(|rollup| rollup != b"sub") {
            return Err(ApiError::MESSAGE_SCHEDULES_ROLLUP_INVALID);
        }
        if ttl.is_some() && !self.config.allow_msg_ttl {
            return Err(ApiError::MESSAGE_TTL_DISABLED);
        }
        let goes_elsewhere =
            |name: &[u8]| subject::is_valid_literal(name) && name != message.subject;
        let target = given(TARGET)
            .filter(|target| goes_elsewhere(target))
            .ok_or(ApiError::MESSAGE_SCHEDULES_TARGET_INVALID)?;
        let source = given(SOURCE);
        if source.is_some_and(|source| !goes_elsewhere(source) || source == target) {
            return Err(ApiError::MESSAGE_SCHEDULES_SOURCE_INVALID);
        }
        if !self.captures(target) {
            return Err(ApiError::MESSAGE_SCHEDULES_TARGET_INVALID);
        }
        if source.is_some_and(|source| !self.captures(source)) {
            return Err(ApiError::MESSAGE_SCHEDULES_SOURCE_INVALID);
        }
        match steering.rollup.filter(|rollup| !rollup.is_empty()) {
            Some(rollup) if !rollup.eq_ignore_ascii_case(b"sub") => {
                Err(ApiError::MESSAGE_SCHEDULES_ROLLUP_INVALID)
            }
            _ => Ok(IsSchedule::Yes),
        }
    }

    /// A client may end a schedule by `Nats-Schedule-Next: purge` with its subject as `Nats-Scheduler`, and use neither otherwise.
    fn check_scheduler(
        &mut self,
        log: &mut Log,
        subject: &[u8],
        steering: &PublishHeaders<'_>,
        staged: Option<IsSchedule>,
    ) -> Result<(), PublishError> {
        const INVALID: ApiError = ApiError::MESSAGE_SCHEDULES_SCHEDULER_INVALID;
        let scheduler = steering.scheduler.filter(|value| !value.is_empty());
        let Some(next) = steering.schedule_next.filter(|value| !value.is_empty()) else {
            return match scheduler {
                Some(_) => Err(INVALID.into()),
                None => Ok(()),
            };
        };
        let scheduler = scheduler
            .filter(|name| next == PURGE && *name != subject && subject::is_valid_literal(name))
            .ok_or(INVALID)?;
        if !self.config.allow_msg_schedules {
            return Err(ApiError::MESSAGE_SCHEDULES_DISABLED.into());
        }
        if let Some(staged) = staged {
            return match staged {
                IsSchedule::Yes => Ok(()),
                IsSchedule::No => Err(INVALID.into()),
            };
        }
        if let Some(seq) = self.last_of_subject(log, scheduler)?
            && let Some(last) = self.load(log, seq)?
            && headers::get(last.headers, b"Nats-Schedule").is_none_or(<[u8]>::is_empty)
        {
            return Err(INVALID.into());
        }
        Ok(())
    }

    fn captures(&self, literal: &[u8]) -> bool {
        let subjects = &self.config.subjects;
        subjects
            .iter()
            .any(|own| subject::matches(literal, own.as_bytes()))
    }

    /// Counts a stored message in: a new schedule, the end of one, or the next time of the one that sent it. Comes behind the removal
    /// of what it replaces, so that a schedule is its subject's first message.
    #[inline]
    pub(in crate::stream) fn note_schedule(
        &mut self,
        log: &mut Log,
        seq: u64,
        time: Timestamp,
        subject: &[u8],
        steering: &PublishHeaders<'_>,
    ) -> Result<(), ReadError> {
        if !self.config.allow_msg_schedules || !self.is_live(seq) {
            return Ok(());
        }
        self.note_live_schedule(log, seq, time, subject, steering)
    }

    fn note_live_schedule(
        &mut self,
        log: &mut Log,
        seq: u64,
        time: Timestamp,
        subject: &[u8],
        steering: &PublishHeaders<'_>,
    ) -> Result<(), ReadError> {
        if let Some(deadline) = first_deadline(steering, time) {
            self.schedules.set(seq, deadline.0);
        } else if steering.scheduler.is_none_or(<[u8]>::is_empty)
            && let Some(schedule) = self.schedule_of(log, subject)?
        {
            self.schedules.remove(schedule);
        }
        if let Some(next) = steering.schedule_next.filter(|next| *next != PURGE)
            && let Ok(next) = std::str::from_utf8(next)
            && let Ok(next) = next.parse::<Timestamp>()
            && let Some(scheduler) = steering.scheduler
            && let Some(schedule) = self.schedule_of(log, scheduler)?
        {
            self.schedules.has_sent(schedule, time.0, next.0);
        }
        Ok(())
    }

    /// Where the schedule of a subject would be: what came before it went when it was stored.
    fn schedule_of(&mut self, log: &mut Log, name: &[u8]) -> Result<Option<u64>, ReadError> {
        if self.schedules.is_empty() {
            return Ok(None);
        }
        match self.subjects.find(name) {
            Some(id) => self.first_of(log, id),
            None => Ok(None),
        }
    }

    /// Ends the schedule that a message says has fired for the last time.
    pub(super) fn end_schedule(&mut self, log: &mut Log, steering: &PublishHeaders<'_>) {
        if let Some(scheduler) = steering.ended_schedule() {
            // What can not be read goes later.
            let _ = self.purge_or_put_off(log, self.last, scheduler);
        }
    }

    /// Takes what schedules send at `now`, of at most `limit` of them and about [`SENT_BYTES`], in order of their sequences; answers whether
    /// more is due. Each fires again only once the message it sent is stored, or after [`Stream::put_off_schedule`]. What can not be read stays due.
    pub(crate) fn take_scheduled(
        &mut self,
        log: &mut Log,
        now: Timestamp,
        limit: usize,
        out: &mut Vec<Scheduled>,
    ) -> Result<bool, ReadError> {
        if self.config.sealed {
            return Ok(false);
        }
        let mut due = Vec::new();
        let mut more = false;
        while let Some(taken) = self.schedules.take_due(now.0) {
            due.push(taken);
            if due.len() >= limit {
                more = true;
                break;
            }
        }
        due.sort_unstable_by_key(|(_, seq)| *seq);
        let (mut bytes, mut failed) = (0, None);
        for (deadline, seq) in due {
            if bytes >= SENT_BYTES {
                self.schedules.move_to(seq, deadline);
                more = true;
                continue;
            }
            match self.scheduled(log, seq, Timestamp(deadline), now) {
                Ok(Some(sent)) => {
                    bytes += sent.headers.len() + sent.payload.len();
                    out.push(sent);
                }
                Ok(None) => self.schedules.remove(seq),
                Err(error) => {
                    self.schedules.move_to(seq, deadline);
                    failed = Some(error);
                }
            }
        }
        match failed {
            Some(error) => Err(error),
            None => Ok(more),
        }
    }

    /// What a schedule sends; `None` if its message is gone or no schedule.
    fn scheduled(
        &mut self,
        log: &mut Log,
        seq: u64,
        deadline: Timestamp,
        now: Timestamp,
    ) -> Result<Option<Scheduled>, ReadError> {
        let Some(message) = self.load(log, seq)? else {
            return Ok(None);
        };
        let steering = PublishHeaders::scan(message.headers);
        let given = |key| headers::get(message.headers, key).filter(|value| !value.is_empty());
        let Ok(Some(pattern)) = Pattern::parse(
            steering.schedule.unwrap_or_default(),
            steering.schedule_time_zone,
        ) else {
            return Ok(None);
        };
        let Some(target) = given(TARGET).map(<[u8]>::to_vec) else {
            return Ok(None);
        };
        let next = match pattern.next(deadline, now) {
            Some(next) if pattern.repeats() => Some(next),
            _ => None,
        };
        let mut added: Vec<(&[u8], Vec<u8>)> = vec![
            (b"Nats-Scheduler", message.subject.to_vec()),
            (
                b"Nats-Schedule-Next",
                next.map_or_else(|| PURGE.to_vec(), |next| next.to_string().into_bytes()),
            ),
        ];
        added.extend(given(TTL).map(|ttl| (&b"Nats-TTL"[..], ttl.to_vec())));
        added.extend(given(ROLLUP).map(|rollup| (&b"Nats-Rollup"[..], rollup.to_vec())));
        let source = given(SOURCE).map(<[u8]>::to_vec);
        let copy =
            |message: &StoredMessage<'_>| (message.headers.to_vec(), message.payload.to_vec());
        let own = copy(&message);
        let taken = match source {
            Some(source) => match self.last_of_subject(log, &source)? {
                Some(last) => self.load(log, last)?.as_ref().map(copy),
                None => None,
            },
            None => None,
        };
        let (mut headers, payload) = taken.unwrap_or(own);
        for prefix in [&b"Nats-Schedule"[..], b"Nats-Expected-"] {
            headers::remove_prefix(&mut headers, prefix);
        }
        for key in [&b"Nats-Msg-Id"[..], b"Nats-TTL", b"Nats-Rollup"] {
            headers::remove(&mut headers, key);
        }
        for (key, value) in added {
            headers::append(&mut headers, key, &value);
        }
        Ok(Some(Scheduled {
            stream: self.id,
            schedule: StreamSeq(seq),
            subject: target,
            headers,
            payload,
            next,
        }))
    }

    /// The message that a schedule sent was not stored: it is due again at `until`.
    pub(crate) fn put_off_schedule(&mut self, seq: u64, until: Timestamp) {
        if self.is_live(seq) {
            self.schedules.move_to(seq, until.0);
        }
    }
}

/// Bytes of messages that schedules send at a time, give or take one.
const SENT_BYTES: usize = 8 << 20;

/// When a message that is stored at `time` is due as a schedule; `None` if it is none.
fn first_deadline(steering: &PublishHeaders<'_>, time: Timestamp) -> Option<Timestamp> {
    let pattern = steering.schedule.filter(|pattern| !pattern.is_empty())?;
    let pattern = Pattern::parse(pattern, steering.schedule_time_zone).ok()??;
    pattern.next(time, time)
}
