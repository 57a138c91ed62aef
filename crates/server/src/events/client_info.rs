//! Who a client is, in events and for services that are told who asks.

use std::borrow::Cow;
use std::sync::atomic::Ordering::Relaxed;

use jetsled_protocol::headers;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::account::Account;
use crate::client::Client;
use crate::routing::{Message, Through};

/// The header in which a service gets the requestor's [`ClientInfo`].
pub(crate) const REQUEST_INFO: &[u8] = b"Nats-Request-Info";

/// A client's description; fields that are not known are left out.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct ClientInfo<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) start: Option<Timestamp>,
    #[serde(borrow, skip_serializing_if = "str::is_empty")]
    pub(crate) host: Cow<'a, str>,
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) id: u64,
    #[serde(borrow, skip_serializing_if = "str::is_empty")]
    pub(crate) acc: Cow<'a, str>,
    /// The account whose service the request came through.
    #[serde(borrow, skip_serializing_if = "str::is_empty")]
    pub(crate) svc: Cow<'a, str>,
    #[serde(borrow, skip_serializing_if = "str::is_empty")]
    pub(crate) user: Cow<'a, str>,
    #[serde(borrow, skip_serializing_if = "str::is_empty")]
    pub(crate) name: Cow<'a, str>,
    #[serde(borrow, skip_serializing_if = "str::is_empty")]
    pub(crate) lang: Cow<'a, str>,
    #[serde(borrow, skip_serializing_if = "str::is_empty")]
    pub(crate) ver: Cow<'a, str>,
    /// Nanoseconds.
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) rtt: u64,
    #[serde(borrow, skip_serializing_if = "str::is_empty")]
    pub(crate) server: Cow<'a, str>,
    #[serde(borrow, skip_serializing_if = "str::is_empty")]
    pub(crate) cluster: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) stop: Option<Timestamp>,
    #[serde(borrow, skip_serializing_if = "str::is_empty")]
    pub(crate) jwt: Cow<'a, str>,
    #[serde(borrow, skip_serializing_if = "str::is_empty")]
    pub(crate) issuer_key: Cow<'a, str>,
    #[serde(borrow, skip_serializing_if = "str::is_empty")]
    pub(crate) name_tag: Cow<'a, str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) tags: Vec<String>,
    #[serde(borrow, skip_serializing_if = "str::is_empty")]
    pub(crate) kind: Cow<'a, str>,
    #[serde(borrow, skip_serializing_if = "str::is_empty")]
    pub(crate) client_type: Cow<'a, str>,
    /// The reply subject before an import, where it marks a fast-ingest batch (ADR-50): the stream reads it.
    #[serde(borrow, skip_serializing_if = "str::is_empty")]
    pub(crate) reply: Cow<'a, str>,
}

/// What the reply subjects of fast-ingest batches end with.
const FAST_BATCH: &[u8] = b".$FI";

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(value: &u64) -> bool {
    *value == 0
}

/// How much is said of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Detail {
    /// Account and round trip time.
    Little,
    All,
}

impl Detail {
    pub(crate) fn shared(share: bool) -> Self {
        if share { Self::All } else { Self::Little }
    }
}

impl ClientInfo<'_> {
    /// Describes a connection.
    pub(crate) fn of(client: &Client, detail: Detail) -> ClientInfo<'static> {
        let login = client.login();
        let own = |text: &str| Cow::Owned(text.to_owned());
        let mut info = ClientInfo {
            acc: own(login.account.name()),
            rtt: client.counters.rtt_nanos.load(Relaxed),
            ..ClientInfo::default()
        };
        if detail == Detail::Little {
            return info;
        }
        let options = &login.options;
        info.start = Some(client.started());
        info.host = Cow::Owned(client.remote().ip().to_string());
        info.id = client.cid();
        info.user = Cow::Owned(login.shown_user().into_owned());
        info.name = own(&options.name.shown());
        info.lang = own(&options.lang.shown());
        info.ver = own(&options.version.shown());
        info.server = own(client.server.name());
        if let Some(cluster) = &client.server.options().cluster_name {
            info.cluster = own(cluster);
        }
        info.kind = Cow::Borrowed("Client");
        info.client_type = Cow::Borrowed(client.transport().client_type());
        info
    }

    /// Writes what the service of an import is told of the requestor as JSON.
    pub(crate) fn write_request_info(
        request: &Message<'_>,
        importer: &Account,
        through: &Through<'_>,
        import_shares: bool,
        to_system: bool,
        out: &mut Vec<u8>,
    ) {
        let client = request.origin.client;
        let passed_on = request
            .origin
            .through
            .and_then(|_| headers::get(request.headers, REQUEST_INFO))
            .and_then(|json| serde_json::from_slice::<ClientInfo<'_>>(json).ok());
        let adds_server = !through.share && (to_system || (passed_on.is_some() && import_shares));
        let is_passed_on = passed_on.is_some();
        let mut info = match (passed_on, client) {
            (Some(info), _) => ClientInfo {
                svc: importer.name().into(),
                ..info
            },
            (None, Some(client)) if !through.share => ClientInfo {
                acc: importer.name().into(),
                rtt: client.counters.rtt_nanos.load(Relaxed),
                ..ClientInfo::default()
            },
            (None, Some(client)) => ClientInfo::of(client, Detail::All),
            (None, None) => ClientInfo {
                acc: importer.name().into(),
                ..ClientInfo::default()
            },
        };
        if !is_passed_on && request.reply.ends_with(FAST_BATCH) {
            info.reply = String::from_utf8_lossy(request.reply);
        }
        if adds_server && let Some(client) = client {
            info.server = client.server.name().into();
        }
        // Plain data always has a JSON form.
        serde_json::to_writer(out, &info).ok();
    }
}
