use proptest::prelude::*;

use super::*;

const LIMITS: Limits = Limits {
    max_control_line: 64,
    max_payload: 100,
    headers: true,
};

/// Parses `input` whole and at every split; all must agree.
#[track_caller]
fn check_parse<'a>(input: &'a [u8], limits: &Limits) -> Parse<'a> {
    let whole = parse_client_op(input, limits);
    for end in 0..input.len() {
        match (parse_client_op(&input[..end], limits), whole) {
            (Parse::Incomplete { needed }, Parse::Op { consumed, .. }) => {
                assert!(
                    end < needed && needed <= consumed,
                    "{end} {needed} {consumed}"
                );
            }
            (Parse::Incomplete { needed }, _) => assert!(end < needed),
            (Parse::Op { op, consumed }, _) => {
                assert_eq!(Parse::Op { op, consumed }, whole);
                assert!(consumed <= end);
            }
            (Parse::Error(early), Parse::Error(late)) => {
                assert_eq!(early.err_text(), late.err_text(), "{early} {late}");
            }
            (Parse::Error(early), _) => panic!("{early} turned into {whole:?}"),
        }
    }
    whole
}

#[track_caller]
fn check(input: &[u8], expected: ClientOp<'_>) {
    let expected = Parse::Op {
        op: expected,
        consumed: input.len(),
    };
    assert_eq!(
        check_parse(input, &LIMITS),
        expected,
        "{}",
        input.escape_ascii()
    );
}

#[track_caller]
fn check_err(input: &[u8], text: Option<&str>, log: &str) {
    match check_parse(input, &LIMITS) {
        Parse::Error(error) => {
            assert_eq!(error.err_text(), text, "{}", input.escape_ascii());
            assert_eq!(error.to_string(), log);
        }
        other => panic!("{}: {other:?}", input.escape_ascii()),
    }
}

fn plain<'a>(
    subject: &'a [u8],
    reply: Option<&'a [u8]>,
    size_text: &'a [u8],
    payload: &'a [u8],
) -> ClientOp<'a> {
    ClientOp::Pub(Pub {
        subject,
        reply,
        size_text,
        payload,
    })
}

fn sub<'a>(subject: &'a [u8], queue: Option<&'a [u8]>, sid: &'a [u8]) -> ClientOp<'a> {
    ClientOp::Sub(Sub {
        subject,
        queue,
        sid,
    })
}

#[test]
fn verbs_are_case_insensitive() {
    check(b"PiNg\r\n", ClientOp::Ping);
    check(b"pOnG\r\n", ClientOp::Pong);
    check(b"+oK\r\n", ClientOp::Ok);
    check(b"sub foo 1\r\n", sub(b"foo", None, b"1"));
    check(b"Pub foo 2\r\nhi\r\n", plain(b"foo", None, b"2", b"hi"));
    check(
        b"unsub 1\r\n",
        ClientOp::Unsub(Unsub {
            sid: b"1",
            max: None,
        }),
    );
    check(b"connect {}\r\n", ClientOp::Connect(b"{}"));
    check(b"info {}\r\n", ClientOp::Info(b"{}"));
    check(b"-err 'x'\r\n", ClientOp::Err(b"'x'"));
}

#[test]
fn control_lines_may_end_in_a_bare_lf() {
    check(b"PING\n", ClientOp::Ping);
    check(b"SUB foo 1\n", sub(b"foo", None, b"1"));
    check(b"PUB foo 2\nhi\r\n", plain(b"foo", None, b"2", b"hi"));
    check(b"CONNECT {}\n", ClientOp::Connect(b"{}"));
}

#[test]
fn a_stray_cr_drops_the_last_byte() {
    check(b"SUB foo\r 12\n", sub(b"foo", None, b"1"));
    check_err(
        b"PUB foo\r 2\n",
        None,
        "processPub Parse Error: \"foo\\r \"",
    );
}

#[test]
fn payloads_end_in_exactly_cr_lf() {
    let text = Some("Unknown Protocol Operation");
    let log = "parser ERROR: unknown protocol operation: ";
    check_err(b"PUB foo 2\r\nhi\n", text, &format!("{log}\"\\n\""));
    check_err(b"PUB foo 2\r\nhi!\r\n", text, &format!("{log}\"!\\r\\n\""));
    check_err(b"PUB foo 2\r\nhi\r!", text, &format!("{log}\"!\""));
    check(b"PUB foo 0\r\n\r\n", plain(b"foo", None, b"0", b""));
}

