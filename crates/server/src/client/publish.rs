//! PUB and HPUB.

use std::sync::Arc;

use bytes::Bytes;
use jetsled_protocol::{ClientOp, LastPub, MatchResult, Pub, PubFrames, encode, subject};

use super::route_cache::{Entry, Publisher};
use super::session::Session;
use super::trace;
use crate::client::Client;
use crate::routing::admission::{Admitted, Denied};
use crate::routing::message_trace;
use crate::routing::{Message, Origin, Payload, SubjectFamily, Target};

/// A publish as it lies in the input.
#[derive(Clone, Copy)]
pub(super) struct Publish<'a> {
    pub(super) subject: &'a [u8],
    pub(super) reply: &'a [u8],
    pub(super) headers: &'a [u8],
    pub(super) payload: Payload<'a>,
    pub(super) size_text: &'a [u8],
    pub(super) header_size_text: &'a [u8],
    pub(super) tail: &'a [u8],
}

impl<'a> Publish<'a> {
    /// `input` is all of the operation. `None`: it is neither PUB nor HPUB.
    #[inline]
    fn read(op: ClientOp<'a>, input: &'a [u8]) -> Option<Self> {
        Some(match op {
            ClientOp::Pub(publish) => Self {
                subject: publish.subject,
                reply: publish.reply.unwrap_or_default(),
                headers: &[],
                payload: Payload::Borrowed(publish.payload),
                size_text: publish.size_text,
                header_size_text: &[],
                tail: tail(&publish, input),
            },
            ClientOp::HPub(publish) => Self {
                subject: publish.subject,
                reply: publish.reply.unwrap_or_default(),
                headers: publish.headers,
                payload: Payload::Borrowed(publish.payload),
                size_text: publish.total_size_text,
                header_size_text: publish.header_size_text,
                tail: &[],
            },
            _ => return None,
        })
    }

    #[inline]
    fn admitted<'m>(&self, admitted: Admitted, client: &'m Arc<Client>) -> Message<'m>
    where
        'a: 'm,
    {
        Message {
            admitted,
            subject: self.subject,
            routed: self.subject,
            reply: self.reply,
            headers: self.headers,
            payload: self.payload,
            origin: Origin {
                client: Some(client),
                through: None,
            },
            size_text: self.size_text,
            header_size_text: self.header_size_text,
            tail: self.tail,
        }
    }
}

impl Session {
    /// Acts on the publishes at the front of `input` that have the last one's control line, but for subject and reply; returns how many bytes they took.
    ///
    /// Most publishers repeat one for long. All that follows from the line alone is found once for a run of them.
    #[inline]
    pub(super) fn publish_again(&mut self, input: &[u8]) -> usize {
        let Some((op, consumed)) = self.last_pub.again(input, &self.limits) else {
            return 0;
        };
        let whole = input.get(..consumed).unwrap_or_default();
        let Some(first) = Publish::read(op, whole) else {
            return 0;
        };
        let options = &self.login.options;
        let one_by_one = options.verbose
            || options.pedantic
            || self.routes.mappings.is_some()
            || trace::is_on()
            || self.may_be_traced(first.headers);
        if one_by_one {
            if trace::is_on() {
                self.client.trace_in(&op);
            }
            self.publish(&first);
            return consumed;
        }
        let taken = self.publish_run(&first, whole, input);
        if let ClientOp::Pub(publish) = op
            && taken == consumed
        {
            self.expect_acks(&publish, whole);
        }
        taken
    }

