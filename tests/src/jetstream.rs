//! The JetStream API over a plain socket.

use std::io;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jetsled_testkit::Peer;
use serde_json::Value;

/// A request to `$JS.API.<call>`; the answer may be an error of the API.
///
/// # Errors
///
/// When the connection fails, or the answer is a status line or no JSON.
pub fn call(peer: &mut Peer, call: &str, body: &Value) -> io::Result<Value> {
    let body = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    let answer = peer.request(&format!("$JS.API.{call}"), body.as_bytes())?;
    if let Some(status) = answer.status() {
        return Err(io::Error::other(format!("{call}: {status}")));
    }
    Ok(serde_json::from_slice(&answer.payload)?)
}

/// As [`call`], but an error of the API is an error.
///
/// # Errors
///
/// As [`call`], and when the answer has an `error`.
pub fn expect(peer: &mut Peer, name: &str, body: &Value) -> io::Result<Value> {
    let answer = call(peer, name, body)?;
    match answer.get("error") {
        Some(error) => Err(io::Error::other(format!("{name}: {error}"))),
        None => Ok(answer),
    }
}

/// Publishes one message and waits for its acknowledgement (or error) as JSON.
///
/// # Errors
///
/// When the connection fails or nothing answers.
pub fn publish(peer: &mut Peer, subject: &str, payload: &[u8]) -> io::Result<Value> {
    let answer = peer.request(subject, payload)?;
    match answer.status() {
        Some(status) => Err(io::Error::other(format!("{subject}: {status}"))),
        None => Ok(serde_json::from_slice(&answer.payload)?),
    }
}

/// The payload of what `STREAM.MSG.GET` answers with.
///
/// # Panics
///
/// When it is no base64, which no server answers.
pub fn payload(message: &Value) -> Vec<u8> {
    let text = message["data"].as_str().unwrap_or_default();
    STANDARD.decode(text).expect("data is base64")
}
