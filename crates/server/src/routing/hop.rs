//! Services of other accounts, and the ways back from them.

use std::sync::Arc;

use jetsled_protocol::headers;
use rand::RngExt;

use super::latency::{self, Measured};
use super::message::Through;
use super::message_trace::{self, Tracer};
use super::responses::Way;
use super::{Destination, FlushSet, Message, deliver_traced};
use crate::account::Account;
use crate::events::{ClientInfo, REQUEST_INFO};
use crate::wiring::{ServiceLink, Wiring};

/// Imports that one request may pass.
const MAX_DEPTH: usize = 64;

/// Replies that are passed on as they are, since acks go to them (observed nats-server 2.15.1).
const JETSTREAM_ACK: &[u8] = b"$JS.ACK.";

/// A destination of a route that lies behind an import or export of a service.
#[derive(Debug)]
pub(super) enum Hop {
    Service(ServiceHop),
    Response(ResponseHop),
}

impl Hop {
    /// Whether anybody got the message, which was published in `account`.
    pub(super) fn deliver(
        &mut self,
        message: &Message<'_>,
        account: &Arc<Account>,
        flush: &mut FlushSet,
    ) -> bool {
        match self {
            Self::Service(hop) => hop.deliver(message, account, None, flush),
            Self::Response(hop) => hop.deliver(message, account, flush),
        }
    }
}

/// An imported service. Keeps what it found in the exporting account.
#[derive(Debug)]
pub(super) struct ServiceHop {
    link: Arc<ServiceLink>,
    exporter: Arc<Account>,
    /// The exporting account's, at `generation`.
    wiring: Arc<Wiring>,
    generation: u64,
    destination: Option<Box<Destination>>,
    // Reused.
    subject: Vec<u8>,
    mapped: Vec<u8>,
    reply: Vec<u8>,
    headers: Vec<u8>,
    info: Vec<u8>,
}

impl ServiceHop {
    /// `None` if the exporting account is gone.
    pub(super) fn new(link: Arc<ServiceLink>) -> Option<Self> {
        let exporter = link.exporter.upgrade()?;
        Some(Self {
            generation: exporter.generation(),
            wiring: exporter.wiring(),
            link,
            exporter,
            destination: None,
            subject: Vec::new(),
            mapped: Vec::new(),
            reply: Vec::new(),
            headers: Vec::new(),
            info: Vec::new(),
        })
    }

    pub(super) fn deliver(
        &mut self,
        request: &Message<'_>,
        importer: &Arc<Account>,
        tracer: Option<&mut Tracer>,
        flush: &mut FlushSet,
    ) -> bool {
        self.find_subject(request.routed, flush);
        let import = &self.link.import;
        let before = request.origin.through;
        if before.is_some_and(|through| through.includes(&import.export)) {
            return false;
        }
        let Some(through) = Through::new(
            &import.export,
            before.map_or(import.share, |before| before.share),
            before,
            MAX_DEPTH,
        ) else {
            return false;
        };
        let measured = import.export.latency.as_ref().and_then(|tracking| {
            Measured::sample(tracking, request, import.share, &mut flush.random)
        });
        let (mut is_open, mut unanswerable) = (false, None);
        self.reply.clear();
        if request.reply.starts_with(JETSTREAM_ACK) {
            self.reply.extend_from_slice(request.reply);
        } else if !request.reply.is_empty() {
            let way = Way {
                requestor: Arc::clone(importer),
                reply: request.reply.into(),
                export: Arc::clone(&import.export),
                share: import.share,
            };
            let responses = &self.exporter.responses;
            if !responses.open(&self.exporter, way, measured, &mut self.reply) {
                return false;
            }
            is_open = true;
        } else {
            unanswerable = measured;
        }
        self.info.clear();
        ClientInfo::write_request_info(
            request,
            importer,
            &through,
            import.share,
            self.exporter.is_system(),
            &mut self.info,
        );
        self.headers.clear();
        self.headers.extend_from_slice(request.headers);
        headers::set(&mut self.headers, REQUEST_INFO, &self.info);
        let mut traced = tracer;
        if let Some(tracer) = &mut traced {
            tracer.service_import(&self.exporter, request.routed, &self.subject);
            // The responder's account is not told where the trace goes.
            message_trace::disable(&mut self.headers);
        }
        let is_only = traced.as_ref().is_some_and(|tracer| tracer.only);
        let goes_on = import.export.allow_trace;
        let destination = match &mut self.destination {
            Some(known) if known.covers(&self.exporter, &self.subject) => known,
            slot => slot.insert(Box::new(Destination::resolve_imported(
                &self.exporter,
                &self.subject,
            ))),
        };
        let request = Message {
            subject: request.shown_as(&self.subject),
            routed: &self.subject,
            reply: &self.reply,
            headers: &self.headers,
            origin: request.origin.with(&through),
            size_text: &[],
            header_size_text: &[],
            tail: &[],
            ..*request
        };
        let is_delivered = match &mut traced {
            Some(tracer) if goes_on => deliver_traced(&self.exporter, &request, tracer, flush) > 0,
            Some(tracer) if tracer.only => false,
            _ => destination.pass_on(&request, flush) > 0,
        };
        if is_open && is_only {
            self.exporter.responses.forget(&self.reply);
        } else if is_open && !is_delivered {
            let responses = &self.exporter.responses;
            responses.close(&self.exporter, &self.reply, flush);
        }
        if let Some(measured) = unanswerable {
            latency::without_reply(&self.exporter, &import.export, &measured, flush);
        }
        is_delivered
    }