    /// `whole` is the first of them in all its bytes.
    fn publish_run(&mut self, first: &Publish<'_>, whole: &[u8], input: &[u8]) -> usize {
        let size = first.headers.len() + first.payload.len();
        let (entry, family) = self.routes.entry_and_family(
            first.subject,
            &Publisher {
                client: &self.client,
                account: &self.login.account,
                principal: Self::principal(&self.server, &self.login),
            },
        );
        let admitted = match entry.admit(first.subject, first.reply) {
            Ok(admitted) => admitted,
            Err(denied) => {
                self.count(1, size);
                self.refuse(denied);
                return whole.len();
            }
        };
        if let Some(stream) = entry.route.published_stream().filter(|_| !entry.is_for_one) {
            let run = admitted_run(
                &self.last_pub,
                entry,
                family,
                (first.subject, whole.len()),
                input,
            );
            let ingest = &mut self.flush.get().ingest;
            ingest.push_publishes(stream, &self.login.account, &run);
            self.count(run.len(), run.len() * size);
            return run.bytes().len();
        }
        let mut reply = first.reply;
        let mut message = first.admitted(admitted, &self.client);
        let mut repeats = self.last_pub.repeats(input);
        let mut rest = input;
        let mut messages = 0;
        let mut is_unheard = false;
        let is_heard = !entry.route.is_empty() || !first.reply.is_empty() || entry.is_for_one;
        while let Some(repeat) = repeats.next() {
            if asks_for_trace(repeat.headers) {
                break;
            }
            // All of a run have one, or none has: asking libc whether two of no bytes are equal takes longer than all the rest (`docs/performance.md`).
            if !repeat.reply.is_empty() && *repeat.reply != *reply {
                // One that may not be used ends the run, and is refused as the first of the next one.
                let Ok(admitted) = entry.admit(first.subject, repeat.reply) else {
                    break;
                };
                reply = repeat.reply;
                message = Publish { reply, ..*first }.admitted(admitted, &self.client);
            }
            rest = repeats.rest();
            messages += 1;
            if !is_heard {
                continue;
            }
            message.headers = repeat.headers;
            message.payload = Payload::Borrowed(repeat.payload);
            message.tail = repeat.tail;
            let delivered = entry
                .route
                .deliver(&message, &self.login.account, self.flush.get());
            is_unheard = delivered == 0 && !first.reply.is_empty();
            if is_unheard || entry.is_for_one {
                break;
            }
        }
        self.count(messages, messages * size);
        if is_unheard && self.login.options.no_responders {
            self.reply_no_responders(first.subject, reply);
        }
        input.len() - rest.len()
    }

    /// Whether [`publish_traced`](Session::publish_traced) may find something to trace.
    #[inline]
    fn may_be_traced(&self, headers: &[u8]) -> bool {
        !headers.is_empty() && (self.routes.trace.is_some() || message_trace::is_asked_for(headers))
    }

    /// Acts on a PUB or HPUB; `input` is all of it, and `shared` the same bytes if they may be kept.
    #[inline]
    pub(super) fn publish_op(&mut self, op: ClientOp<'_>, input: &[u8], shared: Option<&Bytes>) {
        let Some(publish) = Publish::read(op, input) else {
            return;
        };
        let slice = shared.map(|whole| whole.slice_ref(&publish.payload));
        let publish = match &slice {
            None => publish,
            Some(slice) => Publish {
                payload: Payload::Shared(slice),
                ..publish
            },
        };
        self.publish(&publish);
    }

    fn publish(&mut self, publish: &Publish<'_>) {
        self.count(1, publish.headers.len() + publish.payload.len());
        let options = &self.login.options;
        if options.pedantic && !subject::is_valid_literal(publish.subject) {
            self.reply_err("Invalid Publish Subject");
        }
        if self.may_be_traced(publish.headers) && self.publish_traced(publish).is_break() {
            return;
        }
        self.publish_mapped(publish);
    }

    /// Publishes to what the account's mappings make of the subject.
    #[inline]
    pub(super) fn publish_mapped(&mut self, publish: &Publish<'_>) {
        let mapped = match &self.routes.mappings {
            None => None,
            Some(wiring) => {
                // Taken for the call: what follows needs the session.
                let mut mapped = std::mem::take(&mut self.mapped);
                let random = self.flush.get().random();
                wiring
                    .map(publish.subject, random, &mut mapped)
                    .then_some(mapped)
            }
        };
        match mapped {
            None => self.route(publish),
            Some(mapped) => {
                self.route(&Publish {
                    subject: &mapped,
                    ..*publish
                });
                self.mapped = mapped;
            }
        }
    }

