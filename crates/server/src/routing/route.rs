//! The result of a match, in the form in which it is delivered to.

use std::sync::Arc;

use bytes::BufMut;
use jetsled_protocol::{MatchResult, TailIndependence, encode::Decimal};
use rand::RngExt;

use super::hop::{Hop, ResponseHop, ServiceHop};
use super::imported::{Imported, ImportedMatch, ImportedTo};
use super::{FlushSet, Message, Payload, RoutedMessage, Target};
use crate::account::Account;
use crate::client::{Client, Limited, SHARE_FROM_BYTES, Subscription, trace};
use crate::jetstream::{self, ConsumerTarget, StreamTarget, domain};

/// Everyone who gets messages on a subject, while the account's interest stays what it was.
#[derive(Debug)]
pub(crate) struct Route {
    generation: u64,
    plain: Vec<ClientTarget>,
    queues: Vec<Vec<Member>>,
    /// Targets inside the server.
    inside: Vec<Target>,
    /// Destinations in other accounts.
    across: Option<Box<Across>>,
    /// Deliveries to each of `plain` that its subscription does not know of yet.
    uncounted: u64,
}

#[derive(Debug, Default)]
struct Across {
    imported: Vec<Imported>,
    hops: Vec<Hop>,
}

#[derive(Debug)]
enum Member {
    Client(ClientTarget),
    Inside(Target),
    Imported(Box<Imported>),
}

#[derive(Debug)]
pub(super) struct ClientTarget {
    client: Arc<Client>,
    subscription: Arc<Subscription>,
    /// `MSG <subject> <sid> `, if the route is for one subject only, or where the last one shown is remembered.
    prefix: Vec<u8>,
    remembers: bool,
    /// The subscription has a maximum. Setting one is a change of interest, so this does not age.
    limited: bool,
    headers: bool,
    tracks_responses: bool,
    slot_hint: usize,
    /// Deliveries to it as a member of a queue group that its subscription does not know of yet.
    uncounted: u64,
}

/// Which subjects a destination is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shown<'a> {
    /// This one.
    One(&'a [u8]),
    /// The last one again, more often than not: what comes from a stream.
    Runs,
    /// Many.
    Many,
}

/// Whose messages take a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UsedFor {
    /// A publisher's, many of them, shown with the subjects that they are published to.
    Publisher,
    /// A stream's, shown with their subjects there.
    Stream,
    /// Answers, shown with the subjects that they are sent to.
    Answers,
}

/// What a route is resolved for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RouteFor<'a> {
    pub(crate) account: &'a Account,
    /// Without its own messages echoed, the publisher is no destination.
    pub(crate) without: Option<&'a Client>,
    pub(crate) used_for: UsedFor,
    /// Whether what is routed came through a service import.
    pub(crate) is_imported: bool,
}

/// An account's own API answers below its domain in place of what the account imports there: nats-server maps the domain away before
/// imports are looked at (observed 2.15.1).
fn answers_its_domain(targets: &[Target], subject: &[u8]) -> bool {
    let api = Target::JetStream(jetstream::Target::Api);
    domain::has_domain(subject) && targets.contains(&api)
}

