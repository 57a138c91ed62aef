//! Message blocks of a nats-server's store: no bytes make the reader panic, and what is read lies in order.

#![no_main]

use jetsled_archive::filestore::{IndexEntry, decode_consumer_state, read_index};
use jetsled_import::decode_block;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let block = decode_block(data.to_vec(), "S", 1);
    let mut last = 0;
    for message in block.messages() {
        assert!(message.seq.get() > last, "sequences rise");
        last = message.seq.get();
    }
    let _ = decode_consumer_state(data);
    let mut left = 10_000;
    let _ = read_index(&mut &*data, &mut |_: IndexEntry| {
        left -= 1;
        left > 0
    });
});
