//! The subjects of the system account by which accounts are looked up, changed, listed and deleted.

use std::sync::{Arc, Weak};

use jetsled_auth::jwt::{self, AccountClaims};
use jetsled_config::DeletePolicy;
use serde::Serialize;

use super::directory::Directory;
use super::{LookupError, OperatorMode, ResolverError};
use crate::account::Account;
use crate::events;
use crate::routing::{
    FlushSet, Internal, OutboundMessage, Payload, Receiver, RoutedMessage, Target,
};
use crate::server::ServerState;

/// What is listened on, as nats-server does; the last two forms of an update are older and newer.
const SUBJECTS: &[(&str, Request)] = &[
    ("$SYS.REQ.ACCOUNT.*.CLAIMS.UPDATE", Request::UpdateOne(3)),
    ("$SYS.ACCOUNT.*.CLAIMS.UPDATE", Request::UpdateOne(2)),
    ("$SYS.REQ.CLAIMS.UPDATE", Request::Update),
    ("$SYS.REQ.ACCOUNT.*.CLAIMS.LOOKUP", Request::LookUp),
    ("$SYS.REQ.CLAIMS.LIST", Request::List),
    ("$SYS.REQ.CLAIMS.DELETE", Request::Delete),
    ("$SYS.REQ.CLAIMS.PACK", Request::Pack),
];

/// Servers answer requests for all tokens in turn.
const PACK_QUEUE: &[u8] = b"responder";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Request {
    /// The account is this token of the subject.
    UpdateOne(usize),
    Update,
    LookUp,
    List,
    Delete,
    Pack,
}

/// Starts to answer in the system account.
pub(super) fn serve(server: &Arc<ServerState>, operator: &Arc<OperatorMode>) {
    let Some(system) = server.system() else {
        return;
    };
    for (subject, request) in SUBJECTS {
        let is_update = matches!(request, Request::UpdateOne(_));
        if operator.resolver.full_directory().is_none() && !is_update {
            continue;
        }
        let service = Service {
            server: Arc::downgrade(server),
            request: *request,
        };
        let queue = if *request == Request::Pack {
            PACK_QUEUE
        } else {
            b""
        };
        let target = Target::Internal(Internal::new(service));
        system.insert_target(subject.as_bytes(), queue, target);
    }
}

struct Service {
    server: Weak<ServerState>,
    request: Request,
}

/// A request on its own, so that it can be answered later.
struct Received {
    account: Arc<Account>,
    subject: String,
    reply: Vec<u8>,
    payload: Vec<u8>,
}

impl Receiver for Service {
    fn receive(&self, message: &RoutedMessage<'_>, _: &mut FlushSet) {
        let Some(server) = self.server.upgrade() else {
            return;
        };
        let received = Received {
            account: Arc::clone(message.account),
            subject: String::from_utf8_lossy(message.subject).into_owned(),
            reply: message.reply.to_vec(),
            payload: message.payload.to_vec(),
        };
        let request = self.request;
        // Reads and writes files, and claims that come into force may start JetStream for an account.
        tokio::task::spawn_blocking(move || {
            if let Some(operator) = server.operator() {
                answer(&server, &operator, request, &received);
            }
        });
    }
}

fn answer(
    server: &Arc<ServerState>,
    operator: &OperatorMode,
    request: Request,
    received: &Received,
) {
    let directory = operator.resolver.full_directory();
    match (request, directory) {
        (Request::UpdateOne(token), directory) => {
            let Some(account) = received.subject.split('.').nth(token) else {
                return;
            };
            if !jetsled_auth::is_account_nkey(account) {
                tracing::debug!(
                    "jwt update skipped due to bad subject {:?}",
                    received.subject
                );
                return;
            }
            let done = match directory {
                Some(directory) => update(server, operator, directory, Some(account), received),
                None => update_known(server, operator, account, received),
            };
            done.reply(server, received);
        }
        (Request::Update, Some(directory)) => {
            update(server, operator, directory, None, received).reply(server, received);
        }
        (Request::LookUp, Some(directory)) => {
            let account = received.subject.split('.').nth(3).unwrap_or_default();
            match directory.load(account) {
                Ok(token) => received.reply(token.unwrap_or_default().as_bytes()),
                Err(error) => {
                    tracing::error!("DirResolver - Error looking up account {account:?}: {error}");
                }
            }
        }
        (Request::List, Some(directory)) => {
            let response = Listed {
                data: directory.accounts(),
            };
            received.reply_json(server, &response);
        }
        (Request::Delete, Some(directory)) => {
            delete(server, operator, directory, received).reply(server, received);
        }
        (Request::Pack, Some(directory)) => pack(directory, received),
        (_, None) => {}
    }
}

