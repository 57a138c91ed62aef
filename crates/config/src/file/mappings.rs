//! Subject mappings of an account.

use jetsled_protocol::{MappingDestination, MappingError, SubjectMapping, subject};

use crate::{
    ConfigError, MappingOptions,
    language::{Kind, Value},
    reader::Report,
};

/// `mappings { source: destination ... }`
pub(crate) fn read(value: &Value, report: &mut Report) -> Result<Vec<MappingOptions>, ConfigError> {
    let mut mappings = Vec::new();
    for (source, entry) in value.map()?.iter() {
        if !subject::is_valid(source.as_bytes()) {
            let text = format!("Subject {source:?} is not a valid subject");
            report.errors.push(value.error(text));
            continue;
        }
        if let Some(mapping) = mapping(source, entry, report) {
            mappings.push(mapping);
        }
    }
    Ok(mappings)
}

fn mapping(source: &str, entry: &Value, report: &mut Report) -> Option<MappingOptions> {
    let (destinations, what) = match &entry.kind {
        Kind::String(subject) => (
            vec![MappingDestination {
                subject: subject.clone(),
                weight: 100,
                cluster: String::new(),
            }],
            format!("{source:?} to {subject:?}"),
        ),
        Kind::Array(entries) => {
            let read = entries
                .iter()
                .filter_map(|entry| report.keep(destination(entry)));
            (read.collect(), format!("{source:?}"))
        }
        Kind::Map(_) => (
            vec![report.keep(destination(entry))?],
            format!("{source:?}"),
        ),
        _ => {
            report
                .errors
                .push(entry.error("Expected an entry for the mapping destination"));
            return None;
        }
    };
    if let Err(error) = SubjectMapping::new(source.as_bytes(), &destinations, "") {
        let error: MappingError = error;
        report
            .errors
            .push(entry.error(format!("Error adding mapping for {what} : {error}")));
        return None;
    }
    Some(MappingOptions {
        source: source.to_owned(),
        destinations,
    })
}

/// `{ destination, weight, cluster }`
fn destination(entry: &Value) -> Result<MappingDestination, ConfigError> {
    let Kind::Map(map) = &entry.kind else {
        return Err(entry.error("Expected an entry for the mapping destination"));
    };
    let (mut subject, mut weight, mut cluster) = (String::new(), None, String::new());
    for (key, value) in map.iter() {
        match key.to_lowercase().as_str() {
            "dest" | "destination" => subject = value.owned()?,
            "weight" => weight = Some(percent(value)?),
            "cluster" => cluster = value.owned()?,
            _ => {
                let text = format!("Unknown field {key:?} for mapping destination");
                return Err(value.error(text));
            }
        }
    }
    let Some(weight) = weight else {
        let text = format!("Missing weight for mapping destination {subject:?}");
        return Err(entry.error(text));
    };
    Ok(MappingDestination {
        subject,
        weight,
        cluster,
    })
}

fn percent(value: &Value) -> Result<u8, ConfigError> {
    let number = match &value.kind {
        Kind::Integer(number) => *number,
        Kind::String(text) => {
            let digits = text.strip_suffix('%').unwrap_or(text);
            digits.parse().map_err(|_| {
                value.error(format!("Invalid weight {digits:?} for mapping destination"))
            })?
        }
        other => return Err(value.error(format!("Unknown entry type for weight of {other}\n"))),
    };
    u8::try_from(number)
        .ok()
        .filter(|weight| *weight <= 100)
        .ok_or_else(|| value.error(format!("Invalid weight {number} for mapping destination")))
}
