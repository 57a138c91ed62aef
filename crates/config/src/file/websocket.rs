//! The `websocket` block.

use std::time::Duration;

use jetsled_auth::Secret;

use super::{authorization, tls, top_level};
use crate::{
    ConfigError, Environment, Port, WebsocketOptions, duration,
    language::{Kind, Value},
    reader::{Field, Report, each_field},
    unsupported::Block,
};

/// Reads the block; `None` if it has no port, which switches it off.
pub(crate) fn read(
    value: &Value,
    environment: &Environment<'_>,
    report: &mut Report,
) -> Result<Option<WebsocketOptions>, ConfigError> {
    let Kind::Map(map) = &value.kind else {
        return Err(value.error(format!(
            "Expected websocket to be a map, got {}",
            value.kind.go_type()
        )));
    };
    let mut websocket = WebsocketOptions::new(Port::Random);
    let mut given_port = None;
    let default_host = websocket.host.clone();
    each_field(Block::Websocket, map, report, |name, value, report| {
        match name {
            "listen" => {
                let (host, port) = top_level::listen(value)?;
                websocket.host = host.unwrap_or_else(|| default_host.clone());
                given_port = port;
            }
            "port" => given_port = top_level::port(value)?,
            "host" | "net" => {
                websocket.host = value.filled()?.unwrap_or_else(|| default_host.clone());
            }
            "advertise" => websocket.advertise = value.filled()?,
            "no_tls" => websocket.no_tls = value.boolean()?,
            "tls" => websocket.tls = Some(tls::read(value, environment, report)?),
            "same_origin" => websocket.same_origin = value.boolean()?,
            "allowed_origins" | "allowed_origin" | "allow_origins" | "allow_origin" | "origins"
            | "origin" => websocket.allowed_origins = value.strings("allowed origins")?,
            "handshake_timeout" => websocket.handshake_timeout = handshake_timeout(value)?,
            "compress" | "compression" => websocket.compression = value.boolean()?,
            "authorization" | "authentication" => authorize(value, &mut websocket, report)?,
            "jwt_cookie" => websocket.cookies.jwt = value.filled()?,
            "user_cookie" => websocket.cookies.user = value.filled()?,
            "pass_cookie" => websocket.cookies.password = value.filled()?,
            "token_cookie" => websocket.cookies.token = value.filled()?,
            "no_auth_user" => websocket.no_auth_user = value.filled()?,
            "headers" => headers(value, &mut websocket, report)?,
            "ping_interval" => websocket.ping_interval = value.duration(name, report)?,
            _ => return Ok(Field::Unknown),
        }
        Ok(Field::Read)
    });
    Ok(given_port.map(|port| WebsocketOptions { port, ..websocket }))
}

fn handshake_timeout(value: &Value) -> Result<Option<Duration>, ConfigError> {
    let time = match &value.kind {
        Kind::Integer(seconds) => Duration::from_secs(u64::try_from(*seconds).unwrap_or(0)),
        Kind::String(text) => {
            let time = duration::parse(text).map_err(|error| value.error(error.to_string()))?;
            if time.negative {
                Duration::ZERO
            } else {
                time.magnitude
            }
        }
        other => {
            return Err(value.error(format!(
                "error parsing handshake timeout: unsupported type {}",
                other.go_type()
            )));
        }
    };
    Ok((!time.is_zero()).then_some(time))
}

fn authorize(
    value: &Value,
    websocket: &mut WebsocketOptions,
    report: &mut Report,
) -> Result<(), ConfigError> {
    each_field(
        Block::WebsocketAuthorization,
        value.map()?,
        report,
        |name, value, report| {
            match name {
                "user" | "username" => websocket.user = value.filled()?,
                "pass" | "password" => websocket.password = value.filled()?.map(Secret::new),
                "token" => websocket.token = value.filled()?.map(Secret::new),
                "timeout" => websocket.auth_timeout = authorization::timeout(value, report)?,
                _ => return Ok(Field::Unknown),
            }
            Ok(Field::Read)
        },
    );
    Ok(())
}

fn headers(
    value: &Value,
    websocket: &mut WebsocketOptions,
    report: &mut Report,
) -> Result<(), ConfigError> {
    let Kind::Map(map) = &value.kind else {
        return Err(value.error(format!(
            "error parsing headers: unsupported type {}",
            value.kind.go_type()
        )));
    };
    for (name, value) in map.iter() {
        match &value.kind {
            Kind::String(text) => {
                websocket.headers.insert(name.to_owned(), text.clone());
            }
            other => report.errors.push(value.error(format!(
                "error parsing header key {name}: unsupported type {}",
                other.go_type()
            ))),
        }
    }
    Ok(())
}
