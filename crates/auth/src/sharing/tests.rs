use std::sync::Arc;

use super::*;

fn stream(subject: &str) -> Export {
    Export {
        subject: subject.to_owned(),
        kind: ExportKind::Stream,
        audience: Audience::default(),
    }
}

fn service(subject: &str) -> Export {
    Export {
        kind: ExportKind::Service(ServiceExport::default()),
        ..stream(subject)
    }
}

fn only_for(export: Export, account: &str) -> Export {
    Export {
        audience: Audience {
            accounts: vec![account.into()],
            ..Audience::default()
        },
        ..export
    }
}

fn by_token(export: Export, position: usize) -> Export {
    Export {
        audience: Audience {
            account_token_position: position,
            ..Audience::default()
        },
        ..export
    }
}

fn from_stream(account: &str, subject: &str, local: LocalSubject) -> Import {
    Import::Stream(StreamImport {
        account: account.into(),
        subject: subject.to_owned(),
        local,
        allow_trace: false,
        is_activated: false,
    })
}

fn from_service(account: &str, subject: &str, to: &str) -> Import {
    Import::Service(ServiceImport {
        account: account.into(),
        subject: subject.to_owned(),
        to: to.to_owned(),
        share: false,
        is_activated: false,
    })
}

type Account<'a> = (&'a str, &'a [Export], &'a [Import]);

