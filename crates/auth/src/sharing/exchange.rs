use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use jetsled_protocol::{SubjectTransform, TransformError, subject};

use super::{
    Audience, Export, ExportKind, GrantedService, GrantedStream, Import, LocalSubject,
    ResponseType, ServiceExport, ServiceImport, Sharing, SharingError, StreamImport,
    granted::Rewrite,
    local_subject::{numbered, unnumbered},
};

/// What all accounts share, checked.
#[derive(Debug, Default)]
pub struct Exchange {
    accounts: HashMap<Arc<str>, Arc<AccountExchange>>,
}

/// An exchange to which exports and imports are still added.
pub(super) struct Builder {
    pub(super) accounts: HashMap<Arc<str>, AccountExchange>,
}

/// What one account shares, checked.
#[derive(Debug, Default)]
pub struct AccountExchange {
    /// Its exports of streams.
    pub stream_exports: Vec<(String, Audience)>,
    /// Its exports of services.
    pub service_exports: Vec<(String, Audience, Arc<ServiceExport>)>,
    /// Imports of streams that are granted.
    pub streams: Vec<Arc<GrantedStream>>,
    /// Imports of services that are granted.
    pub services: Vec<Arc<GrantedService>>,
}

impl Exchange {
    /// Checks what accounts share: exports first, then imports in the accounts' order. What is refused is left out and
    /// reported.
    pub fn build<'a>(
        accounts: impl IntoIterator<Item = (&'a Arc<str>, &'a Sharing)>,
    ) -> (Self, Vec<SharingError>) {
        let accounts: Vec<_> = accounts.into_iter().collect();
        let mut exchange = Builder {
            accounts: accounts
                .iter()
                .map(|(name, _)| (Arc::clone(name), AccountExchange::default()))
                .collect(),
        };
        let mut errors = Vec::new();
        let all = |wanted: fn(&ExportKind) -> bool| {
            accounts.iter().flat_map(move |(name, sharing)| {
                let exports = sharing.exports.iter();
                exports
                    .filter(move |export| wanted(&export.kind))
                    .map(move |export| (*name, export))
            })
        };
        let streams = all(|kind| matches!(kind, ExportKind::Stream));
        let services = all(|kind| matches!(kind, ExportKind::Service(_)));
        for (account, export) in streams.chain(services) {
            if let Err(error) = exchange.add_export(account, export, &mut errors) {
                errors.push(error);
            }
        }
        let imports = || {
            accounts.iter().flat_map(|(name, sharing)| {
                sharing.imports.iter().map(move |import| (*name, import))
            })
        };
        for (account, import) in imports() {
            if let Import::Stream(import) = import
                && let Err(error) = exchange.add_stream(account, import)
            {
                errors.push(error);
            }
        }
        for (account, import) in imports() {
            if let Import::Service(import) = import
                && let Err(error) = exchange.add_service(account, import)
            {
                errors.push(error);
            }
        }
        let accounts = exchange.accounts.into_iter();
        let accounts = accounts.map(|(name, own)| (name, Arc::new(own)));
        let exchange = Self {
            accounts: accounts.collect(),
        };
        (exchange, errors)
    }

    /// What one account shares.
    pub fn account(&self, name: &str) -> Option<&Arc<AccountExchange>> {
        self.accounts.get(name)
    }
}

impl Builder {
    fn add_export(
        &mut self,
        account: &Arc<str>,
        export: &Export,
        errors: &mut Vec<SharingError>,
    ) -> Result<(), SharingError> {
        let what = match export.kind {
            ExportKind::Stream => "stream export",
            ExportKind::Service(_) => "service export",
        };
        let mut audience = export.audience.clone();
        audience.accounts.retain(|name| {
            let known = self.accounts.contains_key(name);
            if !known {
                errors.push(SharingError::UnknownAccount {
                    account: name.to_string(),
                    what,
                });
            }
            known
        });
        let position = audience.account_token_position;
        if position > 0 && export.subject.split('.').nth(position - 1) != Some("*") {
            return Err(refused(what, &export.subject, "sublist: invalid subject"));
        }
        let Some(own) = self.accounts.get_mut(account) else {
            return Ok(());
        };
        match &export.kind {
            ExportKind::Stream => {
                let known = own
                    .stream_exports
                    .iter_mut()
                    .find(|(subject, _)| *subject == export.subject);
                match known {
                    Some((_, known)) => known.merge(audience),
                    None => own.stream_exports.push((export.subject.clone(), audience)),
                }
                Ok(())
            }
            ExportKind::Service(service) => own.add_service_export(export, service, audience),
        }
    }

