//! Header blocks: lookups agree with each other, edits do what they say, on any bytes.

#![no_main]

use jetsled_protocol::headers;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    for (key, _) in headers::iter(data) {
        assert!(headers::get(data, key).is_some());
    }
    let _ = headers::Status::parse(data);
    let key = b"Nats-Msg-Id";
    let mut block = data.to_vec();
    headers::set(&mut block, key, b"value");
    assert!(headers::get_all(&block, key).eq([&b"value"[..]]));
    assert!(headers::remove(&mut block, key));
    assert_eq!(headers::get(&block, key), None);
});
