//! `INFO`

use std::sync::atomic::Ordering;

use jetsled_jetstream_api::metadata::API_LEVEL;
use jetsled_jetstream_api::response::{AccountInfo, AccountInfoReply, AccountUsage, ApiStats};

use super::call::{Call, Done, Outcome};

/// What the account uses and may use.
pub(super) fn account_info(call: &mut Call<'_>) -> Outcome<AccountInfoReply> {
    let jetstream = call.jetstream;
    let used = jetstream.usage();
    let usage = AccountUsage {
        memory: used.memory.bytes,
        storage: used.file.bytes,
        reserved_memory: used.memory.reserved,
        reserved_storage: used.file.reserved,
        streams: used.streams as u64,
        consumers: used.consumers as u64,
        limits: jetstream.account_limits(),
    };
    let api = ApiStats {
        level: API_LEVEL,
        total: jetstream.api_total.load(Ordering::Relaxed),
        errors: jetstream.api_errors.load(Ordering::Relaxed),
        inflight: 0,
    };
    let domain = jetstream.runtime().domain.clone().unwrap_or_default();
    let info = AccountInfo {
        usage,
        domain,
        api,
        ..AccountInfo::default()
    };
    Ok(Done::now(AccountInfoReply { info: Some(info) }))
}