impl Route {
    /// Looks up who listens on `subject`.
    pub(crate) fn resolve(
        subject: &[u8],
        resolve_for: RouteFor<'_>,
    ) -> (Self, Option<TailIndependence>) {
        let mut found = MatchResult::default();
        let generation = resolve_for.account.match_subject(subject, &mut found);
        let mut independence = found.tail_independence;
        let mut wanted = |target: &Target| match target {
            Target::Client(subscription) => {
                if subscription.is_filtered() {
                    // Other subjects of the same shape may be denied.
                    independence = None;
                }
                let is_self = resolve_for
                    .without
                    .is_some_and(|client| std::ptr::eq(client, Arc::as_ptr(&subscription.client)));
                !is_self && subscription_takes(subscription, subject)
            }
            Target::JetStream(_)
            | Target::Internal(_)
            | Target::Follower(_)
            | Target::Service(_)
            | Target::System(_)
            | Target::Responses => true,
        };
        found.plain.retain(&mut wanted);
        for group in &mut found.queues {
            group.members.retain(&mut wanted);
        }
        if answers_its_domain(&found.plain, subject) {
            found
                .plain
                .retain(|target| !matches!(target, Target::Service(_)));
        }
        let mut across = Across::default();
        let mut imported = if resolve_for.is_imported {
            ImportedMatch::default()
        } else {
            ImportedMatch::find(resolve_for.account, subject, &mut independence)
        };
        across.imported = imported.plain;
        let shown = match independence {
            None if resolve_for.used_for == UsedFor::Publisher => Shown::One(subject),
            _ if resolve_for.used_for == UsedFor::Stream => Shown::Runs,
            _ => Shown::Many,
        };

        let mut route = Self {
            generation,
            plain: Vec::with_capacity(found.plain.len()),
            queues: Vec::new(),
            inside: Vec::new(),
            across: None,
            uncounted: 0,
        };
        for target in found.plain {
            match target {
                Target::Client(subscription) => {
                    route.plain.push(ClientTarget::new(subscription, shown));
                }
                target @ (Target::JetStream(_)
                | Target::Follower(_)
                | Target::Internal(_)
                | Target::System(_)) => {
                    route.inside.push(target);
                }
                Target::Service(link) => {
                    across.hops.extend(ServiceHop::new(link).map(Hop::Service));
                }
                Target::Responses => across.hops.push(Hop::Response(ResponseHop::default())),
            }
        }
        for group in found.queues {
            let members = group.members.into_iter().filter_map(|target| match target {
                Target::Client(subscription) => {
                    Some(Member::Client(ClientTarget::new(subscription, shown)))
                }
                target @ (Target::JetStream(_) | Target::Follower(_) | Target::Internal(_)) => {
                    Some(Member::Inside(target))
                }
                // Never in a group.
                Target::Service(_) | Target::System(_) | Target::Responses => None,
            });
            let mut members: Vec<_> = members.collect();
            // A group is known by its name alone, in whichever account its members are.
            let same = imported
                .queues
                .extract_if(.., |(name, _)| *name == group.name);
            members.extend(same.map(|(_, member)| Member::Imported(Box::new(member))));
            if !members.is_empty() {
                route.queues.push(members);
            }
        }
        while let Some((name, first)) = imported.queues.pop() {
            let same = imported.queues.extract_if(.., |(other, _)| *other == name);
            let members = std::iter::once(first).chain(same.map(|(_, member)| member));
            let members = members.map(|member| Member::Imported(Box::new(member)));
            let members = members.collect();
            route.queues.push(members);
        }
        if !across.imported.is_empty() || !across.hops.is_empty() {
            route.across = Some(Box::new(across));
        }
        (route, independence)
    }

    /// The generation of the account's interest that it shows.
    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    /// Whether nobody gets anything.
    pub(crate) fn is_empty(&self) -> bool {
        self.plain.is_empty()
            && self.queues.is_empty()
            && self.inside.is_empty()
            && self.across.is_none()
    }

    /// The consumer whose acks these are, if nobody else gets them.
    pub(crate) fn acked_consumer(&self) -> Option<ConsumerTarget> {
        match self.inside.as_slice() {
            [Target::JetStream(target)] if self.len() == 1 => target.acked_consumer(),
            _ => None,
        }
    }

    /// The stream that takes what is published, if nobody else gets it.
    pub(crate) fn published_stream(&self) -> Option<StreamTarget> {
        match self.inside.as_slice() {
            [Target::JetStream(target)] if self.len() == 1 => target.published_stream(),
            _ => None,
        }
    }