/// What became of a request.
struct Done {
    account: String,
    message: String,
    error: Option<String>,
}

impl Done {
    fn failed(account: &str, message: impl Into<String>, error: impl ToString) -> Self {
        Self {
            account: account.to_owned(),
            message: message.into(),
            error: Some(error.to_string()),
        }
    }

    fn reply(self, server: &ServerState, received: &Received) {
        let about = if self.account.is_empty() {
            String::new()
        } else {
            format!(" - {}", self.account)
        };
        match &self.error {
            None => tracing::debug!("{}{about}", self.message),
            Some(error) => tracing::error!("{}{about} - {error}", self.message),
        }
        let response = match self.error {
            None => Changed {
                data: Some(Status {
                    account: self.account,
                    code: 200,
                    message: self.message,
                }),
                error: None,
            },
            Some(error) => Changed {
                data: None,
                error: Some(Failure {
                    account: self.account,
                    code: 500,
                    description: format!("{} - {error}", self.message),
                }),
            },
        };
        received.reply_json(server, &response);
    }
}

/// Stores a token in the directory, and puts it into force if its account is in use.
fn update(
    server: &Arc<ServerState>,
    operator: &OperatorMode,
    directory: &Directory,
    account: Option<&str>,
    received: &Received,
) -> Done {
    const FAILED: &str = "jwt update resulted in error";
    let token = String::from_utf8_lossy(&received.payload);
    let claims = match AccountClaims::decode(&token) {
        Ok(claims) => claims,
        Err(error) => return Done::failed("n/a", FAILED, error),
    };
    let subject = claims.subject.as_str();
    let valid = claims.validate(jiff::Timestamp::now());
    if let Err(error) = valid
        && !matches!(error, jwt::JwtError::Expired | jwt::JwtError::NotYetValid)
    {
        return Done::failed(subject, "jwt validation failed", error);
    }
    if let Some(account) = account.filter(|account| *account != subject) {
        return Done::failed(account, FAILED, "subject does not match jwt content");
    }
    let is_own_key = operator.options().operators.iter().any(|operator| {
        operator.nats.strict_signing_key_usage && operator.subject == claims.issuer
    });
    if is_own_key {
        return Done::failed(
            subject,
            FAILED,
            "operator requires issuer to be a signing key",
        );
    }
    if let Err(error) = directory.store(subject, &token) {
        return Done::failed(subject, FAILED, error);
    }
    if operator.claims(subject).is_some()
        && let Err(error) = operator.take_stored(server, directory, subject)
    {
        tracing::error!("DirResolver - Update for account {subject:?} resulted in error {error}");
    }
    Done {
        account: subject.to_owned(),
        message: "jwt updated".to_owned(),
        error: None,
    }
}

/// Without a directory: only accounts in use take other claims.
fn update_known(
    server: &Arc<ServerState>,
    operator: &OperatorMode,
    account: &str,
    received: &Received,
) -> Done {
    let done = |message: &str| Done {
        account: account.to_owned(),
        message: message.to_owned(),
        error: None,
    };
    if operator.claims(account).is_none() {
        return done("jwt update skipped");
    }
    let token = String::from_utf8_lossy(&received.payload);
    match operator.take(server, account, &token) {
        Ok(_) => done("jwt updated"),
        Err(error) => Done::failed(account, "jwt update resulted in error", error),
    }
}

fn delete(
    server: &Arc<ServerState>,
    operator: &OperatorMode,
    directory: &Directory,
    received: &Received,
) -> Done {
    let token = String::from_utf8_lossy(&received.payload);
    let request = jwt::decode_generic(&token);
    let by = request
        .as_ref()
        .map(|request| request.subject.clone())
        .unwrap_or_default();
    let accounts = match request
        .map_err(|error| error.to_string())
        .and_then(|request| accounts_to_delete(server, operator, directory, &request))
    {
        Ok(accounts) => accounts,
        Err(error) => {
            return Done::failed("", format!("delete accounts request by {by} failed"), error);
        }
    };
    let mut errors = Vec::new();
    let mut deleted = 0;
    for account in &accounts {
        match directory.remove(account) {
            Ok(()) => {
                deleted += 1;
                operator.forget(server, account);
            }
            Err(error) => errors.push(error.to_string()),
        }
    }
    if errors.is_empty() {
        Done {
            account: String::new(),
            message: format!("deleted {deleted} accounts"),
            error: None,
        }
    } else {
        Done::failed(
            "",
            format!("deleted {deleted} accounts, failed for {}", errors.len()),
            errors.join("\n"),
        )
    }
}

