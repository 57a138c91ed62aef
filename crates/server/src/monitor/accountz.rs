//! `/accountz`: the accounts, or one in detail.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering::Relaxed;

use jetsled_auth::jwt::{Claims, decode_generic};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use super::omit::is_false;
use super::query::{BadRequest, Query};
use super::sharing::OpenResponse;
use super::subsz::SublistStats;
use crate::account::Account;
use crate::server::ServerState;

#[derive(Debug, Serialize)]
pub(super) struct Accountz {
    server_id: String,
    now: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    system_account: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    accounts: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    account_detail: Option<AccountDetail>,
}

#[derive(Debug, Serialize)]
pub(super) struct AccountDetail {
    account_name: String,
    update_time: Timestamp,
    #[serde(skip_serializing_if = "is_false")]
    is_system: bool,
    expired: bool,
    complete: bool,
    jetstream_enabled: bool,
    leafnode_connections: u64,
    client_connections: u64,
    subscriptions: usize,
    #[serde(flatten)]
    sharing: super::sharing::Sharing,
    #[serde(flatten)]
    signed: Option<Signed>,
    name_tag: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tags: Vec<String>,
    sublist_stats: SublistStats,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    responses: BTreeMap<String, OpenResponse>,
}

/// In operator mode: the token that says what the account is.
#[derive(Debug, Serialize)]
struct Signed {
    jwt: String,
    issuer_key: String,
    decoded_jwt: Claims<Value>,
}

pub(super) fn gather(server: &ServerState, query: &Query) -> Result<Accountz, BadRequest> {
    let mut accountz = Accountz {
        server_id: server.id().to_owned(),
        now: Timestamp::now(),
        system_account: server.system().map(|account| account.name().to_owned()),
        accounts: None,
        account_detail: None,
    };
    match query.text("acc") {
        "" => {
            let mut names: Vec<String> = server
                .accounts()
                .iter()
                .map(|account| account.name().to_owned())
                .collect();
            names.sort_unstable();
            accountz.accounts = Some(names);
        }
        name => {
            let account = server
                .account(name)
                .ok_or_else(|| BadRequest::UnknownAccount(name.to_owned()))?;
            accountz.account_detail = Some(detail(server, &account));
        }
    }
    Ok(accountz)
}

pub(super) fn detail(server: &ServerState, account: &Account) -> AccountDetail {
    let signed = server.operator().and_then(|operator| {
        let claims = operator.claims(account.name())?;
        Some(Signed {
            jwt: operator.token(account.name())?.to_string(),
            issuer_key: claims.issuer.clone(),
            decoded_jwt: decode_generic(&operator.token(account.name())?).ok()?,
        })
    });
    let claims = server
        .operator()
        .and_then(|operator| operator.claims(account.name()));
    let name_tag = server.name_tag(account.name());
    let tags = claims.map_or_else(Vec::new, |claims| claims.nats.tags.clone());
    AccountDetail {
        account_name: account.name().to_owned(),
        // Accounts come from the configuration, which is read at the start.
        update_time: server.monitoring.started,
        is_system: server
            .system()
            .is_some_and(|system| system.name() == account.name()),
        expired: false,
        complete: true,
        jetstream_enabled: account.jetstream().is_some(),
        leafnode_connections: 0,
        client_connections: account.counters.connections.load(Relaxed),
        subscriptions: account.target_count(),
        sharing: super::sharing::gather(
            account,
            server.system().map(|system| system.name()),
            server.jetstream().is_some(),
        ),
        signed,
        name_tag,
        tags,
        sublist_stats: SublistStats::of([account]),
        responses: super::sharing::responses(account),
    }
}
