//! The `monitoring` block, which nats-server does not have: who may ask the monitoring listener.

use jetsled_auth::Secret;

use crate::{
    ConfigError, MonitorLogin, MonitorOptions,
    language::{Kind, Value},
    reader::{Field, Report, each_field},
    unsupported::Block,
};

/// `monitoring { user: name, password: secret, message_peek: true }`
pub(crate) fn read(
    value: &Value,
    monitor: &mut MonitorOptions,
    report: &mut Report,
) -> Result<(), ConfigError> {
    let Kind::Map(map) = &value.kind else {
        let got = value.kind.go_type();
        return Err(value.error(format!("Expected monitoring to be a map, got {got}")));
    };
    let (mut user, mut password) = (None, None);
    each_field(Block::Monitoring, map, report, |name, value, _| {
        match name {
            "user" | "username" => user = value.filled()?,
            "pass" | "password" => password = value.filled()?.map(Secret::new),
            "message_peek" => monitor.message_peek = value.boolean()?,
            _ => return Ok(Field::Unknown),
        }
        Ok(Field::Read)
    });
    monitor.login = match (user, password) {
        (Some(user), _) if user.contains(':') => {
            return Err(value.error("monitoring user must not contain a colon"));
        }
        (Some(user), Some(password)) => Some(MonitorLogin { user, password }),
        (None, None) => None,
        _ => return Err(value.error("monitoring needs both a user and a password, or neither")),
    };
    Ok(())
}
