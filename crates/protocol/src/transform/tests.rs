use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn apply(transform: &SubjectTransform, subject: &str) -> Option<String> {
    let mut out = Vec::new();
    let matched = transform.apply(subject.as_bytes(), 0, &mut out);
    assert!(matched || out.is_empty());
    matched.then(|| String::from_utf8(out).unwrap())
}

#[track_caller]
fn check(source: &str, destination: &str, examples: &[(&str, &str)]) {
    let transform = SubjectTransform::new(source.as_bytes(), destination.as_bytes()).unwrap();
    for (subject, expected) in examples {
        assert_eq!(
            apply(&transform, subject).as_deref(),
            Some(*expected),
            "{destination}"
        );
    }
}

/// The examples that were checked on nats-server 2.15.1.
#[test]
fn transforms_as_nats_server_does() {
    check("foo.*.*", "bar.$2.$1", &[("foo.a.b", "bar.b.a")]);
    check(
        "foo.*.>",
        "bar.{{wildcard(1)}}.x.>",
        &[("foo.a.b.c", "bar.a.x.b.c")],
    );
    check(
        "foo.*",
        "bar.{{partition(10,1)}}",
        &[
            ("foo.a", "bar.0"),
            ("foo.b", "bar.7"),
            ("foo.hello", "bar.3"),
            ("foo.world", "bar.7"),
        ],
    );
    check(
        "foo.*.*",
        "bar.{{wildcard(1)}}.{{partition(5,1,2)}}.{{wildcard(2)}}",
        &[("foo.a.b", "bar.a.1.b"), ("foo.aa.bb", "bar.aa.3.bb")],
    );
    check(
        "foo.*.*",
        "bar.{{partition(5)}}",
        &[("foo.a.b", "bar.4"), ("foo.aa.bb", "bar.2")],
    );
    check(
        "foo.>",
        "bar.{{partition(7)}}.>",
        &[("foo.a.b", "bar.5.a.b")],
    );
    check(
        "foo.*",
        "bar.{{split(1,-)}}",
        &[
            ("foo.a-b-c", "bar.a.b.c"),
            ("foo.-a-b-", "bar.a.b"),
            ("foo.abc", "bar.abc"),
            ("foo.--a--b", "bar..a.b"),
        ],
    );
    check(
        "foo.*",
        "bar.{{SplitFromLeft(1,3)}}",
        &[
            ("foo.12345", "bar.123.45"),
            ("foo.12", "bar.12"),
            ("foo.123", "bar.123"),
        ],
    );
    check(
        "foo.*",
        "bar.{{splitfromright(1,3)}}",
        &[("foo.12345", "bar.12.345")],
    );
    check(
        "foo.*",
        "bar.{{SliceFromLeft(1,3)}}",
        &[("foo.1234567890", "bar.123.456.789.0")],
    );
    check(
        "foo.*",
        "bar.{{SliceFromRight(1,3)}}",
        &[
            ("foo.1234567890", "bar.1.234.567.890"),
            ("foo.123456", "bar.123.456"),
        ],
    );
    check(
        "foo.*",
        "bar.{{left(1,3)}}",
        &[("foo.12345", "bar.123"), ("foo.12", "bar.12")],
    );
    check("foo.*", "bar.{{right(1,3)}}", &[("foo.12345", "bar.345")]);
    check("*", "bar.$1", &[("foo", "bar.foo")]);
    check(">", "p.>", &[("a.b", "p.a.b")]);
    check("", "p.>", &[("a.b", "p.a.b")]);
    check(">", ">", &[("a..b", "a..b")]);
    check("foo.*", "bar", &[("foo.x", "bar")]);
    check("foo.*", "$x.$1", &[("foo.x", "$x.x")]);
    check("foo.*", "bar.{{ wildcard( 1 ) }}", &[("foo.x", "bar.x")]);
    check("foo.*", "bar.{{split(1,)}}", &[("foo.abc", "bar.a.b.c")]);
    check(
        "foo.*",
        "bar.{{partition(0,1)}}.{{random(0)}}",
        &[("foo.x", "bar.0.0")],
    );
    check(
        "foo.*",
        "bar.{{left(1,0)}}.{{right(1,-1)}}",
        &[("foo.x", "bar.x.x")],
    );
}

#[test]
fn subjects_outside_the_source_stay() {
    let transform = SubjectTransform::new(b"foo.*", b"bar.$1").unwrap();
    for subject in ["foo", "foo.a.b", "bar.a", "foo.", "foo.*", "foo..a", ""] {
        assert_eq!(apply(&transform, subject), None, "{subject}");
    }
}

