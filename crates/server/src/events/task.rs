//! The task that sends events and answers requests.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::time::{Instant, sleep_until};

use super::client::is_heard;
use super::queue::{EventBody, Job, Request};
use super::{account, answer, server_info, statsz};
use crate::account::Account;
use crate::routing::{FlushSet, OutboundMessage, Payload};
use crate::server::ServerState;

/// The first figures come soon after the start, then ever more seldom up to this.
const STATSZ_EVERY: Duration = Duration::from_secs(10);
const FIRST_STATSZ: Duration = Duration::from_millis(250);

/// How often accounts with connections say so.
const CONNECTIONS_EVERY: Duration = Duration::from_secs(30);

/// Serves the queue until the server ends.
pub(crate) async fn run(server: Arc<ServerState>) {
    let Some(mut queue) = server.events().take() else {
        return;
    };
    let mut interval = FIRST_STATSZ;
    let mut next_statsz = Instant::now() + interval;
    let mut next_connections = Instant::now() + CONNECTIONS_EVERY;
    loop {
        tokio::select! {
            job = queue.recv() => match job {
                None => return,
                // What is gathered takes locks that connections need, too.
                Some(job) => {
                    let server = Arc::clone(&server);
                    tokio::task::spawn_blocking(move || do_job(&server, job)).await.ok();
                }
            },
            () = sleep_until(next_statsz) => {
                interval = (interval * 2).min(STATSZ_EVERY);
                next_statsz = Instant::now() + interval;
                tell_statsz(&server);
            }
            () = sleep_until(next_connections) => {
                next_connections = Instant::now() + CONNECTIONS_EVERY;
                account::tell_connections(&server);
            }
        }
    }
}

/// Publishes that the server ends, at once.
pub(crate) fn tell(server: &ServerState, what: &str) {
    let Some(system) = server.system() else {
        return;
    };
    let job = Job::Event {
        account: Arc::clone(system),
        subject: format!("$SYS.SERVER.{}.{what}", server.id()),
        body: EventBody::Server,
    };
    do_job(server, job);
}

fn tell_statsz(server: &ServerState) {
    let subject = format!("$SYS.SERVER.{}.STATSZ", server.id());
    // A server alone tells nobody who does not ask.
    if is_heard(server, &subject) {
        publish(server, &subject, &statsz_message(server));
    }
}

pub(super) fn statsz_message(server: &ServerState) -> Vec<u8> {
    join(&[
        (b"server", &server_info::json(server)),
        (b"statsz", &to_json(&statsz::gather(server))),
    ])
}

fn do_job(server: &ServerState, job: Job) {
    match job {
        Job::Event {
            account,
            subject,
            body,
        } => {
            let body = match body {
                EventBody::Server => server_info::json(server),
                EventBody::Typed {
                    r#type,
                    id,
                    timestamp,
                    rest,
                } => {
                    let body = join(&[
                        (b"type", &to_json(&r#type)),
                        (b"id", &to_json(&id)),
                        (b"timestamp", &to_json(&timestamp)),
                        (b"server", &server_info::json(server)),
                    ]);
                    extend(body, &rest)
                }
            };
            deliver(&account, subject.as_bytes(), &body);
        }
        Job::Request(request) => respond(server, &request),
        Job::Trace {
            account,
            destination,
            rest,
        } => {
            let body = extend(join(&[(b"server", &server_info::json(server))]), &rest);
            deliver(&account, &destination, &body);
        }
    }
}

fn respond(server: &ServerState, request: &Request) {
    let Some(body) = answer::answer(server, request) else {
        return;
    };
    if request.reply.is_empty() {
        return;
    }
    deliver(&request.account, &request.reply, &body);
}

/// Sends a message trace.
pub(crate) fn trace(
    server: &ServerState,
    account: Arc<Account>,
    destination: Vec<u8>,
    rest: Vec<u8>,
) {
    server.events().push(Job::Trace {
        account,
        destination,
        rest,
    });
}

fn publish(server: &ServerState, subject: &str, body: &[u8]) {
    if let Some(system) = server.system() {
        deliver(system, subject.as_bytes(), body);
    }
}

fn deliver(account: &Arc<Account>, subject: &[u8], body: &[u8]) {
    let mut flush = FlushSet::new();
    let message = OutboundMessage {
        subject,
        deliver_as: subject,
        reply: b"",
        headers: b"",
        payload: Payload::Borrowed(body),
    };
    account.deliver(&message, &mut flush);
    flush.flush();
}

/// One JSON object with the fields of both.
pub(super) fn extend(mut object: Vec<u8>, more: &[u8]) -> Vec<u8> {
    object.pop();
    object.push(b',');
    object.extend_from_slice(more.strip_prefix(b"{").unwrap_or(more));
    object
}

pub(super) fn to_json<T: Serialize + ?Sized>(value: &T) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}

/// A JSON object of fields that are JSON already.
pub(super) fn join(fields: &[(&[u8], &[u8])]) -> Vec<u8> {
    let mut object = Vec::new();
    for (name, value) in fields {
        object.push(if object.is_empty() { b'{' } else { b',' });
        object.push(b'"');
        object.extend_from_slice(name);
        object.extend_from_slice(b"\":");
        object.extend_from_slice(value);
    }
    object.push(b'}');
    object
}
