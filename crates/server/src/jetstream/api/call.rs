//! One API request on its way to its reply.

use std::sync::Arc;

use jetsled_jetstream_api::advisory::{self, ApiAudit};
use jetsled_jetstream_api::json::{self, Decoded, Strictness};
use jetsled_jetstream_api::response::{Response, ResponseBody};
use jetsled_jetstream_api::{ApiError, Timestamp};
use jetsled_protocol::headers;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::level::level_too_high;
use crate::account::Account;
use crate::events::{ClientInfo, Detail, REQUEST_INFO};
use crate::jetstream::account::{AccountJetStream, ApiReply, DurableAt};
use crate::jetstream::ingest::Request;
use crate::routing::FlushSet;

/// A request and what is needed to answer it.
pub(super) struct Call<'a> {
    pub(super) jetstream: &'a Arc<AccountJetStream>,
    pub(super) payload: &'a [u8],
    pub(super) now: Timestamp,
    pub(super) flush: &'a mut FlushSet,
    /// Whether an error is one in the account's statistics: what a change finds out only when it is made is none
    /// (observed nats-server 2.15.1).
    pub(super) count_errors: bool,
    /// Whether the answer is told to those who listen for advisories.
    pub(super) is_told: bool,
    request: &'a Request<'a>,
    /// The header block of a reply that is no error; empty without headers.
    reply_headers: Vec<u8>,
}

/// What an endpoint has done: the body of its reply, and the change that must be durable before it leaves.
pub(super) struct Done<T> {
    pub(super) body: T,
    pub(super) after: Option<DurableAt>,
}

impl<T> Done<T> {
    /// A reply that waits for nothing.
    pub(super) fn now(body: T) -> Self {
        Self { body, after: None }
    }

    /// A reply that waits for a change.
    pub(super) fn after(body: T, change: DurableAt) -> Self {
        Self {
            body,
            after: Some(change),
        }
    }
}

/// What an endpoint answers.
pub(super) type Outcome<T> = Result<Done<T>, ApiError>;

impl<'a> Call<'a> {
    pub(super) fn new(request: &'a Request<'a>, now: Timestamp, flush: &'a mut FlushSet) -> Self {
        Self {
            jetstream: request.account,
            payload: request.payload,
            now,
            flush,
            count_errors: true,
            is_told: true,
            request,
            reply_headers: Vec::new(),
        }
    }

    /// Answers with what `endpoint` says, unless the request needs a newer server.
    pub(super) fn answer<T: ResponseBody>(
        &mut self,
        endpoint: impl FnOnce(&mut Self) -> Outcome<T>,
    ) {
        let outcome = self.run(endpoint);
        let error = outcome.is_err() && self.count_errors;
        self.jetstream.count_api(error);
        self.send(outcome);
    }

    /// Refuses a request with this reply, whatever level it needs.
    pub(super) fn refuse_at_any_level(&mut self, refusal: &[u8]) {
        self.jetstream.count_api(true);
        let reply = ApiReply {
            subject: self.request.reply,
            headers: b"",
            body: refusal,
        };
        self.jetstream.reply(&reply, None, Vec::new, self.flush);
        self.audit(refusal, None, Vec::new);
    }

    /// As [`Call::answer`], but only errors are counted and told.
    pub(super) fn answer_uncounted<T: ResponseBody>(
        &mut self,
        endpoint: impl FnOnce(&mut Self) -> Outcome<T>,
    ) {
        let outcome = self.run(endpoint);
        self.is_told = outcome.is_err();
        if outcome.is_err() {
            self.jetstream.count_api(true);
        }
        self.send(outcome);
    }

    /// As [`Call::answer`], but neither the answer nor an error is counted or told.
    pub(super) fn answer_in_silence<T: ResponseBody>(
        &mut self,
        endpoint: impl FnOnce(&mut Self) -> Outcome<T>,
    ) {
        let outcome = self.run(endpoint);
        self.is_told = false;
        self.send(outcome);
    }

    /// Leaves the answer to what `endpoint` starts, unless that fails.
    pub(super) fn answer_later<T: ResponseBody>(
        &mut self,
        endpoint: impl FnOnce(&mut Self) -> Result<(), ApiError>,
    ) {
        let started = self.run(|call| endpoint(call).map(Done::now));
        if let Err(error) = started {
            self.jetstream.count_api(true);
            self.send::<T>(Err(error));
        }
    }

    /// Where the answer goes; empty if nobody wants it.
    pub(super) fn reply(&self) -> &[u8] {
        self.request.reply
    }

