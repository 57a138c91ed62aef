//! The debug listener: `/healthz`, `/readyz`, `/metrics`.

use std::sync::{Arc, Weak};

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, EXPIRES, HeaderName, HeaderValue, VARY,
};
use hyper::{Request, Response, StatusCode};
use jetsled_auth::Secret;
use jetsled_ocis::Debug;
use tokio::sync::SetOnce;
use tokio::task::AbortHandle;

use super::health::Check;
use crate::Server;
use crate::http;
use crate::listener::{ListenError, Listener};
use crate::monitor::metrics;
use crate::server::ServerState;

/// The running debug listener. Dropping it ends it with its connections.
#[derive(Debug)]
pub(super) struct DebugListener {
    pages: Arc<Pages>,
    task: AbortHandle,
}

/// The debug listener could not be started.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DebugError {
    #[error("debug.addr (NATS_DEBUG_ADDR) is {0:?}, not host:port")]
    Address(String),
    #[error("{}", .0.reason())]
    Listen(#[from] ListenError),
}

impl DebugListener {
    pub(super) async fn start(settings: &Debug, check: &Arc<Check>) -> Result<Self, DebugError> {
        let (host, port) = address(&settings.addr)?;
        let listener = Listener::bind(host, port).await?;
        tracing::info!("Starting debug server on {}", listener.name());
        let pages = Arc::new(Pages {
            check: Arc::clone(check),
            authorization: settings.authorization(),
            server: SetOnce::new(),
        });
        let answering = Arc::clone(&pages);
        let answer = move |request| {
            let pages = Arc::clone(&answering);
            async move { pages.answer(request).await }
        };
        let task = tokio::spawn(http::accept(listener.into_tcp(), None, answer));
        Ok(Self {
            pages,
            task: task.abort_handle(),
        })
    }

    /// From now on metrics are those of this server, too.
    pub(super) fn shows(&self, server: &Server) {
        // There is one server for all its life: the first one stays.
        self.pages.server.set(Arc::downgrade(server.state())).ok();
    }
}

impl Drop for DebugListener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// `host:port`; without a host every interface, without anything HTTP's own port (as Go listens).
fn address(text: &str) -> Result<(&str, u16), DebugError> {
    let wrong = || DebugError::Address(text.to_owned());
    let text = if text.is_empty() { ":80" } else { text };
    let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
    let host = if host.is_empty() { "0.0.0.0" } else { host };
    Ok((host, port.parse().map_err(|_| wrong())?))
}

#[derive(Debug)]
struct Pages {
    check: Arc<Check>,
    /// What a request for `/metrics` must say of itself.
    authorization: Option<Secret>,
    server: SetOnce<Weak<ServerState>>,
}

impl Pages {
    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let mut response = match request.uri().path() {
            "/healthz" | "/readyz" => self.health().await,
            "/metrics" => {
                let presented = request.headers().get(AUTHORIZATION);
                self.metrics(presented).await
            }
            _ => page(
                StatusCode::NOT_FOUND,
                "text/plain; charset=utf-8",
                "404 page not found\n",
            ),
        };
        let headers = response.headers_mut();
        for (name, value) in COMMON_HEADERS {
            headers.insert(name, HeaderValue::from_static(value));
        }
        response
    }

    async fn health(&self) -> Response<Full<Bytes>> {
        let status = match self.check.run().await {
            Ok(()) => StatusCode::OK,
            Err(reason) => {
                tracing::error!("check failed: {reason}");
                StatusCode::INTERNAL_SERVER_ERROR
            }
        };
        page(
            status,
            "text/plain",
            status.canonical_reason().unwrap_or_default(),
        )
    }

    async fn metrics(&self, presented: Option<&HeaderValue>) -> Response<Full<Bytes>> {
        let presented = presented.and_then(|value| value.to_str().ok());
        let admitted = match &self.authorization {
            None => true,
            Some(expected) => expected.admits(presented.unwrap_or_default()),
        };
        if admitted {
            let server = self.server.get().and_then(Weak::upgrade);
            // It takes locks that connections need too.
            let gathered = tokio::task::spawn_blocking(move || metrics::gather(server.as_deref()));
            let text = gathered.await.unwrap_or_default();
            page(StatusCode::OK, metrics::CONTENT_TYPE, text)
        } else {
            page(
                StatusCode::UNAUTHORIZED,
                "application/json",
                "{\"error\":\"invalid or missing token\"}\n",
            )
        }
    }
}

/// What every answer says: whose it is, and that it is good for one look.
const COMMON_HEADERS: [(HeaderName, &str); 4] = [
    (
        HeaderName::from_static("x-nats-version"),
        env!("CARGO_PKG_VERSION"),
    ),
    (
        CACHE_CONTROL,
        "no-cache, no-store, max-age=0, must-revalidate, value",
    ),
    (EXPIRES, "Thu, 01 Jan 1970 00:00:00 GMT"),
    (VARY, "Origin"),
];

fn page(
    status: StatusCode,
    content_type: &'static str,
    body: impl Into<Bytes>,
) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    let content_type = HeaderValue::from_static(content_type);
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_host_and_port() {
        for (text, expected) in [
            ("127.0.0.1:9234", ("127.0.0.1", 9234)),
            (":9234", ("0.0.0.0", 9234)),
            ("[::1]:1", ("[::1]", 1)),
            ("localhost:0", ("localhost", 0)),
            ("", ("0.0.0.0", 80)),
        ] {
            assert_eq!(address(text).unwrap(), expected, "{text:?}");
        }
        for text in ["9234", "host", "host:", "host:http", "host:65536"] {
            assert!(
                matches!(address(text), Err(DebugError::Address(_))),
                "{text:?}"
            );
        }
    }
}
