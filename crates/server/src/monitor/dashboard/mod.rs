//! `/dashboard`: a page that shows what the server does, and what it asks for.
//!
//! The page is three files inside the program, without a framework or anything from elsewhere. What it shows comes from the paths
//! below `/dashboard/`: lists are searched, sorted and cut into pages here, so that ten thousand streams are as light as ten.

mod detail;
mod list;
mod message;
mod overview;
mod rows;

use hyper::StatusCode;
use serde::Serialize;

use super::access::Asker;
use super::query::{BadRequest, Query};
use super::reply::Reply;
use crate::server::ServerState;

/// Files of the page: path, media type, text.
const FILES: [(&str, &str, &str); 3] = [
    (
        "/dashboard",
        "text/html; charset=utf-8",
        include_str!("page.html"),
    ),
    (
        "/dashboard/style.css",
        "text/css; charset=utf-8",
        include_str!("style.css"),
    ),
    (
        "/dashboard/script.js",
        "text/javascript; charset=utf-8",
        include_str!("script.js"),
    ),
];

/// Whether the path is the dashboard's.
pub(super) fn has(path: &str) -> bool {
    path == "/dashboard" || path.starts_with("/dashboard/")
}

/// Answers one of its paths.
pub(super) fn answer(
    path: &str,
    query: &Query,
    asker: &Asker,
    server: &ServerState,
) -> Result<Reply, BadRequest> {
    if let Some((_, media, text)) = FILES.iter().find(|(known, ..)| *known == path) {
        return Ok(Reply::page(media, (*text).to_owned()).own());
    }
    Ok(match path.strip_prefix("/dashboard/").unwrap_or_default() {
        "overview" => json(&overview::gather(server, asker)),
        "connections" => json(&list::page(rows::connections(server), query)?),
        "accounts" => json(&list::page(rows::accounts(server), query)?),
        "streams" => json(&list::page(rows::streams(server), query)?),
        "consumers" => json(&list::page(rows::consumers(server), query)?),
        "stream" => found(detail::stream(server, query)),
        "message" if !asker.may_peek => Reply::text(
            StatusCode::FORBIDDEN,
            "messages are not shown: see message_peek",
        )
        .own(),
        "message" => found(message::peek(server, query)?),
        _ => Reply::not_found(),
    })
}

fn json(value: &impl Serialize) -> Reply {
    Reply::compact_json(StatusCode::OK, value).own()
}

fn found(value: Option<impl Serialize>) -> Reply {
    match value {
        Some(value) => json(&value),
        None => Reply::text(StatusCode::NOT_FOUND, "not found").own(),
    }
}
