//! From a configuration file's values to [`Options`]: one file a block, one match arm an option.

mod accounts;
mod auth_callout;
mod authorization;
mod cluster;
mod jetstream;
mod leafnodes;
mod mappings;
mod message_trace;
mod monitoring;
mod operator;
mod permissions;
mod proxies;
mod sharing;
mod tls;
mod top_level;
mod websocket;

use std::path::Path;

use crate::{
    ConfigError, ConfigErrors, Environment, Options, Warning, digest,
    language::{self, Map},
    reader::Report,
};

/// Where blocks with a port and no host listen.
const ANY_HOST: &str = "0.0.0.0";

/// Reads a file over `options`.
///
/// # Errors
/// Everything that is wrong with the file, but only the first thing if its syntax is.
pub(crate) fn read(
    path: &Path,
    options: &mut Options,
    environment: &Environment<'_>,
) -> Result<FileFacts, ConfigErrors> {
    let map = language::parse_file(path, environment).map_err(|error| {
        ConfigErrors(vec![ConfigError {
            position: None,
            text: error.to_string(),
        }])
    })?;
    options.config_file = Some(path.to_path_buf());
    options.config_digest = Some(digest::of(&map));
    let mut report = Report::default();
    if map.is_empty() {
        let text = format!("{}: config has no values or is empty", path.display());
        report.warnings.push(Warning {
            position: None,
            text,
        });
    }
    top_level::read(&map, options, environment, &mut report);
    let facts = FileFacts {
        mentions_jetstream: mentions_jetstream(&map),
        warnings: report.warnings,
    };
    if report.errors.is_empty() {
        Ok(facts)
    } else {
        Err(ConfigErrors(
            facts.warnings.into_iter().chain(report.errors).collect(),
        ))
    }
}

/// What else there is to know about a file that was read.
pub(crate) struct FileFacts {
    /// It has a `jetstream` entry, whatever it says.
    pub(crate) mentions_jetstream: bool,
    pub(crate) warnings: Vec<Warning>,
}

fn mentions_jetstream(map: &Map) -> bool {
    map.iter()
        .any(|(key, _)| key.eq_ignore_ascii_case("jetstream"))
}

#[cfg(test)]
mod tests;
