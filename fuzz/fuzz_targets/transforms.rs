//! Transforms: source, destination and subject, one a line; no panic, and reversals undo.

#![no_main]

use jetsled_protocol::SubjectTransform;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut lines = data.splitn(3, |b| *b == b'\n');
    let (Some(source), Some(destination), Some(subject)) =
        (lines.next(), lines.next(), lines.next())
    else {
        return;
    };
    if let Ok(transform) = SubjectTransform::new(source, destination) {
        let mut out = Vec::new();
        transform.apply(subject, 1, &mut out);
        transform.apply_to_pattern(source, &mut out);
    }
    if let Ok(transform) = SubjectTransform::new_strict(source, destination) {
        let Ok(reverse) = transform.reverse() else {
            return;
        };
        let (mut there, mut back) = (Vec::new(), Vec::new());
        if transform.apply(subject, 1, &mut there) && reverse.apply(&there, 1, &mut back) {
            assert_eq!(back, subject);
        }
    }
});
