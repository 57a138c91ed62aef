//! Many sequences in few words.

use std::fmt::Write;

use jetsled_jetstream_api::StreamSeq;

/// `3, 5-9`, of at most `most` runs.
pub(crate) fn sequence_runs(
    runs: impl IntoIterator<Item = (StreamSeq, StreamSeq)>,
    most: usize,
) -> String {
    let mut out = String::new();
    for (number, (first, last)) in runs.into_iter().enumerate() {
        if number > 0 {
            out.push_str(", ");
        }
        if number == most {
            out.push_str("...");
            break;
        }
        // Writing to a String does not fail.
        if first == last {
            write!(out, "{first}").ok();
        } else {
            write!(out, "{first}-{last}").ok();
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_are_named_by_runs() {
        let runs = [(3, 3), (5, 9), (11, 12)].map(|(a, b)| (StreamSeq(a), StreamSeq(b)));
        assert_eq!(sequence_runs(runs, 9), "3, 5-9, 11-12");
        assert_eq!(sequence_runs(runs, 2), "3, 5-9, ...");
    }
}
