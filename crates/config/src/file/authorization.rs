use std::{collections::HashSet, time::Duration};

use jetsled_auth::{ConnectionType, ConnectionTypes, GLOBAL_ACCOUNT, Secret, User, UserCredential};

use super::{auth_callout, permissions};
use crate::{
    ConfigError, Options, duration,
    language::{Kind, Position, Value},
    reader::{Field, Report, each_field},
    unsupported::Block,
};

/// Where the blocks stand that can contradict each other; checked when all are read, since the order of a file does not
/// matter.
#[derive(Default)]
pub(crate) struct Conflicts {
    pub(crate) authorization: Option<Position>,
    pub(crate) account_users: Option<Position>,
}

pub(crate) fn read(
    value: &Value,
    options: &mut Options,
    conflicts: &mut Conflicts,
    report: &mut Report,
) -> Result<(), ConfigError> {
    conflicts.authorization = Some(value.position.clone());
    let authorization = &mut options.authorization;
    authorization.is_defined = true;
    each_field(
        Block::Authorization,
        value.map()?,
        report,
        |name, value, report| {
            match name {
                "user" | "username" => authorization.user = value.filled()?,
                "pass" | "password" => authorization.password = value.filled()?.map(Secret::new),
                "token" => authorization.token = value.filled()?.map(Secret::new),
                "auth_callout" | "auth_hook" => {
                    authorization.auth_callout = Some(auth_callout::read(value, report)?);
                }
                "proxy_required" => authorization.proxy_required = value.boolean()?,
                "timeout" => authorization.timeout = timeout(value, report)?,
                "users" => authorization.users = users(value, GLOBAL_ACCOUNT, report)?,
                "default_permission" | "default_permissions" | "permissions" => {
                    authorization.default_permissions = Some(permissions::read(value, report)?);
                }
                _ => return Ok(Field::Unknown),
            }
            Ok(Field::Read)
        },
    );
    Ok(())
}

pub(crate) fn timeout(value: &Value, report: &mut Report) -> Result<Option<Duration>, ConfigError> {
    let time = value.seconds("error parsing authorization config, 'timeout'")?;
    if time > Duration::from_secs(60) {
        let given = match &value.kind {
            Kind::String(text) => text.clone(),
            Kind::Integer(seconds) => seconds.to_string(),
            _ => duration::show(time),
        };
        let reason = format!(
            "timeout of {given} ({:.6} seconds) is high, consider keeping it under 60 seconds. possibly caused by \
             unquoted duration; use '1m' instead of 1m, for example",
            time.as_secs_f64()
        );
        report.warn_of_use("timeout", value, &reason);
    }
    Ok((!time.is_zero()).then_some(time))
}

/// Reads an array of users, of whichever kind, into one account.
pub(crate) fn users(
    value: &Value,
    account: &str,
    report: &mut Report,
) -> Result<Vec<User>, ConfigError> {
    let Kind::Array(entries) = &value.kind else {
        return Err(value.error(format!(
            "Expected users field to be an array, got {}",
            value.kind
        )));
    };
    let mut users = Vec::new();
    for entry in entries {
        users.extend(report.keep(user(entry, account)).and_then(|(user, found)| {
            report.errors.extend(found.errors);
            user
        }));
    }
    Ok(users)
}

/// One user; `None` if something in it is wrong and reported.
fn user(entry: &Value, account: &str) -> Result<(Option<User>, Report), ConfigError> {
    let Kind::Map(map) = &entry.kind else {
        // What stands there may be a password: its type is enough.
        return Err(entry.error(format!(
            "Expected user entry to be a map/struct, got {}",
            entry.kind.go_type()
        )));
    };
    let (mut name, mut password, mut nkey, mut own) = (None, None, None, None);
    let mut connection_types = ConnectionTypes::default();
    let mut proxy_required = false;
    let mut report = Report::default();
    // What is wrong with a user as a whole is reported at its last field.
    let mut last = entry;
    each_field(Block::User, map, &mut report, |field, value, report| {
        last = value;
        match field {
            "nkey" => nkey = value.filled()?,
            "proxy_required" => proxy_required = value.boolean()?,
            "user" | "username" => name = value.filled()?,
            "pass" | "password" => password = value.filled()?,
            "permission" | "permissions" | "authorization" => {
                own = Some(permissions::read(value, report)?)
            }
            "allowed_connection_types" | "connection_types" | "clients" => {
                let names = value.strings("allowed connection types")?;
                let (known, unknown): (Vec<_>, Vec<_>) = names
                    .into_iter()
                    .partition(|name| name.parse::<ConnectionType>().is_ok());
                if !unknown.is_empty() {
                    return Err(value.error(format!("invalid connection types {unknown:?}")));
                }
                known
                    .iter()
                    .flat_map(|name| name.parse())
                    .for_each(|kind| connection_types.insert(kind));
            }
            _ => return Ok(Field::Unknown),
        }
        Ok(Field::Read)
    });
    if !report.errors.is_empty() {
        return Ok((None, report));
    }
    let credential = match (nkey, name) {
        (None, None) => return Err(last.error("User entry requires a user")),
        (Some(key), _) if !jetsled_auth::is_user_nkey(&key) => {
            return Err(last.error("Not a valid public nkey for a user"));
        }
        (Some(_), name) if name.is_some() || password.is_some() => {
            return Err(last.error("Nkey users do not take usernames or passwords"));
        }
        (Some(key), _) => UserCredential::Nkey(key),
        (None, Some(user)) => UserCredential::Password {
            user,
            password: Secret::new(password.unwrap_or_default()),
        },
    };
    let user = User {
        credential,
        account: account.into(),
        permissions: own,
        connection_types,
        proxy_required,
    };
    Ok((Some(user), report))
}

impl Conflicts {
    /// Refuses what cannot hold together: a single credential beside users, one name twice.
    pub(crate) fn check(&self, options: &Options, report: &mut Report) {
        let authorization = &options.authorization;
        let single = (authorization.user.is_some(), authorization.token.is_some());
        if let Some(at) = &self.authorization {
            let text = match single {
                (true, true) => Some("Cannot have a user/pass and token"),
                (true, _) if !authorization.users.is_empty() => {
                    Some("Can not have a single user/pass and a users array")
                }
                (_, true) if authorization.password.is_some() => {
                    Some("Cannot have a user/pass and token")
                }
                (_, true) if !authorization.users.is_empty() => {
                    Some("Can not have a token and a users array")
                }
                _ => None,
            };
            report.errors.extend(text.map(|text| at.error(text)));
        }
        if let Some(at) = &self.account_users {
            let text = match single {
                (true, _) => Some("Can not have a single user/pass and accounts"),
                (_, true) => Some("Can not have a token and accounts"),
                _ => None,
            };
            report.errors.extend(text.map(|text| at.error(text)));
        }
        let mut seen = HashSet::new();
        let in_accounts = options.accounts.iter().flat_map(|account| &account.users);
        for user in authorization.users.iter().chain(in_accounts) {
            if seen.insert(user.name()) {
                continue;
            }
            let kind = match user.credential {
                UserCredential::Password { .. } => "user",
                UserCredential::Nkey(_) => "nkey",
            };
            let global = &*user.account == GLOBAL_ACCOUNT;
            let at = if global {
                &self.authorization
            } else {
                &self.account_users
            };
            report.errors.extend(
                at.as_ref()
                    .map(|at| at.error(format!("Duplicate {kind} {:?} detected", user.name()))),
            );
        }
    }
}
