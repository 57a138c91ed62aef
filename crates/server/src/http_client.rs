//! Asking other servers by HTTP and HTTPS.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::{Request, StatusCode, Uri, header};
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Whatever can go wrong on the way to another server.
pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// One server to ask. Each request has a connection of its own.
pub(crate) struct HttpClient {
    host: String,
    port: u16,
    tls: Option<TlsConnector>,
}

/// Why there can be no client.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HttpClientError {
    /// Not a URL of an HTTP server.
    #[error("{0:?} is not http://HOST[:PORT] or https://HOST[:PORT]")]
    Url(String),
    /// A root certificate could not be read.
    #[error("error reading {path}: {reason}")]
    Roots { path: String, reason: String },
}

impl std::fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpClient")
            .field("host", &self.host)
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}

impl HttpClient {
    /// `roots` verify an https server; `None` takes the system's.
    pub(crate) fn new(base: &str, roots: Option<&Path>) -> Result<Self, HttpClientError> {
        let wrong = || HttpClientError::Url(base.to_owned());
        let uri: Uri = base.parse().map_err(|_| wrong())?;
        let is_tls = uri.scheme_str() == Some("https");
        let host = uri.host().ok_or_else(wrong)?.trim_matches(['[', ']']);
        let port = uri.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
        let tls = is_tls.then(|| connector(roots)).transpose()?;
        Ok(Self {
            host: host.to_owned(),
            port,
            tls,
        })
    }

    /// The answer to a GET of a URL of this server, with a body of at most `max_bytes`. A `user:password@` in it becomes a login.
    pub(crate) async fn get(
        &self,
        url: &str,
        max_bytes: usize,
    ) -> Result<(StatusCode, Bytes), BoxError> {
        let tcp = TcpStream::connect((self.host.as_str(), self.port)).await?;
        match &self.tls {
            None => exchange(tcp, url, max_bytes).await,
            Some(connector) => {
                let name = ServerName::try_from(self.host.clone())?;
                exchange(connector.connect(name, tcp).await?, url, max_bytes).await
            }
        }
    }
}

/// The same for a program without a runtime, which waits for it.
pub(crate) fn get_and_wait(
    url: &str,
    max_bytes: usize,
    within: Duration,
) -> Result<(StatusCode, Bytes), BoxError> {
    let client = HttpClient::new(url, None)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        tokio::time::timeout(within, client.get(url, max_bytes))
            .await
            .map_err(|_| format!("no answer within {} s", within.as_secs()))?
    })
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    url: &str,
    max_bytes: usize,
) -> Result<(StatusCode, Bytes), BoxError> {
    let uri: Uri = url.parse()?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    let (login, host) = match authority.rsplit_once('@') {
        Some((login, host)) => (Some(login), host),
        None => (None, authority),
    };
    let path = uri
        .path_and_query()
        .map_or("/", |path| path.as_str())
        .to_owned();
    let mut request = Request::get(path).header(header::HOST, host);
    if let Some(login) = login {
        let basic = format!("Basic {}", STANDARD.encode(login));
        request = request.header(header::AUTHORIZATION, basic);
    }
    let request = request.body(Empty::<Bytes>::new())?;
    let response = sender.send_request(request).await?;
    let status = response.status();
    let body = Limited::new(response.into_body(), max_bytes)
        .collect()
        .await?
        .to_bytes();
    connection.abort();
    Ok((status, body))
}

fn connector(roots: Option<&Path>) -> Result<TlsConnector, HttpClientError> {
    let mut store = RootCertStore::empty();
    match roots {
        Some(path) => {
            let failed = |reason: String| HttpClientError::Roots {
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
        .map_err(|error| HttpClientError::Url(error.to_string()))?
        .with_root_certificates(store)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    #[test]
    fn a_login_in_the_url_is_sent_as_one() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let serving = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                request.push(byte[0]);
            }
            let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
            stream.write_all(answer).unwrap();
            String::from_utf8(request).unwrap()
        });
        let url = format!("http://me:s3cret@{address}/varz?x=1");
        let (status, body) = get_and_wait(&url, 10, Duration::from_secs(10)).unwrap();
        assert_eq!((status, &body[..]), (StatusCode::OK, &b"ok"[..]));
        let expected = format!(
            "GET /varz?x=1 HTTP/1.1\r\nhost: {address}\r\nauthorization: Basic bWU6czNjcmV0\r\n\r\n"
        );
        assert_eq!(serving.join().unwrap(), expected);
    }
}
