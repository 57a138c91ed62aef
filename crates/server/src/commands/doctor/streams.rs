//! What is odd about a stream.

use jetsled_jetstream_api::{DiscardPolicy, RetentionPolicy, StorageType};

use super::Finding;
use super::answers::StreamDetail;
use super::server::is_nearly_full;

pub(super) fn examine(stream: &StreamDetail, findings: &mut Vec<Finding>) {
    let about = format!("stream {}", stream.name);
    let (config, state) = (&stream.config, &stream.state);
    let mut problem = |text: String| findings.push(Finding::problem(&about, text));
    if let Some(lost) = &state.lost {
        problem(format!(
            "damage took {} messages ({} bytes); jetsled check says which",
            lost.messages.len(),
            lost.bytes
        ));
    }
    if config.discard == DiscardPolicy::New {
        for (what, used, limit) in [
            ("max_msgs", state.messages, config.max_msgs),
            ("max_bytes", state.bytes, config.max_bytes),
        ] {
            if is_nearly_full(used, limit) {
                problem(format!(
                    "{used} of {what} {limit} are used, and with discard new a full stream refuses messages"
                ));
            }
        }
    }
    if config.retention != RetentionPolicy::Limits
        && state.messages > 0
        && state.consumer_count == 0
    {
        problem(format!(
            "{} messages wait for a consumer, and there is none: with this retention nothing else removes them",
            state.messages
        ));
    }
    let mut note = |text: String| findings.push(Finding::note(&about, text));
    if config.sealed {
        note("sealed: it takes no messages and loses none".to_owned());
    }
    if config.storage == StorageType::Memory && state.messages > 0 {
        note(format!(
            "its {} messages are in memory and gone after a restart",
            state.messages
        ));
    }
    let is_bounded = config.max_msgs > 0
        || config.max_bytes > 0
        || config.max_age.0 > 0
        || config.max_msgs_per_subject > 0
        || config.retention != RetentionPolicy::Limits;
    if !is_bounded && config.mirror.is_none() && !config.sealed {
        note("nothing bounds it: it grows until the disk is full; set max_age, max_bytes or max_msgs".to_owned());
    }
}