    /// How many destinations it has.
    pub(crate) fn len(&self) -> usize {
        let across = self.across.as_ref();
        self.plain.len()
            + self.inside.len()
            + self.queues.iter().map(Vec::len).sum::<usize>()
            + across.map_or(0, |across| across.imported.len() + across.hops.len())
    }

    /// Client connections that a message may go to.
    pub(crate) fn clients(&self) -> impl Iterator<Item = &Arc<Client>> {
        let members = self
            .queues
            .iter()
            .flatten()
            .filter_map(|member| match member {
                Member::Client(target) => Some(&target.client),
                Member::Inside(_) => None,
                Member::Imported(imported) => imported.client(),
            });
        let imported = self.across.iter().flat_map(|across| &across.imported);
        self.plain
            .iter()
            .map(|target| &target.client)
            .chain(members)
            .chain(imported.filter_map(Imported::client))
    }

    /// **The** delivery function: stages the message for every plain destination and one member of each queue group.
    /// Returns to how many it went.
    ///
    /// Call [`count_deliveries`](Route::count_deliveries) at the end of the batch.
    #[inline]
    pub(crate) fn deliver(
        &mut self,
        message: &Message<'_>,
        account: &Arc<Account>,
        flush: &mut FlushSet,
    ) -> usize {
        let mut delivered = 0;
        for target in &mut self.plain {
            delivered += usize::from(target.deliver(message, flush));
        }
        self.uncounted += 1;
        if !self.inside.is_empty() {
            let routed = message.routed(account);
            for target in &self.inside {
                deliver_inside(target, &routed, flush);
                delivered += 1;
            }
        }
        for members in &mut self.queues {
            delivered += usize::from(deliver_to_one(members, message, account, flush));
        }
        if let Some(across) = &mut self.across {
            for imported in &mut across.imported {
                delivered += usize::from(imported.deliver(message, flush));
            }
            for hop in &mut across.hops {
                delivered += usize::from(hop.deliver(message, account, flush));
            }
        }
        delivered
    }

    /// Tells the subscriptions how many messages they got.
    pub(crate) fn count_deliveries(&mut self) {
        let messages = std::mem::take(&mut self.uncounted);
        if messages > 0 {
            let imported = self.across.iter().flat_map(|across| &across.imported);
            let imported = imported.filter_map(|imported| match &imported.to {
                ImportedTo::Client(target) => Some(target),
                ImportedTo::Inside(_) => None,
            });
            let all = self.plain.iter().chain(imported);
            for target in all.filter(|target| !target.limited) {
                target.subscription.count(messages);
            }
            let members = self.queues.iter_mut().flatten();
            for target in members.filter_map(Member::client_target) {
                let messages = std::mem::take(&mut target.uncounted);
                if messages > 0 && !target.limited {
                    target.subscription.count(messages);
                }
            }
        }
    }
}

/// A random member, or the next one that takes the message.
#[inline]
fn deliver_to_one(
    members: &mut [Member],
    message: &Message<'_>,
    account: &Arc<Account>,
    flush: &mut FlushSet,
) -> bool {
    let start = match members.len() {
        1 => 0,
        count => flush.random.random_range(0..count),
    };
    let (before, from) = members.split_at_mut(start);
    match from.split_first_mut() {
        None => false,
        Some((chosen, after)) => {
            chosen.deliver(message, account, flush)
                || after
                    .iter_mut()
                    .chain(before)
                    .any(|member| member.deliver(message, account, flush))
        }
    }
}

impl Member {
    /// Stages the message, if the member takes it.
    #[inline]
    fn deliver(
        &mut self,
        message: &Message<'_>,
        account: &Arc<Account>,
        flush: &mut FlushSet,
    ) -> bool {
        match self {
            Member::Client(target) => {
                let taken = !target.client.is_closing() && target.deliver(message, flush);
                target.uncounted += u64::from(taken);
                taken
            }
            Member::Inside(target) => {
                deliver_inside(target, &message.routed(account), flush);
                true
            }
            Member::Imported(imported) => {
                if imported.client().is_some_and(|client| client.is_closing()) {
                    return false;
                }
                let taken = imported.deliver(message, flush);
                if let ImportedTo::Client(target) = &mut imported.to {
                    target.uncounted += u64::from(taken);
                }
                taken
            }
        }
    }

