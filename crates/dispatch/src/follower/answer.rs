//! What the origin answers.

use jetsled_jetstream_api::{AckPolicy, ApiError, ConsumerInfo, ConsumerSeq, StreamSeq, Timestamp};
use serde::Deserialize;

use super::{FollowKind, Follower, FollowerCommand, Phase, Tail};

/// The answer to a request.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    /// The number of the request, as [`Follower::requests`] told it.
    pub request: u64,
    /// The header `Nats-Stream-Identity`; empty if there is none.
    pub identity: &'a str,
    /// The body.
    pub body: &'a [u8],
}

/// The parts of a reply to a create or reset request that matter. All others may be anything.
#[derive(Deserialize)]
struct Reply {
    error: Option<ApiError>,
    #[serde(flatten)]
    info: Option<ConsumerInfo>,
}

impl Follower {
    /// The origin has answered.
    pub fn on_answer(
        &mut self,
        answer: &Answer<'_>,
        tail: &Tail,
        now: Timestamp,
        out: &mut Vec<FollowerCommand>,
    ) {
        let Phase::Asked { level, .. } = &self.phase else {
            return;
        };
        if answer.request != self.requests {
            return;
        }
        let level = *level;
        match self.read(answer.body) {
            Ok(info) => self.follow(&info, answer.identity, tail, now, out),
            Err(error) if error.err_code == IDENTITY_MISMATCH => {
                self.position = StreamSeq(0);
                self.stored = StreamSeq(0);
                self.delivered = ConsumerSeq(0);
                self.identity.clear();
                self.recreated = true;
                self.start_over(now, out);
            }
            Err(error) => {
                let not_known = [ApiError::REQUIRED_API_LEVEL.err_code, INVALID_JSON];
                let older = level.older(&self.plan.source);
                if let Some(older) = older.filter(|_| not_known.contains(&error.err_code)) {
                    return self.ask(older, tail, now, out);
                }
                self.error = Some(error.clone());
                out.push(FollowerCommand::Refused(error));
                self.failures += 1;
                self.start_over(now, out);
            }
        }
    }

    /// The consumer that a reply tells of, or why there is none that can be used.
    fn read(&self, body: &[u8]) -> Result<ConsumerInfo, ApiError> {
        let failed = |text: String| match self.plan.kind {
            FollowKind::Mirror => ApiError::mirror_consumer_setup_failed(text),
            FollowKind::Source => ApiError::source_consumer_setup_failed(text),
        };
        let reply: Reply = serde_json::from_slice(body)
            .map_err(|_| failed("invalid consumer create response".to_owned()))?;
        if let Some(error) = reply.error {
            return Err(error);
        }
        let info = reply
            .info
            .filter(|info| !info.name.is_empty())
            .ok_or_else(|| failed("invalid consumer create response".to_owned()))?;
        let own = self.plan.source.consumer.is_none();
        if own || info.config.ack_policy == AckPolicy::FlowControl {
            return Ok(info);
        }
        Err(match self.plan.kind {
            FollowKind::Mirror => ApiError::MIRROR_CONSUMER_REQUIRES_ACK_FC,
            FollowKind::Source => ApiError::SOURCE_CONSUMER_REQUIRES_ACK_FC,
        })
    }

    fn follow(
        &mut self,
        info: &ConsumerInfo,
        identity: &str,
        tail: &Tail,
        now: Timestamp,
        out: &mut Vec<FollowerCommand>,
    ) {
        match self.plan.kind {
            FollowKind::Mirror => {
                let starts_behind = starts_behind(info);
                self.position = tail.last.max(starts_behind);
                if tail.last < starts_behind {
                    out.push(FollowerCommand::SkipTo(starts_behind));
                }
            }
            FollowKind::Source => {
                let known = !identity.is_empty() && !self.identity.is_empty();
                if self.recreated || known && identity != self.identity {
                    out.push(FollowerCommand::Recreated);
                    self.position = StreamSeq(0);
                }
                self.recreated = false;
                identity.clone_into(&mut self.identity);
            }
        }
        self.delivered = ConsumerSeq(0);
        self.failures = 0;
        self.heard_at = Some(now);
        self.phase = Phase::Following {
            consumer: info.name.as_bytes().into(),
        };
        let durable = self.plan.source.consumer.as_ref();
        let subject = durable.map_or(&info.config.deliver_subject, |durable| {
            &durable.deliver_subject
        });
        out.push(FollowerCommand::Listen(subject.clone()));
    }
}

/// The sequence behind which a consumer delivers. One that was there before may have begun to deliver when it answers; what it takes
/// for acknowledged is stored here for certain.
fn starts_behind(info: &ConsumerInfo) -> StreamSeq {
    if info.config.ack_policy == AckPolicy::FlowControl {
        info.ack_floor.stream_seq
    } else {
        info.delivered.stream_seq
    }
}

const IDENTITY_MISMATCH: u16 = 10225;
const INVALID_JSON: u16 = 10025;