fn accounts_to_delete(
    server: &ServerState,
    operator: &OperatorMode,
    directory: &Directory,
    request: &jwt::Claims<serde_json::Value>,
) -> Result<Vec<String>, String> {
    if directory.delete_policy() == DeletePolicy::Refuse {
        return Err("delete must be enabled in server config".to_owned());
    }
    if request.subject != request.issuer {
        return Err("not self signed".to_owned());
    }
    if !operator.trusted().trusts(&request.issuer) {
        return Err("not trusted".to_owned());
    }
    let malformed = || "malformed request".to_owned();
    let accounts: Vec<String> = request
        .nats
        .get("accounts")
        .cloned()
        .and_then(|accounts| serde_json::from_value(accounts).ok())
        .ok_or_else(malformed)?;
    for account in &accounts {
        if !jetsled_auth::is_account_nkey(account) {
            return Err(malformed());
        }
        if server
            .system()
            .is_some_and(|system| system.name() == account)
        {
            return Err("not allowed to delete system account".to_owned());
        }
    }
    Ok(accounts)
}

/// All tokens, one a message, then an empty message; nothing but that if the asker has the same ones.
fn pack(directory: &Directory, received: &Received) {
    if received.payload != directory.digest() {
        for account in directory.accounts() {
            match directory.load(&account) {
                Ok(Some(token)) => received.reply(format!("{account}|{token}").as_bytes()),
                Ok(None) => {}
                Err(error) => tracing::error!("DirResolver - Pack request error: {error}"),
            }
        }
    }
    received.reply(b"");
}

impl Received {
    fn reply_json(&self, server: &ServerState, response: &impl Serialize) {
        self.reply(&events::described(server, response));
    }

    fn reply(&self, payload: &[u8]) {
        if self.reply.is_empty() {
            return;
        }
        let mut flush = FlushSet::new();
        let message = OutboundMessage {
            subject: &self.reply,
            deliver_as: &self.reply,
            reply: b"",
            headers: b"",
            payload: Payload::Borrowed(payload),
        };
        self.account.deliver(&message, &mut flush);
        flush.flush();
    }
}

#[derive(Serialize)]
struct Changed {
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Status>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Failure>,
}

#[derive(Serialize)]
struct Status {
    /// Empty for a request about several.
    #[serde(skip_serializing_if = "String::is_empty")]
    account: String,
    code: u16,
    message: String,
}

#[derive(Serialize)]
struct Failure {
    /// Empty for a request about several.
    #[serde(skip_serializing_if = "String::is_empty")]
    account: String,
    code: u16,
    description: String,
}

#[derive(Serialize)]
struct Listed {
    data: Vec<String>,
}

impl OperatorMode {
    /// Starts to answer requests about accounts.
    pub(crate) fn serve(self: &Arc<Self>, server: &Arc<ServerState>) {
        serve(server, self);
    }

    /// Puts into force what the directory has of an account, also if that changes meanwhile: requests are answered side by side.
    pub(super) fn take_stored(
        &self,
        server: &Arc<ServerState>,
        directory: &Directory,
        account: &str,
    ) -> Result<(), LookupError> {
        let mut taken = None;
        loop {
            let stored = directory.load(account).map_err(ResolverError::from)?;
            if stored.is_some() && stored == taken {
                return Ok(());
            }
            let Some(token) = stored else {
                self.forget(server, account);
                return Ok(());
            };
            self.take(server, account, &token)?;
            taken = Some(token);
        }
    }

    /// An account was deleted: nobody may be in it any more.
    pub(super) fn forget(&self, server: &ServerState, account: &str) {
        {
            let _turn = server.wiring_turn();
            self.known.lock().remove(account);
        }
        if let Some(account) = server.account(account) {
            for client in server.clients_of(&account) {
                client.close_saying(
                    "Account Authentication Expired",
                    crate::client::CloseReason::AuthenticationExpired,
                );
            }
        }
    }
}