#[test]
fn separators_are_runs_of_spaces_and_tabs() {
    check(
        b"PUB \t foo\t\tbar  2 \t\r\nhi\r\n",
        plain(b"foo", Some(b"bar"), b"2", b"hi"),
    );
    check(b"SUB\tfoo  q\t1 \r\n", sub(b"foo", Some(b"q"), b"1"));
    check(
        b"UNSUB   1   5  \r\n",
        ClientOp::Unsub(Unsub {
            sid: b"1",
            max: Some(5),
        }),
    );
}

#[test]
fn verbs_start_their_line() {
    let text = Some("Unknown Protocol Operation");
    for line in [
        " PING\r\n",
        "\r\n",
        "\n",
        "\tPING\r\n",
        "MSG foo 1 2\r\n",
        "HMSG foo 1 2 2\r\n",
    ] {
        assert!(
            matches!(check_parse(line.as_bytes(), &LIMITS), Parse::Error(e) if e.err_text() == text)
        );
    }
    for verb in [
        "RS+ ", "LS- ", "A+ ", "RMSG ", "LMSG ", "PUBX", "SUBS", "FOO", "PIN\n", "-ERX",
    ] {
        assert!(
            matches!(check_parse(verb.as_bytes(), &LIMITS), Parse::Error(e) if e.err_text() == text)
        );
    }
}

#[test]
fn the_rest_of_a_ping_is_ignored() {
    check(b"PINGxyz\r\n", ClientOp::Ping);
    check(b"PONG 1 2 3\n", ClientOp::Pong);
    check(b"+OK, thanks\r\n", ClientOp::Ok);
}

#[test]
fn only_connect_and_info_need_no_blank() {
    check(
        b"CONNECT{\"verbose\":false}\r\n",
        ClientOp::Connect(b"{\"verbose\":false}"),
    );
    check(b"INFO{}\r\n", ClientOp::Info(b"{}"));
    check(b"CONNECT\r\n", ClientOp::Connect(b""));
    for line in [
        "PUB\r\n",
        "HPUB\r\n",
        "SUB\r\n",
        "UNSUB\r\n",
        "-ERR\r\n",
        "UNSUB1\r\n",
    ] {
        let parsed = check_parse(line.as_bytes(), &LIMITS);
        assert!(
            matches!(parsed, Parse::Error(ParseError::UnknownOperation { .. })),
            "{line}"
        );
    }
}

#[test]
fn sizes_have_one_to_nine_digits() {
    check(
        b"PUB foo 0002\r\nhi\r\n",
        plain(b"foo", None, b"0002", b"hi"),
    );
    check(
        b"PUB foo 000000002\r\nhi\r\n",
        plain(b"foo", None, b"000000002", b"hi"),
    );
    for size in ["0000000002", "+2", "-1", "2x", "0x2"] {
        let line = format!("PUB foo {size}\r\n");
        let log = format!("processPub Bad or Missing Size: \"foo {size}\"");
        check_err(line.as_bytes(), None, &log);
    }
    check(
        b"UNSUB 1 x\r\n",
        ClientOp::Unsub(Unsub {
            sid: b"1",
            max: None,
        }),
    );
    check(
        b"UNSUB 1 0\r\n",
        ClientOp::Unsub(Unsub {
            sid: b"1",
            max: Some(0),
        }),
    );
}

#[test]
fn malformed_arguments_close_silently() {
    check_err(b"PUB foo\r\n", None, "processPub Parse Error: \"foo\"");
    check_err(b"PUB \r\n", None, "processPub Parse Error: \"\"");
    check_err(b"PUB \nfoo 0\r\n", None, "processPub Parse Error: \"\"");
    check_err(
        b"PUB a b c 2\r\n",
        None,
        "processPub Parse Error: \"a b c 2\"",
    );
    check_err(b"SUB foo\r\n", None, "processSub Parse Error: \"foo\"");
    check_err(
        b"SUB a b c d\r\n",
        None,
        "processSub Parse Error: \"a b c d\"",
    );
    check_err(
        b"UNSUB a b c\r\n",
        None,
        "processUnsub Parse Error: \"a b c\"",
    );
    check_err(
        b"HPUB foo 2\r\n",
        None,
        "processHeaderPub Parse Error: \"foo 2\"",
    );
    check_err(
        b"HPUB foo x 2\r\n",
        None,
        "processHeaderPub Bad or Missing Header Size: \"foo x 2\"",
    );
    check_err(
        b"HPUB foo 2 x\r\n",
        None,
        "processHeaderPub Bad or Missing Total Size: \"foo 2 x\"",
    );
    check_err(
        b"HPUB foo 3 2\r\n",
        None,
        "processHeaderPub Header Size larger then TotalSize: \"foo 3 2\"",
    );
}

