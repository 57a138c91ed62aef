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
    /// Finds the start of a new consumer. `one_per_subject`: the stream keeps one message a subject.
    pub(crate) fn find(
        config: &ConsumerConfig,
        filter: &SubjectFilter,
        one_per_subject: bool,
        view: &mut dyn StreamView,
    ) -> Self {
        let first = view.first_seq().max(StreamSeq::FIRST);
        let after_last = view.last_seq().next();
        let mut skip_list = None;
        let wanted = match config.deliver_policy {
            DeliverPolicy::All => first,
            DeliverPolicy::New => after_last,
            DeliverPolicy::Last => view.last_match(filter).unwrap_or(after_last),
            DeliverPolicy::ByStartSequence => config.opt_start_seq,
            DeliverPolicy::ByStartTime => match config.opt_start_time {
                Some(time) => view.seq_for_time(time),
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
                first_of_list.unwrap_or(after_last)
            }
        };
        Self {
            next: wanted.max(first),
            skip_list,
        }
    }
}
