//! The ports file, which test harnesses read.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use super::StartError;

/// Writes `DIR/EXECUTABLE_PID.ports`; returns its name.
pub(super) fn write(dir: &Path, clients: SocketAddr, tls: bool) -> Result<PathBuf, StartError> {
    let program = std::env::args_os().next().map(PathBuf::from);
    let program = program
        .as_deref()
        .and_then(Path::file_name)
        .unwrap_or("jetsled".as_ref());
    let mut name = program.to_os_string();
    name.push(format!("_{}.ports", std::process::id()));
    let path = dir.join(name);
    let scheme = if tls { "tls" } else { "nats" };
    let urls: Vec<_> = local_addresses(clients.ip())
        .into_iter()
        .map(|ip| format!("{scheme}://{}", SocketAddr::new(ip, clients.port())))
        .collect();
    let json = serde_json::json!({ "nats": urls }).to_string();
    match std::fs::write(&path, json) {
        Ok(()) => Ok(path),
        Err(source) => Err(StartError::PortsFile { path, source }),
    }
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
