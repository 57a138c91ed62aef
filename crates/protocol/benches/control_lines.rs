//! What parsing and encoding one message costs; the budget is 50 ns.
//!
//! `cargo bench -p jetsled-protocol --bench control_lines`
//!
//! On a busy two-core virtual machine, best of several runs in CPU time a message (criterion's wall
//! times there are about twice as much):
//!
//! | | hand-written | nom |
//! |---|---|---|
//! | `PUB`, 16 B | 22-25 ns | 27 ns |
//! | `HPUB`, 128 B | 35-41 ns | 31 ns, without the checks of limits |
//! | `SUB` | - | 23 ns |
//! | `PING` | 4 ns | - |
//!
//! So both are within the budget. `SUB` and `UNSUB` are nom grammars; `PUB` and `HPUB` stay
//! hand-written for the sake of nats-server's stray-CR rule and its separate errors for each
//! argument, which need the line's end before its arguments. A first version that looked every verb
//! up in a table took twice as long for all but `PUB`.

#![allow(
    missing_docs,
    reason = "criterion's macros make undocumented functions"
)]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use jetsled_protocol::{
    Limits, Parse, ServerOp, encode, headers, parse_client_op, parse_server_op,
};

/// Messages a batch; about what one large read holds.
const BATCH: usize = 256;

/// The alternative to the hand-written `PUB` and `HPUB`: the same tolerance as nom combinators.
mod with_nom {
    use nom::bytes::complete::{tag_no_case, take, take_till1, take_while_m_n, take_while1};
    use nom::character::complete::char;
    use nom::combinator::opt;
    use nom::sequence::{delimited, preceded, terminated};
    use nom::{IResult, Parser};

    pub(super) struct Publish<'a> {
        pub(super) subject: &'a [u8],
        pub(super) reply: Option<&'a [u8]>,
        pub(super) payload: &'a [u8],
    }

    fn blanks(input: &[u8]) -> IResult<&[u8], &[u8]> {
        take_while1(|b| b == b' ' || b == b'\t').parse(input)
    }

    fn argument(input: &[u8]) -> IResult<&[u8], &[u8]> {
        take_till1(|b| matches!(b, b' ' | b'\t' | b'\r' | b'\n')).parse(input)
    }

    fn size(input: &[u8]) -> IResult<&[u8], usize> {
        take_while_m_n(1, 9, |b: u8| b.is_ascii_digit())
            .map(|digits: &[u8]| digits.iter().fold(0, |n, d| n * 10 + usize::from(d - b'0')))
            .parse(input)
    }

    fn line_end(input: &[u8]) -> IResult<&[u8], ()> {
        (opt(blanks), opt(char('\r')), char('\n'))
            .map(|_| ())
            .parse(input)
    }

    pub(super) fn publish(input: &[u8]) -> IResult<&[u8], Publish<'_>> {
        let reply = opt(terminated(argument, (blanks, nom::combinator::peek(size))));
        let (input, (subject, reply, size)) = (
            delimited((tag_no_case("PUB"), blanks), argument, blanks),
            reply,
            preceded(opt(blanks), terminated(size, line_end)),
        )
            .parse(input)?;
        let (input, payload) = terminated(take(size), (char('\r'), char('\n'))).parse(input)?;
        Ok((
            input,
            Publish {
                subject,
                reply,
                payload,
            },
        ))
    }

    pub(super) fn header_publish(input: &[u8]) -> IResult<&[u8], Publish<'_>> {
        let (input, (subject, _headers, size)) = (
            delimited((tag_no_case("HPUB"), blanks), argument, blanks),
            terminated(size, blanks),
            terminated(size, line_end),
        )
            .parse(input)?;
        let (input, payload) = terminated(take(size), (char('\r'), char('\n'))).parse(input)?;
        Ok((
            input,
            Publish {
                subject,
                reply: None,
                payload,
            },
        ))
    }
}

fn batch(write: impl Fn(usize, &mut Vec<u8>)) -> Vec<u8> {
    let mut stream = Vec::new();
    (0..BATCH).for_each(|i| write(i, &mut stream));
    stream
}

fn parse_all(mut stream: &[u8]) -> usize {
    let limits = Limits::default();
    let mut count = 0;
    while let Parse::Op { op, consumed } = parse_client_op(stream, &limits) {
        black_box(op);
        stream = &stream[consumed..];
        count += 1;
    }
    count
}

