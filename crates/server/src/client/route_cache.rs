//! What a connection remembers of the subjects that it publishes to.
//!
//! An entry holds the admission's verdict and the route. It is for one subject, or, where later tokens
//! change neither, for all subjects that share the leading tokens and the number of tokens: unique subjects
//! (inboxes, ack subjects) so share one entry.

use std::sync::Arc;

use hashbrown::{Equivalent, HashMap};
use jetsled_config::TraceOptions;
use smallvec::SmallVec;

use super::ack_run::AckRun;
use crate::account::Account;
use crate::client::Client;
use crate::routing::Route;
use crate::routing::admission::{self, Admitted, AdmittedSubject, Denied, Principal};
use crate::routing::{RouteFor, SubjectFamily, UsedFor, leading_tokens};
use crate::wiring::Wiring;

/// Entries at most; one more, and the cache starts anew.
const MAX_ENTRIES: usize = 1024;
/// Destinations of all entries together at most, one entry alone excepted.
const MAX_DESTINATIONS: usize = 16 * 1024;

#[derive(Debug, Default)]
pub(super) struct RouteCache {
    /// Of the account's interest; all entries are worthless at another one.
    generation: u64,
    entries: Vec<Entry>,
    by_subject: HashMap<Box<[u8]>, usize>,
    by_prefix: HashMap<Prefix, usize>,
    /// For how many leading tokens there are entries in `by_prefix`.
    depths: SmallVec<[usize; 4]>,
    destinations: usize,
    /// The entry used last, and the subject it was used for; empty: use none again unasked.
    last: usize,
    last_subject: Vec<u8>,
    /// The subjects of the entry last found by its prefix, and where it is: acks come in long runs.
    last_family: SubjectFamily,
    last_of_family: usize,
    /// Acks that are expected to go on.
    pub(super) acks: Option<Box<AckRun>>,
    /// Entries used since the last [`RouteCache::end_batch`].
    touched: Vec<usize>,
    /// What rewrites published subjects, if anything does.
    pub(super) mappings: Option<Arc<Wiring>>,
    /// Where traces go that a distributed trace asks for.
    pub(super) trace: Option<Arc<TraceOptions>>,
}

/// What is known of a subject.
#[derive(Debug)]
pub(super) struct Entry {
    /// `None`: publishing is denied.
    admitted: Option<AdmittedSubject>,
    pub(super) route: Route,
    /// The verdict is that on one message, which was a counted response.
    pub(super) is_for_one: bool,
    touched: bool,
}

impl Entry {
    /// The verdict on a publish to the entry's `subject`.
    #[inline]
    pub(super) fn admit<'a>(
        &self,
        subject: &'a [u8],
        reply: &'a [u8],
    ) -> Result<Admitted, Denied<'a>> {
        match self.admitted {
            None => Err(Denied::Publish(subject)),
            Some(admitted) => admitted.with_reply(reply),
        }
    }
}

/// For whom routes are looked up.
#[derive(Clone, Copy)]
pub(super) struct Publisher<'a> {
    pub(super) client: &'a Arc<Client>,
    pub(super) account: &'a Account,
    pub(super) principal: Principal<'a>,
}

/// All subjects with these leading tokens and this number of tokens.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Prefix {
    /// With the `.` after the last of them.
    leading: Box<[u8]>,
    tokens: usize,
}

/// A [`Prefix`] to look for.
#[derive(Hash)]
struct PrefixRef<'a> {
    leading: &'a [u8],
    tokens: usize,
}

impl Equivalent<Prefix> for PrefixRef<'_> {
    fn equivalent(&self, key: &Prefix) -> bool {
        self.tokens == key.tokens && *self.leading == *key.leading
    }
}

impl RouteCache {
    /// Forgets what is older than the account's interest.
    pub(super) fn begin(&mut self, account: &Account) {
        let generation = account.generation();
        if generation != self.generation {
            self.forget();
            self.generation = generation;
            self.find_mappings(account);
        }
    }

    fn find_mappings(&mut self, account: &Account) {
        self.mappings = Some(account.wiring()).filter(|wiring| !wiring.mappings.is_empty());
        self.trace = account.trace_destination();
    }

    /// The entry for a subject, looked up if it is not known.
    #[inline]
    pub(super) fn entry(&mut self, subject: &[u8], publisher: &Publisher<'_>) -> &mut Entry {
        self.entry_and_family(subject, publisher).0
    }

