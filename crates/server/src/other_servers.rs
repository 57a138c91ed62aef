//! The listeners for leaf nodes and routes. There are none: who connects is told so, and says it in its own log.

use std::io;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

use crate::listener::{ListenError, Listener};
use crate::server::ServerState;

/// What leaf nodes are told.
pub(crate) const NO_LEAF_NODES: &[u8] = b"-ERR 'Leaf nodes are not supported'\r\n";

/// What servers of a cluster are told.
pub(crate) const NO_ROUTES: &[u8] = b"-ERR 'Routes are not supported'\r\n";

/// Binds the listener for routes, if there is to be one, and says so.
pub(crate) async fn bind_routes(state: &ServerState) -> Result<Option<Listener>, ListenError> {
    let Some(routes) = &state.options().routes else {
        return Ok(None);
    };
    let listener = Listener::bind(&routes.host, routes.port.to_bind()).await?;
    state.set_route_address(listener.address());
    tracing::info!("Listening for route connections on {}", listener.name());
    tracing::warn!("Routes are not supported, their connections are refused");
    Ok(Some(listener))
}

/// Binds the listener for leaf nodes, if there is to be one, and says so.
pub(crate) async fn bind_leafnodes(state: &ServerState) -> Result<Option<Listener>, ListenError> {
    let Some(leafnodes) = &state.options().leafnodes else {
        return Ok(None);
    };
    let listener = Listener::bind(&leafnodes.host, leafnodes.port.to_bind()).await?;
    state.set_leafnode_address(listener.address());
    tracing::info!("Listening for leafnode connections on {}", listener.name());
    tracing::warn!("Leaf nodes are not supported, their connections are refused");
    Ok(Some(listener))
}

/// Refuses one connection after the other until the task is aborted.
pub(crate) async fn refuse_all(listener: TcpListener, refusal: &'static [u8]) {
    loop {
        let refused = match listener.accept().await {
            Ok((stream, _)) => refuse(stream, refusal).await,
            Err(error) => Err(error),
        };
        if refused.is_err() {
            // Out of file descriptors, most likely: give others time to close some.
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// The line fits into the buffer of a new socket, so that nobody has to wait for the peer to read it.
async fn refuse(mut stream: TcpStream, refusal: &[u8]) -> io::Result<()> {
    stream.write_all(refusal).await?;
    stream.shutdown().await
}
