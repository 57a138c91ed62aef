//! Cookies that stand in for what CONNECT does not say.

use jetsled_auth::{PeerText, Secret};
use jetsled_config::CookieNames;

use crate::client::ConnectOptions;

/// The values of the configured cookies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cookies {
    jwt: Secret,
    user: PeerText,
    password: Secret,
    token: Secret,
}

impl Cookies {
    /// Finds them in the values of `Cookie` headers; the last of one name counts.
    pub(super) fn find<'a>(names: &CookieNames, headers: impl Iterator<Item = &'a [u8]>) -> Self {
        let mut found = Self::default();
        for header in headers.filter_map(|header| str::from_utf8(header).ok()) {
            for (name, value) in header.split(';').filter_map(parse) {
                let is = |wanted: &Option<String>| wanted.as_deref() == Some(name);
                if is(&names.jwt) {
                    found.jwt = Secret::new(value);
                } else if is(&names.user) {
                    found.user = value.into();
                } else if is(&names.password) {
                    found.password = Secret::new(value);
                } else if is(&names.token) {
                    found.token = Secret::new(value);
                }
            }
        }
        found
    }

    /// `None` if there are none.
    pub(super) fn filled(self) -> Option<Box<Self>> {
        (self != Self::default()).then(|| Box::new(self))
    }

    /// Fills in what is not given.
    pub(crate) fn complete(&self, options: &mut ConnectOptions) {
        for (value, slot) in [
            (&self.jwt, &mut options.jwt),
            (&self.password, &mut options.pass),
            (&self.token, &mut options.auth_token),
        ] {
            if slot.is_empty() {
                slot.clone_from(value);
            }
        }
        if options.user.is_empty() {
            options.user.clone_from(&self.user);
        }
    }
}

/// One `name=value`; quotes around the value are taken off. `None` for what Go does not take for a cookie.
fn parse(pair: &str) -> Option<(&str, &str)> {
    let (name, value) = pair.trim().split_once('=').unwrap_or((pair.trim(), ""));
    let name = name.trim();
    let quoted = value
        .strip_prefix('"')
        .and_then(|value| value.strip_suffix('"'));
    let value = quoted.unwrap_or(value);
    let is_allowed = |byte: u8| matches!(byte, 0x20..0x7f) && !matches!(byte, b'"' | b';' | b'\\');
    (!name.is_empty() && value.bytes().all(is_allowed)).then_some((name, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(headers: &[&str], user: &str, password: &str) {
        let names = CookieNames {
            user: Some("u".to_owned()),
            password: Some("p".to_owned()),
            ..CookieNames::default()
        };
        let found = Cookies::find(&names, headers.iter().map(|header| header.as_bytes()));
        assert_eq!(
            (found.user.expose(), found.password.expose()),
            (user, password)
        );
    }

    #[test]
    fn cookies_are_found_as_go_finds_them() {
        check(&["u=a; p=b"], "a", "b");
        check(&["u=\"a\"", "x=1;p=b=c "], "a", "b=c");
        check(&["u=a; u=b; p"], "b", "");
        check(&["U=a; u=b\\; p=\"b"], "", "");
        check(&[], "", "");
    }

    #[test]
    fn what_connect_says_counts_more() {
        let cookies = Cookies {
            user: "cookie".into(),
            token: "t".into(),
            ..Cookies::default()
        };
        let mut options = ConnectOptions {
            user: "said".into(),
            ..ConnectOptions::default()
        };
        cookies.complete(&mut options);
        assert_eq!(
            (options.user.expose(), options.auth_token.expose()),
            ("said", "t")
        );
        assert_eq!(Cookies::default().filled(), None);
    }
}