#[test]
fn headers_are_any_bytes() {
    let op = |headers, payload, body, header_size_text, total_size_text| {
        ClientOp::HPub(HPub {
            subject: b"foo",
            reply: Some(b"r"),
            header_size_text,
            total_size_text,
            headers,
            payload,
            body,
        })
    };
    check(
        b"HPUB foo r 4 6\r\n\r\nabhi\r\n",
        op(b"\r\nab", b"hi", b"\r\nabhi", b"4", b"6"),
    );
    check(
        b"hpub foo r 00 02\r\nhi\r\n",
        op(b"", b"hi", b"hi", b"00", b"02"),
    );
    let limits = Limits {
        headers: false,
        ..LIMITS
    };
    let refused = parse_client_op(b"HPUB foo 4 6\r\n", &limits);
    assert_eq!(refused, Parse::Error(ParseError::HeadersNotSupported));
}

#[test]
fn long_control_lines_are_refused_before_they_end() {
    let limit = LIMITS.max_control_line;
    let text = Some("maximum control line exceeded");
    let log = format!("maximum control line exceeded: max_control_line {limit}");
    let longest = vec![b'x'; limit];
    for end in ["\r\n", "\n"] {
        let line = [b"CONNECT ", &longest[..], end.as_bytes()].concat();
        check(&line, ClientOp::Connect(&longest));
        let line = [b"CONNECT x", &longest[..], end.as_bytes()].concat();
        check_err(&line, text, &log);
    }
    for verb in ["PUB ", "SUB ", "PING", "PUB x ", "-ERR "] {
        let fill = if verb == "SUB " { b' ' } else { b'y' };
        check_err(
            &[verb.as_bytes(), &vec![fill; limit + 2]].concat(),
            text,
            &log,
        );
    }
}

#[test]
fn large_payloads_are_refused_before_they_arrive() {
    let text = Some("Maximum Payload Violation");
    check_err(
        b"PUB foo 101\r\n",
        text,
        "maximum payload exceeded: 101 vs 100",
    );
    check_err(
        b"HPUB foo 5 101\r\n",
        text,
        "maximum payload exceeded: 101 vs 100",
    );
    let parsed = parse_client_op(b"PUB foo 100\r\nabc", &LIMITS);
    assert_eq!(
        parsed,
        Parse::Incomplete {
            needed: 13 + 100 + 2
        }
    );
}

fn token() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(
        any::<u8>().prop_filter("blank", |b| !matches!(b, b' ' | b'\t' | b'\r' | b'\n')),
        1..12,
    )
}

fn body() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(any::<u8>(), 0..40)
}

proptest! {
    #[test]
    fn encoded_operations_parse_back(
        subject in token(), other in proptest::option::of(token()), sid in token(),
        headers in body(), payload in body(), max in proptest::option::of(0u32..999_999_999),
    ) {
        let mut stream = Vec::new();
        crate::encode::publish(&subject, other.as_deref(), &payload, &mut stream);
        crate::encode::hpublish(&subject, other.as_deref(), &headers, &payload, &mut stream);
        crate::encode::sub(&subject, other.as_deref(), &sid, &mut stream);
        crate::encode::unsub(&sid, max, &mut stream);
        let mut ops = Vec::new();
        let mut rest = &stream[..];
        while !rest.is_empty() {
            match check_parse(rest, &LIMITS) {
                Parse::Op { op, consumed } => {
                    ops.push(op);
                    rest = &rest[consumed..];
                }
                other => panic!("{other:?}"),
            }
        }
        let size = payload.len().to_string();
        let total = (headers.len() + payload.len()).to_string();
        let header_size = headers.len().to_string();
        let body = [&headers[..], &payload[..]].concat();
        prop_assert_eq!(ops, vec![
            plain(&subject, other.as_deref(), size.as_bytes(), &payload),
            ClientOp::HPub(HPub {
                subject: &subject,
                reply: other.as_deref(),
                header_size_text: header_size.as_bytes(),
                total_size_text: total.as_bytes(),
                headers: &headers,
                payload: &payload,
                body: &body,
            }),
            sub(&subject, other.as_deref(), &sid),
            ClientOp::Unsub(Unsub { sid: &sid, max }),
        ]);
    }

    #[test]
    fn any_split_of_garbage_gives_the_same(
        verb in "(PUB|hpub|Sub|UNSUB|PING|PONG|CONNECT|\\+OK|-ERR|INFO|)[ \t]?",
        args in "[ \ta-c0-9\r\n.]{0,90}",
    ) {
        check_parse([verb, args].concat().as_bytes(), &LIMITS);
    }
}
