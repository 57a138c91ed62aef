//! Where accounts' tokens come from.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use jetsled_config::{DeletePolicy, OperatorOptions, ResolverOptions};

use super::directory::Directory;
use super::http::{HttpError, HttpSource};
use crate::internal_request;
use crate::server::ServerState;

/// Finds an account's token by the account's public key.
#[derive(Debug)]
pub(super) struct Resolver {
    /// `resolver_preload`: what a memory resolver has.
    preload: BTreeMap<String, String>,
    source: Source,
}

#[derive(Debug)]
enum Source {
    Memory,
    Http(HttpSource),
    Full(Arc<Directory>),
    Cache {
        directory: Arc<Directory>,
        timeout: Duration,
    },
}

/// Why no token was found.
#[derive(Debug, thiserror::Error)]
pub enum ResolverError {
    /// There is no such account.
    #[error("account missing")]
    Missing,
    /// The web server did not answer as it should.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The directory cannot be used.
    #[error("error in account resolver directory: {0}")]
    Directory(#[from] io::Error),
}

impl Resolver {
    pub(super) fn new(options: &OperatorOptions) -> Result<Self, ResolverError> {
        let source = match &options.resolver {
            None | Some(ResolverOptions::Memory) => Source::Memory,
            Some(ResolverOptions::Url(url)) => {
                let roots = options.resolver_ca_file.as_deref();
                Source::Http(HttpSource::new(url, roots)?)
            }
            Some(ResolverOptions::Full {
                dir, delete, limit, ..
            }) => Source::Full(Arc::new(Directory::open(dir, *delete, *limit, None)?)),
            Some(ResolverOptions::Cache {
                dir,
                limit,
                ttl,
                timeout,
            }) => Source::Cache {
                directory: Arc::new(Directory::open(
                    dir,
                    DeletePolicy::Refuse,
                    Some(*limit),
                    Some(*ttl),
                )?),
                timeout: *timeout,
            },
        };
        let resolver = Self {
            preload: options.preload.clone(),
            source,
        };
        resolver.store_preloaded();
        Ok(resolver)
    }

    /// The same source of tokens after a reload: who is at work with it and who comes later see the same ones. `options` name the same
    /// resolver.
    pub(super) fn reloaded(&self, options: &OperatorOptions) -> Result<Self, ResolverError> {
        let source = match &self.source {
            Source::Memory | Source::Http(_) => return Self::new(options),
            Source::Full(directory) => Source::Full(Arc::clone(directory)),
            Source::Cache { directory, timeout } => Source::Cache {
                directory: Arc::clone(directory),
                timeout: *timeout,
            },
        };
        if let Source::Full(directory) | Source::Cache { directory, .. } = &source {
            directory.reread()?;
        }
        let resolver = Self {
            preload: options.preload.clone(),
            source,
        };
        resolver.store_preloaded();
        Ok(resolver)
    }

    /// Preloaded tokens become part of a directory.
    fn store_preloaded(&self) {
        let (Source::Full(directory) | Source::Cache { directory, .. }) = &self.source else {
            return;
        };
        for (account, token) in &self.preload {
            if let Err(error) = directory.store(account, token) {
                tracing::warn!("preloaded account {account} not stored: {error}");
            }
        }
    }

    /// Checks that the source can be reached.
    pub(super) async fn check(&self) -> Result<(), ResolverError> {
        match &self.source {
            Source::Http(http) => Ok(http.check().await?),
            _ => Ok(()),
        }
    }

    /// The directory that requests may change.
    pub(super) fn full_directory(&self) -> Option<&Arc<Directory>> {
        match &self.source {
            Source::Full(directory) => Some(directory),
            _ => None,
        }
    }

    pub(super) async fn fetch(
        &self,
        server: &ServerState,
        account: &str,
    ) -> Result<String, ResolverError> {
        match &self.source {
            Source::Memory => self
                .preload
                .get(account)
                .cloned()
                .ok_or(ResolverError::Missing),
            Source::Http(http) => Ok(http.fetch(account).await?),
            Source::Full(directory) => load(directory, account).await,
            Source::Cache { directory, timeout } => {
                match load(directory, account).await {
                    Err(ResolverError::Missing) => {}
                    found => return found,
                }
                let token = ask(server, account, *timeout)
                    .await
                    .ok_or(ResolverError::Missing)?;
                if let Err(error) = directory.store(account, &token) {
                    tracing::debug!("account {account} not cached: {error}");
                }
                Ok(token)
            }
        }
    }
}

async fn load(directory: &Arc<Directory>, account: &str) -> Result<String, ResolverError> {
    let (directory, account) = (Arc::clone(directory), account.to_owned());
    tokio::task::spawn_blocking(move || directory.load(&account))
        .await
        .map_err(io::Error::other)??
        .ok_or(ResolverError::Missing)
}

/// Asks who else listens in the system account.
async fn ask(server: &ServerState, account: &str, within: Duration) -> Option<String> {
    let system = server.system()?;
    let subject = format!("$SYS.REQ.ACCOUNT.{account}.CLAIMS.LOOKUP");
    let reply = internal_request::request(system, subject.as_bytes(), b"", b"", within).await?;
    String::from_utf8(reply)
        .ok()
        .filter(|token| !token.is_empty())
}
