use std::{path::Path, time::Duration};

use jetsled_auth::jwt::{AccountClaims, OperatorClaims, undecorate};
use jetsled_auth::{PublicKeyKind, is_public_nkey};

use crate::{
    ConfigError, DeletePolicy, Environment, Options, ResolverOptions, duration,
    language::{Kind, Map, Value},
    reader::{Field, Report, each_field},
    unsupported::Block,
};

/// Time that a look-up of an account may take.
const FETCH_TIMEOUT: Duration = Duration::from_millis(1900);
/// Time between synchronisations of a full resolver.
const SYNC_INTERVAL: Duration = Duration::from_secs(60);
/// Accounts that a cache keeps, and how long (observed nats-server 2.15.1).
const CACHE_LIMIT: usize = 1000;
const CACHE_TTL: Duration = Duration::from_secs(10 * 60);

/// Reads what belongs to operator mode.
pub(crate) fn read(
    name: &str,
    value: &Value,
    options: &mut Options,
    environment: &Environment<'_>,
    report: &mut Report,
) -> Result<Field, ConfigError> {
    let operator = &mut options.operator;
    match name {
        "operator" | "operators" | "root" | "roots" | "root_operator" | "root_operators" => {
            for source in value.strings("operators")? {
                let read = operator_claims(&source, environment)
                    .map_err(|reason| value.error(format!("error parsing operator JWT: {reason}")));
                if let Some((claims, token)) = report.keep(read) {
                    operator.operators.push(claims);
                    operator.operator_tokens.push(token);
                }
            }
        }
        "trusted" | "trusted_keys" => {
            operator.trusted_keys = value.strings("trusted")?;
            for (index, key) in operator.trusted_keys.iter().enumerate() {
                if !is_public_nkey(key, PublicKeyKind::Operator) {
                    let at = match &value.kind {
                        Kind::Array(entries) => entries.get(index).unwrap_or(value),
                        _ => value,
                    };
                    report.errors.push(at.error(format!(
                        "trust key {key:?} required to be a valid public operator nkey"
                    )));
                }
            }
        }
        "resolver" | "account_resolver" | "accounts_resolver" => {
            operator.resolver = Some(resolver(value, report)?);
        }
        "resolver_tls" => {
            each_field(
                Block::ResolverTls,
                value.map()?,
                report,
                |name, value, _| {
                    match name {
                        "ca_file" => operator.resolver_ca_file = value.filled()?.map(Into::into),
                        _ => return Ok(Field::Unknown),
                    }
                    Ok(Field::Read)
                },
            );
        }
        "resolver_preload" => preload(value, options, report)?,
        "resolver_pinned_accounts" => {
            operator.pinned_accounts = value
                .strings("resolver_pinned_accounts")?
                .into_iter()
                .collect();
        }
        "default_sentinel" => operator.default_sentinel = value.filled()?,
        _ => return Ok(Field::Unknown),
    }
    Ok(Field::Read)
}

/// What follows from an operator's claims unless the file says otherwise.
pub(crate) fn take_defaults(options: &mut Options, system_account_is_configured: bool) {
    let [only] = &options.operator.operators[..] else {
        return;
    };
    let url = &only.nats.account_server_url;
    if options.operator.resolver.is_none() && url.contains("://") {
        let url = format!("{}/accounts", url.trim_end_matches('/'));
        options.operator.resolver = Some(ResolverOptions::Url(url));
    }
    let system = &only.nats.system_account;
    if !system_account_is_configured && !system.is_empty() && !options.no_system_account {
        options.system_account = Some(system.clone());
    }
}

/// An operator's claims and token; `source` is a file or the token itself.
fn operator_claims(
    source: &str,
    environment: &Environment<'_>,
) -> Result<(OperatorClaims, String), String> {
    let text = if source.starts_with("eyJ") {
        source.to_owned()
    } else {
        (environment.read_file)(Path::new(source)).map_err(|error| {
            let reason = match error.kind() {
                std::io::ErrorKind::NotFound => "no such file or directory".to_owned(),
                _ => error.to_string(),
            };
            format!("open {source}: {reason}")
        })?
    };
    let token = undecorate(&text);
    let claims = OperatorClaims::decode(token).map_err(|error| error.to_string())?;
    claims.validate().map_err(|error| error.to_string())?;
    Ok((claims, token.to_owned()))
}

fn preload(value: &Value, options: &mut Options, report: &mut Report) -> Result<(), ConfigError> {
    let Kind::Map(map) = &value.kind else {
        return Err(value.error("preload should be a map of account_public_key:account_jwt"));
    };
    for (key, token) in map.iter() {
        let Kind::String(token_text) = &token.kind else {
            let text = "preload map value should be a string JWT";
            report.errors.push(token.error(text));
            continue;
        };
        match AccountClaims::decode(token_text) {
            Ok(_) => {
                let preload = &mut options.operator.preload;
                preload.insert(key.to_owned(), token_text.clone());
            }
            Err(_) => report.errors.push(token.error("invalid account JWT")),
        }
    }
    Ok(())
}

