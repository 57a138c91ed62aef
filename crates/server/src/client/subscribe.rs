//! SUB and UNSUB.

use std::sync::Arc;

use jetsled_protocol::{Sub, Unsub, subject};

use super::Subscription;
use super::session::Session;
use crate::routing::admission;

impl Session {
    pub(super) fn subscribe(&mut self, sub: Sub<'_>) {
        self.active = true;
        self.routes.end_batch();
        let queue = sub.queue.unwrap_or_default();
        let principal = Self::principal(&self.server, &self.login);
        let admitted = match admission::subscribe(principal, sub.subject, queue) {
            Ok(admitted) => admitted,
            Err(denied) => {
                let sid = String::from_utf8_lossy(sub.sid);
                tracing::error!(
                    "{} - {}, SID {sid}",
                    self.client.log_name(),
                    denied.log_text()
                );
                return self.reply_err(&denied.to_string());
            }
        };
        let tokens = subject::token_count(sub.subject);
        if self
            .server
            .options()
            .max_subscription_tokens
            .is_some_and(|max| tokens > usize::from(max))
        {
            let subject = jetsled_protocol::GoQuoted(sub.subject);
            tracing::error!(
                "{} - Subscription Violation Too Many Tokens - Subject {subject}, SID {}",
                self.client.log_name(),
                String::from_utf8_lossy(sub.sid)
            );
            let text =
                format!("Permissions Violation for Subscription to {subject}, too many tokens");
            return self.reply_err(&text);
        }
        let max = self.login.max_subscriptions;
        if max.is_some_and(|max| self.client.subscription_count() >= max) {
            tracing::error!(
                "{} - maximum subscriptions exceeded",
                self.client.log_name()
            );
            return self.reply_err("maximum subscriptions exceeded");
        }
        if !subject::is_valid(sub.subject) {
            return self.reply_err("Invalid Subject");
        }
        let subscription = Arc::new(Subscription::new(
            Arc::clone(&self.client),
            sub.sid,
            sub.subject,
            queue,
            admitted.filtered,
        ));
        // A sid in use keeps its subscription (observed nats-server 2.15.1).
        if self.client.remember(&subscription) {
            self.login.account.add_subscription(&subscription, admitted);
            self.routes.begin(&self.login.account);
        }
        self.reply_ok();
    }

    pub(super) fn unsubscribe(&mut self, unsub: Unsub<'_>) {
        self.active = true;
        self.routes.end_batch();
        if let Some(subscription) = self.client.subscription(unsub.sid) {
            match unsub.max {
                Some(max) if u64::from(max) > subscription.delivered() => {
                    subscription.set_max(max);
                    // Routes know whether a subscription has a maximum.
                    self.login.account.invalidate_routes(subscription.subject());
                }
                _ => {
                    self.client.unsubscribe(&subscription);
                }
            }
            self.routes.begin(&self.login.account);
        }
        self.reply_ok();
    }
}