    /// The entry for a subject, and the other subjects that it is for.
    #[inline]
    pub(super) fn entry_and_family(
        &mut self,
        subject: &[u8],
        publisher: &Publisher<'_>,
    ) -> (&mut Entry, Option<&SubjectFamily>) {
        // A mapping that drops a message leaves it no subject.
        if *self.last_subject != *subject || subject.is_empty() {
            self.last_subject.clear();
            self.last = self.find(subject, publisher);
        }
        let at = self.last;
        // `find` answers the position of an entry, and `last` was just seen to be one.
        #[expect(clippy::indexing_slicing, reason = "the position was just found")]
        let entry = &mut self.entries[at];
        if !entry.touched {
            entry.touched = true;
            self.touched.push(at);
        }
        let is_of_many = !self.last_family.is_empty() && self.last_of_family == at;
        (entry, is_of_many.then_some(&self.last_family))
    }

    /// The entry used last, if it is for all subjects with the leading tokens of the one it was used for.
    pub(super) fn last_of_many(&self) -> Option<&Entry> {
        let is_of_many = self.last_subject.is_empty()
            && !self.last_family.is_empty()
            && self.last_of_family == self.last;
        is_of_many.then(|| self.entries.get(self.last)).flatten()
    }

    /// Tells the subscriptions what they got.
    pub(super) fn end_batch(&mut self) {
        for at in self.touched.drain(..) {
            if let Some(entry) = self.entries.get_mut(at) {
                entry.touched = false;
                entry.route.count_deliveries();
            }
        }
    }

    /// Forgets everything and gives the memory back.
    pub(super) fn release(&mut self) {
        self.end_batch();
        *self = Self {
            generation: self.generation,
            mappings: self.mappings.take(),
            trace: self.trace.take(),
            ..Self::default()
        };
    }

    /// Starts anew for the account of a new login.
    pub(super) fn begin_anew(&mut self, account: &Account) {
        self.release();
        self.generation = account.generation();
        self.find_mappings(account);
    }

    fn forget(&mut self) {
        self.end_batch();
        self.entries.clear();
        self.last_subject.clear();
        self.last_family.clear();
        self.acks = None;
        self.by_subject.clear();
        self.by_prefix.clear();
        self.depths.clear();
        self.destinations = 0;
    }

    fn find(&mut self, subject: &[u8], publisher: &Publisher<'_>) -> usize {
        if self.last_family.covers(subject) {
            return self.last_of_family;
        }
        let known = self
            .by_subject
            .get(subject)
            .copied()
            .or_else(|| self.find_prefix(subject));
        let Some(at) = known else {
            return self.look_up(subject, publisher);
        };
        self.last_subject.extend_from_slice(subject);
        at
    }

    fn find_prefix(&mut self, subject: &[u8]) -> Option<usize> {
        if self.depths.is_empty() {
            return None;
        }
        // Where each token but the last ends, its `.` included.
        let mut ends: SmallVec<[usize; 16]> = SmallVec::new();
        let mut token_start = 0;
        for dot in memchr::memchr_iter(b'.', subject) {
            if dot == token_start {
                return None;
            }
            token_start = dot + 1;
            ends.push(token_start);
        }
        if token_start == subject.len() {
            return None;
        }
        let tokens = ends.len() + 1;
        let (leading, at) = self.depths.iter().find_map(|depth| {
            let leading = subject.get(..*ends.get(depth.checked_sub(1)?)?)?;
            let at = self.by_prefix.get(&PrefixRef { leading, tokens })?;
            Some((leading, *at))
        })?;
        self.last_family.become_that_of(subject, leading);
        self.last_of_family = at;
        Some(at)
    }

    fn look_up(&mut self, subject: &[u8], publisher: &Publisher<'_>) -> usize {
        let mut is_response = false;
        let admitted = admission::publish(publisher.principal, subject, || {
            is_response = true;
            publisher.client.take_response(subject)
        })
        .ok();
        let without = (!publisher.client.echoes()).then_some(&**publisher.client);
        let resolve_for = RouteFor {
            account: publisher.account,
            without,
            used_for: UsedFor::Publisher,
            is_imported: false,
        };
        let (route, independence) = Route::resolve(subject, resolve_for);
        let destinations = route.len();
        if self.entries.len() >= MAX_ENTRIES || self.destinations + destinations > MAX_DESTINATIONS
        {
            self.forget();
        }
        self.destinations += destinations;
        let at = self.entries.len();
        // Who may publish anything gets the same verdict for all subjects with the same first token.
        let shared = independence
            .filter(|_| admission::publishes_anything(publisher.principal))
            .and_then(|independence| leading_tokens(subject, independence));
        let is_for_one = is_response && publisher.client.tracks_responses();
        let entry = Entry {
            admitted,
            route,
            is_for_one,
            touched: false,
        };
        if let Some((depth, leading)) = shared {
            if !self.depths.contains(&depth) {
                self.depths.push(depth);
            }
            let tokens = jetsled_protocol::subject::token_count(subject);
            self.by_prefix.insert(
                Prefix {
                    leading: leading.into(),
                    tokens,
                },
                at,
            );
        } else if !is_for_one {
            self.by_subject.insert(subject.into(), at);
        }
        self.entries.push(entry);
        at
    }
}
