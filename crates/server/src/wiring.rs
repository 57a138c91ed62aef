//! How accounts are wired to each other: the exports and imports in force.
//!
//! [`wire`] sets them for all accounts at once; call it again when the configuration or the claims of an account change.
//! Each account keeps its [`Wiring`], which routes read when they are resolved, not for each message.

#[cfg(test)]
mod tests;

use std::sync::{Arc, Weak};

use hashbrown::HashMap;
use jetsled_auth::{AccountExchange, Exchange, GrantedService, GrantedStream};
use jetsled_protocol::{SubjectMapping, subject};
use tokio::sync::Notify;

use crate::account::Account;

/// What an account takes from others, gives to others, and rewrites.
#[derive(Debug, Default)]
pub(crate) struct Wiring {
    /// Imports of this account's streams by others.
    pub(crate) importers: Vec<StreamLink>,
    /// This account's own imports of streams.
    pub(crate) streams: Vec<StreamLink>,
    /// This account's own imports of services.
    pub(crate) services: Vec<Arc<ServiceLink>>,
    /// All that is granted.
    pub(crate) shared: Option<Arc<AccountExchange>>,
    /// Subject mappings; the first that matches holds.
    pub(crate) mappings: Vec<SubjectMapping>,
    /// Told when a response is awaited.
    pub(crate) awaited: Arc<Notify>,
}

/// An import of a stream, with the account at its other end.
#[derive(Debug)]
pub(crate) struct StreamLink {
    /// Seen from the exporting account the importing one, and the other way round.
    pub(crate) other: Weak<Account>,
    pub(crate) import: Arc<GrantedStream>,
}

impl PartialEq for StreamLink {
    /// The same subjects between the same accounts.
    fn eq(&self, other: &Self) -> bool {
        self.other.ptr_eq(&other.other)
            && self.import.from == other.import.from
            && self.import.to == other.import.to
    }
}

/// An import of a service.
#[derive(Debug)]
pub(crate) struct ServiceLink {
    pub(crate) exporter: Weak<Account>,
    pub(crate) import: Arc<GrantedService>,
}

impl Wiring {
    /// Replaces `subject` by what the account's mappings make of it, if one matches: nothing, if it drops the message.
    /// `random` picks among weighted destinations.
    pub(crate) fn map(&self, published: &[u8], random: u64, mapped: &mut Vec<u8>) -> bool {
        mapped.clear();
        self.mappings
            .iter()
            .any(|mapping| mapping.apply(published, random, mapped))
    }

    /// Whether a service import covers everything below `subject`.
    pub(crate) fn imports_service(&self, subject: &[u8]) -> bool {
        self.services
            .iter()
            .any(|link| subject::is_subset(subject, &link.import.from))
    }
}

/// Puts what `exchange` grants in force; `mappings` are those of each account by its name.
pub(crate) fn wire(
    accounts: &HashMap<Arc<str>, Arc<Account>>,
    exchange: &Exchange,
    mut mappings: HashMap<Arc<str>, Vec<SubjectMapping>>,
    awaited: &Arc<Notify>,
) {
    let mut wirings: HashMap<&Arc<str>, Wiring> = accounts
        .keys()
        .map(|name| {
            let wiring = Wiring {
                mappings: mappings.remove(name).unwrap_or_default(),
                awaited: Arc::clone(awaited),
                shared: exchange.account(name).cloned(),
                ..Wiring::default()
            };
            (name, wiring)
        })
        .collect();
    for (name, account) in accounts {
        let Some(shared) = exchange.account(name) else {
            continue;
        };
        for import in &shared.streams {
            let Some(exporter) = accounts.get(&import.exporter) else {
                continue;
            };
            if let Some(wiring) = wirings.get_mut(&import.exporter) {
                wiring.importers.push(StreamLink {
                    other: Arc::downgrade(account),
                    import: Arc::clone(import),
                });
            }
            if let Some(wiring) = wirings.get_mut(name) {
                wiring.streams.push(StreamLink {
                    other: Arc::downgrade(exporter),
                    import: Arc::clone(import),
                });
            }
        }
        for import in &shared.services {
            if let (Some(exporter), Some(wiring)) =
                (accounts.get(&import.exporter), wirings.get_mut(name))
            {
                wiring.services.push(Arc::new(ServiceLink {
                    exporter: Arc::downgrade(exporter),
                    import: Arc::clone(import),
                }));
            }
        }
    }
    let mut with_other_importers = Vec::new();
    for (name, account) in accounts {
        if let Some(wiring) = wirings.remove(name)
            && account.set_wiring(wiring)
        {
            with_other_importers.push(account);
        }
    }
    for account in with_other_importers {
        account.tell_importers_changed();
    }
}
