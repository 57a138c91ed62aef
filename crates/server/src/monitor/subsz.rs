//! `/subsz`: subscriptions of all accounts.

use jetsled_protocol::subject;
use jiff::Timestamp;
use serde::Serialize;

use super::connection::SubscriptionDetail;
use super::query::{BadRequest, Query};
use super::show;
use crate::account::Account;
use crate::routing::Target;
use crate::server::ServerState;

#[derive(Debug, Serialize)]
pub(super) struct Subsz {
    server_id: String,
    now: Timestamp,
    #[serde(flatten)]
    stats: SublistStats,
    total: usize,
    offset: usize,
    limit: usize,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    subscriptions_list: Vec<SubscriptionDetail>,
}

/// Statistics of sublists. Match results are cached by connections, not by the sublist, which so has no cache to tell of.
#[derive(Debug, Default, Serialize)]
pub(super) struct SublistStats {
    num_subscriptions: usize,
    num_cache: usize,
    num_inserts: u64,
    num_removes: u64,
    num_matches: u64,
    #[serde(serialize_with = "show::float")]
    cache_hit_rate: f64,
    max_fanout: u32,
    #[serde(serialize_with = "show::float")]
    avg_fanout: f64,
}

impl SublistStats {
    pub(super) fn of<'a>(accounts: impl IntoIterator<Item = &'a Account>) -> Self {
        let mut stats = Self::default();
        for account in accounts {
            let (inserts, removes) = account.interest_changes();
            stats.num_subscriptions += account.target_count();
            stats.num_inserts += inserts;
            stats.num_removes += removes;
        }
        stats
    }
}

pub(super) fn gather(server: &ServerState, query: &Query) -> Result<Subsz, BadRequest> {
    let with_list = query.flag("subs")?;
    let page = query.page()?;
    let test = query.text("test");
    if !test.is_empty() && !subject::is_valid_literal(test.as_bytes()) {
        return Err(BadRequest::TestSubject(test.to_owned()));
    }
    let wanted = query.text("acc");
    let mut accounts = server.accounts();
    accounts.retain(|account| wanted.is_empty() || account.name() == wanted);
    accounts.sort_by(|a, b| a.name().cmp(b.name()));
    let mut list = Vec::new();
    if with_list {
        for account in &accounts {
            list.extend(details(account, test));
        }
    }
    Ok(Subsz {
        server_id: server.id().to_owned(),
        now: Timestamp::now(),
        stats: SublistStats::of(accounts.iter().map(|account| &**account)),
        total: list.len(),
        offset: page.offset,
        limit: page.limit,
        subscriptions_list: page.of(list),
    })
}

/// The account's subscriptions, or those that a message on `test` would reach. What the server itself listens on has no
/// connection: its `cid` is 0.
fn details(account: &Account, test: &str) -> Vec<SubscriptionDetail> {
    let mut found = Vec::new();
    account.for_each_target(|subject, queue, target| {
        if !test.is_empty() && !subject::matches(test.as_bytes(), subject) {
            return;
        }
        let detail = match target {
            Target::Client(subscription) => SubscriptionDetail::of(subscription),
            _ => SubscriptionDetail {
                account: None,
                account_tag: None,
                subject: String::from_utf8_lossy(subject).into_owned(),
                qgroup: String::from_utf8_lossy(queue.unwrap_or_default()).into_owned(),
                sid: String::new(),
                msgs: 0,
                max: 0,
                cid: 0,
            },
        };
        found.push(detail.in_account(account.name()));
    });
    found.sort_by(|a, b| (&a.subject, a.cid, &a.sid).cmp(&(&b.subject, b.cid, &b.sid)));
    found
}
