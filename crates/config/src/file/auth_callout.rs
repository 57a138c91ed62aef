use jetsled_auth::{GLOBAL_ACCOUNT, PublicKeyKind, is_account_nkey, is_public_nkey};

use crate::{
    AuthCalloutOptions, ConfigError,
    language::{Kind, Value},
    reader::{Field, Report, each_field},
    unsupported::Block,
};

/// Reads `auth_callout { issuer, account, auth_users, xkey, allowed_accounts }`.
pub(crate) fn read(value: &Value, report: &mut Report) -> Result<AuthCalloutOptions, ConfigError> {
    let Kind::Map(map) = &value.kind else {
        return Err(value.error(format!(
            "Expected authorization callout to be a map/struct, got {}",
            value.kind
        )));
    };
    let mut callout = AuthCalloutOptions {
        issuer: String::new(),
        account: GLOBAL_ACCOUNT.to_owned(),
        auth_users: Vec::new(),
        xkey: None,
        allowed_accounts: Vec::new(),
    };
    let errors_before = report.errors.len();
    // What is missing is reported at the last field (observed nats-server 2.15.1).
    let mut last = value;
    each_field(Block::AuthCallout, map, report, |name, value, _| {
        last = value;
        match name {
            "issuer" => {
                callout.issuer = value.owned()?;
                if !is_account_nkey(&callout.issuer) {
                    return Err(value.error(format!(
                        "Expected callout user to be a valid public account nkey, got {:?}",
                        callout.issuer
                    )));
                }
            }
            "account" | "acc" => {
                if let Some(account) = value.filled()? {
                    callout.account = account;
                }
            }
            "auth_users" | "users" => callout.auth_users = strings(value, "auth_users")?,
            "xkey" | "key" => {
                let key = value.owned()?;
                if !is_public_nkey(&key, PublicKeyKind::Curve) {
                    return Err(value.error(format!(
                        "Expected callout xkey to be a valid public xkey, got {key:?}"
                    )));
                }
                callout.xkey = Some(key);
            }
            "allowed_accounts" => callout.allowed_accounts = strings(value, "allowed accounts")?,
            _ => return Ok(Field::Unknown),
        }
        Ok(Field::Read)
    });
    if report.errors.len() == errors_before {
        if callout.issuer.is_empty() {
            let text = "Authorization callouts require an issuer to be specified";
            return Err(last.error(text));
        }
        if callout.auth_users.is_empty() {
            let text = "Authorization callouts require authorized users to be specified";
            return Err(last.error(text));
        }
    }
    Ok(callout)
}

fn strings(value: &Value, what: &str) -> Result<Vec<String>, ConfigError> {
    let Kind::Array(entries) = &value.kind else {
        return Err(value.error(format!(
            "Expected {what} field to be an array, got {}",
            value.kind.go_type()
        )));
    };
    entries.iter().map(Value::owned).collect()
}
