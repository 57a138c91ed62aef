//! Publishes whose headers ask for a trace.

use std::ops::ControlFlow;

use jetsled_protocol::{encode, subject};

use super::publish::Publish;
use super::session::Session;
use crate::routing::admission;
use crate::routing::message_trace::{self, AskedBy, TraceRequest, Tracer};
use crate::routing::{Message, Origin, deliver_traced};

impl Session {
    /// Publishes and traces what becomes of it; `Continue` if no trace is wanted.
    #[cold]
    pub(super) fn publish_traced(&mut self, publish: &Publish<'_>) -> ControlFlow<()> {
        let Some(request) = TraceRequest::read(publish.headers) else {
            return ControlFlow::Continue(());
        };
        let (destination, only) = match &request.by {
            AskedBy::Publisher { destination, only } => (destination.clone(), *only),
            AskedBy::DistributedTrace => {
                let Some(trace) = self.routes.trace.clone() else {
                    return ControlFlow::Continue(());
                };
                // nats-server takes one more of a hundred (observed 2.15.1).
                let is_sampled = trace.sampling >= 100
                    || self.flush.get().random() % 100 <= u64::from(trace.sampling);
                if !is_sampled {
                    self.publish_without_trace(publish);
                    return ControlFlow::Break(());
                }
                (trace.destination.as_bytes().to_vec(), false)
            }
        };
        if !subject::is_valid_literal(&destination) {
            tracing::error!(
                "{} - Destination {} is not valid, won't be able to trace events",
                self.client.log_name(),
                jetsled_protocol::GoQuoted(&destination)
            );
            return if only {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            };
        }
        let principal = Self::principal(&self.server, &self.login);
        if let Err(denied) = admission::publish(principal, &destination, || false) {
            tracing::error!("{} - {}", self.client.log_name(), denied.log_text());
            self.reply_err(&denied.to_string());
            return ControlFlow::Break(());
        }
        let msgsize = publish.headers.len() + publish.payload.len();
        let mut tracer = Tracer::new(request, destination, &self.client, publish.subject, msgsize);
        let mut mapped = Vec::new();
        let random = self.flush.get().random();
        let is_mapped = self
            .routes
            .mappings
            .as_ref()
            .is_some_and(|wiring| wiring.map(publish.subject, random, &mut mapped));
        if is_mapped {
            tracer.mapped(&mapped);
            let publish = Publish {
                subject: &mapped,
                ..*publish
            };
            self.trace(&publish, &mut tracer);
        } else {
            self.trace(publish, &mut tracer);
        }
        tracer.send(&self.server);
        ControlFlow::Break(())
    }

    fn trace(&mut self, publish: &Publish<'_>, tracer: &mut Tracer) {
        let principal = Self::principal(&self.server, &self.login);
        let admitted = admission::publish(principal, publish.subject, || {
            self.client.take_response(publish.subject)
        })
        .and_then(|admitted| admitted.with_reply(publish.reply));
        let admitted = match admitted {
            Ok(admitted) => admitted,
            Err(denied) => {
                tracing::error!("{} - {}", self.client.log_name(), denied.log_text());
                let text = denied.to_string();
                self.reply_err(&text);
                tracer.refused(text);
                return;
            }
        };
        if self.login.options.verbose {
            self.reply(encode::OK);
        }
        let message = Message {
            admitted,
            subject: publish.subject,
            routed: publish.subject,
            reply: publish.reply,
            headers: publish.headers,
            payload: publish.payload,
            origin: Origin {
                client: Some(&self.client),
                through: None,
            },
            size_text: publish.size_text,
            header_size_text: publish.header_size_text,
            tail: &[],
        };
        let delivered = deliver_traced(&self.login.account, &message, tracer, self.flush.get());
        let no_responders = self.login.options.no_responders;
        if delivered == 0 && no_responders && !publish.reply.is_empty() {
            self.reply_no_responders(publish.subject, publish.reply);
        }
    }

    /// Publishes with a header that keeps others from tracing it.
    fn publish_without_trace(&mut self, publish: &Publish<'_>) {
        let mut headers = publish.headers.to_vec();
        message_trace::disable(&mut headers);
        self.publish_mapped(&Publish {
            headers: &headers,
            size_text: &[],
            header_size_text: &[],
            ..*publish
        });
    }
}
