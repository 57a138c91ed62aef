//! No delivered subject matches a deny, and none is refused that allow permits: on every path that a message can take.

#![allow(clippy::unwrap_used, reason = "a test may")]

mod support;

use jetsled_protocol::subject::matches;
use jetsled_testkit::Peer;
use proptest::prelude::*;
use support::TestServer;
use support::rules::{Rules, literals, pattern, rules};

struct World {
    server: TestServer,
}

impl World {
    /// `own` are users of A, where messages are published, `importing` of B, which imports all of them.
    fn new(publishing: &Rules, own: &[Rules], importing: &[Rules]) -> Self {
        let users = |prefix: &str, all: &[Rules]| -> String {
            let user = |(at, rules): (usize, &Rules)| {
                let rules = rules.config();
                format!(
                    "{{user: {prefix}{at}, password: p, permissions: {{subscribe: {rules}}}}}\n"
                )
            };
            all.iter().enumerate().map(user).collect()
        };
        let config = format!(
            r#"accounts {{
                A {{
                    users: [
                        {{user: free, password: p}}
                        {{user: bound, password: p, permissions: {{publish: {}}}}}
                        {}
                    ]
                    exports: [{{stream: ">"}}, {{service: "r.>"}}]
                }}
                B {{
                    users: [
                        {{user: asking, password: p, permissions: {{publish: {{allow: "r.>"}}}}}}
                        {}
                    ]
                    imports: [{{stream: {{account: A, subject: "*.*"}}}}, {{service: {{account: A, subject: "r.>"}}}}]
                }}
            }}"#,
            publishing.config(),
            users("a", own),
            users("b", importing),
        );
        Self {
            server: TestServer::configured(&config),
        }
    }

    fn connect(&self, user: &str) -> Peer {
        let fields = format!(r#","user":"{user}","pass":"p","name":"{user}""#);
        self.server.connected(&fields, "PONG\r\n")
    }
}

/// A subscriber with what it asked for: plain, and as the only member of a queue group.
struct Subscriber {
    peer: Peer,
    rules: Rules,
    admitted: Vec<(String, String)>,
}

impl Subscriber {
    fn new(world: &World, user: &str, rules: &Rules, patterns: &[String]) -> Self {
        let mut peer = world.connect(user);
        let mut admitted = Vec::new();
        for (at, pattern) in patterns.iter().enumerate() {
            for (queue, sid) in [
                (String::new(), format!("p{at}")),
                (format!(" {user}{at}"), format!("q{at}")),
            ] {
                peer.send(format!("SUB {pattern}{queue} {sid}\r\n"))
                    .unwrap();
                let refused = !peer.sync().unwrap().is_empty();
                assert_eq!(
                    refused,
                    !rules.admit(pattern, None),
                    "{user} {rules:?} {pattern}{queue}"
                );
                if !refused {
                    admitted.push((sid, pattern.clone()));
                }
            }
        }
        Self {
            peer,
            rules: rules.clone(),
            admitted,
        }
    }

    /// The sids that got something, sorted; requests, traces and what else is not of the alphabet is left out.
    fn got(&mut self, subject: &str) -> Vec<String> {
        let got = String::from_utf8(self.peer.sync().unwrap()).unwrap();
        let messages = got.lines().filter_map(|line| {
            line.strip_prefix("MSG ")
                .or_else(|| line.strip_prefix("HMSG "))
        });
        let mut sids = Vec::new();
        for line in messages {
            let mut words = line.split(' ');
            let shown = words.next().unwrap();
            if literals().iter().any(|literal| literal == shown) {
                assert_eq!(shown, subject);
                sids.push(words.next().unwrap().to_owned());
            }
        }
        sids.sort_unstable();
        sids
    }

    /// Checks that it got exactly what it may of one message on `subject`.
    fn check(&mut self, subject: &str, path: &str) {
        let mut expected: Vec<String> = self
            .admitted
            .iter()
            .filter(|(_, pattern)| {
                matches(subject.as_bytes(), pattern.as_bytes()) && self.rules.deliver(subject, None)
            })
            .map(|(sid, _)| sid.clone())
            .collect();
        expected.sort_unstable();
        assert_eq!(
            self.got(subject),
            expected,
            "{path} {subject} {:?}",
            self.rules
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_delivered_is_what_is_permitted(
        publishing in rules(),
        own in prop::collection::vec(rules(), 3),
        importing in prop::collection::vec(rules(), 3),
        patterns in prop::collection::vec(pattern(), 4),
    ) {
        let world = World::new(&publishing, &own, &importing);
        let mut subscribers = Vec::new();
        for (prefix, all) in [("a", &own), ("b", &importing)] {
            for (at, rules) in all.iter().enumerate() {
                let user = format!("{prefix}{at}");
                subscribers.push(Subscriber::new(&world, &user, rules, &patterns));
            }
        }
        let mut free = world.connect("free");
        let mut bound = world.connect("bound");
        let mut server = world.connect("free");
        let mut asking = world.connect("asking");
        server.send("SUB r.> 1\r\n").unwrap();
        server.sync().unwrap();
        for subject in literals() {
            // Plain, twice: the second one comes from the route cache.
            for _ in 0..2 {
                free.send(format!("PUB {subject} 1\r\n1\r\n")).unwrap();
                free.sync().unwrap();
                for subscriber in &mut subscribers {
                    subscriber.check(&subject, "plain");
                }
            }
            // Traced.
            let block = "NATS/1.0\r\nNats-Trace-Dest: trace\r\n\r\n";
            let (size, total) = (block.len(), block.len() + 1);
            free.send(format!("HPUB {subject} {size} {total}\r\n{block}1\r\n")).unwrap();
            free.sync().unwrap();
            for subscriber in &mut subscribers {
                subscriber.check(&subject, "traced");
            }
            // As the answer to a request that came through a service import.
            asking.send(format!("PUB r.x {subject} 1\r\n1\r\n")).unwrap();
            asking.sync().unwrap();
            let request = server.message().unwrap();
            server.send(format!("PUB {} 1\r\n1\r\n", request.reply.unwrap())).unwrap();
            server.sync().unwrap();
            for (at, subscriber) in subscribers.iter_mut().enumerate() {
                if at < own.len() {
                    prop_assert_eq!(subscriber.got(&subject), Vec::<String>::new());
                } else {
                    subscriber.check(&subject, "answered");
                }
            }
            // From somebody who may not publish everything.
            bound.send(format!("PUB {subject} 1\r\n1\r\n")).unwrap();
            let refused = !bound.sync().unwrap().is_empty();
            prop_assert_eq!(refused, !publishing.publish(&subject));
            for subscriber in &mut subscribers {
                if refused {
                    prop_assert_eq!(subscriber.got(&subject), Vec::<String>::new());
                } else {
                    subscriber.check(&subject, "bound");
                }
            }
        }
    }
}
