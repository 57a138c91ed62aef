//! What crosses from one account to another. Each transcript was taken from nats-server 2.15.1.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod jetstream;
#[path = "../support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use jetsled_testkit::Peer;
use support::TestServer;

/// Plays a script to a server with these accounts and checks that it is also the transcript.
///
/// `a: text` sends as user `a`, `| ` for line ends and `{reply}` for the reply subject of its last message; lines
/// with `<` are what each of the users so far gets then, and `wait` waits for more. What differs from run to run is
/// replaced: reply subjects of the server by `_R_`, sizes behind headers by `# #`, times, numbers and ids by nothing.
#[track_caller]
fn check(config: &str, script: &str) {
    let server = TestServer::configured(config);
    let mut players: BTreeMap<String, Player> = BTreeMap::new();
    let mut transcript = Vec::new();
    let expected: Vec<&str> = script
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    for line in expected.iter().filter(|line| !line.contains('<')) {
        transcript.push((*line).to_owned());
        if *line == "wait" {
            let until = Instant::now() + Duration::from_secs(30);
            // A PING of the server is not what is waited for.
            let got_any = |player: &Player| {
                let got = String::from_utf8_lossy(&player.got);
                !normalized(&got).is_empty()
            };
            while !players.values().any(got_any) {
                assert!(Instant::now() < until, "nothing came");
                std::thread::sleep(Duration::from_millis(10));
                for player in players.values_mut() {
                    player.got = player.peer.sync().unwrap();
                }
            }
        } else {
            let (name, text) = line.split_once(':').unwrap();
            let player = players
                .entry(name.to_owned())
                .or_insert_with(|| Player::new(&server, name));
            let text = text.trim_start().replace('|', "\r\n");
            let text = text.replace("{reply}", &player.reply);
            player.peer.send(format!("{text}\r\n")).unwrap();
            player.got = player.peer.sync().unwrap();
        }
        for (name, player) in &mut players {
            let mut got = std::mem::take(&mut player.got);
            got.extend(player.peer.sync().unwrap());
            let got = String::from_utf8(got).unwrap();
            if let Some(reply) = reply_of(&got) {
                player.reply = reply;
            }
            let messages = normalized(&got);
            transcript.extend(messages.into_iter().map(|text| format!("{name}< {text}")));
        }
    }
    let expected: Vec<String> = expected.iter().map(ToString::to_string).collect();
    assert_eq!(transcript, expected, "{config}");
}

struct Player {
    peer: Peer,
    got: Vec<u8>,
    reply: String,
}