    fn add_stream(
        &mut self,
        account: &Arc<str>,
        import: &StreamImport,
    ) -> Result<(), SharingError> {
        const WHAT: &str = "stream import";
        let refuse = |reason: &str| refused(WHAT, &import.subject, reason);
        let from = &import.subject;
        let exporter = self.exporter(&import.account, WHAT)?;
        let exports = exporter
            .stream_exports
            .iter()
            .map(|(subject, audience)| (subject.as_str(), audience));
        if !is_granted(exports, account, from, import.is_activated) {
            return Err(refuse("stream import not authorized"));
        }
        let to = match &import.local {
            LocalSubject::Same => from.clone(),
            LocalSubject::To(to) => to.clone(),
            LocalSubject::Prefix(prefix) if subject::has_wildcard(prefix.as_bytes()) => {
                return Err(refuse(
                    "stream import prefix can not contain wildcard tokens",
                ));
            }
            LocalSubject::Prefix(prefix) => format!("{}.{from}", prefix.trim_end_matches('.')),
        };
        for start in [to.as_bytes(), from.as_bytes()] {
            let mut visited = HashSet::from([&**account]);
            self.find_stream_cycle(&import.account, start, &mut visited)
                .map_err(refuse)?;
        }
        let has_wildcard = subject::has_wildcard(from.as_bytes());
        let (rewrite, reverse) = if !has_wildcard {
            (Rewrite::Fixed(to.as_bytes().into()), None)
        } else if to == *from {
            (Rewrite::Keep, None)
        } else {
            let transform = new_transform(from, &numbered(&to), "stream", from, &to)
                .map_err(|reason| refuse(&reason))?;
            let reverse = transform.reverse().ok();
            (Rewrite::Transform(transform), reverse)
        };
        let to = if has_wildcard { unnumbered(&to) } else { to };
        if !subject::is_valid(to.as_bytes()) {
            return Err(refuse("sublist: invalid subject"));
        }
        let Some(own) = self.accounts.get_mut(account) else {
            return Ok(());
        };
        if own
            .streams
            .iter()
            .any(|other| other.exporter == import.account && *other.from == *from.as_bytes())
        {
            return Err(refuse("stream import already exists"));
        }
        own.streams.push(Arc::new(GrantedStream {
            exporter: Arc::clone(&import.account),
            from: from.as_bytes().into(),
            to: to.as_bytes().into(),
            allow_trace: import.allow_trace,
            rewrite,
            reverse,
        }));
        Ok(())
    }

    fn add_service(
        &mut self,
        account: &Arc<str>,
        import: &ServiceImport,
    ) -> Result<(), SharingError> {
        const WHAT: &str = "service import";
        let refuse = |reason: &str| refused(WHAT, &import.subject, reason);
        let (from, to) = (&import.to, &import.subject);
        let exporter = self.exporter(&import.account, WHAT)?;
        if !subject::is_valid(from.as_bytes()) || !subject::is_valid(to.as_bytes()) {
            return Err(refuse("sublist: invalid subject"));
        }
        let exports = exporter
            .service_exports
            .iter()
            .map(|(subject, audience, _)| (subject.as_str(), audience));
        if !is_granted(exports, account, to, import.is_activated) {
            return Err(refuse("service import not authorized"));
        }
        let export = exporter.service_export(to).unwrap_or_default();
        let has_wildcard = subject::has_wildcard(to.as_bytes());
        let start = if has_wildcard {
            unnumbered(from)
        } else {
            from.clone()
        };
        let mut visited = HashSet::from([&**account]);
        self.find_service_cycle(&import.account, start.as_bytes(), &mut visited)
            .map_err(refuse)?;
        let (from, to, rewrite) = if !has_wildcard {
            (
                from.clone(),
                to.clone(),
                Rewrite::Fixed(to.as_bytes().into()),
            )
        } else if to == from {
            (from.clone(), to.clone(), Rewrite::Keep)
        } else {
            let to = unnumbered(to);
            // Backwards first: so only one side has numbered wildcards.
            let transform = new_transform(&to, &numbered(from), "service", from, &to)
                .and_then(|transform| transform.reverse().map_err(|error| error.to_string()))
                .map_err(|reason| refuse(&reason))?;
            (unnumbered(from), to, Rewrite::Transform(transform))
        };
        let Some(own) = self.accounts.get_mut(account) else {
            return Ok(());
        };
        let duplicate = own
            .services
            .iter()
            .find(|other| other.exporter == import.account && *other.from == *from.as_bytes());
        if let Some(duplicate) = duplicate {
            return Err(refuse(&format!(
                "duplicate service import subject {from:?}, previously used in import for account {:?}, subject {:?}",
                duplicate.exporter,
                String::from_utf8_lossy(&duplicate.to)
            )));
        }
        own.services.push(Arc::new(GrantedService {
            exporter: Arc::clone(&import.account),
            from: from.as_bytes().into(),
            to: to.as_bytes().into(),
            share: import.share,
            export,
            rewrite,
        }));
        Ok(())
    }

