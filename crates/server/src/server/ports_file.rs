//! The ports file, which test harnesses read.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use super::ServerState;
use super::websocket_state::WebsocketState;
use crate::monitor::Monitor;

/// Writes `DIR/EXECUTABLE_PID.ports`; returns its name. A file that can not be written keeps nobody from serving (observed
/// nats-server 2.15.1).
pub(super) fn write(dir: &Path, state: &ServerState, monitor: Option<&Monitor>) -> Option<PathBuf> {
    let program = std::env::args_os().next().map(PathBuf::from);
    let program = program
        .as_deref()
        .and_then(Path::file_name)
        .unwrap_or("jetsled".as_ref());
    let mut name = program.to_os_string();
    name.push(format!("_{}.ports", std::process::id()));
    let path = dir.join(name);
    let scheme = match state.options().tls {
        Some(_) => "tls",
        None => "nats",
    };
    let websocket_scheme = if state.websocket_has_tls() {
        "wss"
    } else {
        "ws"
    };
    let websocket = state.websocket().and_then(WebsocketState::address);
    let clients = state.client_address();
    let ports = Ports {
        nats: clients.map_or_else(Vec::new, |address| urls(scheme, address)),
        monitoring: monitor.map_or_else(Vec::new, |m| urls(m.scheme(), m.address())),
        cluster: state
            .route_address()
            .map_or_else(Vec::new, |address| urls("nats", address)),
        websocket: websocket.map_or_else(Vec::new, |address| urls(websocket_scheme, address)),
    };
    let written = serde_json::to_vec(&ports)
        .map_err(Into::into)
        .and_then(|json| std::fs::write(&path, json));
    match written {
        Ok(()) => Some(path),
        Err(error) => {
            tracing::error!("Error writing ports file ({}): {error}", path.display());
            None
        }
    }
}

/// Removes what [`write`] has written.
pub(super) fn remove(path: Option<PathBuf>) {
    if let Some(path) = path
        && let Err(error) = std::fs::remove_file(&path)
    {
        tracing::warn!("can't remove ports file {}: {error}", path.display());
    }
}

/// URLs by kind of listener; a kind that is off is left out.
#[derive(serde::Serialize)]
struct Ports {
    nats: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    monitoring: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    cluster: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    websocket: Vec<String>,
}

fn urls(scheme: &str, bound: SocketAddr) -> Vec<String> {
    let url = |ip| format!("{scheme}://{}", SocketAddr::new(ip, bound.port()));
    local_addresses(bound.ip()).into_iter().map(url).collect()
}

/// A wildcard is listed as the loopback addresses that reach it.
fn local_addresses(bound: IpAddr) -> Vec<IpAddr> {
    match bound {
        IpAddr::V4(ip) if ip.is_unspecified() => vec![Ipv4Addr::LOCALHOST.into()],
        IpAddr::V6(ip) if ip.is_unspecified() => {
            vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]
        }
        ip => vec![ip],
    }
}
