//! The JetStream API, request by request, against what nats-server 2.15.1 replied.
//!
//! `observed_api.tsv` holds one conversation: subject, body, and the recorded reply, in which times, made-up names and
//! counts are masked.

mod support;

use support::TestServer;

#[test]
fn requests_are_answered_as_nats_server_does() {
    let directory = tempfile::tempdir().unwrap();
    let store_dir = directory.path().display();
    let server = TestServer::configured(&format!("jetstream {{ store_dir: '{store_dir}' }}"));
    let mut peer = server.ready();
    for line in include_str!("observed_api.tsv").lines() {
        let columns: Vec<&str> = line.split('\t').collect();
        let [subject, body, want] = columns[..] else {
            panic!("not three columns: {line}")
        };
        let reply = peer.request(subject, body.as_bytes());
        let reply = reply.unwrap_or_else(|error| panic!("{subject} {body}: {error}"));
        let reply = String::from_utf8(reply.payload).unwrap();
        assert_eq!(masked(&reply), want, "{subject} {body}");
    }
}

/// Replaces what differs from run to run.
fn masked(reply: &str) -> String {
    let reply = mask(reply, "\"20", |rest| {
        let end = rest.find('"')?;
        let is_time = rest.get(2..3) == Some("-") && rest[..end].ends_with('Z');
        is_time.then_some(("\"T\"", end + 1))
    });
    let reply = mask(&reply, "\"name\":\"", |rest| {
        let made_up =
            rest.find('"') == Some(8) && rest.bytes().take(8).all(|b| b.is_ascii_alphanumeric());
        made_up.then_some(("\"name\":\"GEN\"", 9))
    });
    let reply = mask(&reply, "\"pause_remaining\":", |rest| {
        Some(("\"pause_remaining\":N", digits(rest)))
    });
    let reply = mask(&reply, "\"leader\":\"", |rest| {
        Some(("\"leader\":\"L\"", rest.find('"')? + 1))
    });
    mask(&reply, "\"total\":", |rest| {
        let errors = rest[digits(rest)..].strip_prefix(",\"errors\":")?;
        let len = rest.len() - errors.len() + digits(errors);
        Some(("\"total\":N,\"errors\":N", len))
    })
}

/// Where `start` is found, `what` looks at the rest: it gives the replacement for `start` and that many bytes after it.
fn mask(text: &str, start: &str, what: impl Fn(&str) -> Option<(&'static str, usize)>) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(start) {
        let (before, found) = rest.split_at(at);
        out.push_str(before);
        let after = &found[start.len()..];
        if let Some((replacement, len)) = what(after) {
            out.push_str(replacement);
            rest = &after[len..];
        } else {
            out.push_str(start);
            rest = after;
        }
    }
    out + rest
}

fn digits(text: &str) -> usize {
    text.bytes().take_while(u8::is_ascii_digit).count()
}