    fn client_target(&mut self) -> Option<&mut ClientTarget> {
        match self {
            Member::Client(target) => Some(target),
            Member::Inside(_) => None,
            Member::Imported(imported) => match &mut imported.to {
                ImportedTo::Client(target) => Some(target),
                ImportedTo::Inside(_) => None,
            },
        }
    }
}

pub(super) fn deliver_inside(target: &Target, message: &RoutedMessage<'_>, flush: &mut FlushSet) {
    match target {
        Target::JetStream(target) => flush.ingest.push(target, message),
        Target::System(entry) => entry.push(message),
        Target::Internal(internal) => internal.receive(message, flush),
        Target::Follower(target) => {
            if target.follower.receive(target.channel, message) {
                flush.wake_later(&target.follower);
            }
        }
        // Never put into `inside`.
        Target::Client(_) | Target::Service(_) | Target::Responses => {}
    }
}

impl Imported {
    fn client(&self) -> Option<&Arc<Client>> {
        match &self.to {
            ImportedTo::Client(target) => Some(&target.client),
            ImportedTo::Inside(_) => None,
        }
    }
}

pub(super) fn subscription_takes(subscription: &Subscription, subject: &[u8]) -> bool {
    if !subscription.is_filtered() {
        return true;
    }
    let queue = (!subscription.queue().is_empty()).then_some(subscription.queue());
    let login = subscription.client.login();
    login
        .permissions
        .as_ref()
        .is_none_or(|permissions| permissions.may_deliver(subject, queue))
}

impl ClientTarget {
    pub(super) fn new(subscription: Arc<Subscription>, shown: Shown<'_>) -> Self {
        let mut prefix = Vec::new();
        if let Shown::One(subject) = shown {
            jetsled_protocol::encode::msg_prefix(subject, subscription.sid(), &mut prefix);
        }
        Self {
            client: Arc::clone(&subscription.client),
            prefix,
            remembers: shown == Shown::Runs,
            limited: subscription.max() != 0,
            headers: subscription.client.takes_headers(),
            tracks_responses: subscription.client.tracks_responses(),
            slot_hint: 0,
            uncounted: 0,
            subscription,
        }
    }

    /// Counts one delivery, unless that was done at once.
    pub(super) fn count_one(&self) {
        if !self.limited {
            self.subscription.count(1);
        }
    }

    /// Stages the message unless the subscription has had its last.
    #[inline]
    pub(super) fn deliver(&mut self, message: &Message<'_>, flush: &mut FlushSet) -> bool {
        if self.limited {
            match self.subscription.count_limited() {
                Limited::Deliver => {}
                Limited::Last => flush.exhaust(&self.subscription),
                Limited::Exceeded => {
                    // Counted past its maximum by a batch that had begun before there was one.
                    flush.exhaust(&self.subscription);
                    return false;
                }
            }
        }
        if self.tracks_responses && !message.reply.is_empty() {
            self.client.note_reply(message.reply);
        }
        if trace::is_on() {
            self.client
                .trace_message(message, self.subscription.sid(), self.headers);
        }
        if self.remembers {
            self.remember(message.subject);
        }
        let slot = flush.slot(&self.client, &mut self.slot_hint);
        slot.counted.messages += 1;
        if message.headers.is_empty() {
            slot.counted.bytes += message.payload.len() as u64;
            self.encode_plain(message, &mut slot.output, message.size_text);
        } else if self.headers {
            slot.counted.bytes += message.len() as u64;
            self.encode_with_headers(message, &mut slot.output);
        } else {
            // Who does not take headers gets the payload alone.
            slot.counted.bytes += message.payload.len() as u64;
            self.encode_plain(message, &mut slot.output, &[]);
        }
        true
    }

