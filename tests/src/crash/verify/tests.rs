//! Each kind of broken promise is noticed, and what may be is not taken for one.

use super::super::plan;
use super::super::read::FoundMessage;
use super::*;

const BEFORE: [(u64, u64); 2] = [(1, 101), (2, 102)];

#[derive(Default)]
struct Case {
    stream: &'static str,
    sent: Vec<(u64, Fate, Option<u64>)>,
    removals: Vec<(Removed, Done)>,
    found: Vec<(u64, u64)>,
}

fn message(number: u64) -> Message {
    let message = Message::new(number, "EVENTS.a".to_owned(), 10).id();
    if number == 900 {
        message.rollup()
    } else {
        message
    }
}

fn check(case: &Case) -> Vec<Kind> {
    let stream = (plan::EVENTS.to_owned(), 1);
    let before = StreamState {
        messages: BEFORE
            .map(|(seq, number)| (seq, Arc::new(message(number))))
            .into(),
        last: 2,
    };
    let publishes: Vec<_> = (10..)
        .zip(&case.sent)
        .map(|(issued, (number, fate, batch))| Publish {
            stream: stream.clone(),
            message: Arc::new(message(*number)),
            issued,
            settled: if *fate == Fate::Unknown {
                NEVER
            } else {
                issued
            },
            fate: *fate,
            batch: *batch,
        })
        .collect();
    let removals: Vec<_> = case
        .removals
        .iter()
        .map(|(what, fate)| Removal {
            stream: stream.clone(),
            what: what.clone(),
            issued: 5,
            settled: if *fate == Done::Unknown { NEVER } else { 6 },
            fate: *fate,
        })
        .collect();
    let found = FoundStream {
        count: case.found.len() as u64,
        last: case
            .found
            .iter()
            .map(|(seq, _)| *seq)
            .max()
            .unwrap_or(0)
            .max(2),
        messages: case
            .found
            .iter()
            .map(|(seq, number)| {
                let message = message(*number);
                let found = FoundMessage {
                    subject: message.subject.clone(),
                    headers: format!("NATS/1.0\r\n{}", message.headers),
                    payload: message.payload(),
                };
                (*seq, found)
            })
            .collect(),
        ..FoundStream::default()
    };
    let expected = Expected {
        name: plan::EVENTS,
        plan: StreamPlan::of(if case.stream.is_empty() {
            plan::EVENTS
        } else {
            case.stream
        }),
        before: &before,
        publishes: publishes.iter().collect(),
        removals: removals.iter().collect(),
        consumers: Vec::new(),
    };
    let mut after = StreamState::default();
    let violations = expected.check(&found, &mut after);
    violations.iter().map(|violation| violation.kind).collect()
}

fn with(found: &[(u64, u64)]) -> Vec<(u64, u64)> {
    [&BEFORE, found].concat()
}

#[test]
fn what_is_as_it_was_answered_is_no_finding() {
    let sent = vec![
        (103, Fate::Stored(3), None),
        (104, Fate::Unknown, None),
        (105, Fate::Unknown, None),
        (102, Fate::Stored(2), None),
    ];
    let found = with(&[(3, 103), (4, 105)]);
    assert_eq!(
        check(&Case {
            sent,
            found,
            ..Case::default()
        }),
        []
    );
}

#[test]
fn an_acknowledged_message_may_not_be_missing() {
    let sent = vec![(103, Fate::Stored(3), None)];
    let found = BEFORE.to_vec();
    // It is gone, and the last sequence has gone back.
    assert_eq!(
        check(&Case {
            sent,
            found,
            ..Case::default()
        }),
        [Kind::Lost, Kind::Twice]
    );
}

