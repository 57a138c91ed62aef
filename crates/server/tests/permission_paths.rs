//! What `permission_algebra.rs` says of plain subscriptions, for queues, defaults, mappings, imports that rename, answers, traces
//! and WebSocket.
//!
//! `JETSLED_BIN=PATH_TO_NATS_SERVER` runs the same against another server. nats-server 2.15.1 differs from the model in what
//! `docs/compatibility.md` says of permissions.

#![allow(clippy::unwrap_used, reason = "a test may")]

mod support;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use jetsled_protocol::subject::matches;
use jetsled_testkit::{Launch, PROGRAM_VARIABLE, Peer, Server};
use proptest::prelude::*;
use support::TestServer;
use support::rules::{Rules, literals, pattern, queue_rules, rules};

const QUEUES: [Option<&str>; 4] = [None, Some("q"), Some("q.x"), Some("r")];

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

/// A server with a WebSocket listener beside its plain one.
struct World {
    plain: SocketAddr,
    websocket: SocketAddr,
    _server: Running,
}

#[expect(dead_code, reason = "they run as long as they are kept")]
enum Running {
    Here(TestServer),
    Program(Server),
}

impl World {
    fn new(accounts: &str) -> Self {
        let text = format!(
            "websocket {{ host: 127.0.0.1, port: -1, no_tls: true }}\naccounts {{ {accounts} }}"
        );
        if std::env::var_os(PROGRAM_VARIABLE).is_some() {
            let server = Launch::new().config(text).start().unwrap();
            let log = server.log();
            let (_, url) = log
                .split_once("Listening for websocket clients on ws://")
                .unwrap();
            return Self {
                plain: server.address(),
                websocket: url.lines().next().unwrap().parse().unwrap(),
                _server: Running::Program(server),
            };
        }
        let server = TestServer::configured(&text);
        Self {
            plain: server.address,
            websocket: server.server().websocket_address().unwrap(),
            _server: Running::Here(server),
        }
    }

    fn connect(&self, user: &str, over_websocket: bool) -> Peer {
        let mut peer = if over_websocket {
            Peer::websocket(self.websocket, "").unwrap()
        } else {
            Peer::connect(self.plain).unwrap()
        };
        peer.line().unwrap();
        peer.send(format!(
            "CONNECT {{\"verbose\":false,\"headers\":true,\"user\":\"{user}\",\"pass\":\"p\"}}\r\n"
        ))
        .unwrap();
        assert_eq!(peer.sync().unwrap(), b"");
        peer
    }
}

