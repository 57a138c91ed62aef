//! The listening socket and its HTTP connections.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use jetsled_config::{Options, TlsOptions};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::{AbortHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

use super::endpoint;
use super::query::Query;
use super::reply::Reply;
use crate::listener::{ListenError, Listener};
use crate::server::ServerState;
use crate::tls::TlsError;

/// HTTP connections at once; more wait to be accepted.
const MAX_CONNECTIONS: usize = 64;
/// How long a request's head may take.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a TLS handshake may take.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

/// The running monitoring listener. Dropping it ends it with its connections.
#[derive(Debug)]
pub(crate) struct Monitor {
    address: SocketAddr,
    is_https: bool,
    task: AbortHandle,
}

/// Monitoring could not be started.
#[derive(Debug, thiserror::Error)]
pub enum MonitorError {
    /// The socket could not be had.
    #[error("can't listen to the monitor port: {}", .0.reason())]
    Listen(#[from] ListenError),
    /// HTTPS cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

impl Monitor {
    /// Starts to serve, if a port is configured.
    pub(crate) async fn start(server: &Arc<ServerState>) -> Result<Option<Self>, MonitorError> {
        let options = server.options();
        let (port, tls) = match (
            options.monitor.http_port,
            options.monitor.https_port,
            &options.tls,
        ) {
            (_, Some(port), Some(tls)) => (port, Some(acceptor(tls)?)),
            (Some(port), ..) => (port, None),
            (None, ..) => return Ok(None),
        };
        let listener = Listener::bind(host(&options), port.to_bind()).await?;
        let is_https = tls.is_some();
        let scheme = if is_https { "https" } else { "http" };
        tracing::info!("Starting {scheme} monitor on {}", listener.name());
        let address = listener.address();
        let task = tokio::spawn(accept(listener.into_tcp(), tls, Arc::clone(server)));
        Ok(Some(Self {
            address,
            is_https,
            task: task.abort_handle(),
        }))
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http` or `https`.
    pub(crate) fn scheme(&self) -> &'static str {
        if self.is_https { "https" } else { "http" }
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn host(options: &Options) -> &str {
    options.monitor.host.as_deref().unwrap_or(&options.host)
}

/// Monitoring asks nobody for a certificate, whatever clients must show.
fn acceptor(tls: &TlsOptions) -> Result<TlsAcceptor, TlsError> {
    let tls = TlsOptions {
        verify: false,
        ..tls.clone()
    };
    Ok(TlsAcceptor::from(crate::tls::server_config(&tls)?))
}

async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, server: Arc<ServerState>) {
    let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else {
            return;
        };
        while connections.try_join_next().is_some() {}
        let tcp = match listener.accept().await {
            Ok((tcp, _)) => tcp,
            Err(error) => {
                // Out of file descriptors, most likely: give others time to close some.
                tracing::error!("Monitor Accept Error: {error}");
                tokio::time::sleep(Duration::from_millis(10)).await;
                continue;
            }
        };
        let (tls, server) = (tls.clone(), Arc::clone(&server));
        connections.spawn(async move {
            match tls {
                None => serve(tcp, server).await,
                Some(tls) => {
                    if let Ok(Ok(stream)) =
                        tokio::time::timeout(HANDSHAKE_TIMEOUT, tls.accept(tcp)).await
                    {
                        serve(stream, server).await;
                    }
                }
            }
            drop(permit);
        });
    }
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin, server: Arc<ServerState>) {
    let service = service_fn(|request| answer(request, Arc::clone(&server)));
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!("Monitor connection ended: {error}");
    }
}

async fn answer(
    request: Request<Incoming>,
    server: Arc<ServerState>,
) -> Result<Response<Full<Bytes>>, std::convert::Infallible> {
    let gathered = tokio::task::spawn_blocking(move || {
        let query = Query::parse(request.uri().query().unwrap_or_default());
        endpoint::answer(request.uri().path(), &query, &server)
    })
    .await;
    let reply = gathered
        .unwrap_or_else(|_| Reply::text(StatusCode::INTERNAL_SERVER_ERROR, "internal error"));
    Ok(reply.into_response())
}