fn build(accounts: &[Account<'_>]) -> (Exchange, Vec<String>) {
    let accounts: Vec<(Arc<str>, Sharing)> = accounts
        .iter()
        .map(|(name, exports, imports)| {
            let sharing = Sharing {
                exports: exports.to_vec(),
                imports: imports.to_vec(),
            };
            ((*name).into(), sharing)
        })
        .collect();
    let (exchange, errors) =
        Exchange::build(accounts.iter().map(|(name, sharing)| (name, sharing)));
    (exchange, errors.iter().map(ToString::to_string).collect())
}

#[track_caller]
fn check(accounts: &[Account<'_>], errors: &[&str]) {
    assert_eq!(build(accounts).1, errors);
}

#[test]
fn an_import_needs_an_export_that_covers_it() {
    let import = |subject| [from_stream("A", subject, LocalSubject::Same)];
    let refused =
        |subject| format!("Error adding stream import {subject:?}: stream import not authorized");
    check(
        &[("A", &[stream("a.>")], &[]), ("B", &[], &import("a.*"))],
        &[],
    );
    for wanted in ["b", ">", "a", "*.b"] {
        let expected = refused(wanted);
        check(
            &[("A", &[stream("a.>")], &[]), ("B", &[], &import(wanted))],
            &[expected.as_str()],
        );
    }
    // A service is no stream.
    check(
        &[("A", &[service("a.>")], &[]), ("B", &[], &import("a.b"))],
        &["Error adding stream import \"a.b\": stream import not authorized"],
    );
    check(
        &[("A", &[], &[]), ("B", &[], &[from_service("A", "a", "a")])],
        &["Error adding service import \"a\": service import not authorized"],
    );
    check(
        &[("B", &[], &[from_service("A", "a", "a")])],
        &["\"A\" account not defined for service import"],
    );
}

#[test]
fn a_private_export_is_for_the_accounts_named() {
    let exports = [only_for(stream("a"), "B"), only_for(service("s"), "B")];
    let imports = [
        from_stream("A", "a", LocalSubject::Same),
        from_service("A", "s", "s"),
    ];
    check(&[("A", &exports, &[]), ("B", &[], &imports)], &[]);
    check(
        &[("A", &exports, &[]), ("B", &[], &[]), ("C", &[], &imports)],
        &[
            "Error adding stream import \"a\": stream import not authorized",
            "Error adding service import \"s\": service import not authorized",
        ],
    );
    check(
        &[("A", &exports, &[])],
        &[
            "\"B\" account not defined for stream export",
            "\"B\" account not defined for service export",
        ],
    );
}

#[test]
fn an_activation_opens_what_requires_one() {
    let export = Export {
        audience: Audience {
            token_required: true,
            ..Audience::default()
        },
        ..service("s")
    };
    let import = |is_activated| {
        Import::Service(ServiceImport {
            account: "A".into(),
            subject: "s".to_owned(),
            to: "s".to_owned(),
            share: false,
            is_activated,
        })
    };
    check(
        &[
            ("A", std::slice::from_ref(&export), &[]),
            ("B", &[], &[import(true)]),
        ],
        &[],
    );
    check(
        &[("A", &[export], &[]), ("B", &[], &[import(false)])],
        &["Error adding service import \"s\": service import not authorized"],
    );
}

#[test]
fn an_account_token_must_name_the_importer() {
    let exports = [by_token(service("s.*"), 2)];
    check(
        &[
            ("A", &exports, &[]),
            ("B", &[], &[from_service("A", "s.B", "s")]),
        ],
        &[],
    );
    for wanted in ["s.C", "s.*"] {
        let expected =
            format!("Error adding service import {wanted:?}: service import not authorized");
        check(
            &[
                ("A", &exports, &[]),
                ("B", &[], &[from_service("A", wanted, wanted)]),
            ],
            &[expected.as_str()],
        );
    }
    check(
        &[("A", &[by_token(service("s.*"), 1)], &[])],
        &["Error adding service export \"s.*\": sublist: invalid subject"],
    );
}

#[test]
fn cycles_are_refused() {
    check(
        &[
            (
                "A",
                &[stream("a")],
                &[from_stream("B", "b", LocalSubject::To("a".into()))],
            ),
            (
                "B",
                &[stream("b")],
                &[from_stream("A", "a", LocalSubject::To("b".into()))],
            ),
        ],
        &["Error adding stream import \"a\": import forms a cycle"],
    );
    check(
        &[
            (
                "A",
                &[service("help")],
                &[from_service("B", "help", "help")],
            ),
            (
                "B",
                &[service("help")],
                &[from_service("A", "help", "help")],
            ),
        ],
        &["Error adding service import \"help\": import forms a cycle"],
    );
    check(
        &[
            ("A", &[service("a")], &[from_service("B", "a", "a")]),
            ("B", &[service("a")], &[from_service("C", "a", "a")]),
            ("C", &[service("a")], &[from_service("A", "a", "a")]),
        ],
        &["Error adding service import \"a\": import forms a cycle"],
    );
}

#[test]
fn duplicates_are_refused() {
    let streams = [
        from_stream("A", "a", LocalSubject::Same),
        from_stream("A", "a", LocalSubject::Prefix("p".into())),
    ];
    check(
        &[("A", &[stream("a")], &[]), ("B", &[], &streams)],
        &["Error adding stream import \"a\": stream import already exists"],
    );
    // Two accounts may answer the same subject.
    let services = [from_service("A", "s", "s"), from_service("C", "s", "s")];
    check(
        &[
            ("A", &[service("s")], &[]),
            ("B", &[], &services),
            ("C", &[service("s")], &[]),
        ],
        &[],
    );
}

#[test]
fn latencies_need_a_subject_that_is_no_service_and_single_responses() {
    let measured = |subject: &str, response_type| Export {
        kind: ExportKind::Service(ServiceExport {
            response_type,
            latency: Some(LatencyTracking {
                subject: subject.to_owned(),
                sampling: LatencySampling::Percent(100),
            }),
            ..ServiceExport::default()
        }),
        ..service("s")
    };
    check(
        &[("A", &[measured("l", ResponseType::Singleton)], &[])],
        &[],
    );
    for (subject, response_type, reason) in [
        ("s", ResponseType::Singleton, "invalid publish subject"),
        ("l.*", ResponseType::Singleton, "invalid publish subject"),
        ("l", ResponseType::Stream, "bad service response type"),
    ] {
        let expected = format!(
            "Error adding service latency sampling for \"s\" on subject {subject:?}: {reason}"
        );
        check(
            &[("A", &[measured(subject, response_type)], &[])],
            &[expected.as_str()],
        );
    }
}

#[track_caller]
fn check_local(subject: &str, local: LocalSubject, published: &str, expected: &str) {
    let (exchange, errors) = build(&[
        ("A", &[stream(">")], &[]),
        ("B", &[], &[from_stream("A", subject, local)]),
    ]);
    assert_eq!(errors, [""; 0]);
    let import = &exchange.account("B").unwrap().streams[0];
    let mut found = Vec::new();
    import.localize(published.as_bytes(), &mut found);
    assert_eq!(String::from_utf8_lossy(&found), expected);
    assert!(jetsled_protocol::subject::matches(&found, &import.to));
    // And back.
    assert_eq!(import.exported(&found), published.as_bytes());
}

#[test]
fn streams_arrive_under_their_local_subject() {
    let to = |text: &str| LocalSubject::To(text.into());
    let prefix = |text: &str| LocalSubject::Prefix(text.into());
    check_local("a.*", LocalSubject::Same, "a.b", "a.b");
    check_local("a.*", prefix("p"), "a.b", "p.a.b");
    check_local("a.>", prefix("p.q."), "a.b.c", "p.q.a.b.c");
    check_local("a", to("x.y"), "a", "x.y");
    check_local("a.*.*", to("x.$2.$1"), "a.b.c", "x.c.b");
    check_local("a.*.c.*", to("x.*.*"), "a.b.c.d", "x.b.d");
    check_local("a.*.>", to("x.*.>"), "a.b.c.d", "x.b.c.d");
}

#[track_caller]
fn check_request(subject: &str, to: &str, published: &str, expected: &str) {
    let (exchange, errors) = build(&[
        ("A", &[service(">")], &[]),
        ("B", &[], &[from_service("A", subject, to)]),
    ]);
    assert_eq!(errors, [""; 0]);
    let import = &exchange.account("B").unwrap().services[0];
    assert!(jetsled_protocol::subject::matches(
        published.as_bytes(),
        &import.from
    ));
    let mut found = Vec::new();
    import.rewrite(published.as_bytes(), &mut found);
    assert_eq!(String::from_utf8_lossy(&found), expected);
}

#[test]
fn requests_go_to_the_exported_subject() {
    check_request("s", "s", "s", "s");
    check_request("s.t", "local", "local", "s.t");
    check_request("s.*", "s.*", "s.x", "s.x");
    check_request("s.*", "local.*", "local.x", "s.x");
    check_request("s.*.*", "local.$2.$1", "local.x.y", "s.y.x");
    check_request("s.>", "local.>", "local.x.y", "s.x.y");
    check_request("s", "local.*", "local.x", "s");
    check_request("s.>", "local.>", "local.x.>", "s.x.>");
    check_request("s.*", "local.*", "local.*", "s.*");
}
