use std::time::Duration;

use jetsled_auth::{PermissionSet, Permissions, ResponsePermission, SubjectPermission};

use crate::{
    ConfigError,
    language::{Kind, Map, Value},
    reader::{Field, Report, each_field},
    unsupported::Block,
};

/// Reads `permissions { publish, subscribe, allow_responses }`.
pub(crate) fn read(value: &Value, report: &mut Report) -> Result<Permissions, ConfigError> {
    let Kind::Map(map) = &value.kind else {
        return Err(value.error(format!(
            "Expected permissions to be a map/struct, got {}",
            value.kind
        )));
    };
    let mut permissions = Permissions::default();
    each_field(Block::Permissions, map, report, |name, value, report| {
        match name {
            "publish" | "pub" | "import" => {
                permissions.publish = lists(value, report, |lists| Permissions {
                    publish: Some(lists),
                    ..Permissions::default()
                })?;
            }
            "subscribe" | "sub" | "export" => {
                permissions.subscribe = lists(value, report, |lists| Permissions {
                    subscribe: Some(lists),
                    ..Permissions::default()
                })?;
            }
            "allow_responses" | "publish_allow_responses" => {
                permissions.responses = responses(value, report)?
            }
            _ => return Ok(Field::Unknown),
        }
        Ok(Field::Read)
    });
    Ok(permissions)
}

/// A subject, an array of subjects, or `{ allow, deny }`. Each list is checked where it stands.
fn lists(
    value: &Value,
    report: &mut Report,
    as_permissions: impl Fn(SubjectPermission) -> Permissions,
) -> Result<Option<SubjectPermission>, ConfigError> {
    let checked = |value: &Value| {
        let allow = subjects(value)?;
        let lists = SubjectPermission {
            allow: allow.clone(),
            deny: Vec::new(),
        };
        match PermissionSet::compile(&as_permissions(lists)) {
            Ok(_) => Ok(allow),
            Err(error) => Err(value.error(error.reason())),
        }
    };
    let Kind::Map(map) = &value.kind else {
        return Ok(Some(SubjectPermission {
            allow: checked(value)?,
            deny: Vec::new(),
        }));
    };
    let mut lists = SubjectPermission::default();
    for (key, value) in map.iter() {
        let list = match key.to_lowercase().as_str() {
            "allow" => &mut lists.allow,
            "deny" => &mut lists.deny,
            _ if value.used_as_variable => continue,
            _ => {
                report.errors.push(value.error(format!(
                    "Unknown field name {key:?} parsing subject permissions, only 'allow' or 'deny' are permitted"
                )));
                continue;
            }
        };
        *list = report.keep(checked(value)).unwrap_or_default();
    }
    Ok((!map.is_empty()).then_some(lists))
}

fn subjects(value: &Value) -> Result<Vec<String>, ConfigError> {
    match &value.kind {
        Kind::String(subject) => Ok(vec![subject.clone()]),
        Kind::Array(entries) => entries
            .iter()
            .map(|entry| match &entry.kind {
                Kind::String(subject) => Ok(subject.clone()),
                _ => Err(entry.error("Subject in permissions array cannot be cast to string")),
            })
            .collect(),
        other => Err(value.error(format!(
            "Expected subject permissions to be a subject, or array of subjects, got {}",
            other.go_type()
        ))),
    }
}

fn responses(
    value: &Value,
    report: &mut Report,
) -> Result<Option<ResponsePermission>, ConfigError> {
    match &value.kind {
        Kind::Bool(wanted) => Ok(wanted.then(ResponsePermission::default)),
        Kind::Map(map) => Ok(Some(response_limits(map, report))),
        _ => Err(value.error("error parsing response permissions, expected a boolean or a map")),
    }
}

/// Zero keeps a default, a negative value lifts the limit.
fn response_limits(map: &Map, report: &mut Report) -> ResponsePermission {
    let mut permission = ResponsePermission::default();
    each_field(Block::Permissions, map, report, |name, value, _| {
        match name {
            "max" | "max_msgs" | "max_messages" | "max_responses" => match value.integer()? {
                0 => {}
                ..0 => permission.max = None,
                _ => permission.max = Some(value.count(name)?),
            },
            "expires" | "expiration" | "ttl" => {
                let Kind::String(text) = &value.kind else {
                    return Err(value.error("error parsing expires, not a duration string"));
                };
                let time = crate::duration::parse(text)
                    .map_err(|error| value.error(format!("error parsing expires: {error}")))?;
                if time.negative {
                    permission.expires = None;
                } else if time.magnitude > Duration::ZERO {
                    permission.expires = Some(time.magnitude);
                }
            }
            _ => return Ok(Field::Unknown),
        }
        Ok(Field::Read)
    });
    permission
}
