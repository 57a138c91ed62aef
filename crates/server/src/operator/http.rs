//! Accounts' tokens from a web server: `GET <url>/<account>`.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::{Request, StatusCode, Uri, header};
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Time for one answer (observed nats-server 2.15.1).
const TIMEOUT: Duration = Duration::from_millis(1900);

/// Bytes of a token at most.
const MAX_BYTES: usize = 1 << 20;

/// A web server that has tokens.
pub(super) struct HttpSource {
    base: String,
    host: String,
    port: u16,
    tls: Option<TlsConnector>,
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

impl std::fmt::Debug for HttpSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpSource")
            .field("host", &self.host)
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}

impl HttpSource {
    /// `roots` verify an https server; `None` takes the system's.
    pub(super) fn new(base: &str, roots: Option<&Path>) -> Result<Self, HttpError> {
        let wrong = || HttpError::Url(base.to_owned());
        let uri: Uri = base.parse().map_err(|_| wrong())?;
        let is_tls = uri.scheme_str() == Some("https");
        let host = uri.host().ok_or_else(wrong)?.trim_matches(['[', ']']);
        let port = uri.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
        let tls = is_tls.then(|| connector(roots)).transpose()?;
        Ok(Self {
            base: base.trim_end_matches('/').to_owned(),
            host: host.to_owned(),
            port,
            tls,
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
        let answer = tokio::time::timeout(TIMEOUT, self.try_get(&url))
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

    async fn try_get(&self, url: &str) -> Result<(StatusCode, Bytes), BoxError> {
        let tcp = TcpStream::connect((self.host.as_str(), self.port)).await?;
        match &self.tls {
            None => exchange(tcp, url).await,
            Some(connector) => {
                let name = ServerName::try_from(self.host.clone())?;
                exchange(connector.connect(name, tcp).await?, url).await
            }
        }
    }
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    url: &str,
) -> Result<(StatusCode, Bytes), BoxError> {
    let uri: Uri = url.parse()?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let authority = uri.authority().map(ToString::to_string).unwrap_or_default();
    let path = uri
        .path_and_query()
        .map_or("/", |path| path.as_str())
        .to_owned();
    let request = Request::get(path)
        .header(header::HOST, authority)
        .body(Empty::<Bytes>::new())?;
    let response = sender.send_request(request).await?;
    let status = response.status();
    let body = Limited::new(response.into_body(), MAX_BYTES)
        .collect()
        .await?
        .to_bytes();
    connection.abort();
    Ok((status, body))
}

fn connector(roots: Option<&Path>) -> Result<TlsConnector, HttpError> {
    let mut store = RootCertStore::empty();
    match roots {
        Some(path) => {
            let failed = |reason: String| HttpError::Roots {
                path: path.display().to_string(),
                reason,
            };
            let certificates =
                CertificateDer::pem_file_iter(path).map_err(|error| failed(error.to_string()))?;
            for certificate in certificates {
                let certificate = certificate.map_err(|error| failed(error.to_string()))?;
                store
                    .add(certificate)
                    .map_err(|error| failed(error.to_string()))?;
            }
        }
        None => {
            store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| HttpError::Url(error.to_string()))?
        .with_root_certificates(store)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}