#[test]
fn a_removal_takes_what_was_there_before_it_and_nothing_else() {
    let removals = vec![(Removed::Everything, Done::Confirmed)];
    let sent = vec![(103, Fate::Stored(3), None)];
    let found = vec![(3, 103)];
    let case = Case {
        sent,
        removals,
        found,
        ..Case::default()
    };
    assert_eq!(check(&case), []);
    let found = with(&[(3, 103)]);
    assert_eq!(check(&Case { found, ..case }), [Kind::CameBack; 2]);

    let removals = vec![(Removed::Everything, Done::Confirmed)];
    let sent = vec![(103, Fate::Stored(3), None), (104, Fate::Stored(4), None)];
    let found = vec![(4, 104)];
    assert_eq!(
        check(&Case {
            sent,
            removals,
            found,
            ..Case::default()
        }),
        [Kind::Lost]
    );
}

#[test]
fn an_unanswered_removal_may_be_done_or_not() {
    for found in [BEFORE.to_vec(), vec![(1, 101)]] {
        let removals = vec![(Removed::Message(2), Done::Unknown)];
        assert_eq!(
            check(&Case {
                removals,
                found,
                ..Case::default()
            }),
            []
        );
    }
    let removals = vec![(Removed::Message(2), Done::Refused)];
    let found = vec![(1, 101)];
    assert_eq!(
        check(&Case {
            removals,
            found,
            ..Case::default()
        }),
        [Kind::Lost]
    );
}

#[test]
fn a_roll_up_takes_its_subject() {
    let sent = vec![(900, Fate::Stored(3), None)];
    let found = vec![(3, 900)];
    let case = Case {
        sent,
        found,
        ..Case::default()
    };
    assert_eq!(check(&case), []);
    let found = with(&[(3, 900)]);
    assert_eq!(check(&Case { found, ..case }), [Kind::CameBack; 2]);
}

#[test]
fn another_message_in_its_place_is_an_altered_one() {
    let found = vec![(1, 101), (2, 103)];
    assert_eq!(
        check(&Case {
            found,
            ..Case::default()
        }),
        [Kind::Altered]
    );
}

#[test]
fn a_message_with_an_id_is_stored_once() {
    let sent = vec![(103, Fate::Stored(3), None), (103, Fate::Unknown, None)];
    let found = with(&[(3, 103), (4, 103)]);
    assert_eq!(
        check(&Case {
            sent,
            found,
            ..Case::default()
        }),
        [Kind::Twice]
    );
}

#[test]
fn a_sequence_is_given_once() {
    let sent = vec![(103, Fate::Stored(3), None), (104, Fate::Stored(3), None)];
    let found = with(&[(3, 103)]);
    assert_eq!(
        check(&Case {
            sent,
            found,
            ..Case::default()
        }),
        [Kind::Twice]
    );
}

#[test]
fn a_refused_message_is_not_there() {
    let sent = vec![(103, Fate::Refused, None)];
    let found = with(&[(3, 103)]);
    assert_eq!(
        check(&Case {
            sent,
            found,
            ..Case::default()
        }),
        [Kind::CameBack]
    );
}

#[test]
fn a_batch_is_there_whole_or_not_at_all() {
    let sent: Vec<_> = (103..106)
        .map(|number| (number, Fate::Unknown, Some(1)))
        .collect();
    let whole = with(&[(3, 103), (4, 104), (5, 105)]);
    for found in [BEFORE.to_vec(), whole] {
        let sent = sent.clone();
        assert_eq!(
            check(&Case {
                sent,
                found,
                ..Case::default()
            }),
            []
        );
    }
    let found = with(&[(3, 103), (4, 104)]);
    assert_eq!(
        check(&Case {
            sent,
            found,
            ..Case::default()
        }),
        [Kind::TornBatch]
    );
}

#[test]
fn a_limit_by_subject_takes_the_oldest() {
    let sent: Vec<_> = (3..8)
        .map(|seq| (100 + seq, Fate::Stored(seq), None))
        .collect();
    let found: Vec<_> = (3..8).map(|seq| (seq, 100 + seq)).collect();
    let stream = plan::STATE;
    assert_eq!(
        check(&Case {
            stream,
            sent: sent.clone(),
            found: found.clone(),
            ..Case::default()
        }),
        []
    );
    // Without that limit nothing has taken them.
    assert_eq!(
        check(&Case {
            sent,
            found,
            ..Case::default()
        }),
        [Kind::Lost; 2]
    );
}
