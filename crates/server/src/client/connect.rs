//! The JSON of CONNECT.

use jetsled_auth::{ConnectCredentials, PeerText, Secret};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;

/// What a client says of itself and wants. The defaults are those of a connection without CONNECT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ConnectOptions {
    pub(crate) verbose: bool,
    pub(crate) pedantic: bool,
    pub(crate) echo: bool,
    pub(crate) tls_required: bool,
    pub(crate) headers: bool,
    pub(crate) no_responders: bool,
    pub(crate) protocol: i64,
    pub(crate) name: PeerText,
    pub(crate) lang: PeerText,
    pub(crate) version: PeerText,
    pub(crate) user: PeerText,
    pub(crate) pass: Secret,
    pub(crate) auth_token: Secret,
    pub(crate) nkey: PeerText,
    pub(crate) sig: Secret,
    pub(crate) jwt: Secret,
    pub(crate) account: PeerText,
    pub(crate) new_account: bool,
    pub(crate) proxy_sig: Secret,
}

impl Default for ConnectOptions {
    fn default() -> Self {
        Self {
            verbose: true,
            pedantic: true,
            echo: true,
            tls_required: false,
            headers: false,
            no_responders: false,
            protocol: 0,
            name: PeerText::default(),
            lang: PeerText::default(),
            version: PeerText::default(),
            user: PeerText::default(),
            pass: Secret::default(),
            auth_token: Secret::default(),
            nkey: PeerText::default(),
            sig: Secret::default(),
            jwt: Secret::default(),
            account: PeerText::default(),
            new_account: false,
            proxy_sig: Secret::default(),
        }
    }
}

/// A CONNECT that cannot be used; the connection closes silently.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    /// Without serde's words for it, which may quote what is there.
    #[error("malformed JSON in CONNECT (line {}, column {})", .0.line(), .0.column())]
    Json(#[from] serde_json::Error),
    #[error("CONNECT field {field:?} is not a {expected}")]
    WrongType {
        field: String,
        expected: &'static str,
    },
}

impl ConnectOptions {
    /// Reads `json` over the current values: keys that it lacks keep theirs, unknown ones are ignored, `null` changes
    /// nothing, and keys match in any case, as with Go's decoder.
    pub(crate) fn update(&mut self, json: &[u8]) -> Result<(), ConnectError> {
        // Go replaces what is not UTF-8.
        let text = String::from_utf8_lossy(json);
        for (field, value) in serde_json::from_str::<Option<Fields>>(&text)?
            .unwrap_or_default()
            .0
        {
            self.set(&field, value)?;
        }
        Ok(())
    }

    fn set(&mut self, field: &str, value: Value) -> Result<(), ConnectError> {
        if value.is_null() {
            return Ok(());
        }
        let slot = match field.to_ascii_lowercase().as_str() {
            "verbose" => Slot::Bool(&mut self.verbose),
            "pedantic" => Slot::Bool(&mut self.pedantic),
            "echo" => Slot::Bool(&mut self.echo),
            "tls_required" => Slot::Bool(&mut self.tls_required),
            "headers" => Slot::Bool(&mut self.headers),
            "no_responders" => Slot::Bool(&mut self.no_responders),
            "new_account" => Slot::Bool(&mut self.new_account),
            "protocol" => Slot::Int(&mut self.protocol),
            "name" => Slot::Told(&mut self.name),
            "lang" => Slot::Told(&mut self.lang),
            "version" => Slot::Told(&mut self.version),
            "user" => Slot::Told(&mut self.user),
            "pass" => Slot::Secret(&mut self.pass),
            "auth_token" => Slot::Secret(&mut self.auth_token),
            "nkey" => Slot::Told(&mut self.nkey),
            "sig" => Slot::Secret(&mut self.sig),
            "jwt" => Slot::Secret(&mut self.jwt),
            "proxy_sig" => Slot::Secret(&mut self.proxy_sig),
            "account" => Slot::Told(&mut self.account),
            _ => return Ok(()),
        };
        let wrong = |expected| ConnectError::WrongType {
            field: field.to_owned(),
            expected,
        };
        match (slot, value) {
            (Slot::Bool(slot), Value::Bool(value)) => *slot = value,
            (Slot::Told(slot), Value::String(value)) => *slot = value.into(),
            (Slot::Secret(slot), Value::String(value)) => *slot = Secret::new(value),
            (Slot::Int(slot), Value::Number(value)) => {
                *slot = value.as_i64().ok_or_else(|| wrong("whole number"))?;
            }
            (Slot::Bool(_), _) => return Err(wrong("boolean")),
            (Slot::Told(_) | Slot::Secret(_), _) => return Err(wrong("string")),
            (Slot::Int(_), _) => return Err(wrong("number")),
        }
        Ok(())
    }

