use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// Subscriptions as the naive matcher keeps them: subject, queue group, item.
type Model = Vec<(String, Option<String>, u32)>;

fn build(model: &Model) -> Sublist<u32> {
    let mut list = Sublist::new();
    for (subject, queue, item) in model {
        list.insert(
            subject.as_bytes(),
            queue.as_deref().map(str::as_bytes),
            *item,
        );
    }
    list
}

type Flat = (Vec<u32>, BTreeMap<Vec<u8>, Vec<u32>>);

fn flat(result: &MatchResult<u32>) -> Flat {
    let mut plain = result.plain.clone();
    plain.sort_unstable();
    let mut queues = BTreeMap::new();
    for group in &result.queues {
        let mut members = group.members.clone();
        members.sort_unstable();
        assert!(
            queues.insert(group.name.to_vec(), members).is_none(),
            "a group twice"
        );
    }
    (plain, queues)
}

fn found(list: &Sublist<u32>, subject: &str) -> (Flat, Option<TailIndependence>) {
    let mut result = MatchResult::default();
    list.match_subject(subject.as_bytes(), &mut result);
    assert_eq!(
        list.has_interest(subject.as_bytes()),
        !result.is_empty(),
        "{subject}"
    );
    (flat(&result), result.tail_independence)
}

fn expected(model: &Model, literal: &str) -> Flat {
    let mut result = Flat::default();
    for (subject, queue, item) in model {
        if subject::matches(literal.as_bytes(), subject.as_bytes()) {
            match queue {
                None => result.0.push(*item),
                Some(queue) => {
                    result
                        .1
                        .entry(queue.clone().into_bytes())
                        .or_default()
                        .push(*item);
                }
            }
        }
    }
    result.0.sort_unstable();
    result
        .1
        .values_mut()
        .for_each(|members| members.sort_unstable());
    result
}

fn subject(tokens: &'static [&'static str]) -> impl Strategy<Value = String> {
    proptest::collection::vec(proptest::sample::select(tokens), 1..5)
        .prop_map(|tokens| tokens.join("."))
}

fn pattern() -> impl Strategy<Value = String> {
    let tokens = || subject(&["a", "b", "c", "*", "a-token-longer-than-is-kept-inline"]);
    prop_oneof![
        9 => tokens(),
        3 => tokens().prop_map(|head| head + ".>"),
        1 => Just(">".to_owned()),
    ]
}

fn literal() -> impl Strategy<Value = String> {
    subject(&[
        "a",
        "b",
        "c",
        "d",
        "*",
        "a-token-longer-than-is-kept-inline",
    ])
}

fn model() -> impl Strategy<Value = Model> {
    let queue = proptest::option::of(proptest::sample::select(&["q", "r"][..]));
    proptest::collection::vec((pattern(), queue), 0..25).prop_map(|subs| {
        subs.into_iter()
            .zip(0..)
            .map(|((subject, queue), item)| (subject, queue.map(str::to_owned), item))
            .collect()
    })
}

