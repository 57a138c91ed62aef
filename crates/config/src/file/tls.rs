use std::{path::Path, time::Duration};

use crate::{
    ConfigError, CurvePreference, Environment, HandshakeFirst, TlsMinVersion, TlsOptions, duration,
    language::{Kind, Value, go_words},
    reader::{Field, Report, each_field},
    unsupported::Block,
};

/// The time that `handshake_first: auto` waits for the client's first byte.
const AUTO_FALLBACK: Duration = Duration::from_millis(50);

/// Reads a `tls` block of a listener.
///
/// # Errors
/// Of its fields, and if a file that it names can not be read.
pub(crate) fn read(
    value: &Value,
    environment: &Environment<'_>,
    report: &mut Report,
) -> Result<TlsOptions, ConfigError> {
    let (mut cert_file, mut key_file) = (None, None);
    let mut insecure_allowed = false;
    let mut insecure = Vec::new();
    let errors_before = report.errors.len();
    let mut tls = TlsOptions::new("", "");
    each_field(Block::Tls, value.map()?, report, |name, value, _| {
        match name {
            "cert_file" => cert_file = file(name, value)?,
            "key_file" => key_file = file(name, value)?,
            "ca_file" => tls.ca_file = file(name, value)?.map(Into::into),
            "verify" => tls.verify |= flag(name, value)?,
            "verify_and_map" => {
                tls.verify_and_map = flag(name, value)?;
                tls.verify |= tls.verify_and_map;
            }
            "pinned_certs" => {
                for entry in value.array()? {
                    let given = entry.string()?;
                    let digest = given.to_lowercase();
                    let is_digest =
                        digest.len() == 64 && digest.bytes().all(|byte| byte.is_ascii_hexdigit());
                    if !is_digest {
                        return Err(entry.error(format!(
                            "error parsing tls config, 'pinned_certs' key {given} does not look like hex-encoded sha256 of DER encoded SubjectPublicKeyInfo"
                        )));
                    }
                    tls.pinned_certs.insert(digest);
                }
            }
            "timeout" => {
                let time = value.seconds("error parsing tls config, 'timeout'")?;
                if !time.is_zero() {
                    tls.timeout = time;
                }
            }
            "allow_insecure_cipher_suites" => insecure_allowed = flag(name, value)?,
            "cipher_suites" => {
                tls.cipher_suites = names(name, value, |suite, at| {
                    let strength = cipher_suite(suite)
                        .ok_or_else(|| at.error(format!("unrecognized cipher {suite}")))?;
                    if strength == Strength::Insecure {
                        insecure.push(suite.to_owned());
                    }
                    Ok(suite.to_owned())
                })?;
            }
            "curve_preferences" => {
                tls.curve_preferences = names(name, value, |curve, at| {
                    CurvePreference::from_name(curve)
                        .ok_or_else(|| at.error(format!("unrecognized curve preference {curve}")))
                })?;
            }
            "min_version" => tls.min_version = min_version(value)?,
            "handshake_first" | "first" | "immediate" => {
                tls.handshake_first = handshake_first(name, value)?
            }
            _ => return Ok(Field::Unknown),
        }
        Ok(Field::Read)
    });
    if !insecure.is_empty() && !insecure_allowed {
        report.errors.push(value.error(format!(
            "insecure cipher suites configured without 'allow_insecure_cipher_suites' option set: {}",
            insecure.join(", ")
        )));
    }
    match (cert_file, key_file) {
        _ if report.errors.len() > errors_before => Ok(tls),
        (Some(cert_file), Some(key_file)) => {
            for path in [&cert_file, &key_file] {
                can_open(path, environment).map_err(|reason| {
                    value.error(format!("error parsing X509 certificate/key pair: {reason}"))
                })?;
            }
            if let Some(path) = tls.ca_file.as_ref().and_then(|path| path.to_str()) {
                can_open(path, environment).map_err(|reason| value.error(reason))?;
            }
            tls.cert_file = cert_file.into();
            tls.key_file = key_file.into();
            Ok(tls)
        }
        (None, Some(_)) => Err(value.error("missing 'cert_file' in TLS configuration")),
        (Some(_), None) => Err(value.error("missing 'key_file' in TLS configuration")),
        (None, None) => Err(value.error("missing 'cert_file' and 'key_file' in TLS configuration")),
    }
}

