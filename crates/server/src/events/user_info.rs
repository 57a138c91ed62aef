//! What `$SYS.REQ.USER.INFO` says of who asks.

use std::borrow::Cow;

use jetsled_auth::{Permissions, ResponsePermission, SubjectPermission};
use serde::Serialize;

use super::task::to_json;
use crate::client::{Client, Login};

#[derive(Serialize)]
struct UserInfo<'a> {
    user: Cow<'a, str>,
    account: &'a str,
    account_name: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    user_name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    permissions: Option<Shown<'a>>,
}

/// Permissions with both halves, an empty one for what is not restricted.
#[derive(Serialize)]
struct Shown<'a> {
    publish: Option<&'a SubjectPermission>,
    subscribe: Option<&'a SubjectPermission>,
    #[serde(skip_serializing_if = "Option::is_none")]
    responses: Option<ResponsePermission>,
}

/// A user that is not known.
pub(super) fn nobody() -> Vec<u8> {
    #[derive(Serialize)]
    struct Nobody {
        user: &'static str,
        account: &'static str,
    }
    to_json(&Nobody {
        user: "",
        account: "",
    })
}

pub(super) fn gather(client: &Client) -> Vec<u8> {
    let login = client.login();
    let operator = client.server.operator();
    let account = login.account.name();
    let claims = operator.and_then(|operator| operator.claims(account));
    let none = SubjectPermission::default();
    let source = login.permissions.as_ref().map(|one| one.source());
    to_json(&UserInfo {
        user: user(&login),
        account,
        permissions: source.map(|source: &Permissions| Shown {
            publish: source.publish.as_ref().or(Some(&none)),
            subscribe: source.subscribe.as_ref().or(Some(&none)),
            responses: source.responses,
        }),
        account_name: claims.as_ref().map_or(account, |claims| &claims.name),
        user_name: login.claims.as_ref().map_or("", |claims| &claims.name),
    })
}

/// The key of a user with claims, else the name that it gave itself, else the one that it has.
fn user(login: &Login) -> Cow<'_, str> {
    if let Some(claims) = &login.claims {
        return Cow::Borrowed(&claims.key);
    }
    let given = login.shown_user();
    match &login.user {
        _ if !given.is_empty() => given,
        Some(user) => Cow::Borrowed(user),
        None => Cow::Borrowed(""),
    }
}