    #[inline]
    fn remember(&mut self, subject: &[u8]) {
        const VERB: usize = b"MSG ".len();
        let sid = self.subscription.sid();
        let is_same = self.prefix.len() == VERB + subject.len() + 1 + sid.len() + 1
            && self.prefix.get(VERB..VERB + subject.len()) == Some(subject);
        if !is_same {
            self.prefix.clear();
            jetsled_protocol::encode::msg_prefix(subject, sid, &mut self.prefix);
        }
    }

    #[inline]
    fn encode_plain(
        &self,
        message: &Message<'_>,
        output: &mut crate::client::Output,
        size_text: &[u8],
    ) {
        let copied =
            !matches!(message.payload, Payload::Shared(bytes) if bytes.len() >= SHARE_FROM_BYTES);
        let line = self.line_room(message);
        if copied && !message.tail.is_empty() && message.headers.is_empty() {
            output.with_room(line + message.tail.len(), |out| {
                self.put_prefix(message, out);
                out.extend_from_slice(message.tail);
            });
            return;
        }
        let formatted = Decimal::new(message.payload.len());
        let size_text = if size_text.is_empty() {
            formatted.as_bytes()
        } else {
            size_text
        };
        let body = if copied { message.payload.len() + 2 } else { 0 };
        output.with_room(line + size_text.len() + 2 + body, |out| {
            self.put_prefix(message, out);
            out.extend_from_slice(size_text);
            out.extend_from_slice(b"\r\n");
            if copied {
                out.extend_from_slice(&message.payload);
                out.extend_from_slice(b"\r\n");
            }
        });
        share_payload(message, copied, output);
    }

    fn encode_with_headers(&self, message: &Message<'_>, output: &mut crate::client::Output) {
        let copied =
            !matches!(message.payload, Payload::Shared(bytes) if bytes.len() >= SHARE_FROM_BYTES);
        let (header_size, total_size) = (
            Decimal::new(message.headers.len()),
            Decimal::new(message.len()),
        );
        let (header_size, total_size) = if message.size_text.is_empty() {
            (header_size.as_bytes(), total_size.as_bytes())
        } else {
            (message.header_size_text, message.size_text)
        };
        let body = message.headers.len() + if copied { message.payload.len() + 2 } else { 0 };
        let room = self.line_room(message) + header_size.len() + total_size.len() + 4 + body;
        output.with_room(room, |out| {
            out.put_u8(b'H');
            self.put_prefix(message, out);
            out.extend_from_slice(header_size);
            out.put_u8(b' ');
            out.extend_from_slice(total_size);
            out.extend_from_slice(b"\r\n");
            out.extend_from_slice(message.headers);
            if copied {
                out.extend_from_slice(&message.payload);
                out.extend_from_slice(b"\r\n");
            }
        });
        share_payload(message, copied, output);
    }

    /// Room for `MSG <subject> <sid> <reply> `.
    #[inline]
    fn line_room(&self, message: &Message<'_>) -> usize {
        message.subject.len() + self.subscription.sid().len() + message.reply.len() + 8
    }

    #[inline]
    fn put_prefix(&self, message: &Message<'_>, out: &mut Vec<u8>) {
        if self.prefix.is_empty() {
            jetsled_protocol::encode::msg_prefix(message.subject, self.subscription.sid(), out);
        } else {
            out.extend_from_slice(&self.prefix);
        }
        if !message.reply.is_empty() {
            out.extend_from_slice(message.reply);
            out.push(b' ');
        }
    }
}

fn share_payload(message: &Message<'_>, copied: bool, output: &mut crate::client::Output) {
    if let (false, Payload::Shared(bytes)) = (copied, message.payload) {
        output.share(bytes.clone());
        output.copy(b"\r\n");
    }
}
