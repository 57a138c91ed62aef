//! From an account's claims to the options that a configured account has.

use std::time::Duration;

use jetsled_auth::jwt::{self, AccountClaims, JetStreamLimits, TransferType};
use jetsled_auth::{
    Audience, Export, ExportKind, Import, LatencySampling, LatencyTracking, LocalSubject,
    ResponseType, ServiceExport, ServiceImport, Sharing, StreamImport,
};
use jetsled_config::{
    AccountJetStreamOptions, AccountLimits, AccountOptions, MappingOptions, TraceOptions,
};
use jetsled_protocol::MappingDestination;

/// What a configuration file would say of the account. `is_activated` tells whether an import comes with a token of the
/// exporting account that counts.
pub(super) fn account_options(
    claims: &AccountClaims,
    is_activated: &dyn Fn(&AccountClaims, &jwt::Import) -> bool,
) -> AccountOptions {
    let account = &claims.nats;
    let limits = &account.limits;
    let mut options = AccountOptions::new(claims.subject.as_str());
    options.default_permissions = claims.default_permissions();
    options.jetstream = claims.jetstream_limits().map(jetstream_options);
    options.limits = AccountLimits {
        max_connections: u64::try_from(limits.conn).ok(),
        max_subscriptions: usize::try_from(limits.subs).ok(),
        max_payload: usize::try_from(limits.payload).ok(),
        max_leafnodes: u64::try_from(limits.leaf).ok(),
    };
    options.sharing = Sharing {
        exports: account.exports.iter().map(export).collect(),
        imports: account
            .imports
            .iter()
            .map(|wanted| import(wanted, is_activated(claims, wanted)))
            .collect(),
    };
    options.trace = account.trace.as_ref().and_then(|trace| {
        let is_subject = jetsled_protocol::subject::is_valid_literal(trace.dest.as_bytes());
        is_subject.then(|| TraceOptions {
            destination: trace.dest.clone(),
            sampling: u8::try_from(trace.sampling)
                .ok()
                .filter(|percent| (1..=100).contains(percent))
                .unwrap_or(100),
        })
    });
    options.mappings = account
        .mappings
        .iter()
        .map(|(source, destinations)| MappingOptions {
            source: source.clone(),
            destinations: destinations.iter().map(destination).collect(),
        })
        .collect();
    options
}

fn jetstream_options(limits: JetStreamLimits) -> AccountJetStreamOptions {
    let limit = |limit: i64| u64::try_from(limit).ok();
    // Zero is no limit for these (observed nats-server 2.15.1).
    let positive = |limit: i64| u64::try_from(limit).ok().filter(|limit| *limit > 0);
    AccountJetStreamOptions {
        max_memory: limit(limits.mem_storage),
        max_store: limit(limits.disk_storage),
        max_streams: limit(limits.streams),
        max_consumers: limit(limits.consumer),
        max_ack_pending: positive(limits.max_ack_pending),
        memory_max_stream_bytes: positive(limits.mem_max_stream_bytes),
        store_max_stream_bytes: positive(limits.disk_max_stream_bytes),
        max_bytes_required: limits.max_bytes_required,
    }
}

fn export(claimed: &jwt::Export) -> Export {
    let audience = Audience {
        accounts: Vec::new(),
        account_token_position: claimed.account_token_position as usize,
        token_required: claimed.token_req,
    };
    let kind = match claimed.r#type {
        TransferType::Stream => ExportKind::Stream,
        TransferType::Service => {
            let default = ServiceExport::default();
            let threshold = u64::try_from(claimed.response_threshold).ok();
            ExportKind::Service(ServiceExport {
                response_type: match claimed.response_type {
                    jwt::ResponseType::Singleton => ResponseType::Singleton,
                    jwt::ResponseType::Stream => ResponseType::Stream,
                    jwt::ResponseType::Chunked => ResponseType::Chunked,
                },
                response_threshold: threshold
                    .filter(|nanos| *nanos > 0)
                    .map_or(default.response_threshold, Duration::from_nanos),
                latency: claimed
                    .service_latency
                    .as_ref()
                    .map(|latency| LatencyTracking {
                        subject: latency.results.clone(),
                        sampling: match latency.sampling {
                            jwt::Sampling::Headers => LatencySampling::Headers,
                            jwt::Sampling::Percent(percent) => LatencySampling::Percent(percent),
                        },
                    }),
                allow_trace: claimed.allow_trace,
            })
        }
    };
    Export {
        subject: claimed.subject.clone(),
        kind,
        audience,
    }
}

fn import(claimed: &jwt::Import, is_activated: bool) -> Import {
    let (subject, account) = (claimed.subject.clone(), claimed.account.as_str().into());
    match claimed.r#type {
        TransferType::Stream => Import::Stream(StreamImport {
            account,
            subject,
            local: match (claimed.local_subject.as_str(), claimed.to.as_str()) {
                ("", "") => LocalSubject::Same,
                ("", prefix) => LocalSubject::Prefix(prefix.to_owned()),
                (local, _) => LocalSubject::To(local.to_owned()),
            },
            allow_trace: claimed.allow_trace,
            is_activated,
        }),
        TransferType::Service => {
            let local = [&claimed.local_subject, &claimed.to]
                .into_iter()
                .find(|local| !local.is_empty());
            Import::Service(ServiceImport {
                account,
                to: local.unwrap_or(&subject).clone(),
                subject,
                share: claimed.share,
                is_activated,
            })
        }
    }
}

fn destination(claimed: &jwt::WeightedMapping) -> MappingDestination {
    MappingDestination {
        subject: claimed.subject.clone(),
        weight: match claimed.weight {
            0 => 100,
            weight => weight,
        },
        cluster: claimed.cluster.clone(),
    }
}