fn parsing(c: &mut Criterion) {
    let subject = b"orders.eu.created";
    let headers = b"NATS/1.0\r\nNats-Msg-Id: 12345678\r\n\r\n";
    let streams = [
        (
            "PUB 16 B",
            batch(|_, out| encode::publish(subject, None, &[b'x'; 16], out)),
        ),
        (
            "PUB 128 B, reply",
            batch(|i, out| {
                let reply = format!("_INBOX.0123456789abcdefghijkl.{i}");
                encode::publish(subject, Some(reply.as_bytes()), &[b'x'; 128], out);
            }),
        ),
        (
            "HPUB 128 B",
            batch(|_, out| encode::hpublish(subject, None, headers, &[b'x'; 128], out)),
        ),
        (
            "SUB",
            batch(|i, out| encode::sub(subject, None, (i + 1).to_string().as_bytes(), out)),
        ),
        ("PING", batch(|_, out| out.extend_from_slice(encode::PING))),
    ];
    let mut group = c.benchmark_group("parse");
    group.throughput(Throughput::Elements(BATCH as u64));
    for (name, stream) in &streams {
        assert_eq!(parse_all(stream), BATCH);
        group.bench_function(*name, |b| b.iter(|| parse_all(black_box(stream))));
    }
    group.bench_function("PUB 16 B, nom", |b| {
        b.iter(|| {
            let mut rest = black_box(&streams[0].1[..]);
            while let Ok((next, publish)) = with_nom::publish(rest) {
                black_box((publish.subject, publish.reply, publish.payload));
                rest = next;
            }
            assert!(rest.is_empty());
        });
    });
    group.bench_function("HPUB 128 B, nom", |b| {
        b.iter(|| {
            let mut rest = black_box(&streams[2].1[..]);
            while let Ok((next, publish)) = with_nom::header_publish(rest) {
                black_box((publish.subject, publish.reply, publish.payload));
                rest = next;
            }
            assert!(rest.is_empty());
        });
    });
    let stream = batch(|_, out| encode::msg(subject, b"17", None, &[b'x'; 16], out));
    group.bench_function("MSG 16 B", |b| {
        b.iter(|| {
            let mut rest = black_box(&stream[..]);
            while let Parse::Op {
                op: ServerOp::Msg(msg),
                consumed,
            } = parse_server_op(rest, &Limits::default())
            {
                black_box(msg);
                rest = &rest[consumed..];
            }
            assert!(rest.is_empty());
        });
    });
    group.finish();
}

fn encoding(c: &mut Criterion) {
    let mut group = c.benchmark_group("encode");
    group.throughput(Throughput::Elements(BATCH as u64));
    let mut prefix = Vec::new();
    encode::msg_prefix(b"orders.eu.created", b"17", &mut prefix);
    let mut out = Vec::with_capacity(64 * 1024);
    group.bench_function("MSG 16 B, cached prefix", |b| {
        b.iter(|| {
            out.clear();
            for _ in 0..BATCH {
                out.extend_from_slice(black_box(&prefix));
                encode::msg_tail(None, b"16", &mut out);
                out.extend_from_slice(&[b'x'; 16]);
                out.extend_from_slice(encode::CRLF);
            }
            out.len()
        });
    });
    group.bench_function("MSG 16 B", |b| {
        b.iter(|| {
            out.clear();
            for _ in 0..BATCH {
                encode::msg(
                    black_box(b"orders.eu.created"),
                    b"17",
                    None,
                    &[b'x'; 16],
                    &mut out,
                );
            }
            out.len()
        });
    });
    group.finish();
}

fn header_lookup(c: &mut Criterion) {
    let mut block = Vec::new();
    for i in 0..4 {
        headers::append(
            &mut block,
            format!("X-Header-{i}").as_bytes(),
            b"some value",
        );
    }
    headers::append(&mut block, b"Nats-Msg-Id", b"12345678");
    c.bench_function("header, last of 5", |b| {
        b.iter(|| headers::get(black_box(&block), black_box(b"Nats-Msg-Id")));
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(std::time::Duration::from_millis(300))
        .measurement_time(std::time::Duration::from_secs(1))
        .sample_size(30);
    targets = parsing, encoding, header_lookup
}
criterion_main!(benches);
