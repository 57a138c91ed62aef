use proptest::{collection::vec, prelude::*};

use super::*;
use SubscribeVerdict::{Allowed, AllowedFiltered, Denied};

fn lists(allow: &[&str], deny: &[&str]) -> SubjectPermission {
    let owned = |entries: &[&str]| entries.iter().map(|entry| (*entry).to_owned()).collect();
    SubjectPermission {
        allow: owned(allow),
        deny: owned(deny),
    }
}

fn set(publish: Option<SubjectPermission>, subscribe: Option<SubjectPermission>) -> PermissionSet {
    PermissionSet::compile(&Permissions {
        publish,
        subscribe,
        responses: None,
    })
    .unwrap()
}

#[test]
fn publishing_needs_an_allow_and_no_deny() {
    #[track_caller]
    fn check(allow: &[&str], deny: &[&str], subject: &str, allowed: bool) {
        let set = set(Some(lists(allow, deny)), None);
        assert_eq!(
            set.may_publish(subject.as_bytes()),
            allowed,
            "{allow:?} {deny:?} {subject}"
        );
    }
    check(&[], &[], "foo", true);
    check(&["foo"], &[], "foo", true);
    check(&["foo"], &[], "bar", false);
    check(&["foo.*"], &[], "foo.bar", true);
    check(&["foo.>"], &[], "foo", false);
    check(&[], &["foo.>"], "foo.bar", false);
    check(&[], &["foo.>"], "foo", true);
    check(&["foo.>"], &["foo.bar"], "foo.bar", false);
    check(&["foo.>"], &["foo.bar"], "foo.baz", true);
    check(&[">"], &["*.secret"], "a.secret", false);
}

#[test]
fn subscriptions_are_covered_or_filtered() {
    #[track_caller]
    fn check(
        allow: &[&str],
        deny: &[&str],
        subject: &str,
        queue: Option<&str>,
        verdict: SubscribeVerdict,
    ) {
        let set = set(None, Some(lists(allow, deny)));
        let got = set.may_subscribe(subject.as_bytes(), queue.map(str::as_bytes));
        assert_eq!(got, verdict, "{allow:?} {deny:?} {subject} {queue:?}");
    }
    check(&[], &[], ">", None, Allowed);
    check(&["foo.*"], &[], "foo.*", None, Allowed);
    check(&["foo.>"], &[], "foo.*", None, Allowed);
    check(&["foo.bar"], &[], "foo.*", None, Denied);
    check(&["foo.*"], &[], "foo.>", None, Denied);
    check(&[], &["foo"], "foo", None, Denied);
    check(&[], &["foo.>"], "foo.*", None, Denied);
    check(&[], &["foo.bar"], "foo.*", None, AllowedFiltered);
    check(&[], &["foo.bar"], ">", None, AllowedFiltered);
    check(&[], &["*.bar"], "foo.*", None, AllowedFiltered);
    check(&[], &["foo.bar"], "bar.*", None, Allowed);
    check(&["q.* qg"], &[], "q.x", Some("qg"), Allowed);
    check(&["q.* qg"], &[], "q.x", Some("other"), Denied);
    check(&["q.* qg"], &[], "q.x", None, Denied);
    check(&["q.* v1.>"], &[], "q.x", Some("v1.prod"), Allowed);
    check(&["q.*"], &[], "q.x", Some("any"), Allowed);
    check(&["q", "q qg"], &[], "q", Some("other"), Denied);
    check(&["q", "q qg"], &[], "q", Some("qg"), Allowed);
    check(&["q", "q qg"], &[], "q", None, Allowed);
    check(&[], &["q", "q qg"], "q", Some("other"), Denied);
    check(&[], &["q.* qg"], "q.x", Some("qg"), Denied);
    check(&[], &["q.* qg"], "q.x", Some("other"), Allowed);
    check(&[], &["q.* qg"], "q.x", None, Allowed);
    check(&[], &["q"], "q", Some("qg"), Denied);
}

#[test]
fn responses_alone_deny_every_other_publish() {
    for publish in [None, Some(lists(&[], &[])), Some(lists(&[], &["bar"]))] {
        let permissions = Permissions {
            publish,
            responses: Some(ResponsePermission::default()),
            ..Permissions::default()
        };
        let compiled = PermissionSet::compile(&permissions).unwrap();
        assert!(!compiled.may_publish(b"foo"), "{permissions:?}");
        assert!(!compiled.publishes_anything(), "{permissions:?}");
    }
}

