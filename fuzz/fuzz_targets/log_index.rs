//! Index files of log segments: no table makes a search panic.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| jetsled_store::log::fuzzing::decode_index(data));