#[test]
fn refusals_have_nats_servers_texts() {
    let check = |source: &str, destination: &str, expected: &str| {
        let found = SubjectTransform::new(source.as_bytes(), destination.as_bytes());
        assert_eq!(found.unwrap_err().to_string(), expected, "{destination}");
    };
    let start = "invalid mapping destination";
    check("foo.*", "bar.*", "invalid subject");
    check("foo.>", "bar", "invalid subject");
    check("foo", "bar.>", "invalid subject");
    check("foo..x", "bar", "invalid subject");
    check("foo", "", "invalid subject");
    check(
        "foo.*",
        "{{x(1)}}",
        &format!("{start}: unknown function in {{{{x(1)}}}}"),
    );
    check(
        "foo.*",
        "{{wildcard}}",
        &format!("{start}: unknown function in {{{{wildcard}}}}"),
    );
    check(
        "foo.*",
        "{{wildCard(1)}}",
        &format!("{start}: unknown function in {{{{wildCard(1)}}}}"),
    );
    check(
        "foo.*",
        "a.$2",
        &format!("{start}: wildcard index out of range in $2: [2]"),
    );
    check(
        "foo",
        "a.$1",
        &format!("{start}: wildcard index out of range in $1"),
    );
    let few = "not enough arguments passed to the function";
    check(
        "foo.*",
        "{{wildcard()}}",
        &format!("{start}: {few} in {{{{wildcard()}}}}"),
    );
    check(
        "foo.*",
        "{{left(1)}}",
        &format!("{start}: {few} in {{{{left(1)}}}}"),
    );
    check(
        "foo.*",
        "{{random(1,2)}}",
        &format!("{start}: {few} in {{{{random(1,2)}}}}"),
    );
    let many = "too many arguments passed to the function";
    check(
        "foo.*",
        "{{wildcard(1,2)}}",
        &format!("{start}: {many} in {{{{wildcard(1,2)}}}}"),
    );
    check(
        "foo.*",
        "{{split(1,a,b)}}",
        &format!("{start}: {many} in {{{{split(1,a,b)}}}}"),
    );
    let invalid = "function argument is invalid or in the wrong format";
    check(
        "foo.*",
        "{{wildcard(a)}}",
        &format!("{start}: {invalid} in {{{{wildcard(a)}}}}"),
    );
    check(
        "foo.*",
        "{{partition()}}",
        &format!("{start}: {invalid} in {{{{partition()}}}}"),
    );
    check(
        "foo.*",
        "{{split(1,a b)}}",
        &format!("{start}: {invalid} in {{{{split(1,a b)}}}}"),
    );
}

#[test]
fn imports_use_all_wildcards_and_nothing_else() {
    let check = |source: &str, destination: &str, expected: &str| {
        let found = SubjectTransform::new_strict(source.as_bytes(), destination.as_bytes());
        assert_eq!(found.unwrap_err().to_string(), expected);
    };
    check(
        "foo.*.*",
        "bar.$1",
        "invalid mapping destination: not using all of the token wildcard(s) in bar.$1",
    );
    check(
        "foo.*",
        "bar.{{left(1,2)}}",
        "invalid mapping destination: the only mapping function allowed for import transforms is \
         {{Wildcard()}} in {{left(1,2)}}",
    );
}

/// Found by a fuzzer: the reversal of this one put the first token in the place of the literal.
#[test]
fn what_looks_like_a_function_in_the_source_can_not_be_reversed() {
    for source in ["a.{{wildcard(0)}}.>", "{{wildcard(1)}}.*.>"] {
        let destination = if source.contains('*') {
            "b.$1.>"
        } else {
            "b.>"
        };
        let transform =
            SubjectTransform::new_strict(source.as_bytes(), destination.as_bytes()).unwrap();
        let error = transform.reverse().unwrap_err().to_string();
        assert!(error.contains(source), "{error}");
    }
}

#[test]
fn reversal_undoes() {
    let check = |source: &str, destination: &str, subject: &str| {
        let transform =
            SubjectTransform::new_strict(source.as_bytes(), destination.as_bytes()).unwrap();
        let there = apply(&transform, subject).unwrap();
        let back = apply(&transform.reverse().unwrap(), &there).unwrap();
        assert_eq!(back, subject);
    };
    check("foo.bar", "x.y", "foo.bar");
    check("foo.*.*", "bar.$2.$1", "foo.a.b");
    check("foo.*.*.*", "bar.$2.$3.{{wildcard(1)}}", "foo.a.b.c");
    check("foo.*.>", "$1.bar.>", "foo.a.b.c");
    let pattern = SubjectTransform::new_strict(b"foo.*.>", b"bar.$1.>").unwrap();
    let mut out = Vec::new();
    assert!(pattern.apply_to_pattern(b"foo.*.a.>", &mut out));
    assert_eq!(out, b"bar.*.a.>");
    assert!(!pattern.apply_to_pattern(b"foo.>", &mut out));
}

