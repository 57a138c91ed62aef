//! HTTP responses.

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{
    ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName,
    HeaderValue, LOCATION, REFERRER_POLICY, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use hyper::{Response, StatusCode};
use serde::Serialize;

/// A response to be sent.
#[derive(Debug)]
pub(super) struct Reply {
    status: StatusCode,
    content_type: &'static str,
    body: Vec<u8>,
    location: Option<String>,
    is_not_found: bool,
    /// For the dashboard alone: nobody else's page may have it.
    is_own: bool,
    asks_for_login: bool,
}

const JSON: &str = "application/json";

/// The page may load what it is made of, and nothing else; nobody may frame it.
const CONTENT_SECURITY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const OWN_HEADERS: [(HeaderName, &str); 5] = [
    (CONTENT_SECURITY_POLICY, CONTENT_SECURITY),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (REFERRER_POLICY, "no-referrer"),
    (CACHE_CONTROL, "no-store"),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
];

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
            location: None,
            is_not_found: false,
            is_own: false,
            asks_for_login: false,
        }
    }

    pub(super) fn html(page: String) -> Self {
        Self::page("text/html; charset=utf-8", page)
    }

    /// Something to be looked at, of this media type.
    pub(super) fn page(content_type: &'static str, page: String) -> Self {
        Self {
            status: StatusCode::OK,
            content_type,
            body: page.into_bytes(),
            location: None,
            is_not_found: false,
            is_own: false,
            asks_for_login: false,
        }
    }

    /// Part of the dashboard: for pages of this server alone, and good for one look.
    pub(super) fn own(self) -> Self {
        Self {
            is_own: true,
            ..self
        }
    }

    /// Who asks has not said who it is.
    pub(super) fn unauthorized() -> Self {
        Self {
            asks_for_login: true,
            ..Self::text(StatusCode::UNAUTHORIZED, "authorization required\n")
        }
    }

    /// Nothing is there.
    pub(super) fn not_found() -> Self {
        Self {
            is_not_found: true,
            ..Self::text(StatusCode::NOT_FOUND, "404 page not found\n")
        }
    }

    /// It is elsewhere.
    pub(super) fn redirect(location: String) -> Self {
        let escaped = location
            .replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('>', "&gt;")
            .replace('"', "&#34;")
            .replace('\'', "&#39;");
        Self {
            status: StatusCode::TEMPORARY_REDIRECT,
            content_type: "text/html; charset=utf-8",
            body: format!("<a href=\"{escaped}\">Temporary Redirect</a>.\n\n").into_bytes(),
            location: Some(location),
            is_not_found: false,
            is_own: false,
            asks_for_login: false,
        }
    }

    fn from_json(status: StatusCode, body: serde_json::Result<Vec<u8>>) -> Self {
        match body {
            Ok(body) => Self {
                status,
                content_type: JSON,
                body,
                location: None,
                is_not_found: false,
                is_own: false,
                asks_for_login: false,
            },
            Err(error) => Self::text(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
        }
    }

    /// The JSON body with the status in it, behind its first field.
    pub(super) fn with_status_code(self) -> Vec<u8> {
        let mut body = self.body;
        let code = format!(",\"status_code\":{}", self.status.as_u16());
        let end = body.iter().position(|byte| matches!(byte, b',' | b'}'));
        let at = end.unwrap_or(body.len());
        body.splice(at..at, code.into_bytes());
        body
    }

    pub(super) fn into_response(self) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::new(Bytes::from(self.body)));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        if self.is_own {
            for (name, value) in OWN_HEADERS {
                headers.insert(name, HeaderValue::from_static(value));
            }
        } else if self.content_type == JSON {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        }
        if self.is_not_found {
            headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        }
        if self.asks_for_login {
            let challenge = "Basic realm=\"jetsled monitoring\", charset=\"UTF-8\"";
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        let location = self.location.and_then(|to| HeaderValue::try_from(to).ok());
        headers.extend(location.map(|to| (LOCATION, to)));
        response
    }
}
