//! HTTP responses.

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{ACCESS_CONTROL_ALLOW_ORIGIN, CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};
use serde::Serialize;

/// A response to be sent.
#[derive(Debug)]
pub(super) struct Reply {
    status: StatusCode,
    content_type: &'static str,
    body: Vec<u8>,
}

const JSON: &str = "application/json";

impl Reply {
    /// Indented JSON.
    pub(super) fn json(value: &impl Serialize) -> Self {
        Self::from_json(StatusCode::OK, serde_json::to_vec_pretty(value))
    }

    /// JSON in one line.
    pub(super) fn compact_json(status: StatusCode, value: &impl Serialize) -> Self {
        Self::from_json(status, serde_json::to_vec(value))
    }

    pub(super) fn text(status: StatusCode, text: impl Into<String>) -> Self {
        Self {
            status,
            content_type: "text/plain; charset=utf-8",
            body: text.into().into_bytes(),
        }
    }

    pub(super) fn html(page: String) -> Self {
        Self {
            status: StatusCode::OK,
            content_type: "text/html; charset=utf-8",
            body: page.into_bytes(),
        }
    }

    fn from_json(status: StatusCode, body: serde_json::Result<Vec<u8>>) -> Self {
        match body {
            Ok(body) => Self {
                status,
                content_type: JSON,
                body,
            },
            Err(error) => Self::text(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
        }
    }

    pub(super) fn into_response(self) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::new(Bytes::from(self.body)));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        if self.content_type == JSON {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        }
        response
    }
}
