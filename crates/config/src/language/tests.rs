use std::{collections::HashMap, io, path::Path};

use proptest::{collection::vec, prelude::*};

use super::*;
use crate::Environment;

fn parse_with(files: &[(&str, &str)], variables: &[(&str, &str)]) -> Result<Map, String> {
    let files: HashMap<_, _> = files.iter().copied().collect();
    let variables: HashMap<_, _> = variables.iter().copied().collect();
    let environment = Environment {
        read_file: &|path| {
            let text = path.to_str().and_then(|path| files.get(path));
            text.map(|text| (*text).to_owned())
                .ok_or_else(|| io::Error::from_raw_os_error(2))
        },
        variable: &|name| variables.get(name).map(|value| (*value).to_owned()),
    };
    parse_file(Path::new("main.conf"), &environment).map_err(|error| error.to_string())
}

fn parse(text: &str) -> Result<Map, String> {
    parse_with(&[("main.conf", text)], &[])
}

/// The values in a short form: strings in quotes, everything else by itself.
fn show(kind: &Kind) -> String {
    match kind {
        Kind::String(text) => format!("{text:?}"),
        Kind::Array(values) => {
            format!(
                "[{}]",
                values
                    .iter()
                    .map(|value| show(&value.kind))
                    .collect::<Vec<_>>()
                    .join(",")
            )
        }
        Kind::Map(map) => show_map(map),
        Kind::Datetime(text) => format!("@{text}"),
        scalar => scalar.to_string(),
    }
}

fn show_map(map: &Map) -> String {
    let entries: Vec<_> = map
        .iter()
        .map(|(key, value)| format!("{key}={}", show(&value.kind)))
        .collect();
    format!("{{{}}}", entries.join(","))
}

#[track_caller]
fn check(text: &str, expected: &str) {
    let got = parse(text).map_or_else(|error| error, |map| show_map(&map));
    assert_eq!(got, expected, "{text}");
}

#[test]
fn scalars_are_told_apart() {
    check("a: true, b: No; c = ON", "{a=true,b=false,c=true}");
    check(
        "a: 1, b: -1, c: 1k, d: 1Kb, e: 2MiB, f: 1.5, g: -0.5",
        "{a=1,b=-1,c=1000,d=1024,e=2097152,f=1.5,g=-0.5}",
    );
    check(
        "a: 10s, b: 4nats, c: 127.0.0.1:4222, d: 500ms",
        "{a=\"10s\",b=\"4nats\",c=\"127.0.0.1:4222\",d=\"500ms\"}",
    );
    check("a: 2016-05-04T18:53:41Z", "{a=@2016-05-04T18:53:41Z}");
    check("a: 2m", "{a=2000000}");
    check("a: $2a$10$abc", "{a=\"$2a$10$abc\"}");
    check(
        "a: 'x\\t', b: \"x\\t\", c: x\\t",
        "{a=\"x\\\\t\",b=\"x\\t\",c=\"x\\t\"}",
    );
    check("a: (\nx { y }\n)\n", "{a=\"\\nx { y }\\n\"}");
    check("a: [1,2]", "{a=[1,2]}");
}

#[test]
fn structure_is_read() {
    check(
        "a { b [ 1, 2\n 3 ]\n c { d e } }",
        "{a={b=[1,2,3],c={d=\"e\"}}}",
    );
    check(
        "{ \"a\": { \"b\": [] }, 'c': [ { x: 1 }, { x: 2 } ] }",
        "{a={b=[]},c=[{x=1},{x=2}]}",
    );
    check("a: 1\na: 2", "{a=2}");
    check("a { # one\n // two\n b: 1 # three\n }", "{a={b=1}}");
}

#[test]
fn what_was_written_for_a_secret_is_not_quoted() {
    check(
        "password: $ecret",
        "variable reference for '[REDACTED]' on line 1 can not be found",
    );
    check(
        "a { password: se,cret }",
        "Parse error on line 1: 'Expected a value for key \"[REDACTED]\" but found the end of the map'",
    );
    check("a { auth_token: 1234x5\n }", "{a={auth_token=\"1234x5\"}}");
    for text in [
        "pass: 98765432109876543210",
        "Passphrase = -98765432109876543210",
        "token: [ 98765432109876543210 ]",
        "key: { a: 98765432109876543210 }",
    ] {
        check(text, "expected a number, but got '[REDACTED]'");
    }
    check(
        "port: 98765432109876543210",
        "integer '98765432109876543210' is out of the range",
    );
    let from = |value: &str| {
        parse_with(&[("main.conf", "pass: $X")], &[("X", value)]).expect_err("no value")
    };
    let hidden = "variable reference for '[REDACTED]' on line 1 could not be parsed:";
    assert_eq!(
        from("98765432109876543210"),
        format!("{hidden} expected a number, but got '[REDACTED]'")
    );
    assert_eq!(
        from("$ecret"),
        format!("{hidden} variable reference for '[REDACTED]' on line 1 can not be found")
    );
}