#[test]
fn entries_are_checked() {
    #[track_caller]
    fn check(publish: &[&str], subscribe: &[&str], message: &str) {
        let permissions = Permissions {
            publish: Some(lists(publish, &[])),
            subscribe: Some(lists(&[], subscribe)),
            responses: None,
        };
        assert_eq!(
            PermissionSet::compile(&permissions)
                .unwrap_err()
                .to_string(),
            message
        );
    }
    check(
        &["foo..bar"],
        &[],
        "publish allow: subject \"foo..bar\" is not a valid subject",
    );
    check(
        &["foo q"],
        &[],
        "publish allow: subject \"foo q\" is not a valid subject",
    );
    check(
        &[],
        &["foo q x"],
        "subscribe deny: subject \"foo q x\" is not a valid subject",
    );
    check(
        &[],
        &["foo. q"],
        "subscribe deny: subject \"foo.\" is not a valid subject",
    );
    check(
        &[],
        &["foo q."],
        "subscribe deny: queue \"q.\" is not a valid queue",
    );
}

fn pattern() -> impl Strategy<Value = String> {
    (
        vec(prop_oneof![Just("a"), Just("b"), Just("*")], 1..4),
        any::<bool>(),
    )
        .prop_map(|(mut tokens, tail)| {
            if tail {
                tokens.push(">");
            }
            tokens.join(".")
        })
}

fn literal() -> impl Strategy<Value = String> {
    vec(prop_oneof![Just("a"), Just("b"), Just("c")], 1..5).prop_map(|tokens| tokens.join("."))
}

/// Matching written down as naively as possible.
fn naive_match(pattern: &str, subject: &str) -> bool {
    let (pattern, subject): (Vec<_>, Vec<_>) =
        (pattern.split('.').collect(), subject.split('.').collect());
    match pattern.split_last() {
        Some((&">", head)) => {
            subject.len() > head.len()
                && head.iter().zip(&subject).all(|(p, s)| *p == "*" || p == s)
        }
        _ => {
            pattern.len() == subject.len()
                && pattern
                    .iter()
                    .zip(&subject)
                    .all(|(p, s)| *p == "*" || p == s)
        }
    }
}

proptest! {
    /// What a subscription gets is in an allow entry and in no deny entry; a subscription that an allow entry holds and
    /// no deny entry touches is admitted.
    #[test]
    fn deliveries_are_exactly_what_the_lists_say(
        allow in vec(pattern(), 0..3),
        deny in vec(pattern(), 0..3),
        subscription in pattern(),
        subjects in vec(literal(), 20),
    ) {
        let set = set(None, Some(SubjectPermission { allow: allow.clone(), deny: deny.clone() }));
        let verdict = set.may_subscribe(subscription.as_bytes(), None);
        for subject in subjects.iter().filter(|subject| naive_match(&subscription, subject)) {
            let denied = deny.iter().any(|pattern| naive_match(pattern, subject));
            let delivered = match verdict {
                Denied => false,
                Allowed => true,
                AllowedFiltered => set.may_deliver(subject.as_bytes(), None),
            };
            prop_assert!(!(delivered && denied), "{subject} is denied");
            prop_assert!(
                !delivered || allow.is_empty() || allow.iter().any(|pattern| naive_match(pattern, subject)),
                "{subject} is not allowed"
            );
            if verdict != Denied && !denied {
                prop_assert!(delivered, "{subject} is withheld");
            }
        }
        if allow.contains(&subscription) && deny.is_empty() {
            prop_assert_eq!(verdict, Allowed);
        }
    }

    #[test]
    fn publishes_are_exactly_what_the_lists_say(
        allow in vec(prop_oneof![pattern(), literal()], 0..4),
        deny in vec(prop_oneof![pattern(), literal()], 0..4),
        subject in literal(),
    ) {
        let any = |list: &[String]| list.iter().any(|pattern| naive_match(pattern, &subject));
        let expected = (allow.is_empty() || any(&allow)) && !any(&deny);
        let set = set(Some(SubjectPermission { allow, deny }), None);
        prop_assert_eq!(set.may_publish(subject.as_bytes()), expected);
    }
}
