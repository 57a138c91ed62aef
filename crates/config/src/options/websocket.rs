use std::{collections::BTreeMap, time::Duration};

use jetsled_auth::{AuthConfig, Authenticator, Secret, SingleCredential};

use crate::{Options, Port, TlsOptions};

/// The `websocket` block: a second listener for clients.
#[derive(Debug, Clone, PartialEq)]
pub struct WebsocketOptions {
    /// Address of the listener.
    pub host: String,
    /// Port of the listener.
    pub port: Port,
    /// `host[:port]` for others to connect to; shown by monitoring.
    pub advertise: Option<String>,
    /// TLS of the listener.
    pub tls: Option<TlsOptions>,
    /// There may be none.
    pub no_tls: bool,
    /// A browser's page must come from the host and port that it connects to.
    pub same_origin: bool,
    /// Where a browser's page may come from, as URLs; empty is anywhere.
    pub allowed_origins: Vec<String>,
    /// Messages are compressed for clients that ask for it.
    pub compression: bool,
    /// Time for the TLS and HTTP handshakes; `None` takes a default of the server's.
    pub handshake_timeout: Option<Duration>,
    /// The single user's name, in place of the server's own.
    pub user: Option<String>,
    /// The single user's password.
    pub password: Option<Secret>,
    /// The single token, in place of the server's own.
    pub token: Option<Secret>,
    /// Time in which CONNECT must have come; `None` takes [`Options::auth_timeout`].
    pub auth_timeout: Option<Duration>,
    /// User that connections without credentials become.
    pub no_auth_user: Option<String>,
    /// Cookies that stand in for what CONNECT does not say.
    pub cookies: CookieNames,
    /// Further headers of the answer to the handshake.
    pub headers: BTreeMap<String, String>,
    /// Time between PINGs to an idle client; `None` takes [`Options::ping_interval`].
    pub ping_interval: Option<Duration>,
}

/// Names of cookies.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CookieNames {
    /// `jwt_cookie`
    pub jwt: Option<String>,
    /// `user_cookie`
    pub user: Option<String>,
    /// `pass_cookie`
    pub password: Option<String>,
    /// `token_cookie`
    pub token: Option<String>,
}

impl WebsocketOptions {
    /// A listener on this port, everything else by default.
    pub fn new(port: Port) -> Self {
        Self {
            host: "0.0.0.0".to_owned(),
            port,
            advertise: None,
            tls: None,
            no_tls: false,
            same_origin: false,
            allowed_origins: Vec::new(),
            compression: false,
            handshake_timeout: None,
            user: None,
            password: None,
            token: None,
            auth_timeout: None,
            no_auth_user: None,
            cookies: CookieNames::default(),
            headers: BTreeMap::new(),
            ping_interval: None,
        }
    }

    /// Whether logins are decided by what this block says, not by the server's single credential and `no_auth_user`.
    fn overrides_authorization(&self) -> bool {
        self.user.is_some() || self.token.is_some() || self.no_auth_user.is_some()
    }
}

impl Options {
    /// What decides logins over WebSocket, of all accounts.
    pub fn websocket_auth_config(&self, websocket: &WebsocketOptions) -> AuthConfig {
        let mut config = AuthConfig {
            map_certificates: websocket.tls.as_ref().is_some_and(|tls| tls.verify_and_map),
            ..self.auth_config()
        };
        if websocket.overrides_authorization() {
            config.admit_anonymous = false;
            config.no_auth_user.clone_from(&websocket.no_auth_user);
            config.single = match (&websocket.user, &websocket.token) {
                (Some(user), _) => Some(SingleCredential::User {
                    user: user.clone(),
                    password: websocket.password.clone().unwrap_or_default(),
                }),
                (None, Some(token)) => Some(SingleCredential::Token(token.clone())),
                (None, None) => None,
            };
        }
        config
    }

    pub(super) fn websocket_contradiction(&self) -> Option<String> {
        let websocket = self.websocket.as_ref()?;
        if websocket.tls.is_none() && !websocket.no_tls {
            return Some("websocket requires TLS configuration".to_owned());
        }
        let mut origins = websocket.allowed_origins.iter();
        if let Some(text) = origins.find_map(|origin| wrong_origin(origin)) {
            return Some(text);
        }
        let config = self.websocket_auth_config(websocket);
        let has_users = !config.users.is_empty();
        if let Err(error) = Authenticator::new(config) {
            return Some(error.to_string());
        }
        if has_users && websocket.user.is_some() {
            let text =
                "websocket authentication username not compatible with presence of users/nkeys";
            return Some(text.to_owned());
        }
        if has_users && websocket.token.is_some() {
            let text = "websocket authentication token not compatible with presence of users/nkeys";
            return Some(text.to_owned());
        }
        if let Some(cookie) = &websocket.cookies.jwt
            && self.operator.operators.is_empty()
            && self.operator.trusted_keys.is_empty()
        {
            return Some(format!(
                "trusted operators or trusted keys configuration is required for JWT authentication via cookie {cookie:?}"
            ));
        }
        websocket.headers.iter().find_map(wrong_header)
    }
}

fn wrong_origin(origin: &str) -> Option<String> {
    let Some((scheme, rest)) = origin.split_once("://") else {
        return Some(format!(
            "unable to parse allowed origin: parse {origin:?}: invalid URI for request"
        ));
    };
    if !matches!(scheme.to_lowercase().as_str(), "http" | "https") {
        return Some(format!(
            "unable to parse allowed origin {origin:?}: allowed origins must be absolute URLs with http or https scheme"
        ));
    }
    rest.split(['/', '?', '#'])
        .next()
        .is_none_or(str::is_empty)
        .then(|| format!("unable to parse allowed origin {origin:?}: host is required"))
}

/// Headers that are the handshake's own, or that would end the header block.
fn wrong_header((name, value): (&String, &String)) -> Option<String> {
    const OWN: [&str; 5] = [
        "host",
        "content-length",
        "connection",
        "upgrade",
        "nats-no-masking",
    ];
    let lower = name.to_lowercase();
    if OWN.contains(&lower.as_str()) {
        return Some(format!("websocket: invalid header {name:?} not allowed"));
    }
    if lower.starts_with("sec-websocket-") {
        return Some(format!(
            "websocket: invalid header {name:?}, \"Sec-WebSocket-\" prefix not allowed"
        ));
    }
    let breaks = |text: &str| text.contains(['\r', '\n']);
    (breaks(name) || breaks(value))
        .then(|| format!("websocket: header {name:?} must not contain a line break"))
}
