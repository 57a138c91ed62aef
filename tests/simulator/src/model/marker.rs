//! Delete markers: what stands for a subject's last message once its life has ended.

use std::collections::BTreeSet;

use jetsled_protocol::headers;

use super::Content;
use super::publish::Publish;
use super::stream::{Removed, SLACK, StreamModel};

/// Whether these are a delete marker's headers.
pub(super) fn is_marker(block: &[u8]) -> bool {
    headers::get(block, b"Nats-Marker-Reason").is_some()
}

impl StreamModel {
    /// Whether this may be a delete marker: only subjects of messages get one, and nothing is in it.
    pub(super) fn may_be_marker(&self, subject: &str, payload: &[u8]) -> bool {
        let mut publishes = self.publishes.values();
        self.marker_ttl > 0
            && payload.is_empty()
            && publishes.any(|publish| publish.subject == subject && publish.may_be_stored())
    }

    /// A sequence is a delete marker.
    pub(super) fn learn_marker(&mut self, seq: u64) -> Result<(), String> {
        let before = self.known.get(&seq).filter(|_| !self.damaged);
        if let Some(before) = before {
            let name = &self.name;
            return Err(format!(
                "{name}: sequence {seq} is a marker, was message {before}"
            ));
        }
        self.markers.insert(seq);
        self.last_known = self.last_known.max(seq);
        Ok(())
    }

    /// Markers stand alone on their subjects, for something that may have ended, and for no longer than they should; what has ended has one.
    pub(super) fn check_markers(&self, content: &Content, now: i64) -> Result<(), String> {
        if self.marker_ttl == 0 || self.damaged {
            return Ok(());
        }
        let name = &self.name;
        let markers = content.messages.iter();
        for (seq, marker) in markers.filter(|(seq, _)| self.markers.contains(seq)) {
            let mut before = content.messages.range(..*seq);
            if let Some((other, _)) = before.find(|(_, m)| m.subject == marker.subject) {
                return Err(format!("{name}: {other} is there before the marker {seq}"));
            }
            let has_ended = |publish: &Publish| {
                publish.subject == marker.subject
                    && publish.may_be_stored()
                    && self.earliest_end(publish) <= marker.time
            };
            if !self.publishes.values().any(has_ended) {
                return Err(format!("{name}: marker {seq} is for nothing"));
            }
            if now > marker.time + self.marker_ttl + SLACK {
                return Err(format!("{name}: marker {seq} is there still"));
            }
        }
        let there: BTreeSet<_> = content.messages.values().map(|m| &m.subject).collect();
        for (id, publish) in &self.publishes {
            if publish.acknowledged().next().is_some()
                && !there.contains(&publish.subject)
                && now < self.earliest_end(publish).saturating_add(self.marker_ttl)
                && !self.may_have_lost_marker(publish)
            {
                return Err(format!("{name}: message {id} has ended without a marker"));
            }
        }
        Ok(())
    }

    /// When a message's life may have ended, with the shortest that may have been in force.
    fn earliest_end(&self, publish: &Publish) -> i64 {
        let at = publish.attempts.first().map_or(i64::MAX, |first| first.at);
        let ages = self.limits.iter().map(|limits| limits.age);
        let lives = ages.filter(|age| *age > 0).chain(publish.ttl);
        at.saturating_add(lives.min().unwrap_or(i64::MAX))
    }

    /// Whether somebody may have removed what its subject had when this was stored, or later.
    fn may_have_lost_marker(&self, publish: &Publish) -> bool {
        let issued = publish.issued();
        self.removals.iter().any(|removal| {
            let elsewhere =
                matches!(&removal.what, Removed::Subject(subject) if *subject != publish.subject);
            let before = removal.settled.is_some_and(|settled| settled < issued);
            !removal.is_refused && !elsewhere && !before
        })
    }
}