fn mapping(
    source: &str,
    destinations: &[(&str, u8, &str)],
    cluster: &str,
) -> Result<SubjectMapping, MappingError> {
    let destinations: Vec<_> = destinations
        .iter()
        .map(|(subject, weight, cluster)| MappingDestination {
            subject: (*subject).to_owned(),
            weight: *weight,
            cluster: (*cluster).to_owned(),
        })
        .collect();
    SubjectMapping::new(source.as_bytes(), &destinations, cluster)
}

/// How many of a hundred messages go where.
fn shares(mapping: &SubjectMapping, subject: &str) -> BTreeMap<String, u32> {
    let mut shares = BTreeMap::new();
    for random in 0..100 {
        let mut out = Vec::new();
        assert!(mapping.apply(subject.as_bytes(), random, &mut out));
        *shares.entry(String::from_utf8(out).unwrap()).or_default() += 1;
    }
    shares
}

#[test]
fn weights_divide_messages() {
    let check = |source: &str,
                 destinations: &[_],
                 cluster: &str,
                 subject: &str,
                 expected: &[(&str, u32)]| {
        let mapping = mapping(source, destinations, cluster).unwrap();
        let expected = expected
            .iter()
            .map(|(to, share)| ((*to).to_owned(), *share))
            .collect();
        assert_eq!(shares(&mapping, subject), expected);
    };
    check("foo", &[("bar", 100, "")], "", "foo", &[("bar", 100)]);
    check(
        "foo",
        &[("a", 50, ""), ("b", 20, "")],
        "",
        "foo",
        &[("a", 50), ("b", 20), ("foo", 30)],
    );
    check(
        "foo.*",
        &[("a.$1", 60, "")],
        "",
        "foo.x",
        &[("a.x", 60), ("foo.x", 40)],
    );
    check(
        "foo",
        &[("foo", 40, ""), ("bar", 10, "")],
        "",
        "foo",
        &[("foo", 40), ("bar", 10), ("", 50)],
    );
    check(
        "foo",
        &[("bar.{{partition(5)}}", 100, "")],
        "",
        "foo",
        &[("bar.1", 100)],
    );
    let scoped = [("east", 100, "E"), ("any", 70, "")];
    check("foo", &scoped, "E", "foo", &[("east", 100)]);
    check("foo", &scoped, "W", "foo", &[("any", 70), ("foo", 30)]);
    check("foo", &[("east", 100, "E")], "", "foo", &[("foo", 100)]);
    let other = mapping("foo", &[("bar", 100, "")], "").unwrap();
    assert!(!other.apply(b"foo.bar", 0, &mut Vec::new()));
}

#[test]
fn bad_mappings_are_refused_in_nats_servers_words() {
    let check = |source: &str, destinations: &[_], expected: &str| {
        let error = mapping(source, destinations, "").unwrap_err();
        assert_eq!(error.to_string(), expected);
    };
    check(
        "foo",
        &[("a", 60, ""), ("b", 60, "")],
        "total weight needs to be <= 100",
    );
    check(
        "foo",
        &[("a", 101, "")],
        "individual weights need to be <= 100",
    );
    check(
        "foo",
        &[("a", 10, ""), ("a", 10, "")],
        "duplicate entry for \"a\"",
    );
    check("foo..x", &[("a", 10, "")], "invalid subject");
    check(
        "foo",
        &[("a..b", 10, "")],
        "invalid mapping destination: invalid transform",
    );
    check(
        "foo.>",
        &[("a.>.b", 10, "")],
        "invalid mapping destination: invalid transform in b",
    );
    check(
        "foo",
        &[("a b", 10, "")],
        "invalid mapping destination: invalid transform",
    );
    check("foo.*", &[("a.*", 10, "")], "invalid subject");
}

proptest! {
    #[test]
    fn nothing_that_is_read_panics(source in ".{0,20}", destination in ".{0,40}", subject in ".{0,20}") {
        if let Ok(transform) = SubjectTransform::new(source.as_bytes(), destination.as_bytes()) {
            transform.apply(subject.as_bytes(), 7, &mut Vec::new());
            transform.apply_to_pattern(source.as_bytes(), &mut Vec::new());
            let _ = transform.reverse();
        }
    }

    #[test]
    fn no_function_panics(
        name in prop::sample::select(&["wildcard", "partition", "split", "SplitFromLeft",
            "splitFromRight", "sliceFromLeft", "SliceFromRight", "left", "right", "random"][..]),
        arguments in "[-0-9, a]{0,12}", subject in "foo\\.[-a-c0-9\u{e9}]{1,12}", random: u64,
    ) {
        let destination = format!("x.{{{{{name}({arguments})}}}}");
        if let Ok(transform) = SubjectTransform::new(b"foo.*", destination.as_bytes()) {
            let mut out = Vec::new();
            prop_assert!(transform.apply(subject.as_bytes(), random, &mut out));
            prop_assert!(out.starts_with(b"x."));
        }
    }
}
