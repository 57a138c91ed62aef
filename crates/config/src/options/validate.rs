//! What single options cannot say: whether they hold together.

use jetsled_auth::Authenticator;

use crate::{ConfigErrors, Options, ResolverOptions, duration};

impl Options {
    /// Checks options against each other.
    ///
    /// # Errors
    /// The first contradiction, in nats-server's words where it has any.
    pub fn validate(&self) -> Result<(), ConfigErrors> {
        self.first_contradiction()
            .map_or(Ok(()), |text| Err(ConfigErrors::one(text)))
    }

    fn first_contradiction(&self) -> Option<String> {
        let lame_duck = &self.lame_duck;
        if lame_duck.grace_period >= lame_duck.duration {
            return Some(format!(
                "lame duck grace period ({}) should be strictly lower than lame duck duration ({})",
                duration::show(lame_duck.grace_period),
                duration::show(lame_duck.duration)
            ));
        }
        if self.max_payload > self.max_pending {
            return Some(format!(
                "max_payload ({}) cannot be higher than max_pending ({})",
                self.max_payload, self.max_pending
            ));
        }
        if self
            .server_name
            .as_ref()
            .is_some_and(|name| name.contains(' '))
        {
            return Some("server name cannot contain spaces".to_owned());
        }
        if let Some(text) = self.system_account_contradiction() {
            return Some(text);
        }
        if self
            .cluster_name
            .as_deref()
            .is_some_and(|name| name.contains(' '))
        {
            return Some(super::CLUSTER_NAME_WITH_BLANKS.to_owned());
        }
        if let Some(text) = self.client_advertise.as_deref().and_then(wrong_advertise) {
            return Some(text);
        }
        if let Some(text) = self.operator_contradiction() {
            return Some(text);
        }
        if let Some(text) = self.callout_contradiction() {
            return Some(text);
        }
        if let Err(error) = Authenticator::new(self.auth_config()) {
            return Some(error.to_string());
        }
        if let Some(text) = self.websocket_contradiction() {
            return Some(text);
        }
        if let (Some(http), Some(https)) = (self.monitor.http_port, self.monitor.https_port) {
            let (http, https) = (http.to_config(), https.to_config());
            return Some(format!(
                "can't specify both HTTP ({http}) and HTTPs ({https}) ports"
            ));
        }
        if self.monitor.https_port.is_some() && self.tls.is_none() {
            return Some("TLS cert and key required for HTTPS".to_owned());
        }
        self.account_limits_contradiction()
            .or_else(|| self.jetstream.domain.as_deref().and_then(wrong_domain))
    }
}

impl Options {
    fn system_account_contradiction(&self) -> Option<String> {
        let name = self.system_account.as_deref()?;
        let account = self.accounts.iter().find(|one| *one.name == *name);
        if account.is_some_and(|account| account.jetstream.is_some()) && self.jetstream.enabled {
            return Some("Not allowed to enable JetStream on the system account".to_owned());
        }
        let exists = if self.operator.is_on() {
            self.operator.resolver != Some(ResolverOptions::Memory)
                || self.operator.preload.contains_key(name)
        } else {
            account.is_some()
                || name == jetsled_auth::DEFAULT_SYSTEM_ACCOUNT
                || name == jetsled_auth::GLOBAL_ACCOUNT
        };
        (!exists).then(|| "error resolving system account: account missing".to_owned())
    }

    /// What accounts are given must be there.
    fn account_limits_contradiction(&self) -> Option<String> {
        let limits = || {
            self.accounts
                .iter()
                .filter_map(|one| one.jetstream.as_ref())
        };
        let memory: u64 = limits().filter_map(|one| one.max_memory).sum();
        let store: u64 = limits().filter_map(|one| one.max_store).sum();
        let exceeds = |sum, max: Option<u64>| max.is_some_and(|max| sum > max);
        let short_of = if exceeds(memory, self.jetstream.max_memory_store) {
            "insufficient memory resources available (10028)"
        } else if exceeds(store, self.jetstream.max_file_store) {
            "insufficient storage resources available (10047)"
        } else {
            return None;
        };
        self.jetstream.enabled.then(|| {
            format!(
                "Can't start JetStream: Error enabling jetstream on configured accounts: {short_of}"
            )
        })
    }

    fn callout_contradiction(&self) -> Option<String> {
        let callout = self.authorization.auth_callout.as_ref()?;
        let is_known = |name: &&String| {
            name.as_str() == jetsled_auth::GLOBAL_ACCOUNT
                || self.system_account.as_ref() == Some(*name)
                || self.accounts.iter().any(|account| *account.name == ***name)
        };
        let missing = callout
            .allowed_accounts
            .iter()
            .find(|name| !is_known(name))?;
        Some(format!(
            "auth_callout allowed account {missing:?} not found in configured accounts"
        ))
    }
}

/// `host` or `host:port`; an IPv6 address stands in brackets.
fn wrong_advertise(advertise: &str) -> Option<String> {
    let wrong = |reason: &str| {
        Some(format!(
            "Error setting server INFO with ClientAdvertise value of {advertise}, err={reason}"
        ))
    };
    let behind_host = match advertise.strip_prefix('[') {
        Some(rest) => rest.split_once(']').map_or("", |(_, rest)| rest),
        None => advertise.find(':').map_or("", |at| &advertise[at..]),
    };
    match behind_host.strip_prefix(':') {
        None => None,
        Some(port) if port.contains(':') => {
            wrong(&format!("address {advertise}: too many colons in address"))
        }
        Some("") => None,
        Some(port) => match port.parse::<u16>() {
            Ok(_) => None,
            Err(_) => wrong(&format!("strconv.Atoi: parsing {port:?}: invalid syntax")),
        },
    }
}

/// A domain is one token of a subject.
fn wrong_domain(domain: &str) -> Option<String> {
    let blank = domain.contains([' ', '\t', '\n', '\r', '\u{c}']);
    if blank || domain.split('.').any(str::is_empty) {
        return Some(format!(
            "invalid domain name: derived \"$JS.{domain}.API.>\" is not a valid subject"
        ));
    }
    domain
        .contains(['.', '*', '>'])
        .then(|| "invalid domain name: may not contain ., * or >".to_owned())
}
