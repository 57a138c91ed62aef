//! `exports` and `imports` of an account.

use jetsled_auth::{
    Audience, Exchange, Export, ExportKind, Import, LatencySampling, LatencyTracking, LocalSubject,
    ResponseType, ServiceExport, ServiceImport, Sharing, StreamImport,
};

use crate::{
    AccountOptions, ConfigError, duration,
    language::{Kind, Map, Value},
    reader::{Field, Report, each_field},
    unsupported::Block,
};

/// `exports [ ... ]`
pub(crate) fn exports(value: &Value, report: &mut Report) -> Result<Vec<Export>, ConfigError> {
    let Kind::Array(entries) = &value.kind else {
        let got = value.kind.go_type();
        return Err(value.error(format!("Exports should be an array, got {got}")));
    };
    let mut exports = Vec::new();
    for entry in entries {
        let Kind::Map(map) = &entry.kind else {
            let got = entry.kind.go_type();
            let text = format!("Export Items should be a map with type entry, got {got}");
            report.errors.push(entry.error(text));
            continue;
        };
        exports.extend(export(map, report));
    }
    Ok(exports)
}

fn export(map: &Map, report: &mut Report) -> Option<Export> {
    let (mut stream, mut service) = (None, None);
    let mut audience = Audience::default();
    let mut answers = ServiceExport::default();
    // What only a service may have.
    let mut of_service: Option<(&'static str, &Value)> = None;
    each_field(Block::Export, map, report, |name, value, _| {
        match name {
            "stream" if service.is_some() => {
                return Err(value.error(format!(
                    "Detected stream {:?} but already saw a service",
                    value.kind.to_string()
                )));
            }
            "service" if stream.is_some() => {
                return Err(value.error(format!(
                    "Detected service {:?} but already saw a stream",
                    value.kind.to_string()
                )));
            }
            "stream" => stream = Some(named(value, "stream name")?),
            "service" => service = Some(named(value, "service name")?),
            "response" | "response_type" => {
                of_service = Some(("response", value));
                let word = named(value, "response type")?;
                answers.response_type = match word.to_lowercase().as_str() {
                    "single" | "singleton" => ResponseType::Singleton,
                    "stream" => ResponseType::Stream,
                    "chunk" | "chunked" => ResponseType::Chunked,
                    _ => return Err(value.error(format!("Unknown response type: {word:?}"))),
                };
            }
            "threshold" | "response_threshold" | "response_max_time" | "response_time" => {
                of_service = Some(("response", value));
                let expected = "Expected response threshold to be a parseable time duration, got";
                let Kind::String(text) = &value.kind else {
                    return Err(value.error(format!("{expected} {}", value.kind.go_type())));
                };
                match duration::parse(text) {
                    Ok(time) if time.negative => {
                        return Err(value.error("response threshold is negative"));
                    }
                    Ok(time) if time.magnitude.is_zero() => {}
                    Ok(time) => answers.response_threshold = time.magnitude,
                    Err(_) => return Err(value.error(format!("{expected} {text:?}"))),
                }
            }
            "latency" => {
                of_service = Some(("latency", value));
                answers.latency = Some(latency(value)?);
            }
            "allow_trace" => {
                of_service = Some(("allow_trace", value));
                answers.allow_trace = value.boolean()?;
            }
            "accounts" => {
                for account in value.array()? {
                    audience.accounts.push(account.string()?.into());
                }
            }
            "account_token_position" => {
                audience.account_token_position = value.count("account_token_position")?;
            }
            _ => return Ok(Field::Unknown),
        }
        Ok(Field::Read)
    });
    let (subject, kind) = match (stream, service) {
        (Some(subject), _) => {
            if let Some((what, value)) = of_service {
                let text = format!("Detected {what} directive on non-service");
                report.errors.push(value.error(text));
            }
            (subject, ExportKind::Stream)
        }
        (None, Some(subject)) => (subject, ExportKind::Service(answers)),
        (None, None) => return None,
    };
    Some(Export {
        subject,
        kind,
        audience,
    })
}

fn named(value: &Value, what: &str) -> Result<String, ConfigError> {
    match &value.kind {
        Kind::String(text) => Ok(text.clone()),
        other => Err(value.error(format!(
            "Expected {what} to be string, got {}",
            other.go_type()
        ))),
    }
}

/// `latency: subject` or `latency { sampling, subject }`
fn latency(value: &Value) -> Result<LatencyTracking, ConfigError> {
    let map = match &value.kind {
        Kind::String(subject) => {
            return Ok(LatencyTracking {
                subject: subject.clone(),
                sampling: LatencySampling::Percent(100),
            });
        }
        Kind::Map(map) => map,
        other => {
            return Err(value.error(format!(
                "Expected latency entry to be a map/struct or string, got {}",
                other.go_type()
            )));
        }
    };
    let field = |name: &str| {
        map.iter()
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value)
    };
    let sampling = match field("sampling") {
        None => LatencySampling::Percent(100),
        Some(value) => sampling(value)?,
    };
    let Some(subject) = field("subject") else {
        return Err(value.error("Latency subject required, but missing"));
    };
    let Kind::String(subject) = &subject.kind else {
        return Err(subject.error("Expected latency subject to be a string, got string"));
    };
    Ok(LatencyTracking {
        subject: subject.clone(),
        sampling,
    })
}

