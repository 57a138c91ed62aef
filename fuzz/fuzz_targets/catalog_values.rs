//! Values of the catalog and of the log that carry a shard's and a consumer's state: no bytes make a start panic.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    jetsled_store::decode_catalog_value(data);
    jetsled_dispatch::decode_checkpoint(data);
});
