//! Settings and counts of the server itself.

use super::Finding;
use super::answers::Varz;

/// Storage that is nearly used up, in percent of its limit.
const NEARLY_FULL: u64 = 90;

const ABOUT: &str = "server";

pub(super) fn examine(varz: &Varz, findings: &mut Vec<Finding>) {
    access(varz, findings);
    if let Some(config) = &varz.jetstream.config {
        if !config.sync_always {
            findings.push(Finding::note(
                ABOUT,
                "sync_interval: messages are acknowledged before they are on the disk, and the last ones are lost if the power fails; \
                 leave it out (jetsled) or set it to always",
            ));
        }
        if is_temporary(&config.store_dir) {
            findings.push(Finding::problem(
                ABOUT,
                format!(
                    "streams are kept in {}, which systems empty when they start; set store_dir",
                    config.store_dir
                ),
            ));
        }
        let used = &varz.jetstream.stats;
        for (what, used, limit) in [
            ("max_file_store", used.storage, config.max_storage),
            ("max_memory_store", used.memory, config.max_memory),
        ] {
            if is_nearly_full(used, limit) {
                findings.push(Finding::problem(
                    ABOUT,
                    format!("{used} of {limit} bytes of {what} are used; streams refuse messages when none are left"),
                ));
            }
        }
    }
    if is_nearly_full(
        varz.connections,
        i64::try_from(varz.max_connections).unwrap_or(i64::MAX),
    ) {
        findings.push(Finding::problem(
            ABOUT,
            format!(
                "{} of {} connections are open; raise max_connections",
                varz.connections, varz.max_connections
            ),
        ));
    }
    if varz.slow_consumers > 0 {
        findings.push(Finding::problem(
            ABOUT,
            format!(
                "{} connections were closed since the start because they read too slowly (max_pending, write_deadline); their log lines name them",
                varz.slow_consumers
            ),
        ));
    }
    if varz.stalled_clients > 0 {
        findings.push(Finding::note(
            ABOUT,
            format!(
                "publishers were held back {} times for subscribers that read slowly",
                varz.stalled_clients
            ),
        ));
    }
}

/// Who can reach it.
fn access(varz: &Varz, findings: &mut Vec<Finding>) {
    if !is_loopback(&varz.host) {
        if !varz.auth_required {
            findings.push(Finding::problem(
                ABOUT,
                format!("whoever reaches {} may do everything: there are no users; set authorization or accounts", varz.host),
            ));
        }
        if !varz.tls_required {
            findings.push(Finding::note(
                ABOUT,
                format!("clients of {} need not use TLS: passwords and messages can be read on their way", varz.host),
            ));
        }
    }
    if !is_loopback(&varz.http_host) {
        findings.push(Finding::note(
            ABOUT,
            format!("monitoring is open to whoever reaches {}; keep it to 127.0.0.1 or behind a firewall", varz.http_host),
        ));
    }
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.starts_with("127.") || host == "::1"
}

fn is_temporary(dir: &str) -> bool {
    ["/tmp/", "/dev/shm/", "/run/"]
        .iter()
        .any(|prefix| dir.starts_with(prefix))
}

/// A limit of zero or less is none.
pub(super) fn is_nearly_full(used: u64, limit: i64) -> bool {
    match u64::try_from(limit) {
        Ok(limit) if limit > 0 => used.saturating_mul(100) >= limit.saturating_mul(NEARLY_FULL),
        _ => false,
    }
}
