//! The listening socket and its HTTP connections.

use std::net::SocketAddr;
use std::sync::Arc;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::{Request, Response, StatusCode};
use jetsled_config::{Options, TlsOptions};
use tokio::task::AbortHandle;
use tokio_rustls::TlsAcceptor;

use super::access::{Asker, Refused};
use super::endpoint;
use super::reply::Reply;
use crate::http;
use crate::listener::{ListenError, Listener};
use crate::server::ServerState;
use crate::tls::TlsError;

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
        let server = Arc::clone(server);
        let answer = move |request| answer(request, Arc::clone(&server));
        let task = tokio::spawn(http::accept(listener.into_tcp(), tls, answer));
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

async fn answer(request: Request<Incoming>, server: Arc<ServerState>) -> Response<Full<Bytes>> {
    let gathered = tokio::task::spawn_blocking(move || {
        let uri = request.uri();
        let asker = match Asker::of(&request, &server) {
            Ok(asker) => asker,
            Err(Refused) => return Reply::unauthorized(),
        };
        endpoint::answer(uri.path(), uri.query(), &asker, &server)
    })
    .await;
    let reply = gathered
        .unwrap_or_else(|_| Reply::text(StatusCode::INTERNAL_SERVER_ERROR, "internal error"));
    reply.into_response()
}