proptest! {
    #[test]
    fn finds_what_a_naive_matcher_finds(
        model in model(), literals in proptest::collection::vec(literal(), 1..8),
    ) {
        let list = build(&model);
        prop_assert_eq!(list.len(), model.len());
        for literal in &literals {
            prop_assert_eq!(found(&list, literal).0, expected(&model, literal), "{}", literal);
        }
    }

    #[test]
    fn removal_leaves_the_rest(
        mut model in model(),
        order in any::<prop::sample::Index>(),
        literals in proptest::collection::vec(literal(), 1..8),
        late in proptest::collection::vec(pattern(), 0..5),
    ) {
        let mut list = build(&model);
        let mut next = 1000;
        while !model.is_empty() {
            let (subject, queue, item) = model.swap_remove(order.index(model.len()));
            let queue = queue.as_deref().map(str::as_bytes);
            prop_assert_eq!(list.remove(subject.as_bytes(), queue, |i| *i == 99_999), None);
            prop_assert_eq!(list.remove(subject.as_bytes(), queue, |i| *i == item), Some(item));
            prop_assert_eq!(list.remove(subject.as_bytes(), queue, |i| *i == item), None);
            for literal in &literals {
                prop_assert_eq!(found(&list, literal).0, expected(&model, literal));
            }
            if let Some(subject) = late.get(next - 1000) {
                list.insert(subject.as_bytes(), None, next as u32);
                model.push((subject.clone(), None, next as u32));
                next += 1;
            }
        }
        prop_assert!(list.is_empty());
        prop_assert!(list.queue_names.is_empty());
        prop_assert!(!list.has_interest(b"a"));
    }

    #[test]
    fn tokens_after_the_prefix_change_nothing(
        model in model(), literal in literal(), other in literal(),
    ) {
        let list = build(&model);
        let (result, independence) = found(&list, &literal);
        if let Some(TailIndependence { tokens, prefix_len }) = independence {
            let count = literal.split('.').count();
            prop_assert!(tokens < count);
            let prefix = &literal[..prefix_len];
            prop_assert_eq!(prefix.matches('.').count(), tokens);
            let tail: Vec<_> = other.split('.').cycle().take(count - tokens).collect();
            let changed = format!("{prefix}{}", tail.join("."));
            prop_assert_eq!(found(&list, &changed), (result, independence), "{}", changed);
        }
    }

    #[test]
    fn collisions_are_those_of_the_rule(model in model(), pattern in pattern()) {
        let list = build(&model);
        let mut seen = Vec::new();
        list.for_each_collision(pattern.as_bytes(), |subject, queue, item| {
            let queue = queue.map(|queue| String::from_utf8(queue.to_vec()).unwrap());
            seen.push((String::from_utf8(subject.to_vec()).unwrap(), queue, *item));
        });
        seen.sort();
        let mut expected: Model = model
            .iter()
            .filter(|(subject, ..)| subject::collides(subject.as_bytes(), pattern.as_bytes()))
            .cloned()
            .collect();
        expected.sort();
        prop_assert_eq!(seen, expected);
    }
}

#[test]
fn results_for_unique_replies_can_be_cached_by_prefix() {
    let mut list = Sublist::new();
    list.insert(b"_INBOX.abc.*", None, 1);
    list.insert(b"_INBOX.def.*", None, 2);
    list.insert(b"$JS.ACK.s.c.>", None, 3);
    list.insert(b"orders.new", None, 4);
    let check = |list: &Sublist<u32>, subject: &str, prefix: Option<&str>| {
        let independence = found(list, subject).1;
        let len = independence.map(|independence| independence.prefix_len);
        assert_eq!(len.map(|len| &subject[..len]), prefix, "{subject}");
    };
    check(&list, "_INBOX.abc.17", Some("_INBOX.abc."));
    check(&list, "_INBOX.xyz.17", Some("_INBOX.xyz."));
    check(&list, "$JS.ACK.s.c.1.2.3.4.5", Some("$JS.ACK.s.c."));
    check(&list, "orders.new", None);
    check(&list, "orders.new.17", Some("orders.new."));
    check(&list, "nobody.home", Some("nobody."));
    check(&list, "_INBOX.abc.", None);
    list.insert(b"_INBOX.*.18", None, 5);
    check(&list, "_INBOX.abc.17", None);
}

#[test]
fn a_queue_group_is_known_by_its_name_alone() {
    let mut list = Sublist::new();
    for (subject, item) in [(&b"a.*"[..], 1), (b"a.b", 2), (b">", 3), (b"a.b", 4)] {
        list.insert(subject, Some(b"q"), item);
    }
    let (result, _) = found(&list, "a.b");
    assert_eq!(
        result,
        (vec![], BTreeMap::from([(b"q".to_vec(), vec![1, 2, 3, 4])]))
    );
}

#[test]
fn deep_subjects_do_not_exhaust_the_stack() {
    let subject = vec!["*"; 100_000].join(".");
    let mut list = Sublist::new();
    list.insert(subject.as_bytes(), None, 1);
    assert!(list.has_interest(subject.as_bytes()));
    let mut count = 0;
    list.for_each(|_, _, _| count += 1);
    assert_eq!(count, 1);
    assert_eq!(list.remove(subject.as_bytes(), None, |_| true), Some(1));
}