    fn exporter(
        &self,
        name: &Arc<str>,
        what: &'static str,
    ) -> Result<&AccountExchange, SharingError> {
        self.accounts
            .get(name)
            .ok_or_else(|| SharingError::UnknownAccount {
                account: name.to_string(),
                what,
            })
    }
}

impl AccountExchange {
    /// The export that requests to `subject` use.
    fn service_export(&self, subject: &str) -> Option<Arc<ServiceExport>> {
        let exports = &self.service_exports;
        let exact = exports.iter().find(|(export, ..)| export == subject);
        exact
            .or_else(|| {
                exports
                    .iter()
                    .find(|(export, ..)| subject::is_subset(subject.as_bytes(), export.as_bytes()))
            })
            .map(|(.., export)| Arc::clone(export))
    }

    fn add_service_export(
        &mut self,
        export: &Export,
        service: &ServiceExport,
        audience: Audience,
    ) -> Result<(), SharingError> {
        let mut service = service.clone();
        let latency = service.latency.take();
        let known = self
            .service_exports
            .iter_mut()
            .find(|(subject, ..)| *subject == export.subject);
        if let Some((_, known_audience, known)) = known {
            known_audience.merge(audience);
            if service.response_type == ResponseType::Singleton {
                service.response_type = known.response_type;
            }
            service.latency.clone_from(&known.latency);
            service.allow_trace |= known.allow_trace;
            *known = Arc::new(service);
        } else {
            self.service_exports
                .push((export.subject.clone(), audience, Arc::new(service)));
        }
        let Some(latency) = latency else {
            return Ok(());
        };
        let refuse = |reason| SharingError::Latency {
            service: export.subject.clone(),
            subject: latency.subject.clone(),
            reason,
        };
        let is_service = |(service, ..): &(String, _, _)| {
            subject::is_subset(latency.subject.as_bytes(), service.as_bytes())
        };
        if !subject::is_valid_literal(latency.subject.as_bytes())
            || self.service_exports.iter().any(is_service)
        {
            return Err(refuse("invalid publish subject"));
        }
        let known = self
            .service_exports
            .iter_mut()
            .find(|(subject, ..)| *subject == export.subject);
        if let Some((.., known)) = known {
            if known.response_type != ResponseType::Singleton {
                return Err(refuse("bad service response type"));
            }
            *known = Arc::new(ServiceExport {
                latency: Some(latency),
                ..(**known).clone()
            });
        }
        Ok(())
    }
}

impl Audience {
    /// Whether everybody may import.
    pub fn is_public(&self) -> bool {
        self.accounts.is_empty() && !self.token_required && self.account_token_position == 0
    }

    fn merge(&mut self, other: Self) {
        self.accounts.extend(other.accounts);
        self.token_required |= other.token_required;
        if other.account_token_position > 0 {
            self.account_token_position = other.account_token_position;
        }
    }

    /// `wanted` is empty if the import names the exported subject itself, wildcards and all.
    fn admits(&self, importer: &str, wanted: Option<&str>, is_activated: bool) -> bool {
        if self.is_public() {
            return true;
        }
        if self.account_token_position > 0 {
            let token =
                wanted.and_then(|wanted| wanted.split('.').nth(self.account_token_position - 1));
            return token == Some(importer);
        }
        if self.token_required {
            return is_activated;
        }
        self.accounts.iter().any(|account| &**account == importer)
    }
}

/// The export of exactly this subject decides; without one, those that cover it.
fn is_granted<'a>(
    mut exports: impl Iterator<Item = (&'a str, &'a Audience)> + Clone,
    importer: &str,
    wanted: &str,
    is_activated: bool,
) -> bool {
    if !subject::is_valid(wanted.as_bytes()) {
        return false;
    }
    let exact = exports.clone().find(|(subject, _)| *subject == wanted);
    if let Some((_, audience)) = exact {
        return audience.admits(importer, None, is_activated);
    }
    exports.any(|(subject, audience)| {
        subject::is_subset(wanted.as_bytes(), subject.as_bytes())
            && audience.admits(importer, Some(wanted), is_activated)
    })
}

fn new_transform(
    source: &str,
    destination: &str,
    what: &str,
    from: &str,
    to: &str,
) -> Result<SubjectTransform, String> {
    SubjectTransform::new_strict(source.as_bytes(), destination.as_bytes()).map_err(
        |error: TransformError| {
            format!(
                "failed to create mapping transform for {what} import subject from {from:?} to {to:?}: {error}"
            )
        },
    )
}

fn refused(what: &'static str, subject: &str, reason: &str) -> SharingError {
    SharingError::Refused {
        what,
        subject: subject.to_owned(),
        reason: reason.to_owned(),
    }
}
