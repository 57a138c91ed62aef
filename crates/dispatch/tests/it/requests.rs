//! The pull requests that wait, as a client knows them, and which of them may get a message.

use std::collections::BTreeMap;

use jetsled_jetstream_api::PriorityPolicy;

/// What a request says of itself where there are priority groups.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Asked {
    /// 0 to 9.
    pub(crate) priority: u64,
    /// Zero is no threshold.
    pub(crate) min_pending: u64,
    pub(crate) min_ack_pending: u64,
    pub(crate) client: Client,
}

/// Who asks for messages of a pinned group.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) enum Client {
    /// Somebody without a pin.
    #[default]
    New,
    /// The one that is pinned.
    Pinned,
    /// One that believes to be.
    Stranger,
}

#[derive(Debug, Clone)]
struct Request {
    wanted: u64,
    /// `None`: it names no group.
    asked: Option<Asked>,
    pin: String,
}

#[derive(Debug, Clone)]
pub(crate) struct Requests {
    policy: PriorityPolicy,
    by_reply: BTreeMap<String, Request>,
    pinned: Option<String>,
    /// A pin was given that the next delivery is for.
    fresh_pin: bool,
}

/// What the consumer looked at when it delivered.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen {
    /// Messages to deliver, this one included.
    pub(crate) pending: u64,
    pub(crate) ack_pending: u64,
}

impl Requests {
    pub(crate) fn new(policy: PriorityPolicy) -> Self {
        Self {
            policy,
            by_reply: BTreeMap::new(),
            pinned: None,
            fresh_pin: false,
        }
    }

    /// A request begins to wait. Returns what it adds to its JSON.
    pub(crate) fn add(&mut self, reply: &str, wanted: u64, asked: Asked) -> String {
        let pin = match asked.client {
            Client::New => String::new(),
            Client::Pinned => self.pinned.clone().unwrap_or_default(),
            Client::Stranger => "stranger".to_owned(),
        };
        let Asked {
            priority,
            min_pending,
            min_ack_pending,
            ..
        } = asked;
        let json = match self.policy {
            PriorityPolicy::None => String::new(),
            PriorityPolicy::Overflow => format!(
                r#","group":"g","min_pending":{min_pending},"min_ack_pending":{min_ack_pending}"#
            ),
            PriorityPolicy::PinnedClient => format!(r#","group":"g","id":"{pin}""#),
            PriorityPolicy::Prioritized => format!(r#","group":"g","priority":{priority}"#),
        };
        let asked = (self.policy != PriorityPolicy::None).then_some(asked);
        let request = Request { wanted, asked, pin };
        self.by_reply.insert(reply.to_owned(), request);
        json
    }

    /// `+NXT` names no group, and always the same reply subject.
    pub(crate) fn add_next(&mut self, reply: &str, wanted: u64) {
        let request = self.by_reply.entry(reply.to_owned()).or_insert(Request {
            wanted: 0,
            asked: None,
            pin: String::new(),
        });
        request.wanted += wanted;
    }

    pub(crate) fn len(&self) -> usize {
        self.by_reply.len()
    }

    pub(crate) fn contains(&self, reply: &str) -> bool {
        self.by_reply.contains_key(reply)
    }

    /// A request was ended with a status.
    pub(crate) fn end(&mut self, reply: &str) -> bool {
        self.by_reply.remove(reply).is_some()
    }

    /// The server is another one: nobody waits, nobody is pinned.
    pub(crate) fn clear(&mut self) {
        *self = Self::new(self.policy);
    }

    pub(crate) fn pin(&mut self, id: Option<&str>) {
        self.fresh_pin = id.is_some();
        self.pinned = id.map(str::to_owned);
    }

    /// A message goes to one request that still wants it, and whose turn it is.
    pub(crate) fn serve(&mut self, reply: &str, seen: Seen) {
        let fresh_pin = std::mem::take(&mut self.fresh_pin);
        let best = self.by_reply.values().map(Request::rank).min();
        let request = self.by_reply.get_mut(reply).expect("somebody asked");
        match (self.policy, request.asked) {
            (PriorityPolicy::None, _) | (PriorityPolicy::Overflow, None) => {}
            (PriorityPolicy::Overflow, Some(asked)) => {
                let reached = |least: u64, count: u64| least > 0 && count >= least;
                assert!(
                    asked.min_pending == 0 && asked.min_ack_pending == 0
                        || reached(asked.min_pending, seen.pending)
                        || reached(asked.min_ack_pending, seen.ack_pending),
                    "{reply} is not to overflow yet: {asked:?} {seen:?}"
                );
            }
            (PriorityPolicy::Prioritized, _) => {
                assert_eq!(Some(request.rank()), best, "{reply} comes before others");
            }
            (PriorityPolicy::PinnedClient, None) => {
                assert_eq!(
                    self.pinned, None,
                    "{reply} gets what a pinned client should"
                );
            }
            (PriorityPolicy::PinnedClient, Some(_)) => {
                if fresh_pin {
                    assert_eq!(request.pin, "", "{reply} is pinned anew");
                    request.pin = self.pinned.clone().expect("somebody is pinned");
                }
                assert_eq!(
                    self.pinned.as_ref(),
                    Some(&request.pin),
                    "{reply} is pinned"
                );
            }
        }
        request.wanted -= 1;
        if request.wanted == 0 {
            self.by_reply.remove(reply);
        }
    }
}

impl Request {
    fn rank(&self) -> u64 {
        self.asked.map_or(u64::MAX, |asked| asked.priority)
    }
}
