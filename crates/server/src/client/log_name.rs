//! How log lines name a connection.

use std::fmt;
use std::net::IpAddr;

use super::Client;

/// `127.0.0.1:4711 - cid:5 - "v1.2.3:lang:name" - "account/user:u"`, as much of it as is known (observed nats-server 2.15.1).
pub(crate) struct LogName<'a>(&'a Client);

impl Client {
    pub(crate) fn log_name(&self) -> LogName<'_> {
        LogName(self)
    }
}

impl fmt::Display for LogName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let client = self.0;
        if let Some(forwarded_for) = client.forwarded_for() {
            match forwarded_for {
                IpAddr::V4(ip) => write!(f, "{ip}/")?,
                IpAddr::V6(ip) => write!(f, "[{ip}]/")?,
            }
        }
        let id = client.transport().id_name();
        write!(f, "{} - {id}:{}", client.remote(), client.cid())?;
        let login = client.login();
        let options = &login.options;
        let known = [&options.version, &options.lang, &options.name];
        if known.iter().any(|text| !text.is_empty()) {
            f.write_str(" - \"")?;
            if !options.version.is_empty() {
                write!(f, "v{}", options.version)?;
            }
            for text in [&options.lang, &options.name] {
                if !text.is_empty() {
                    write!(f, ":{text}")?;
                }
            }
            f.write_str("\"")?;
        }
        let given = options.user.shown();
        let user = login.user.as_deref().unwrap_or(&given);
        if !user.is_empty() {
            write!(f, " - \"{}/user:{user}\"", login.account.name())?;
        }
        Ok(())
    }
}
