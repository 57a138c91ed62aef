//! What single options cannot say: whether they hold together.

use jetsled_auth::Authenticator;

use crate::{ConfigErrors, Options, duration};

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
        if let Some(text) = self.operator_contradiction() {
            return Some(text);
        }
        if let Some(text) = self.callout_contradiction() {
            return Some(text);
        }
        if let Err(error) = Authenticator::new(self.auth_config()) {
            return Some(error.to_string());
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
        self.jetstream.domain.as_deref().and_then(wrong_domain)
    }
}

impl Options {
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
