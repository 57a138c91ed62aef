//! Log records: whatever stands on the disk, decoding it neither panics nor reads beyond it.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| jetsled_store::log::fuzzing::decode_record(data));