/// One subscription that a user asks for.
type Wanted = (String, Option<&'static str>);

fn wanted() -> impl Strategy<Value = Wanted> {
    (pattern(), prop::sample::select(QUEUES.to_vec()))
}

/// A user, how it connects, and what it asks for.
#[derive(Clone, Debug)]
struct User {
    rules: Rules,
    over_websocket: bool,
    wanted: Vec<Wanted>,
}

fn user() -> impl Strategy<Value = User> {
    let wanted = prop::collection::vec(wanted(), 6);
    (queue_rules(), any::<bool>(), wanted).prop_map(|(rules, over_websocket, wanted)| User {
        rules,
        over_websocket,
        wanted,
    })
}

/// All subscribers of one account.
struct Subscribers(Vec<(Peer, User)>);

impl Subscribers {
    fn new(world: &World, prefix: &str, users: &[User]) -> Self {
        let connected = users.iter().enumerate().map(|(at, user)| {
            let mut peer = world.connect(&format!("{prefix}{at}"), user.over_websocket);
            let mut lines = String::new();
            let mut refusals = String::new();
            for (sid, (pattern, queue)) in user.wanted.iter().enumerate() {
                lines += &format!("SUB {pattern} {} {sid}\r\n", queue.unwrap_or(""));
                if !user.rules.admit(pattern, *queue) {
                    let using =
                        queue.map_or_else(String::new, |queue| format!(" using queue \"{queue}\""));
                    refusals += &format!(
                        "-ERR 'Permissions Violation for Subscription to \"{pattern}\"{using}'\r\n"
                    );
                }
            }
            peer.send(lines).unwrap();
            let told = String::from_utf8(peer.sync().unwrap()).unwrap();
            assert_eq!(told, refusals, "{user:?}");
            (peer, user.clone())
        });
        Self(connected.collect())
    }

    /// Checks what one message on `subject` has brought, if it has come: each plain subscription that may have it, and one of
    /// each queue if any may.
    #[track_caller]
    fn check(&mut self, subject: Option<&str>, path: &str) {
        let mut queues = Queues::default();
        self.take(subject, path, &mut queues);
        queues.check(path);
    }

    /// Takes what has come of one message, and checks what concerns one user alone.
    #[track_caller]
    fn take(&mut self, subject: Option<&str>, path: &str, queues: &mut Queues) {
        for (peer, user) in &mut self.0 {
            let may = |sid: usize, subject: &str| {
                let (pattern, queue) = &user.wanted[sid];
                user.rules.admit(pattern, *queue)
                    && matches(subject.as_bytes(), pattern.as_bytes())
                    && user.rules.deliver(subject, *queue)
            };
            let told = String::from_utf8(peer.sync().unwrap()).unwrap();
            let mut got = Vec::new();
            for line in told.lines() {
                let Some((_, rest)) = line.split_once("MSG ") else {
                    continue;
                };
                let mut words = rest.split(' ');
                let (shown, sid) = (words.next().unwrap(), words.next().unwrap());
                let sid = sid.parse::<usize>().unwrap();
                assert!(may(sid, shown), "{path} {shown}: {sid} of {user:?}");
                // Traces come when they come; they are messages as any other.
                if !shown.contains("trace") {
                    assert_eq!(Some(shown), subject, "{path}: {user:?}");
                    match user.wanted[sid].1 {
                        None => got.push(sid),
                        Some(queue) => *queues.got.entry(queue).or_default() += 1,
                    }
                }
            }
            got.sort_unstable();
            let Some(subject) = subject else {
                assert!(got.is_empty(), "{path}: {user:?}");
                continue;
            };
            let mut expected = Vec::new();
            for (sid, (_, queue)) in user.wanted.iter().enumerate() {
                match queue {
                    _ if !may(sid, subject) => {}
                    None => expected.push(sid),
                    Some(queue) => {
                        queues.expected.insert(queue, 1);
                    }
                }
            }
            assert_eq!(got, expected, "{path} {subject}: {user:?}");
        }
    }
}

/// How many members of each queue got a message.
#[derive(Default)]
struct Queues {
    got: BTreeMap<&'static str, usize>,
    /// One of each queue with a member that may have it.
    expected: BTreeMap<&'static str, usize>,
}

impl Queues {
    #[track_caller]
    fn check(&self, path: &str) {
        assert_eq!(self.got, self.expected, "{path}");
    }
}

/// Users of these names and rules. The last one has none of its own.
fn users(prefix: &str, users: &[User], default: bool) -> String {
    let last = users.len() - 1;
    let one = |(at, user): (usize, &User)| {
        if default && at == last {
            return format!("{{user: {prefix}{at}, password: p}}\n");
        }
        let rules = user.rules.config();
        format!("{{user: {prefix}{at}, password: p, permissions: {{subscribe: {rules}}}}}\n")
    };
    users.iter().enumerate().map(one).collect()
}

/// A mapping of an account and what it does.
#[derive(Clone, Copy, Debug)]
enum Mapping {
    None,
    FirstToB,
    SecondToA,
    Swap,
}

impl Mapping {
    const ALL: [Self; 4] = [Self::None, Self::FirstToB, Self::SecondToA, Self::Swap];

    fn config(self) -> &'static str {
        match self {
            Self::None => "",
            Self::FirstToB => r#"mappings: { "a.*": "b.$1" }"#,
            Self::SecondToA => {
                r#"mappings: { "*.b": [{destination: "{{wildcard(1)}}.a", weight: 100%}] }"#
            }
            Self::Swap => r#"mappings: { "*.*": "$2.$1" }"#,
        }
    }

    fn map(self, subject: &str) -> String {
        let (first, second) = subject.split_once('.').unwrap();
        match self {
            Self::FirstToB if first == "a" => format!("b.{second}"),
            Self::SecondToA if second == "b" => format!("{first}.a"),
            Self::Swap => format!("{second}.{first}"),
            _ => subject.to_owned(),
        }
    }
}

/// A message that asks for a trace of itself.
fn traced(subject: &str, destination: &str) -> String {
    let block = format!("NATS/1.0\r\nNats-Trace-Dest: {destination}\r\n\r\n");
    let (size, total) = (block.len(), block.len() + 1);
    format!("HPUB {subject} {size} {total}\r\n{block}1\r\n")
}

