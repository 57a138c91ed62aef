//! Where a consumer stands, in its info: what of it nats-server leaves to chance.

use super::compare::Difference;

/// The numbers of `delivered` and `ack_floor`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Positions {
    delivered: Position,
    ack_floor: Position,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Position {
    consumer_seq: u64,
    stream_seq: u64,
}

/// Why the answers may differ in where a consumer stands, if that is all.
///
/// How far nats-server has passed over messages that do not match depends on what woke the consumer last, and where the
/// ack floor stays when a purge takes several unacked messages on the order of a Go map. What was delivered, what is
/// pending and all other members must agree.
pub(super) fn reason(
    difference: &Difference,
    before: &[Vec<String>],
    purged: bool,
) -> Option<&'static str> {
    if difference.want.len() != difference.got.len() {
        return None;
    }
    let mut reason = None;
    for (want, got) in difference.want.iter().zip(&difference.got) {
        if want != got {
            reason = Some(line(want, got, before, purged)?);
        }
    }
    reason
}

fn line(want: &str, got: &str, before: &[Vec<String>], purged: bool) -> Option<&'static str> {
    let (want_rest, want) = split(want)?;
    let (got_rest, got) = split(got)?;
    let possible = got.ack_floor.stream_seq <= got.delivered.stream_seq
        && got.ack_floor.consumer_seq <= got.delivered.consumer_seq
        && got.delivered.stream_seq >= last_delivery(&got_rest, got.delivered.consumer_seq, before);
    if want_rest != got_rest
        || want.delivered.consumer_seq != got.delivered.consumer_seq
        || !possible
    {
        return None;
    }
    if want.ack_floor.consumer_seq == got.ack_floor.consumer_seq {
        return Some("how far messages that do not match were passed over");
    }
    let beyond = got.ack_floor.consumer_seq >= want.ack_floor.consumer_seq
        && got.ack_floor.stream_seq >= want.ack_floor.stream_seq;
    (purged && beyond).then_some("the ack floor after a purge of unacked messages")
}

/// The answer without the numbers, and the numbers.
fn split(line: &str) -> Option<(String, Positions)> {
    let (head, rest) = line.split_once("\"delivered\":{\"consumer_seq\":")?;
    let (delivered, rest) = position(rest)?;
    let (middle, rest) = rest.split_once("\"ack_floor\":{\"consumer_seq\":")?;
    let (ack_floor, tail) = position(rest)?;
    let positions = Positions {
        delivered,
        ack_floor,
    };
    Some((format!("{head}{middle}{tail}"), positions))
}

fn position(text: &str) -> Option<(Position, &str)> {
    let (consumer_seq, rest) = text.split_once(",\"stream_seq\":")?;
    let end = rest.find(|c: char| !c.is_ascii_digit())?;
    let position = Position {
        consumer_seq: consumer_seq.parse().ok()?,
        stream_seq: rest[..end].parse().ok()?,
    };
    Some((position, &rest[end..]))
}

/// The stream sequence of the consumer's latest delivery with that number, 0 if there was none.
fn last_delivery(info: &str, consumer_seq: u64, before: &[Vec<String>]) -> u64 {
    let name = info.split("\"name\":\"").nth(1);
    let Some((name, _)) = name.and_then(|rest| rest.split_once('"')) else {
        return 0;
    };
    let prefix = format!("($JS.ACK.S.{name}.1.");
    let deliveries = before.iter().flatten().rev().filter_map(|line| {
        let (_, rest) = line.split_once(&prefix)?;
        let mut tokens = rest.split('.');
        let stream_seq: u64 = tokens.next()?.parse().ok()?;
        let number: u64 = tokens.next()?.parse().ok()?;
        (number == consumer_seq).then_some(stream_seq)
    });
    deliveries.take(1).next().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(delivered: (u64, u64), floor: (u64, u64), pending: u64) -> String {
        let ((dc, ds), (fc, fs)) = (delivered, floor);
        format!(
            "{{\"name\":\"c\",\"delivered\":{{\"consumer_seq\":{dc},\"stream_seq\":{ds}}},\
             \"ack_floor\":{{\"consumer_seq\":{fc},\"stream_seq\":{fs}}},\"num_pending\":{pending}}}"
        )
    }

    #[track_caller]
    fn check(want: &str, got: &str, purged: bool, allowed: bool) {
        let before = vec![vec!["s.1 ($JS.ACK.S.c.1.4.2.<time>.0) m".to_owned()]];
        let difference = Difference {
            history: "h".to_owned(),
            index: 1,
            step: "info".to_owned(),
            want: vec![want.to_owned()],
            got: vec![got.to_owned()],
        };
        let found = reason(&difference, &before, purged);
        assert_eq!(found.is_some(), allowed, "{found:?}");
    }

    #[test]
    fn passing_over_more_or_fewer_messages_is_allowed() {
        let got = info((2, 4), (1, 3), 0);
        check(&info((2, 9), (1, 3), 0), &got, false, true);
        check(&info((2, 4), (1, 2), 0), &got, false, true);
        check(
            &info((2, 9), (1, 3), 0),
            &info((2, 3), (1, 3), 0),
            false,
            false,
        );
        check(
            &info((2, 9), (1, 3), 0),
            &info((2, 4), (1, 5), 0),
            false,
            false,
        );
    }

    #[test]
    fn what_counts_must_agree() {
        let got = info((2, 4), (1, 3), 0);
        check(&info((2, 4), (1, 3), 1), &got, true, false);
        check(&info((3, 4), (1, 3), 0), &got, true, false);
        check(&info((2, 4), (2, 3), 0), &got, true, false);
        check("other", &got, true, false);
    }

    #[test]
    fn after_a_purge_the_floor_may_be_higher() {
        let got = info((2, 4), (1, 3), 0);
        check(&info((2, 4), (0, 2), 0), &got, true, true);
        check(&info((2, 4), (0, 2), 0), &got, false, false);
        check(&info((2, 4), (0, 4), 0), &got, true, false);
    }
}