fn sampling(value: &Value) -> Result<LatencySampling, ConfigError> {
    let percent = match &value.kind {
        Kind::Integer(percent) => *percent,
        Kind::String(text) if text.trim().eq_ignore_ascii_case("headers") => {
            return Ok(LatencySampling::Headers);
        }
        Kind::String(text) => {
            let digits = text.strip_suffix('%').unwrap_or(text);
            digits.parse().map_err(|_| {
                value.error(format!(
                    "Failed to parse latency sample: strconv.Atoi: parsing {digits:?}: invalid syntax"
                ))
            })?
        }
        other => {
            return Err(value.error(format!(
                "Expected latency sample to be a string or map/struct, got {}",
                other.go_type()
            )));
        }
    };
    match u8::try_from(percent) {
        Ok(percent @ 1..=100) => Ok(LatencySampling::Percent(percent)),
        _ => Err(value.error("bad sampling percentage, should be 1-100")),
    }
}

/// `imports [ ... ]`
pub(crate) fn imports(value: &Value, report: &mut Report) -> Result<Vec<Import>, ConfigError> {
    let Kind::Array(entries) = &value.kind else {
        let got = value.kind.go_type();
        return Err(value.error(format!("Imports should be an array, got {got}")));
    };
    let mut imports: Vec<Import> = Vec::new();
    for entry in entries {
        let Kind::Map(map) = &entry.kind else {
            let got = entry.kind.go_type();
            let text = format!("Import Items should be a map with type entry, got {got}");
            report.errors.push(entry.error(text));
            continue;
        };
        let Some(import) = import(map, report) else {
            continue;
        };
        if let Import::Service(service) = &import
            && let Some(known) = imports.iter().find_map(|known| match known {
                Import::Service(known)
                    if known.to == service.to && known.account == service.account =>
                {
                    Some(known)
                }
                _ => None,
            })
        {
            report.errors.push(entry.error(format!(
                "Duplicate service import subject {:?}, previously used in import for account {:?}, subject {:?}",
                service.to, known.account, known.subject
            )));
            continue;
        }
        imports.push(import);
    }
    Ok(imports)
}

fn import(map: &Map, report: &mut Report) -> Option<Import> {
    let (mut stream, mut service) = (None, None);
    let (mut prefix, mut to, mut share) = (None, None, false);
    let mut allow_trace: Option<(bool, &Value)> = None;
    each_field(Block::Import, map, report, |name, value, report| {
        match name {
            "stream" if service.is_some() => {
                return Err(value.error("Detected stream but already saw a service"));
            }
            "service" if stream.is_some() => {
                return Err(value.error("Detected service but already saw a stream"));
            }
            "stream" => stream = Some(origin(value, "Stream", report)?),
            "service" => service = Some(origin(value, "Service", report)?),
            "prefix" => prefix = value.filled()?,
            "to" => to = value.filled()?.map(|to| (to, value)),
            "share" => share = value.boolean()?,
            "allow_trace" => allow_trace = Some((value.boolean()?, value)),
            _ => return Ok(Field::Unknown),
        }
        Ok(Field::Read)
    });
    if let Some((account, subject)) = stream {
        let local = match (prefix, to) {
            (Some(_), Some((_, value))) => {
                let text = "Stream import can not have a 'prefix' and a 'to' property";
                report.errors.push(value.error(text));
                return None;
            }
            (Some(prefix), None) => LocalSubject::Prefix(prefix),
            (None, Some((to, _))) => LocalSubject::To(to),
            (None, None) => LocalSubject::Same,
        };
        return Some(Import::Stream(StreamImport {
            account: account.into(),
            subject,
            local,
            allow_trace: allow_trace.is_some_and(|(allow, _)| allow),
            is_activated: false,
        }));
    }
    let (account, subject) = service?;
    if let Some((_, value)) = allow_trace {
        let text = "Detected allow_trace directive on a non-stream";
        report.errors.push(value.error(text));
    }
    Some(Import::Service(ServiceImport {
        account: account.into(),
        to: to.map_or_else(|| subject.clone(), |(to, _)| to),
        subject,
        share,
        is_activated: false,
    }))
}

/// `{ account, subject }`
fn origin(value: &Value, what: &str, report: &mut Report) -> Result<(String, String), ConfigError> {
    let Kind::Map(map) = &value.kind else {
        return Err(value.error(format!(
            "{what} entry should be an account map, got {}",
            value.kind.go_type()
        )));
    };
    let (mut account, mut subject) = (String::new(), String::new());
    each_field(Block::Import, map, report, |name, value, _| {
        match name {
            "account" => account = value.owned()?,
            "subject" => subject = value.owned()?,
            _ => return Ok(Field::Unknown),
        }
        Ok(Field::Read)
    });
    if account.is_empty() || subject.is_empty() {
        return Err(value.error("Expect an account name and a subject"));
    }
    Ok((account, subject))
}

/// Checks what all accounts share against each other; `value` is the block that they stand in.
pub(crate) fn check(
    value: &Value,
    accounts: &[AccountOptions],
    no_system_account: bool,
    report: &mut Report,
) {
    if !report.errors.is_empty() {
        return;
    }
    let sharing = accounts
        .iter()
        .map(|account| (&account.name, &account.sharing));
    let (_, errors) = Exchange::build(sharing);
    for error in errors {
        report.errors.push(value.error(error.to_string()));
    }
    for export in accounts.iter().flat_map(measured_services) {
        if no_system_account {
            report.errors.push(value.error(format!(
                "Error adding service latency sampling for {export:?}: system account not setup"
            )));
        }
    }
}

fn measured_services(account: &AccountOptions) -> impl Iterator<Item = &str> {
    let Sharing { exports, .. } = &account.sharing;
    exports.iter().filter_map(|export| match &export.kind {
        ExportKind::Service(service) if service.latency.is_some() => Some(export.subject.as_str()),
        _ => None,
    })
}