fn resolver(value: &Value, report: &mut Report) -> Result<ResolverOptions, ConfigError> {
    let wrong = || {
        value.error(
            "error parsing account resolver, should be MEM or  URL(\"url\") or a map containing dir and type state=[FULL|CACHE])",
        )
    };
    match &value.kind {
        Kind::String(text) if text.to_uppercase().contains("MEM") => Ok(ResolverOptions::Memory),
        Kind::String(text) => {
            let url = url_argument(text).ok_or_else(wrong)?;
            if url.starts_with("http://") || url.starts_with("https://") {
                Ok(ResolverOptions::Url(url.to_owned()))
            } else {
                Err(value.error(format!("error parsing account resolver url [{url:?}]")))
            }
        }
        Kind::Map(map) => directory(value, map, report)?.ok_or_else(wrong),
        other => Err(value.error(format!(
            "error parsing operator resolver, wrong type {}",
            other.go_type()
        ))),
    }
}

/// `URL("http://...")`, with or without the quotes.
fn url_argument(text: &str) -> Option<&str> {
    let (word, argument) = text.trim().split_at_checked(3)?;
    let inner = argument.trim().strip_prefix('(')?.strip_suffix(')')?;
    word.eq_ignore_ascii_case("URL")
        .then(|| inner.trim().trim_matches('"').trim())
}

/// What a resolver's map says.
#[derive(Default)]
struct Directory {
    kind: String,
    dir: String,
    allow_delete: bool,
    hard_delete: Option<bool>,
    limit: i64,
    ttl: Duration,
    interval: Duration,
    timeout: Option<Duration>,
}

/// `None` for a type that does not exist.
fn directory(
    value: &Value,
    map: &Map,
    report: &mut Report,
) -> Result<Option<ResolverOptions>, ConfigError> {
    let time = |value: &Value| {
        let text = value.string()?;
        duration::parse(text)
            .map_err(|error| value.error(error.to_string()))
            .map(|time| {
                if time.negative {
                    Duration::ZERO
                } else {
                    time.magnitude
                }
            })
    };
    let mut read = Directory::default();
    each_field(Block::Resolver, map, report, |name, value, _| {
        match name {
            "type" => read.kind = value.owned()?,
            "dir" => read.dir = value.owned()?,
            "allow_delete" => read.allow_delete = value.boolean()?,
            "hard_delete" => read.hard_delete = Some(value.boolean()?),
            "limit" => read.limit = value.integer()?,
            "ttl" => read.ttl = time(value)?,
            "interval" => read.interval = time(value)?,
            "timeout" => read.timeout = Some(time(value)?),
            _ => return Ok(Field::Unknown),
        }
        Ok(Field::Read)
    });
    let mut refuse = |text: &str| report.errors.push(value.error(text));
    let kind = read.kind.to_uppercase();
    if matches!(kind.as_str(), "CACHE" | "FULL") {
        let path = Path::new(&read.dir);
        if read.dir.is_empty() {
            refuse("dir has no value and needs to point to a directory");
        } else if path.exists() && !path.is_dir() {
            refuse("dir needs to point to an accessible directory");
        }
    }
    let timeout = read.timeout.unwrap_or(FETCH_TIMEOUT);
    let or_default = |time: Duration, default| if time.is_zero() { default } else { time };
    let limit = usize::try_from(read.limit).ok().filter(|limit| *limit > 0);
    Ok(match kind.as_str() {
        "CACHE" => {
            if !read.interval.is_zero() {
                refuse("CACHE does not accept sync");
            }
            if read.allow_delete {
                refuse("CACHE does not accept allow_delete");
            }
            if read.hard_delete.is_some() {
                refuse("CACHE does not accept hard_delete");
            }
            Some(ResolverOptions::Cache {
                dir: read.dir.into(),
                limit: limit.unwrap_or(CACHE_LIMIT),
                ttl: or_default(read.ttl, CACHE_TTL),
                timeout,
            })
        }
        "FULL" => {
            if !read.ttl.is_zero() {
                refuse("FULL does not accept ttl");
            }
            if read.hard_delete.is_some() && !read.allow_delete {
                refuse("hard_delete has no effect without delete");
            }
            Some(ResolverOptions::Full {
                dir: read.dir.into(),
                delete: match (read.allow_delete, read.hard_delete) {
                    (false, _) => DeletePolicy::Refuse,
                    (true, Some(true)) => DeletePolicy::Remove,
                    (true, _) => DeletePolicy::Rename,
                },
                limit,
                interval: or_default(read.interval, SYNC_INTERVAL),
                timeout,
            })
        }
        "MEM" | "MEMORY" => Some(ResolverOptions::Memory),
        _ => None,
    })
}
