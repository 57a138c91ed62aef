//! Reply subjects of fast-ingest batches, their own or in the header of a service import.

#![no_main]

use jetsled_jetstream_api::fast_reply::{FastReply, marked};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let at = data
        .iter()
        .position(|byte| *byte == 0)
        .unwrap_or(data.len());
    let (reply, block) = data.split_at(at);
    let Some(marked) = marked(reply, block) else {
        assert!(
            FastReply::parse(reply).is_none(),
            "who is not marked is no reply of a batch"
        );
        return;
    };
    if let Some(reply) = FastReply::parse(&marked) {
        assert!(reply.seq > 0 && reply.flow > 0);
        assert!(!reply.id.contains(&b'.'));
    }
});
