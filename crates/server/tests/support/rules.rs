//! Permissions of an alphabet so small that rules and subjects meet, and what they mean.

use jetsled_protocol::subject::{is_subset, matches};
use proptest::prelude::*;

/// A subject with wildcards, or such a subject in queues of some names.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    pub(crate) subject: String,
    pub(crate) queue: Option<String>,
}

impl Rule {
    fn covers(&self, pattern: &str) -> bool {
        is_subset(pattern.as_bytes(), self.subject.as_bytes())
    }

    fn names(&self, queue: Option<&str>) -> bool {
        match (queue, &self.queue) {
            (Some(queue), Some(rule)) => is_subset(queue.as_bytes(), rule.as_bytes()),
            _ => false,
        }
    }

    fn denies(&self, subject: &str, queue: Option<&str>) -> bool {
        matches(subject.as_bytes(), self.subject.as_bytes())
            && (self.queue.is_none() || self.names(queue))
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Rules {
    pub(crate) allow: Vec<Rule>,
    pub(crate) deny: Vec<Rule>,
}

impl Rules {
    /// Whether a subscription to `pattern` is admitted.
    pub(crate) fn admit(&self, pattern: &str, queue: Option<&str>) -> bool {
        let of_queues = |rule: &&Rule| rule.queue.is_some() && rule.covers(pattern);
        let is_allowed = if self.allow.is_empty() {
            true
        } else if queue.is_some() && self.allow.iter().any(|rule| of_queues(&rule)) {
            // Once a rule is about queues, the queue must be named.
            let mut rules = self.allow.iter().filter(of_queues);
            rules.any(|rule| rule.names(queue))
        } else {
            let mut plain = self.allow.iter().filter(|rule| rule.queue.is_none());
            plain.any(|rule| rule.covers(pattern))
        };
        let covers =
            |rule: &Rule| rule.covers(pattern) && (rule.queue.is_none() || rule.names(queue));
        is_allowed && !self.deny.iter().any(covers)
    }

    /// Whether a message may reach an admitted subscription.
    pub(crate) fn deliver(&self, subject: &str, queue: Option<&str>) -> bool {
        !self.deny.iter().any(|rule| rule.denies(subject, queue))
    }

    /// Whether a literal subject may be published to.
    pub(crate) fn publish(&self, subject: &str) -> bool {
        let mut allow = self.allow.iter();
        (self.allow.is_empty() || allow.any(|rule| rule.denies(subject, None)))
            && self.deliver(subject, None)
    }

    /// As a block of a configuration.
    pub(crate) fn config(&self) -> String {
        let list = |rules: &[Rule]| -> Vec<String> {
            let entry = |rule: &Rule| match &rule.queue {
                None => rule.subject.clone(),
                Some(queue) => format!("{} {queue}", rule.subject),
            };
            rules.iter().map(entry).collect()
        };
        format!(
            "{{allow: {:?}, deny: {:?}}}",
            list(&self.allow),
            list(&self.deny)
        )
    }
}

/// Subjects with wildcards: two tokens.
pub(crate) fn pattern() -> impl Strategy<Value = String> + Clone {
    let token = prop::sample::select(vec!["a", "b", "*"]);
    prop_oneof![
        4 => (token.clone(), token.clone()).prop_map(|(first, last)| format!("{first}.{last}")),
        2 => token.prop_map(|first| format!("{first}.>")),
        1 => Just(">".to_owned()),
    ]
}

/// Rules for publishing, or for subscriptions without a word of queues.
pub(crate) fn rules() -> impl Strategy<Value = Rules> {
    rules_of(pattern().prop_map(|subject| Rule {
        subject,
        queue: None,
    }))
}

/// Rules of which some are about queues.
pub(crate) fn queue_rules() -> impl Strategy<Value = Rules> {
    let name = prop::sample::select(vec!["q", "q.x", "q.*", "*.x", ">", "r"]);
    let queue = prop::option::of(name.prop_map(str::to_owned));
    rules_of((pattern(), queue).prop_map(|(subject, queue)| Rule { subject, queue }))
}

fn rules_of(rule: impl Strategy<Value = Rule> + Clone) -> impl Strategy<Value = Rules> {
    let list = move || prop::collection::vec(rule.clone(), 0..3);
    (list(), list()).prop_map(|(allow, deny)| Rules { allow, deny })
}

/// Every literal subject of the alphabet.
pub(crate) fn literals() -> Vec<String> {
    let tokens = ["a", "b"];
    let all = tokens
        .iter()
        .flat_map(|first| tokens.iter().map(move |last| format!("{first}.{last}")));
    all.collect()
}
