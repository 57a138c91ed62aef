//! Accounts' tokens from a web server: `GET <url>/<account>`.

use std::path::Path;
use std::time::Duration;

use hyper::StatusCode;
use hyper::body::Bytes;

use crate::http_client::{HttpClient, HttpClientError};

/// Time for one answer (observed nats-server 2.15.1).
const TIMEOUT: Duration = Duration::from_millis(1900);

/// Bytes of a token at most.
const MAX_BYTES: usize = 1 << 20;

/// A web server that has tokens.
#[derive(Debug)]
pub(super) struct HttpSource {
    base: String,
    client: HttpClient,
}

/// Why a web server has not given a token.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// Not a URL that can be fetched.
    #[error("could not use account resolver url {0:?}")]
    Url(String),
    /// A root certificate could not be read.
    #[error("error reading {path}: {reason}")]
    Roots {
        /// The file.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The connection failed.
    #[error("could not fetch <{url}>: {reason}")]
    Connection {
        /// What was asked for.
        url: String,
        /// What went wrong.
        reason: String,
    },
    /// Another status than 200.
    #[error("could not fetch <{url}>: {status}")]
    Status {
        /// What was asked for.
        url: String,
        /// What came.
        status: StatusCode,
    },
}

impl HttpSource {
    /// `roots` verify an https server; `None` takes the system's.
    pub(super) fn new(base: &str, roots: Option<&Path>) -> Result<Self, HttpError> {
        let client = HttpClient::new(base, roots).map_err(|error| match error {
            HttpClientError::Url(url) => HttpError::Url(url),
            HttpClientError::Roots { path, reason } => HttpError::Roots { path, reason },
        })?;
        Ok(Self {
            base: base.trim_end_matches('/').to_owned(),
            client,
        })
    }

    /// Whether there is anything at the URL.
    pub(super) async fn check(&self) -> Result<(), HttpError> {
        self.get(format!("{}/", self.base)).await.map(drop)
    }

    pub(super) async fn fetch(&self, account: &str) -> Result<String, HttpError> {
        let url = format!("{}/{account}", self.base);
        let body = self.get(url.clone()).await?;
        String::from_utf8(body.into()).map_err(|_| HttpError::Connection {
            url,
            reason: "not a token".to_owned(),
        })
    }

    async fn get(&self, url: String) -> Result<Bytes, HttpError> {
        let failed = |reason: String| HttpError::Connection {
            url: url.clone(),
            reason,
        };
        let answer = tokio::time::timeout(TIMEOUT, self.client.get(&url, MAX_BYTES))
            .await
            .map_err(|_| failed("timeout".to_owned()))?;
        match answer.map_err(|error| failed(error.to_string()))? {
            (StatusCode::OK, body) => Ok(body),
            (status, _) => Err(HttpError::Status {
                url: url.clone(),
                status,
            }),
        }
    }
}