/// Whether the peer was told that it may not publish.
fn refused(peer: &mut Peer, lines: &str) -> bool {
    peer.send(lines).unwrap();
    let told = String::from_utf8(peer.sync().unwrap()).unwrap();
    assert!(
        told.is_empty() || told.starts_with("-ERR 'Permissions Violation for Publish to "),
        "{told}"
    );
    !told.is_empty()
}

proptest! {
    #![proptest_config(config(48))]

    #[test]
    fn queues_defaults_mappings_and_traces(
        publishing in rules(),
        all in prop::collection::vec(user(), 3),
        mapping in prop::sample::select(Mapping::ALL.to_vec()),
        over_websocket in any::<bool>(),
        destination in prop::sample::select(literals()),
    ) {
        let default = all.last().unwrap().rules.config();
        let world = World::new(&format!(
            r#"A {{
                default_permissions: {{subscribe: {default}}}
                users: [
                    {{user: free, password: p, permissions: {{publish: ">"}}}}
                    {{user: bound, password: p, permissions: {{publish: {}}}}}
                    {}
                ]
                {}
            }}"#,
            publishing.config(),
            users("u", &all, true),
            mapping.config(),
        ));
        let mut subscribers = Subscribers::new(&world, "u", &all);
        let mut free = world.connect("free", over_websocket);
        let mut bound = world.connect("bound", over_websocket);
        for subject in literals() {
            let mapped = mapping.map(&subject);
            // The second time from the route cache.
            for _ in 0..2 {
                let publish = format!("PUB {subject} 1\r\n1\r\n");
                prop_assert!(!refused(&mut free, &publish));
                subscribers.check(Some(&mapped), "free");
            }
            prop_assert!(!refused(&mut free, &traced(&subject, "t.trace")));
            subscribers.check(Some(&mapped), "traced");
            for _ in 0..2 {
                let is_refused = refused(&mut bound, &format!("PUB {subject} 1\r\n1\r\n"));
                prop_assert_eq!(is_refused, !publishing.publish(&mapped));
                subscribers.check((!is_refused).then_some(&mapped), "bound");
            }
            let elsewhere = format!("{destination}.trace");
            let is_refused = refused(&mut bound, &traced(&subject, &elsewhere));
            prop_assert_eq!(is_refused, !(publishing.publish(&mapped) && publishing.publish(&elsewhere)));
            subscribers.check((!is_refused).then_some(&mapped), "bound and traced");
        }
    }
}

proptest! {
    #![proptest_config(config(32))]

    #[test]
    fn imports_that_rename(
        publishing in rules(),
        own in prop::collection::vec(user(), 2),
        importing in prop::collection::vec(user(), 2),
        over_websocket in any::<bool>(),
    ) {
        let world = World::new(&format!(
            r#"A {{
                users: [
                    {{user: free, password: p}}
                    {}
                ]
                exports: [{{stream: "*.*"}}, {{service: "*.*"}}]
            }}
            B {{
                users: [
                    {{user: asking, password: p, permissions: {{publish: {}}}}}
                    {}
                ]
                imports: [
                    {{stream: {{account: A, subject: "*.*"}}, to: "$2.$1"}}
                    {{service: {{account: A, subject: "*.*"}}, to: "$2.$1"}}
                ]
            }}"#,
            users("a", &own, false),
            publishing.config(),
            users("b", &importing, false),
        ));
        let mut here = Subscribers::new(&world, "a", &own);
        let mut there = Subscribers::new(&world, "b", &importing);
        let mut free = world.connect("free", over_websocket);
        let mut asking = world.connect("asking", over_websocket);
        for subject in literals() {
            let renamed = Mapping::Swap.map(&subject);
            for lines in [format!("PUB {subject} 1\r\n1\r\n"), traced(&subject, "t.trace")] {
                prop_assert!(!refused(&mut free, &lines));
                // A queue is one whichever account its members are of.
                let mut queues = Queues::default();
                here.take(Some(&subject), "published", &mut queues);
                there.take(Some(&renamed), "imported", &mut queues);
                queues.check(&subject);
            }
            // A request: subscribers of the own account hear it as those of the other.
            for lines in [format!("PUB {subject} inbox 1\r\n1\r\n"), traced(&subject, "a.b.trace")] {
                let is_traced = lines.starts_with('H');
                let is_refused = refused(&mut asking, &lines);
                let may_trace = !is_traced || publishing.publish("a.b.trace");
                prop_assert_eq!(is_refused, !(publishing.publish(&subject) && may_trace));
                let heard = |subject: &'_ str| (!is_refused).then(|| subject.to_owned());
                here.check(heard(&renamed).as_deref(), "requested");
                there.check(heard(&subject).as_deref(), "requested here");
            }
        }
    }
}