    /// Puts the subject in the exporting account into `self.subject`.
    fn find_subject(&mut self, requested: &[u8], flush: &mut FlushSet) {
        let generation = self.exporter.generation();
        if generation != self.generation {
            self.generation = generation;
            self.wiring = self.exporter.wiring();
        }
        self.subject.clear();
        self.link.import.rewrite(requested, &mut self.subject);
        if !self.wiring.mappings.is_empty()
            && self
                .wiring
                .map(&self.subject, flush.random.random(), &mut self.mapped)
        {
            std::mem::swap(&mut self.subject, &mut self.mapped);
        }
    }
}

/// The ways back of one account.
#[derive(Debug, Default)]
pub(super) struct ResponseHop {
    known: Vec<Destination>,
    /// The one to replace next.
    oldest: usize,
    // Reused.
    reply: Vec<u8>,
}

/// How many requestors' inboxes are remembered.
const KNOWN_INBOXES: usize = 8;

impl ResponseHop {
    pub(super) fn deliver(
        &mut self,
        response: &Message<'_>,
        exporter: &Arc<Account>,
        flush: &mut FlushSet,
    ) -> bool {
        let is_empty = response.len() == 0;
        let Some(found) = exporter.responses.take(response.routed, is_empty) else {
            return false;
        };
        let way = found.way;
        if let Some(measured) = &found.measured {
            latency::answered(exporter, &way.export, measured, response, flush);
        }
        let before = response.origin.through;
        let Some(through) = Through::new(&way.export, way.share, before, MAX_DEPTH) else {
            return false;
        };
        self.reply.clear();
        let mut is_open = false;
        if response.reply.starts_with(JETSTREAM_ACK) {
            self.reply.extend_from_slice(response.reply);
        } else if !response.reply.is_empty() {
            // Who answers with a question gets an answer.
            let back = Way {
                requestor: Arc::clone(exporter),
                reply: response.reply.into(),
                export: Arc::clone(&way.export),
                share: way.share,
            };
            let responses = &way.requestor.responses;
            if !responses.open(&way.requestor, back, None, &mut self.reply) {
                return false;
            }
            is_open = true;
        }
        let at = self.find(&way.requestor, &way.reply);
        let passed = Message {
            subject: response.shown_as(&way.reply),
            routed: &way.reply,
            reply: &self.reply,
            origin: response.origin.with(&through),
            ..*response
        };
        let is_delivered = self
            .known
            .get_mut(at)
            .is_some_and(|destination| destination.pass_on(&passed, flush) > 0);
        if !is_delivered {
            exporter.responses.close(exporter, response.routed, flush);
            if is_open {
                let responses = &way.requestor.responses;
                responses.close(&way.requestor, &self.reply, flush);
            }
        }
        is_delivered
    }

    fn find(&mut self, requestor: &Arc<Account>, reply: &[u8]) -> usize {
        let known = self
            .known
            .iter()
            .position(|known| known.covers(requestor, reply));
        if let Some(at) = known {
            return at;
        }
        let resolved = Destination::resolve_imported(requestor, reply);
        if self.known.len() < KNOWN_INBOXES {
            self.known.push(resolved);
            return self.known.len() - 1;
        }
        self.oldest = (self.oldest + 1) % KNOWN_INBOXES;
        self.known[self.oldest] = resolved;
        self.oldest
    }
}
