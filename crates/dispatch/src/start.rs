//! Where delivery starts.

use jetsled_jetstream_api::{ConsumerConfig, DeliverPolicy, StreamSeq};
use jetsled_protocol::SubjectFilter;

use crate::state::SkipList;
use crate::view::StreamView;

/// The first stream sequence that may be delivered, and the list with which `last_per_subject` starts.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Start {
    pub(crate) next: StreamSeq,
    pub(crate) skip_list: Option<SkipList>,
}

impl Start {
    /// Finds the start of a new consumer, as nats-server 2.15.1 was observed to do, down to where it starts when nothing
    /// matches. `one_per_subject`: the stream keeps one message a subject.
    pub(crate) fn find(
        config: &ConsumerConfig,
        filter: &SubjectFilter,
        one_per_subject: bool,
        view: &mut dyn StreamView,
    ) -> Self {
        let first = view.first_seq().max(StreamSeq::FIRST);
        let after_last = view.last_seq().next();
        let unfiltered = config.filters().next().is_none();
        let mut skip_list = None;
        let wanted = match config.deliver_policy {
            DeliverPolicy::All => first,
            DeliverPolicy::New => after_last,
            // Whether or not that message still exists.
            DeliverPolicy::Last if unfiltered => view.last_seq(),
            DeliverPolicy::Last => view.last_match(filter).unwrap_or(first),
            DeliverPolicy::ByStartSequence => config.opt_start_seq,
            DeliverPolicy::ByStartTime => match config.opt_start_time {
                Some(time) if unfiltered => view.seq_for_time(time),
                Some(time) => skip_ahead(view.seq_for_time(time), filter, view),
                None => first,
            },
            DeliverPolicy::LastPerSubject if one_per_subject => first,
            DeliverPolicy::LastPerSubject => {
                let seqs = view.last_seqs_per_subject(filter);
                let first_of_list = seqs.first().copied();
                if first_of_list.is_some() {
                    skip_list = Some(SkipList {
                        resume: view.last_seq(),
                        seqs: seqs.into(),
                    });
                }
                first_of_list.unwrap_or(view.last_seq())
            }
        };
        Self {
            next: wanted.max(first),
            skip_list,
        }
    }
}

/// A start by time goes on to the stream's first match if that lies ahead, and before the last message.
fn skip_ahead(from: StreamSeq, filter: &SubjectFilter, view: &mut dyn StreamView) -> StreamSeq {
    let first_match = view.next_match(view.first_seq(), filter);
    first_match
        .map(|meta| meta.seq)
        .filter(|seq| *seq > from && *seq < view.last_seq())
        .unwrap_or(from)
}
