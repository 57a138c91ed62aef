//! Bodies of JetStream's API: a request or an error, never a panic; what is valid can be written and read again.

#![no_main]

use jetsled_jetstream_api::json::{Strictness, decode, decode_one, is_empty_request, to_vec};
use jetsled_jetstream_api::request::{
    ConsumerPauseRequest, ConsumerResetRequest, ConsumerUnpinRequest, CreateConsumerRequest,
    MsgDeleteRequest, MsgGetRequest, PagedRequest, StreamConfigRequest, StreamInfoRequest,
    StreamPurgeRequest, StreamRestoreRequest, StreamSnapshotRequest, StreamsRequest,
};
use jetsled_jetstream_api::{ConsumerConfig, PullRequest, ServerLimits, StreamConfig};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| {
    let _ = is_empty_request(body);
    for strictness in [Strictness::Strict, Strictness::Lenient] {
        if let Ok(request) = StreamConfigRequest::decode(body, strictness) {
            stream(request.value.config, request.value.pedantic);
        }
        if let Ok(request) = decode::<CreateConsumerRequest>(body, strictness) {
            consumer(&request.value.config);
        }
        let _ = decode::<StreamsRequest>(body, strictness);
        let _ = decode::<PagedRequest>(body, strictness);
        let _ = decode::<StreamInfoRequest>(body, strictness);
        let _ = decode::<StreamPurgeRequest>(body, strictness);
        let _ = decode::<StreamSnapshotRequest>(body, strictness);
        let _ = decode::<StreamRestoreRequest>(body, strictness);
        let _ = decode::<MsgDeleteRequest>(body, strictness);
        let _ = decode::<ConsumerPauseRequest>(body, strictness);
        if let Ok(request) = decode::<MsgGetRequest>(body, strictness) {
            let _ = request.value.check_msg_get();
            let _ = request.value.check_direct_get();
        }
    }
    let _ = decode_one::<ConsumerResetRequest>(body);
    let _ = decode_one::<ConsumerUnpinRequest>(body);
    let _ = PullRequest::parse(body);
});

fn stream(config: StreamConfig, pedantic: bool) {
    if let Ok(valid) = config.validated(&ServerLimits::default(), pedantic) {
        let json = to_vec(&valid);
        let again: StreamConfig = decode_one(&json).expect("what was written");
        assert_eq!(again, valid);
    }
}

fn consumer(config: &ConsumerConfig) {
    let json = to_vec(config);
    let again: ConsumerConfig = decode_one(&json).expect("what was written");
    assert_eq!(to_vec(&again), json);
}