    /// How a client whose login was refused describes itself.
    pub(crate) fn without_secrets(&self) -> Self {
        Self {
            pass: Secret::default(),
            auth_token: Secret::default(),
            sig: Secret::default(),
            jwt: Secret::default(),
            proxy_sig: Secret::default(),
            ..self.clone()
        }
    }

    /// The name or key that the client gave itself.
    pub(crate) fn presented_user(&self) -> Option<&PeerText> {
        let given = [&self.nkey, &self.user];
        given.into_iter().find(|given| !given.is_empty())
    }

    /// The part that decides the login.
    pub(crate) fn credentials(&self) -> ConnectCredentials<'_> {
        fn filled(text: &str) -> Option<&str> {
            (!text.is_empty()).then_some(text)
        }
        let told = |text| filled(PeerText::expose(text));
        let secret = |text| filled(Secret::expose(text));
        ConnectCredentials {
            user: told(&self.user),
            password: secret(&self.pass),
            token: secret(&self.auth_token),
            nkey: told(&self.nkey),
            signature: secret(&self.sig),
            jwt: secret(&self.jwt),
            proxy_signature: secret(&self.proxy_sig),
        }
    }
}

/// The fields of an object in their order, since a later one overrides an earlier one in another case.
#[derive(Default)]
struct Fields(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Self::default())
    }
}

impl<'de> Visitor<'de> for Fields {
    type Value = Self;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Self, A::Error> {
        while let Some(field) = map.next_entry()? {
            self.0.push(field);
        }
        Ok(self)
    }
}

enum Slot<'a> {
    Bool(&'a mut bool),
    Int(&'a mut i64),
    Told(&'a mut PeerText),
    Secret(&'a mut Secret),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(json: &str, expected: Option<ConnectOptions>) {
        let mut options = ConnectOptions::default();
        let result = options.update(json.as_bytes());
        assert_eq!(result.ok().map(|()| options), expected, "{json}");
    }

    #[test]
    fn connect_is_read_like_go_reads_it() {
        let default = ConnectOptions::default();
        check("{}", Some(default.clone()));
        check("null", Some(default.clone()));
        check(
            r#"{"VERBOSE":false,"Echo":null,"unknown":[1],"name":"n"}"#,
            Some(ConnectOptions {
                verbose: false,
                name: "n".into(),
                ..default.clone()
            }),
        );
        check(
            r#"{"protocol":1}"#,
            Some(ConnectOptions {
                protocol: 1,
                ..default.clone()
            }),
        );
        check(
            r#"{"verbose":true,"VERBOSE":false}"#,
            Some(ConnectOptions {
                verbose: false,
                ..default
            }),
        );
        check(r#"{"protocol":1.5}"#, None);
        check(r#"{"protocol":"1"}"#, None);
        check(r#"{"verbose":"no"}"#, None);
        check(r#"{"name":1}"#, None);
        check("[]", None);
        check("{", None);
        check("", None);
    }

    #[test]
    fn a_second_connect_keeps_what_it_does_not_name() {
        let mut options = ConnectOptions::default();
        options.update(br#"{"verbose":false,"user":"a"}"#).unwrap();
        options.update(br#"{"pedantic":false}"#).unwrap();
        let expected = ConnectOptions {
            verbose: false,
            pedantic: false,
            user: "a".into(),
            ..ConnectOptions::default()
        };
        assert_eq!(options, expected);
    }
}