    /// Who asks, as advisories tell it: of a client of another account as much as the imports share.
    pub(super) fn client(&self) -> Box<RawValue> {
        let account = self.jetstream.account();
        let client = self.flush.producer();
        let mut info = client.map_or_else(ClientInfo::default, |client| {
            if account
                .as_ref()
                .is_none_or(|account| Arc::ptr_eq(account, &client.login().account))
            {
                return ClientInfo::of(client, Detail::All);
            }
            let shared = headers::get(self.request.headers, REQUEST_INFO);
            shared
                .and_then(|json| serde_json::from_slice::<ClientInfo<'_>>(json).ok())
                .unwrap_or_default()
        });
        if let (Some(account), None) = (&account, &info.start) {
            info.svc = account.name().into();
            info.server = self.jetstream.runtime().server_name.as_str().into();
        }
        info.name_tag = "".into();
        serde_json::value::to_raw_value(&info).expect("a description is plain data")
    }

    /// Decodes the body; an empty one is the default.
    pub(super) fn decode<T: DeserializeOwned>(&self) -> Result<T, ApiError> {
        json::decode(self.payload, self.strictness()).map(|decoded| self.accept(decoded))
    }

    /// Decodes a body that only counts when it begins like JSON.
    pub(super) fn decode_optional<T: DeserializeOwned + Default>(&self) -> Result<T, ApiError> {
        match self.payload.trim_ascii_start().first() {
            Some(b'{' | b'[') => self.decode(),
            _ => Ok(T::default()),
        }
    }

    /// As [`Call::decode_optional`], for a request that errors name otherwise than by its type.
    pub(super) fn decode_optional_as<T: DeserializeOwned + Default>(
        &self,
        name: &str,
    ) -> Result<T, ApiError> {
        match self.payload.trim_ascii_start().first() {
            Some(b'{' | b'[') => json::decode_as(self.payload, name, self.strictness())
                .map(|decoded| self.accept(decoded)),
            _ => Ok(T::default()),
        }
    }

    /// Refuses a body where there should be none.
    pub(super) fn expect_empty(&self) -> Result<(), ApiError> {
        if json::is_empty_request(self.payload) {
            Ok(())
        } else {
            Err(ApiError::NOT_EMPTY_REQUEST)
        }
    }

    /// What is not known in a request is only worth a warning in lenient mode.
    pub(super) fn accept<T>(&self, decoded: Decoded<T>) -> T {
        if let Some(warning) = decoded.warning
            && let Some(account) = self.jetstream.account()
        {
            let subject = String::from_utf8_lossy(self.request.subject);
            tracing::warn!(
                "Invalid JetStream request '{} > {subject}': {warning}",
                account.name()
            );
        }
        decoded.value
    }

    /// The value of a header of the request.
    pub(super) fn header(&self, key: &str) -> Option<&'a [u8]> {
        headers::get(self.request.headers, key.as_bytes())
    }

    /// Adds a header to the reply; errors go without.
    pub(super) fn set_reply_header(&mut self, key: &str, value: &str) {
        headers::append(&mut self.reply_headers, key.as_bytes(), value.as_bytes());
    }

    /// Whether anybody is told what comes of the request.
    pub(super) fn wants_reply(&self) -> bool {
        !self.request.reply.is_empty()
    }

    pub(super) fn strictness(&self) -> Strictness {
        if self.jetstream.runtime().strict {
            Strictness::Strict
        } else {
            Strictness::Lenient
        }
    }

    fn run<T>(&mut self, endpoint: impl FnOnce(&mut Self) -> Outcome<T>) -> Outcome<T> {
        if level_too_high(self.request.headers) {
            return Err(ApiError::REQUIRED_API_LEVEL);
        }
        endpoint(self)
    }

    /// Sends the reply once what it says is durable.
    fn send<T: ResponseBody>(&mut self, outcome: Outcome<T>) {
        let outcome_is_ok = outcome.is_ok();
        let (response, after) = match outcome {
            Ok(Done { body, after }) => (Response::ok(body), after),
            Err(error) => (Response::error(error), None),
        };
        let failure = || {
            let error = ApiError::stream_general("the change could not be written to disk");
            Response::<T>::error(error).to_json()
        };
        let headers = if outcome_is_ok {
            &self.reply_headers[..]
        } else {
            b""
        };
        let body = response.to_json();
        let reply = ApiReply {
            subject: self.request.reply,
            headers,
            body: &body,
        };
        self.jetstream.reply(&reply, after, failure, self.flush);
        if self.is_told {
            self.audit(&body, after, failure);
        }
    }

    /// Tells whoever listens what was asked and what is answered, when the answer leaves; `failure` is the answer if the change
    /// never is durable.
    fn audit(
        &mut self,
        response: &[u8],
        after: Option<DurableAt>,
        failure: impl FnOnce() -> Vec<u8>,
    ) {
        let is_heard = |account: Arc<Account>| account.has_interest(AUDIT_SUBJECT.as_bytes());
        if !self.jetstream.account().is_some_and(is_heard) {
            return;
        }
        let (runtime, client) = (self.jetstream.runtime(), self.client());
        let subject = String::from_utf8_lossy(self.request.subject);
        let request = String::from_utf8_lossy(self.request.payload);
        let (now, id) = (self.now, crate::nuid::next());
        let told = |response: &[u8]| {
            let body = ApiAudit {
                server: &runtime.server_name,
                client: &client,
                subject: &subject,
                request: &request,
                response: &String::from_utf8_lossy(response),
                domain: runtime.domain.as_deref(),
            };
            advisory::to_json(&id, now, &body)
        };
        let reply = ApiReply {
            subject: AUDIT_SUBJECT.as_bytes(),
            headers: b"",
            body: &told(response),
        };
        self.jetstream
            .reply(&reply, after, || told(&failure()), self.flush);
    }
}

/// Where [`ApiAudit`]s are told.
const AUDIT_SUBJECT: &str = "$JS.EVENT.ADVISORY.API";
