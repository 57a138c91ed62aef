//! Subjects, one a line: the sublist and the filter agree with the plain matcher.

#![no_main]

use jetsled_protocol::{MatchResult, SubjectFilter, Sublist, subject};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let lines: Vec<&[u8]> = data.split(|b| *b == b'\n').take(32).collect();
    let patterns: Vec<&[u8]> = lines
        .iter()
        .copied()
        .filter(|line| subject::is_valid(line))
        .collect();
    let mut list = Sublist::new();
    for (item, pattern) in patterns.iter().enumerate() {
        list.insert(pattern, None, item);
    }
    let filter = SubjectFilter::new(&patterns);
    let mut result = MatchResult::default();
    for literal in &lines {
        let expected: Vec<usize> = (0..patterns.len())
            .filter(|item| subject::matches(literal, patterns[*item]))
            .collect();
        list.match_subject(literal, &mut result);
        result.plain.sort_unstable();
        assert_eq!(result.plain, expected);
        assert_eq!(list.has_interest(literal), !expected.is_empty());
        if !filter.matches_all() {
            assert_eq!(filter.matches(literal), !expected.is_empty());
        }
    }
    for pattern in &patterns {
        let mut found = 0;
        list.for_each_collision(pattern, |_, _, _| found += 1);
        assert_eq!(
            found,
            patterns
                .iter()
                .filter(|other| subject::collides(other, pattern))
                .count()
        );
    }
    for (item, pattern) in patterns.iter().enumerate() {
        assert_eq!(list.remove(pattern, None, |i| *i == item), Some(item));
    }
    assert!(list.is_empty());
});