fn can_open(path: &str, environment: &Environment<'_>) -> Result<(), String> {
    match (environment.read_file)(Path::new(path)) {
        // What is in it is for those who use it.
        Err(error) if error.kind() != std::io::ErrorKind::InvalidData => {
            Err(format!("open {path}: {}", go_words(&error)))
        }
        _ => Ok(()),
    }
}

fn file(name: &str, value: &Value) -> Result<Option<String>, ConfigError> {
    match &value.kind {
        Kind::String(file) => Ok((!file.is_empty()).then(|| file.clone())),
        _ => Err(value.error(format!(
            "error parsing tls config, expected '{name}' to be filename"
        ))),
    }
}

fn flag(name: &str, value: &Value) -> Result<bool, ConfigError> {
    match value.kind {
        Kind::Bool(flag) => Ok(flag),
        _ => Err(value.error(format!(
            "error parsing tls config, expected '{name}' to be a boolean"
        ))),
    }
}

fn names<T>(
    name: &str,
    value: &Value,
    mut read: impl FnMut(&str, &Value) -> Result<T, ConfigError>,
) -> Result<Vec<T>, ConfigError> {
    let entries = value.array()?;
    if entries.is_empty() {
        return Err(value.error(format!(
            "error parsing tls config, '{name}' cannot be empty"
        )));
    }
    entries
        .iter()
        .map(|entry| read(entry.string()?, entry))
        .collect()
}

fn min_version(value: &Value) -> Result<TlsMinVersion, ConfigError> {
    match &value.kind {
        Kind::String(text) => match text.as_str() {
            "1.2" => Ok(TlsMinVersion::Tls12),
            "1.3" => Ok(TlsMinVersion::Tls13),
            "1.0" | "1.1" => Err(value.error(format!(
                "error parsing tls config: unsupported TLS version: TLS {text}"
            ))),
            _ => Err(value.error(format!("error parsing tls config: unknown version: {text}"))),
        },
        _ => Err(value.error("error parsing tls config: 'min_version' wrong type")),
    }
}

fn handshake_first(name: &str, value: &Value) -> Result<HandshakeFirst, ConfigError> {
    match &value.kind {
        Kind::Bool(true) => Ok(HandshakeFirst::Always),
        Kind::Bool(false) => Ok(HandshakeFirst::Never),
        Kind::String(text) => match text.to_lowercase().as_str() {
            "true" | "on" => Ok(HandshakeFirst::Always),
            "false" | "off" => Ok(HandshakeFirst::Never),
            "auto" | "auto_fallback" => Ok(HandshakeFirst::Fallback(AUTO_FALLBACK)),
            _ => match duration::parse(text) {
                Ok(time) if !time.negative => Ok(HandshakeFirst::Fallback(time.magnitude)),
                _ => Err(value.error(format!("field {name:?}'s value {text:?} is invalid"))),
            },
        },
        other => Err(value.error(format!(
            "field {name:?} should be a boolean or a string, got {}",
            other.go_type()
        ))),
    }
}

#[derive(PartialEq, Eq)]
enum Strength {
    Secure,
    Insecure,
}

/// Whether Go knows the suite, and what it thinks of it.
fn cipher_suite(name: &str) -> Option<Strength> {
    const SECURE: &[&str] = &[
        "TLS_AES_128_GCM_SHA256",
        "TLS_AES_256_GCM_SHA384",
        "TLS_CHACHA20_POLY1305_SHA256",
        "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA",
        "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA",
        "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA",
        "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA",
        "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
        "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
        "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
        "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
        "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
        "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
    ];
    const INSECURE: &[&str] = &[
        "TLS_RSA_WITH_RC4_128_SHA",
        "TLS_RSA_WITH_3DES_EDE_CBC_SHA",
        "TLS_RSA_WITH_AES_128_CBC_SHA",
        "TLS_RSA_WITH_AES_256_CBC_SHA",
        "TLS_RSA_WITH_AES_128_CBC_SHA256",
        "TLS_RSA_WITH_AES_128_GCM_SHA256",
        "TLS_RSA_WITH_AES_256_GCM_SHA384",
        "TLS_ECDHE_ECDSA_WITH_RC4_128_SHA",
        "TLS_ECDHE_RSA_WITH_RC4_128_SHA",
        "TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA",
        "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256",
        "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256",
    ];
    if SECURE.contains(&name) {
        Some(Strength::Secure)
    } else {
        INSECURE.contains(&name).then_some(Strength::Insecure)
    }
}
