//! Answers to requests.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use jetsled_protocol::{headers, subject};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::account::CONNECTIONS;
use super::client_info::{ClientInfo, REQUEST_INFO};
use super::filter::Filter;
use super::queue::Request;
use super::service::{AccountService, ServerService, Service};
use super::task::{extend, join, statsz_message, to_json};
use super::{account_purge, option_types, server_info, user_info};
use crate::account::Account;
use crate::client::{CloseReason, Signal};
use crate::monitor::{self, AccountStat};
use crate::server::ServerState;

/// Why there is no answer, or none but an error.
enum Refusal {
    /// The request cannot be read.
    BadRequest(String),
    Failed(String),
    /// What was to be done cannot be done.
    NotDone(String),
    /// Nothing is said.
    Silence,
}

#[derive(Serialize)]
struct ApiError<'a> {
    code: u16,
    description: &'a str,
}

/// The body of the answer, if one is due.
pub(super) fn answer(server: &ServerState, request: &Request) -> Option<Vec<u8>> {
    match request.service {
        // These have no envelope.
        Service::SubscriptionCount => return subscription_count(server, request),
        Service::Subscribers => return Some(subscribers(server, request)),
        Service::Account(AccountService::Conns) => return connections(server, request),
        Service::AccountPurge => return account_purge::purge(server, &request.subject),
        _ => {}
    }
    let (error, data) = match gather(server, request) {
        Ok(Answer::Bare(body)) => return Some(body),
        Ok(Answer::Data(data)) => (None, Some(data)),
        Ok(Answer::Done) => (None, None),
        Err(Refusal::Silence) => return None,
        Err(Refusal::NotDone(text)) => (Some((500, text)), None),
        Err(Refusal::BadRequest(text)) => (Some((400, text)), None),
        // nats-server's data is null then.
        Err(Refusal::Failed(text)) => (Some((500, text)), Some(b"null".to_vec())),
    };
    let info = server_info::json(server);
    let error = error.map(|(code, description)| {
        to_json(&ApiError {
            code,
            description: &description,
        })
    });
    let mut fields: Vec<(&[u8], &[u8])> = vec![(b"server", &info)];
    fields.extend(data.iter().map(|data| (&b"data"[..], data.as_slice())));
    fields.extend(error.iter().map(|error| (&b"error"[..], error.as_slice())));
    Some(join(&fields))
}

/// What users ask to know who they are.
const USER_INFO: &[u8] = b"$SYS.REQ.USER.INFO";

enum Answer {
    /// The whole body.
    Bare(Vec<u8>),
    /// What goes into the envelope.
    Data(Vec<u8>),
    /// Nothing goes into the envelope.
    Done,
}

fn gather(server: &ServerState, request: &Request) -> Result<Answer, Refusal> {
    // These look for no filter, and what can not be read gets no answer (observed nats-server 2.15.1).
    match request.service {
        Service::Server(ServerService::Idz) => Ok(Answer::Bare(idz(server))),
        Service::Server(ServerService::Kick) => kick(server, cid(request)?).map(|()| Answer::Done),
        Service::Server(ServerService::LameDuck) => {
            lame_duck(server, cid(request)?).map(|()| Answer::Done)
        }
        // Whatever the request says.
        Service::UserInfo if *request.subject == *USER_INFO => {
            let client = request.client.as_ref().ok_or(Refusal::Silence)?;
            Ok(Answer::Data(user_info::gather(client)))
        }
        _ => gather_filtered(server, request),
    }
}