impl Player {
    fn new(server: &TestServer, name: &str) -> Self {
        let fields = format!(r#","user":"{name}","pass":"p","name":"{name}""#);
        Self {
            peer: server.connected(&fields, "PONG\r\n"),
            got: Vec::new(),
            reply: String::new(),
        }
    }
}

fn reply_of(got: &str) -> Option<String> {
    let line = got
        .lines()
        .rfind(|line| line.starts_with("MSG ") || line.starts_with("HMSG "))?;
    let reply = line.split(' ').nth(3)?;
    reply.contains('.').then(|| reply.to_owned())
}

/// One line a message, sorted.
fn normalized(got: &str) -> Vec<String> {
    let mut messages = Vec::new();
    for line in got.split_inclusive("\r\n") {
        let begins = ["MSG ", "HMSG ", "-ERR", "+OK"];
        if begins.iter().any(|begin| line.starts_with(begin)) {
            messages.push(String::new());
        }
        let mut line = line.replace("\r\n", "|");
        if line.starts_with("HMSG ") {
            let mut words: Vec<&str> = line.trim_end_matches('|').split(' ').collect();
            words.truncate(words.len() - 2);
            if let Some(reply) = words.get_mut(3) {
                *reply = if reply.starts_with("_R_.") {
                    "_R_"
                } else {
                    reply
                };
            }
            line = format!("{} # #|", words.join(" "));
        } else if let Some((header, json)) = line.split_once('{') {
            let json: serde_json::Value =
                serde_json::from_str(&format!("{{{}", json.trim_end_matches('|'))).unwrap();
            let size = header.rsplit(' ').next().unwrap_or_default();
            let header = if header.starts_with("MSG ") {
                header.replace(size, "#")
            } else {
                header.to_owned()
            };
            line = format!("{header}{}|", without_accidents(&json));
        }
        if let Some(last) = messages.last_mut() {
            last.push_str(&line);
        }
    }
    for message in &mut messages {
        *message = message.trim_end_matches(['|', ' ']).to_owned();
        if let Some((head, json)) = message.split_once("|{")
            && head.starts_with("MSG ")
        {
            // A payload that the server made has times of varying length.
            let words: Vec<&str> = head.split(' ').collect();
            *message = format!("{} #|{{{json}", words[..words.len() - 1].join(" "));
        }
    }
    messages.sort();
    messages
}

fn without_accidents(json: &serde_json::Value) -> serde_json::Value {
    let mut json = json.clone();
    if let Some(object) = json.as_object_mut() {
        for key in [
            "start",
            "id",
            "rtt",
            "server",
            "timestamp",
            "service",
            "system",
            "total",
            "lang",
            "ver",
        ] {
            object.remove(key);
        }
        for value in object.values_mut() {
            *value = without_accidents(value);
        }
    }
    json
}

/// Accounts by name with what they contain; each has a user of its name in small letters.
fn accounts(contents: &[(&str, &str)]) -> String {
    let accounts: String = contents
        .iter()
        .map(|(name, text)| {
            let user = name.to_lowercase();
            format!("{name} {{ users: [ {{user: {user}, password: p}} ]\n{text}\n}}\n")
        })
        .collect();
    format!("accounts {{\n{accounts}}}")
}

#[test]
fn streams_arrive_where_they_are_imported_and_nowhere_else() {
    check(
        &accounts(&[
            ("A", r#"exports: [{stream: "s.>"}]"#),
            ("B", r#"imports: [{stream: {account: A, subject: "s.>"}}]"#),
            (
                "C",
                r#"imports: [{stream: {account: A, subject: "s.*"}, prefix: p}]"#,
            ),
        ]),
        "
        b: SUB s.x 1|SUB > 2
        c: SUB p.s.* 3|SUB > 4
        a: SUB s.x 9
        a: PUB s.x rep 2|hi
        a< MSG s.x 9 rep 2|hi
        b< MSG s.x 1 rep 2|hi
        b< MSG s.x 2 rep 2|hi
        c< MSG p.s.x 3 rep 2|hi
        c< MSG p.s.x 4 rep 2|hi
        a: PUB s.x.y 2|hi
        b< MSG s.x.y 2 2|hi
        a: PUB t 1|x
        b: PUB s.x 1|x
        b< MSG s.x 1 1|x
        b< MSG s.x 2 1|x
        b: UNSUB 1
        c: UNSUB 3
        a: PUB s.x 1|1
        a< MSG s.x 9 1|1
        b< MSG s.x 2 1|1
        c< MSG p.s.x 4 1|1
        ",
    );
}

#[test]
fn tokens_of_a_stream_may_change_places() {
    check(
        &accounts(&[
            ("A", r#"exports: [{stream: "s.*.*"}]"#),
            (
                "B",
                r#"imports: [{stream: {account: A, subject: "s.*.*"}, to: "x.$2.y.$1"}]"#,
            ),
        ]),
        "
        b: SUB x.1.y.2 1|SUB x.> 2|SUB x.*.y.2 3|SUB *.1.*.* 4
        a: PUB s.2.1 2|hi
        b< MSG x.1.y.2 1 2|hi
        b< MSG x.1.y.2 2 2|hi
        b< MSG x.1.y.2 3 2|hi
        b< MSG x.1.y.2 4 2|hi
        a: PUB s.3.1 2|hi
        b< MSG x.1.y.3 2 2|hi
        b< MSG x.1.y.3 4 2|hi
        ",
    );
}

#[test]
fn a_queue_group_gets_an_imported_message_once() {
    check(
        &accounts(&[
            ("A", r#"exports: [{stream: "s.>"}]"#),
            ("B", r#"imports: [{stream: {account: A, subject: "s.>"}}]"#),
        ]),
        "
        b: SUB s.x q 1
        a: PUB s.x 1|1
        b< MSG s.x 1 1|1
        b: SUB s.* r 2
        a: PUB s.x 1|2
        b< MSG s.x 1 1|2
        b< MSG s.x 2 1|2
        b: UNSUB 1|SUB s.x q 1|UNSUB 2
        a: PUB s.x 1|3
        b< MSG s.x 1 1|3
        ",
    );
}

#[test]
fn streams_are_not_passed_on() {
    check(
        &accounts(&[
            ("A", r#"exports: [{stream: "s.>"}]"#),
            (
                "B",
                r#"exports: [{stream: "s.>"}], imports: [{stream: {account: A, subject: "s.>"}}]"#,
            ),
            ("C", r#"imports: [{stream: {account: B, subject: "s.>"}}]"#),
        ]),
        "
        c: SUB s.x 1
        b: SUB s.x 2
        a: PUB s.x 1|1
        b< MSG s.x 2 1|1
        b: PUB s.x 1|1
        b< MSG s.x 2 1|1
        c< MSG s.x 1 1|1
        ",
    );
}

#[test]
fn nobody_answers_where_nobody_listens_in_any_account() {
    check(
        &accounts(&[
            ("A", r#"exports: [{stream: "s.>"}]"#),
            ("B", r#"imports: [{stream: {account: A, subject: "s.>"}}]"#),
        ]),
        "
        a: SUB in 1
        a: PUB s.x in 1|1
        a< HMSG in 1 # #|NATS/1.0 503|Nats-Subject: s.x
        b: SUB s.x 1
        a: PUB s.x in 1|1
        b< MSG s.x 1 in 1|1
        ",
    );
}

const SERVICES: &[(&str, &str)] = &[
    (
        "A",
        r#"exports: [{service: "help"}, {service: "r.>"}, {stream: "help"}]"#,
    ),
    (
        "B",
        r#"imports: [
            {service: {account: A, subject: help}},
            {service: {account: A, subject: "r.*.*"}, to: "l.$2.$1"}
        ]"#,
    ),
    (
        "C",
        r#"imports: [
            {service: {account: A, subject: help}, to: "local.help", share: true},
            {stream: {account: A, subject: help}, prefix: copy}
        ]"#,
    ),
];

#[test]
fn requests_go_to_the_service_and_one_response_comes_back() {
    check(
        &accounts(SERVICES),
        r#"
        a: SUB help 1|SUB r.> 1
        a: SUB r.> 2
        b: SUB in.* 2
        b: PUB help in.1 2|hi
        a< HMSG help 1 _R_ # #|NATS/1.0|Nats-Request-Info: {"acc":"B"}||hi
        a: PUB {reply} 2|ok
        b< MSG in.1 2 2|ok
        a: PUB {reply} 5|again
        b: PUB l.x.y in.2 2|hi
        a< HMSG r.y.x 2 _R_ # #|NATS/1.0|Nats-Request-Info: {"acc":"B"}||hi
        a: PUB {reply} 1|1
        b< MSG in.2 2 1|1
        b: HPUB help in.3 44 44|NATS/1.0|Nats-Request-Info: {"acc":"X"}||
        a< HMSG help 1 _R_ # #|NATS/1.0|Nats-Request-Info: {"acc":"B"}
        a: UNSUB 1
        b: PUB help in.4 1|1
        b< HMSG in.4 2 # #|NATS/1.0 503|Nats-Subject: help
        "#,
    );
}

#[test]
fn a_service_is_told_more_where_the_import_shares_it() {
    check(
        &accounts(SERVICES),
        r#"
        a: SUB help 1
        c: SUB in 3|SUB copy.> 4
        c: PUB local.help in 1|q
        a< HMSG help 1 _R_ # #|NATS/1.0|Nats-Request-Info: {"acc":"C","client_type":"nats","host":"127.0.0.1","kind":"Client","name":"c","user":"c"}||q
        a: PUB {reply} 1|a
        c< MSG in 3 1|a
        c: PUB help in 1|q
        c< HMSG in 3 # #|NATS/1.0 503|Nats-Subject: help
        a: PUB help 1|x
        a< MSG help 1 1|x
        c< MSG copy.help 4 1|x
        "#,
    );
}

#[test]
fn the_response_type_says_how_many_come_back() {
    check(
        &accounts(&[
            (
                "A",
                "exports: [{service: s, response: stream}, {service: c, response: chunked}]",
            ),
            (
                "B",
                "imports: [{service: {account: A, subject: s}}, {service: {account: A, subject: c}}]",
            ),
        ]),
        r#"
        a: SUB s 1|SUB c 1
        a: SUB c 2
        b: SUB in.> 9
        b: PUB s in.1 1|1
        a< HMSG s 1 _R_ # #|NATS/1.0|Nats-Request-Info: {"acc":"B"}||1
        a: PUB {reply} 1|1
        b< MSG in.1 9 1|1
        a: PUB {reply} 1|2
        b< MSG in.1 9 1|2
        b: PUB c in.2 1|1
        a< HMSG c 2 _R_ # #|NATS/1.0|Nats-Request-Info: {"acc":"B"}||1
        a: PUB {reply} 1|1
        b< MSG in.2 9 1|1
        a: PUB {reply} 0|
        b< MSG in.2 9 0
        a: PUB {reply} 1|2
        "#,
    );
}

#[test]
fn services_may_be_passed_on() {
    check(
        &accounts(&[
            ("A", "exports: [{service: s}]"),
            (
                "B",
                "exports: [{service: t}], imports: [{service: {account: A, subject: s}, to: t}]",
            ),
            ("C", "imports: [{service: {account: B, subject: t}, to: u}]"),
        ]),
        r#"
        a: SUB s 1
        c: SUB in 2
        c: PUB u in 1|1
        a< HMSG s 1 _R_ # #|NATS/1.0|Nats-Request-Info: {"acc":"C","svc":"B"}||1
        a: PUB {reply} 1|1
        c< MSG in 2 1|1
        "#,
    );
}

#[test]
fn mappings_rewrite_what_is_published_and_what_is_imported() {
    check(
        &accounts(&[
            (
                "A",
                r#"mappings { "foo.*": "bar.$1", "l": [{dest: l, weight: 0}], "d": {dest: e, weight: 100}, "svc.*": "real.$1" }
                exports: [{service: "svc.*"}]"#,
            ),
            (
                "B",
                r#"imports: [{service: {account: A, subject: "svc.*"}}]"#,
            ),
        ]),
        r#"
        a: SUB > 1
        a: PUB foo.1 1|1
        a< MSG bar.1 1 1|1
        a: PUB l in 1|1
        a< HMSG in 1 # #|NATS/1.0 503|Nats-Subject: 
        a: PUB d in 1|1
        a< MSG e 1 in 1|1
        b: SUB in 1
        b: PUB svc.q in 1|1
        a< HMSG real.q 1 _R_ # #|NATS/1.0|Nats-Request-Info: {"acc":"B"}||1
        "#,
    );
}

#[test]
fn permissions_hold_on_the_mapped_subject_and_on_both_sides_of_an_import() {
    check(
        r#"accounts {
            A {
                users: [
                    {user: a, password: p, permissions: {publish: "ok.>", subscribe: {allow: ["r.>"]}, allow_responses: true}}
                    {user: z, password: p, permissions: {publish: "bar.*"}}
                    {user: y, password: p}
                ]
                mappings { "foo.*": "bar.$1", "bar.x": "foo.y" }
                exports: [{service: "r.>"}, {stream: "st.>"}]
            }
            B {
                users: [{user: b, password: p, permissions: {publish: {deny: "r.no"}, subscribe: {deny: ["st.no", "in.no"]}}}]
                imports: [{service: {account: A, subject: "r.>"}}, {stream: {account: A, subject: "st.>"}}]
            }
        }"#,
        r#"
        z: PUB foo.1 1|1
        z: PUB bar.x 1|1
        z< -ERR 'Permissions Violation for Publish to "foo.y"'
        a: SUB r.> 1
        b: SUB in.> 2|SUB st.> 3
        b: PUB r.no in.1 1|1
        b< -ERR 'Permissions Violation for Publish to "r.no"'
        b: PUB r.yes in.1 1|1
        a< HMSG r.yes 1 _R_ # #|NATS/1.0|Nats-Request-Info: {"acc":"B"}||1
        a: PUB {reply} 1|1
        b< MSG in.1 2 1|1
        a: PUB nope 1|1
        a< -ERR 'Permissions Violation for Publish to "nope"'
        y: PUB st.no 1|1
        y: PUB st.yes 1|1
        b< MSG st.yes 3 1|1
        b: PUB r.yes in.no 1|1
        a< HMSG r.yes 1 _R_ # #|NATS/1.0|Nats-Request-Info: {"acc":"B"}||1
        a: PUB {reply} 1|1
        b: PUB r.yes $JS.ACK.x 1|1
        b< -ERR 'Permissions Violation for Publish with Reply of "$JS.ACK.x"'
        b: PUB r.yes _R_.x 1|1
        b< -ERR 'Permissions Violation for Publish with Reply of "_R_.x"'
        "#,
    );
}

#[test]
fn latencies_are_measured() {
    let requestor = r#"{"acc":"B","client_type":"nats","host":"127.0.0.1","kind":"Client","name":"b","user":"b"}"#;
    let responder = requestor
        .replace(r#""acc":"B""#, r#""acc":"A""#)
        .replace(r#":"b""#, r#":"a""#);
    let metric = r#""type":"io.nats.server.metric.v1.service_latency""#;
    check(
        &accounts(&[
            (
                "A",
                r#"exports: [
                    {service: s, latency: {sampling: 100, subject: lat}}
                    {service: t, threshold: "2s", latency: {sampling: "100%", subject: lat}}
                    {service: h, latency: {sampling: headers, subject: lat}}
                ]"#,
            ),
            (
                "B",
                "imports: [
                    {service: {account: A, subject: s}, share: true}
                    {service: {account: A, subject: t}}
                    {service: {account: A, subject: h}}
                ]",
            ),
        ]),
        &format!(
            r#"
        a: SUB lat 1|SUB s 2
        a: SUB t 3
        b: SUB in 4
        b: PUB s in.1 1|1
        a< HMSG s 2 _R_ # #|NATS/1.0|Nats-Request-Info: {requestor}||1
        b: SUB in.1 5
        a: PUB {{reply}} 1|1
        a< MSG lat 1 #|{{"requestor":{requestor},"responder":{responder},"status":200,{metric}}}
        b< MSG in.1 5 1|1
        b: PUB s 1|1
        a< HMSG s 2 # #|NATS/1.0|Nats-Request-Info: {requestor}||1
        a< MSG lat 1 #|{{"description":"Bad Request","requestor":{requestor},"status":400,{metric}}}
        b: PUB s in 1|1
        a< HMSG s 2 _R_ # #|NATS/1.0|Nats-Request-Info: {requestor}||1
        b: UNSUB 4
        a< MSG lat 1 #|{{"description":"Request Timeout","requestor":{requestor},"status":408,{metric}}}
        b: PUB t in.1 1|1
        a< HMSG t 3 _R_ # #|NATS/1.0|Nats-Request-Info: {{"acc":"B"}}||1
        wait
        a< MSG lat 1 #|{{"description":"Service Timeout","requestor":{{"acc":"B"}},"status":504,{metric}}}
        a: UNSUB 2|UNSUB 3
        b: PUB s in.1 1|1
        a< MSG lat 1 #|{{"description":"Service Unavailable","requestor":{requestor},"status":503,{metric}}}
        b< HMSG in.1 5 # #|NATS/1.0 503|Nats-Subject: s
        a: SUB h 3
        b: PUB h in.1 1|1
        a< HMSG h 3 _R_ # #|NATS/1.0|Nats-Request-Info: {{"acc":"B"}}||1
        a: PUB {{reply}} 1|1
        b< MSG in.1 5 1|1
        b: HPUB h in.1 29 29|NATS/1.0|X-B3-Sampled: 1||
        a< HMSG h 3 _R_ # #|NATS/1.0|X-B3-Sampled: 1|Nats-Request-Info: {{"acc":"B"}}
        a: PUB {{reply}} 1|1
        a< MSG lat 1 #|{{"header":{{"X-B3-Sampled":["1"]}},"requestor":{{"acc":"B"}},"responder":{responder},"status":200,{metric}}}
        b< MSG in.1 5 1|1
        "#
        ),
    );
}

/// A group is known by its name alone.
#[test]
fn members_of_a_queue_group_may_be_in_several_accounts() {
    let server = TestServer::configured(&accounts(&[
        ("A", r#"exports: [{stream: "s.>"}]"#),
        (
            "B",
            r#"imports: [{stream: {account: A, subject: "s.>"}, prefix: p}]"#,
        ),
    ]));
    let mut publisher = Player::new(&server, "a").peer;
    let (mut own, mut importing) = (
        Player::new(&server, "a").peer,
        Player::new(&server, "b").peer,
    );
    own.send("SUB s.x q 1\r\n").unwrap();
    own.sync().unwrap();
    importing.send("SUB p.s.x q 1\r\n").unwrap();
    importing.sync().unwrap();
    publisher.send("PUB s.x 1\r\n1\r\n".repeat(200)).unwrap();
    publisher.sync().unwrap();
    let count = |peer: &mut Peer| {
        let got = String::from_utf8(peer.sync().unwrap()).unwrap();
        got.matches("MSG ").count()
    };
    let (own, importing) = (count(&mut own), count(&mut importing));
    assert_eq!(own + importing, 200);
    assert!(own > 0 && importing > 0, "{own} {importing}");
}
