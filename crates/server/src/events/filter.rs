//! Which servers a request is for.

use serde::Deserialize;

use crate::server::ServerState;

/// What every request may say of the servers that should answer; absent is any.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Filter {
    server_name: String,
    cluster: String,
    host: String,
    exact_match: bool,
    tags: Vec<String>,
    domain: String,
}

impl Filter {
    /// Whether this server should answer.
    pub(super) fn admits(&self, server: &ServerState) -> bool {
        let options = server.options();
        let fits = |wanted: &str, value: &str| {
            wanted.is_empty()
                || if self.exact_match {
                    value == wanted
                } else {
                    value.contains(wanted)
                }
        };
        fits(&self.server_name, server.name())
            && fits(&self.host, &options.host)
            // This server runs alone.
            && fits(&self.cluster, "")
            && self.tags.iter().all(|tag| options.server_tags.contains(tag))
            && (self.domain.is_empty()
                || options.jetstream.domain.as_deref() == Some(self.domain.as_str()))
    }
}