fn gather_filtered(server: &ServerState, request: &Request) -> Result<Answer, Refusal> {
    let options = options(request)?;
    if let Service::Server(service) = request.service {
        option_types::check(service, &options).map_err(Refusal::BadRequest)?;
    }
    let options = folded(options);
    if !options.is_object() {
        let text = "json: cannot unmarshal into Go value".to_owned();
        return Err(Refusal::BadRequest(text));
    }
    let filter = Filter::deserialize(&options)
        .map_err(|error| Refusal::BadRequest(format!("json: {error}")))?;
    if !filter.admits(server) {
        return Err(Refusal::Silence);
    }
    let monitor = |what, options: &Value| {
        monitor::answer_service(server, what, options)
            .map(Answer::Data)
            .map_err(Refusal::Failed)
    };
    match request.service {
        Service::Server(service) => match service {
            ServerService::Idz | ServerService::Kick | ServerService::LameDuck => {
                Err(Refusal::Silence)
            }
            ServerService::Statsz => Ok(Answer::Bare(statsz_message(server))),
            ServerService::Raftz => Ok(Answer::Data(b"{}".to_vec())),
            ServerService::Varz => monitor("varz", &options),
            ServerService::Subsz => monitor("subsz", &options),
            ServerService::Connz => monitor("connz", &options),
            ServerService::Routez => monitor("routez", &options),
            ServerService::Gatewayz => monitor("gatewayz", &options),
            ServerService::Leafz => monitor("leafz", &options),
            ServerService::Accountz => monitor("accountz", &options),
            ServerService::Jsz => monitor("jsz", &options),
            ServerService::Healthz => monitor("healthz", &options),
        },
        Service::Account(service) => {
            let name = account_named(&request.subject);
            account(server, service, name, options).map(Answer::Data)
        }
        Service::OwnAccount(service) => {
            let name = request.account.name();
            account(server, service, name, options).map(Answer::Data)
        }
        Service::AllAccounts => account_statz(server, None, &options).map(Answer::Data),
        // Asked of another's user, which only the system account can, nobody is described (observed nats-server 2.15.1).
        Service::UserInfo => Ok(Answer::Data(user_info::nobody())),
        Service::SubscriptionCount
        | Service::Subscribers
        | Service::AccountPurge
        | Service::OfCluster => Err(Refusal::Silence),
    }
}

fn options(request: &Request) -> Result<Value, Refusal> {
    if request.payload.is_empty() {
        return Ok(Value::Object(serde_json::Map::new()));
    }
    match serde_json::from_slice(&request.payload) {
        Ok(Value::Null) => Ok(Value::Object(serde_json::Map::new())),
        Ok(options) => Ok(options),
        Err(error) if error.is_eof() => Err(Refusal::BadRequest(
            "unexpected end of JSON input".to_owned(),
        )),
        Err(error) => Err(Refusal::BadRequest(format!("json: {error}"))),
    }
}

/// As Go's decoder reads them: names may be in any case, and `null` says nothing.
fn folded(options: Value) -> Value {
    match options {
        Value::Object(options) => {
            let said = options.into_iter().filter(|(_, value)| !value.is_null());
            said.map(|(name, value)| (name.to_ascii_lowercase(), value))
                .collect()
        }
        other => other,
    }
}

/// The account in `$SYS.REQ.ACCOUNT.<account>.<name>`.
fn account_named(subject: &[u8]) -> &str {
    let token = subject::tokens(subject).nth(3).unwrap_or_default();
    std::str::from_utf8(token).unwrap_or_default()
}

fn account(
    server: &ServerState,
    service: AccountService,
    name: &str,
    mut options: Value,
) -> Result<Vec<u8>, Refusal> {
    let mut set = |field: &str, value: Value| {
        if let Value::Object(fields) = &mut options {
            fields.insert(field.to_owned(), value);
        }
    };
    let what = match service {
        AccountService::Subsz => {
            set("subscriptions", true.into());
            set("account", name.into());
            "subsz"
        }
        AccountService::Connz => {
            set("acc", name.into());
            "connz"
        }
        AccountService::Leafz => {
            set("account", name.into());
            "leafz"
        }
        AccountService::Jsz => {
            set("account", name.into());
            return monitor::account_jsz(server, name, &options).map_err(Refusal::Failed);
        }
        AccountService::Info => {
            return monitor::account_info(server, name)
                .ok_or_else(|| Refusal::Failed(format!("Account {name} does not exist")));
        }
        AccountService::Statz if name == "PING" => return Err(Refusal::Silence),
        AccountService::Statz => return account_statz(server, Some(name), &options),
        AccountService::Conns => return Err(Refusal::Silence),
    };
    monitor::answer_service(server, what, &options).map_err(Refusal::Failed)
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct StatzOptions {
    accounts: Vec<String>,
    include_unused: bool,
}

fn account_statz(
    server: &ServerState,
    name: Option<&str>,
    options: &Value,
) -> Result<Vec<u8>, Refusal> {
    let options = StatzOptions::deserialize(options)
        .map_err(|error| Refusal::BadRequest(format!("json: {error}")))?;
    let wanted: Vec<String> = match name {
        Some(name) => vec![name.to_owned()],
        None => options.accounts,
    };
    monitor::account_statz(server, &wanted, options.include_unused).ok_or(Refusal::Silence)
}

#[derive(Serialize)]
struct Id<'a> {
    name: &'a str,
    host: &'a str,
    id: &'a str,
}