#[test]
fn variables_are_looked_up_from_the_inside_out_and_then_in_the_environment() {
    check("x: 1\na { x: 2, b: $x }\nc: $x", "{x=1,a={x=2,b=2},c=1}");
    check(
        "a: $x\nx: 1",
        "variable reference for 'x' on line 1 can not be found",
    );
    let from = |variables: &[(&str, &str)]| {
        parse_with(&[("main.conf", "a: $X")], variables)
            .map_or_else(|error| error, |map| show_map(&map))
    };
    assert_eq!(from(&[("X", "7")]), "{a=7}");
    assert_eq!(from(&[("X", "{ b: [1, yes] }")]), "{a={b=[1,true]}}");
    assert_eq!(from(&[("X", "$Y"), ("Y", "'z'")]), "{a=\"z\"}");
    assert!(from(&[("X", "$Y"), ("Y", "$X")]).ends_with("variable reference cycle for 'X'"));
    assert!(
        from(&[("X", "\"open")])
            .starts_with("variable reference for 'X' on line 1 could not be parsed")
    );
}

#[test]
fn includes_join_the_map_they_stand_in() {
    let files = |main| {
        let files = [
            ("main.conf", main),
            ("sub/a.conf", "b: 1\ninclude 'c.conf'"),
            ("sub/c.conf", "c: 2"),
            ("me.conf", "include me.conf"),
        ];
        parse_with(&files, &[]).map_or_else(|error| error, |map| show_map(&map))
    };
    assert_eq!(files("include sub/a.conf\nd: 3"), "{b=1,c=2,d=3}");
    assert_eq!(files("m { include \"sub/c.conf\" }"), "{m={c=2}}");
    assert_eq!(files("include /sub/c.conf"), "{c=2}");
    assert_eq!(
        files("include nope.conf"),
        "error parsing include file 'nope.conf', open nope.conf: no such file or directory"
    );
    assert!(files("include me.conf").contains("files include each other deeper than 64"));
    assert_eq!(files("include: x"), "{include=\"x\"}");
}

#[test]
fn values_know_the_place_of_their_key() {
    let files = [
        ("main.conf", "a: 1\n  b { c: 2 }\ninclude x.conf"),
        ("x.conf", "\nd: 1"),
    ];
    let map = parse_with(&files, &[]).unwrap();
    let places: Vec<_> = map
        .iter()
        .map(|(key, value)| {
            let Position { file, line, column } = &value.position;
            (key, file.display().to_string(), *line, *column)
        })
        .collect();
    let place = |key, file: &str, line, column| (key, file.to_owned(), line, column);
    let expected = [
        place("a", "main.conf", 1, 0),
        place("b", "main.conf", 2, 3),
        place("d", "x.conf", 2, 1),
    ];
    assert_eq!(places, expected);
}

#[test]
fn nesting_has_a_bound() {
    let deep = format!("a: {}", "[".repeat(100_000));
    assert!(parse(&deep).unwrap_err().contains("nested deeper than 64"));
    let deep = "a {".repeat(100_000);
    assert!(parse(&deep).unwrap_err().contains("nested deeper than 64"));
}

proptest! {
    /// Whatever the text, there is a map or an error.
    #[test]
    fn any_text_is_answered(
        parts in vec(
            prop_oneof![
                Just("{"), Just("}"), Just("["), Just("]"), Just("("), Just(")"), Just("\n"), Just(" "), Just(","),
                Just(";"), Just("="), Just(":"), Just("#"), Just("//"), Just("\""), Just("'"), Just("\\"), Just("$"),
                Just("a"), Just("include "), Just("12"), Just("-"), Just("."), Just("k"), Just("x41"), Just("é"),
                Just("\0"), Just("\r"), Just("2006-01-02T"),
            ],
            0..40,
        )
    ) {
        let _ = parse(&parts.concat());
    }

    /// A written map is read back.
    #[test]
    fn written_values_are_read_back(
        entries in proptest::collection::btree_map("[a-z]{1,8}", prop_oneof![
            any::<i64>().prop_map(Kind::Integer),
            any::<bool>().prop_map(Kind::Bool),
            "[a-z0-9 .*>#{}]{0,12}".prop_map(Kind::String),
        ], 0..8)
    ) {
        let text: String = entries.iter().map(|(key, value)| format!("\"{key}\": {}\n", show(value))).collect();
        let map = parse(&text).unwrap();
        let read: Vec<_> = map.iter().map(|(key, value)| (key.to_owned(), value.kind.clone())).collect();
        prop_assert_eq!(read, entries.into_iter().collect::<Vec<_>>());
    }
}