    /// Publishes to the subject after mapping.
    #[inline]
    fn route(&mut self, publish: &Publish<'_>) {
        let options = &self.login.options;
        let (verbose, no_responders) = (options.verbose, options.no_responders);
        let entry = self.routes.entry(
            publish.subject,
            &Publisher {
                client: &self.client,
                account: &self.login.account,
                principal: Self::principal(&self.server, &self.login),
            },
        );
        let admitted = match entry.admit(publish.subject, publish.reply) {
            Ok(admitted) => admitted,
            Err(denied) => return self.refuse(denied),
        };
        if verbose {
            self.flush
                .get()
                .slot(&self.client, &mut 0)
                .output
                .copy(encode::OK);
        }
        let message = publish.admitted(admitted, &self.client);
        let delivered = entry
            .route
            .deliver(&message, &self.login.account, self.flush.get());
        if delivered == 0 && no_responders && !publish.reply.is_empty() {
            self.reply_no_responders(publish.subject, publish.reply);
        }
    }

    pub(super) fn count(&mut self, messages: usize, bytes: usize) {
        self.active = true;
        self.in_messages += messages as u64;
        self.in_bytes += bytes as u64;
    }

    #[cold]
    fn refuse(&mut self, denied: Denied<'_>) {
        tracing::error!("{} - {}", self.client.log_name(), denied.log_text());
        self.reply_err(&denied.to_string());
    }

    /// Tells a requestor on its own inbox that nobody got its request.
    pub(super) fn reply_no_responders(&mut self, published: &[u8], reply: &[u8]) {
        let mut found = MatchResult::default();
        self.login.account.match_subject(reply, &mut found);
        let own = found.plain.iter().find_map(|target| match target {
            Target::Client(subscription) if std::ptr::eq(&*subscription.client, &*self.client) => {
                Some(subscription)
            }
            _ => None,
        });
        let Some(own) = own else { return };
        let mut headers = Vec::with_capacity(published.len() + 32);
        headers.extend_from_slice(b"NATS/1.0 503\r\nNats-Subject: ");
        headers.extend_from_slice(published);
        headers.extend_from_slice(b"\r\n\r\n");
        let mut line = Vec::with_capacity(headers.len() + reply.len() + 64);
        encode::hmsg(reply, own.sid(), None, &headers, b"", &mut line);
        self.reply(&line);
    }
}

/// The publishes at the front of `input` that have the last one's control line, but for the reply, or for another subject of the entry's `family`, and may
/// be used just as they are. Of the first one, which has this subject and so many bytes, that is known.
fn admitted_run<'i>(
    last: &LastPub,
    entry: &Entry,
    family: Option<&SubjectFamily>,
    (mut subject, len): (&'i [u8], usize),
    input: &'i [u8],
) -> PubFrames<'i> {
    let behind = input.get(len..).unwrap_or_default();
    let mut repeats = match family {
        None => last.repeats(behind),
        Some(_) => last.alike(behind),
    };
    let mut taken = len;
    while let Some(repeat) = repeats.next()
        && !asks_for_trace(repeat.headers)
        && (*repeat.subject == *subject
            || family.is_some_and(|family| family.covers(repeat.subject)))
        && entry.admit(repeat.subject, repeat.reply).is_ok()
    {
        subject = repeat.subject;
        taken = input.len() - repeats.rest().len();
    }
    last.frames(input.get(..taken).unwrap_or_default())
}

#[inline]
fn asks_for_trace(headers: &[u8]) -> bool {
    !headers.is_empty() && message_trace::is_asked_for(headers)
}

/// `<size>\r\n<payload>\r\n` if the control line ended just so: then it goes out as it came in.
#[inline]
fn tail<'a>(publish: &Pub<'_>, input: &'a [u8]) -> &'a [u8] {
    let size = publish.size_text;
    let len = size.len() + publish.payload.len() + 4;
    let tail = input
        .len()
        .checked_sub(len)
        .and_then(|start| input.get(start..))
        .unwrap_or_default();
    let ends_line = tail.get(size.len()..size.len() + 2) == Some(b"\r\n");
    if ends_line && tail.starts_with(size) {
        tail
    } else {
        &[]
    }
}
