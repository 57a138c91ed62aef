//! Where the services are heard.

use std::sync::Arc;

use super::queue::ServiceEntry;
use super::service::{AccountService, ServerService, Service};
use crate::account::Account;
use crate::jetstream::domain;
use crate::routing::Target;
use crate::server::ServerState;

/// What of `$JS.API` only the leader of a cluster answers, in the system account.
const OF_CLUSTER: [&str; 6] = [
    "$JS.API.META.LEADER.STEPDOWN",
    "$JS.API.META.RESCUE",
    "$JS.API.SERVER.REMOVE",
    "$JS.API.SERVER.EVACUATE",
    "$JS.API.ACCOUNT.STREAM.MOVE.*.*",
    "$JS.API.ACCOUNT.STREAM.CANCEL_MOVE.*.*",
];

/// Lets the services be heard: all of them in the system account, and what every account may know of itself in all.
pub(crate) fn listen(server: &ServerState) {
    let Some(system) = server.system() else {
        return;
    };
    let hear = |subject: &str, service| {
        system.insert_target(subject.as_bytes(), b"", entry(server, service));
    };
    let statsz = Service::Server(ServerService::Statsz);
    hear("$SYS.REQ.SERVER.PING", statsz);
    let id = server.id();
    for (service, name) in ServerService::ANSWERED_BY_ALL {
        let service = Service::Server(service);
        hear(&format!("$SYS.REQ.SERVER.PING.{name}"), service);
        hear(&format!("$SYS.REQ.SERVER.{id}.{name}"), service);
    }
    for (service, name) in ServerService::ANSWERED_BY_ONE {
        hear(
            &format!("$SYS.REQ.SERVER.{id}.{name}"),
            Service::Server(service),
        );
    }
    for (service, name) in AccountService::ALL {
        hear(
            &format!("$SYS.REQ.ACCOUNT.*.{name}"),
            Service::Account(service),
        );
    }
    hear("$SYS.REQ.ACCOUNT.PING.STATZ", Service::AllAccounts);
    hear("$SYS.REQ.ACCOUNT.NSUBS", Service::SubscriptionCount);
    hear("$SYS.REQ.USER.*.INFO", Service::UserInfo);
    hear("$SYS.REQ.USER.INFO", Service::UserInfo);
    hear("$SYS.DEBUG.SUBSCRIBERS", Service::Subscribers);
    let purge = ("$JS.API.ACCOUNT.PURGE.*", Service::AccountPurge);
    let of_cluster = OF_CLUSTER.map(|subject| (subject, Service::OfCluster));
    for (subject, service) in [purge].into_iter().chain(of_cluster) {
        let domain = &server.options().jetstream.domain;
        for subject in domain::forms(subject.to_owned(), domain.as_deref()) {
            hear(&subject, service);
        }
    }

    for account in server.accounts() {
        listen_in(server, &account);
    }
}

/// Lets the services be heard that every account but the system account has, if they are not yet.
pub(crate) fn listen_in(server: &ServerState, account: &Account) {
    if account.is_system() || server.system().is_none() || account.note_services() {
        return;
    }
    let connz = Service::OwnAccount(AccountService::Connz);
    let statz = Service::OwnAccount(AccountService::Statz);
    for (subject, service) in [
        ("$SYS.REQ.ACCOUNT.PING.CONNZ", connz),
        ("$SYS.REQ.SERVER.PING.CONNZ", connz),
        ("$SYS.REQ.ACCOUNT.PING.STATZ", statz),
        ("$SYS.REQ.USER.INFO", Service::UserInfo),
    ] {
        account.insert_target(subject.as_bytes(), b"", entry(server, service));
    }
}

fn entry(server: &ServerState, service: Service) -> Target {
    Target::System(Arc::new(ServiceEntry {
        service,
        queue: Arc::clone(server.events()),
    }))
}