/// What happens with the reply subjects of a service.
#[derive(Clone, Copy, Debug)]
enum Step {
    Request(usize),
    Respond(usize),
}

fn step() -> impl Strategy<Value = Step> {
    (0usize..3, 0u8..5).prop_map(|(at, kind)| match kind {
        0 | 1 => Step::Request(at),
        _ => Step::Respond(at),
    })
}

proptest! {
    #![proptest_config(config(64))]

    #[test]
    fn answers_are_as_many_as_are_allowed(
        publishing in prop::option::of(rules()),
        max in prop::sample::select(vec![1i32, 2, 3, -1]),
        steps in prop::collection::vec(step(), 1..24),
        over_websocket in any::<bool>(),
        is_imported in any::<bool>(),
    ) {
        let publish = publishing.as_ref().map_or_else(String::new, |rules| format!("publish: {},", rules.config()));
        let world = World::new(&format!(
            r#"A {{
                users: [
                    {{user: near, password: p}}
                    {{user: service, password: p, permissions: {{{publish} subscribe: ">", allow_responses: {{max: {max}, expires: "1m"}}}}}}
                ]
                exports: [{{service: s, response_type: stream}}]
            }}
            B {{ users: [{{user: far, password: p}}], imports: [{{service: {{account: A, subject: s}}}}] }}"#,
        ));
        let mut asking = world.connect(if is_imported { "far" } else { "near" }, over_websocket);
        let mut service = world.connect("service", over_websocket);
        service.send("SUB s 1\r\n").unwrap();
        service.sync().unwrap();
        asking.send("SUB *.* 1\r\n").unwrap();
        asking.sync().unwrap();
        // By the place of its first two tokens: the reply subject that the service saw last, and how often it may use it.
        let mut open: [Option<(String, i32)>; 3] = Default::default();
        for step in steps {
            let (Step::Request(at) | Step::Respond(at)) = step;
            let inbox = &literals()[at];
            match step {
                Step::Request(_) => {
                    asking.send(format!("PUB s {inbox} 1\r\n?\r\n")).unwrap();
                    asking.sync().unwrap();
                    let request = service.message().unwrap();
                    open[at] = Some((request.reply.unwrap(), max));
                }
                Step::Respond(_) => {
                    let reply = open[at].as_ref().map_or(inbox, |(reply, _)| reply).clone();
                    // Without anything that allows a publish, only answers are.
                    let mut allowing = publishing.iter().filter(|rules| !rules.allow.is_empty());
                    let is_allowed = allowing.any(|rules| rules.publish(&reply));
                    let may_answer = open[at].as_mut().is_some_and(|(_, left)| {
                        let may = *left != 0;
                        if may && !is_allowed {
                            *left -= i32::from(*left > 0);
                        }
                        may
                    });
                    let is_refused = refused(&mut service, &format!("PUB {reply} 1\r\n!\r\n"));
                    prop_assert_eq!(is_refused, !(is_allowed || may_answer), "{:?} {}", step, reply);
                    let got = String::from_utf8(asking.sync().unwrap()).unwrap();
                    let is_heard = !is_refused && (open[at].is_some() || !is_imported);
                    prop_assert_eq!(got.contains(&format!("MSG {inbox} 1 1\r\n!\r\n")), is_heard, "{}", got);
                }
            }
        }
    }
}

#[test]
fn answers_come_too_late() {
    let world = World::new(
        r#"A { users: [
            {user: a, password: p}
            {user: service, password: p, permissions: {subscribe: ">", allow_responses: {max: -1, expires: "300ms"}}}
        ] }"#,
    );
    for over_websocket in [false, true] {
        let mut asking = world.connect("a", false);
        let mut service = world.connect("service", over_websocket);
        service.send("SUB s 1\r\n").unwrap();
        service.sync().unwrap();
        let mut request = |service: &mut Peer| {
            asking.send("PUB s inbox 0\r\n\r\n").unwrap();
            service.message().unwrap();
        };
        let answer = "PUB inbox 0\r\n\r\n";
        // A machine may be busy for longer than that; at some time it is not.
        let in_time = (0..50).any(|_| {
            request(&mut service);
            !refused(&mut service, answer)
        });
        assert!(in_time);
        request(&mut service);
        std::thread::sleep(Duration::from_millis(310));
        assert!(refused(&mut service, answer));
    }
}