fn idz(server: &ServerState) -> Vec<u8> {
    to_json(&Id {
        name: server.name(),
        host: &server.options().host,
        id: server.id(),
    })
}

/// The connection that a request is about; 0 is none.
fn cid(request: &Request) -> Result<u64, Refusal> {
    match options(request).map(folded) {
        Ok(Value::Object(asked)) if !request.payload.is_empty() => match asked.get("cid") {
            None => Ok(0),
            Some(cid) => cid.as_u64().ok_or(Refusal::Silence),
        },
        _ => Err(Refusal::Silence),
    }
}

fn kick(server: &ServerState, cid: u64) -> Result<(), Refusal> {
    let client = server
        .client(cid)
        .ok_or_else(|| Refusal::NotDone("no such client or leafnode id".to_owned()))?;
    client.close(CloseReason::Kicked);
    Ok(())
}

fn lame_duck(server: &ServerState, cid: u64) -> Result<(), Refusal> {
    let client = server
        .client(cid)
        .ok_or_else(|| Refusal::NotDone("no such client id".to_owned()))?;
    if client.login().options.protocol < 1 {
        return Err(Refusal::NotDone(
            "client does not support Lame Duck Mode or is not ready to receive the notification"
                .to_owned(),
        ));
    }
    client.signal(Signal::LameDuck);
    Ok(())
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct CountRequest {
    acc: String,
    subject: String,
    queue: String,
}

/// How many subscriptions an account has to a subject.
fn subscription_count(server: &ServerState, request: &Request) -> Option<Vec<u8>> {
    let wanted = CountRequest::deserialize(folded(options(request).ok()?)).ok()?;
    let account = server.account(&wanted.acc)?;
    let count = count(&account, wanted.subject.as_bytes(), wanted.queue.as_bytes());
    Some(count.to_string().into_bytes())
}

/// How many subscribers there are in the account of who asks: `<subject> [queue]`.
fn subscribers(server: &ServerState, request: &Request) -> Vec<u8> {
    let through = headers::get(&request.headers, REQUEST_INFO)
        .and_then(|json| serde_json::from_slice::<ClientInfo<'_>>(json).ok())
        .and_then(|info| {
            let name = if info.svc.is_empty() {
                info.acc
            } else {
                info.svc
            };
            server.account(&name)
        });
    let account = through.unwrap_or_else(|| Arc::clone(&request.account));
    let text = String::from_utf8_lossy(&request.payload);
    let mut words = text.split_whitespace();
    let (subject, queue) = (words.next(), words.next());
    let count = subject.map_or(0, |subject| {
        count(
            &account,
            subject.as_bytes(),
            queue.unwrap_or_default().as_bytes(),
        )
    });
    count.to_string().into_bytes()
}

fn count(account: &Account, pattern: &[u8], queue: &[u8]) -> usize {
    let mut count = 0;
    account.for_each_client_subscription(|subscription| {
        let in_group = queue.is_empty() || *subscription.queue() == *queue;
        if in_group && subject::collides(subscription.subject(), pattern) {
            count += 1;
        }
    });
    count
}

/// The event of an account's connections as an answer.
fn connections(server: &ServerState, request: &Request) -> Option<Vec<u8>> {
    let account = server.account(account_named(&request.subject))?;
    if account.counters.connections.load(Relaxed) == 0 {
        return None;
    }
    let body = join(&[
        (b"type", &to_json(&CONNECTIONS)),
        (b"id", &to_json(&crate::nuid::next())),
        (b"timestamp", &to_json(&jiff::Timestamp::now())),
        (b"server", &server_info::json(server)),
    ]);
    Some(extend(body, &to_json(&AccountStat::of(server, &account))))
}
