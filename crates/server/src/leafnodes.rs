//! The listener for leaf nodes. There are none: who connects is told so, and says it in its own log.

use std::io;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

use crate::listener::{ListenError, Listener};
use crate::server::ServerState;

const REFUSAL: &[u8] = b"-ERR 'Leaf nodes are not supported'\r\n";

/// Binds the listener, if there is to be one, and says so.
pub(crate) async fn bind(state: &ServerState) -> Result<Option<Listener>, ListenError> {
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
pub(crate) async fn refuse_all(listener: TcpListener) {
    loop {
        let refused = match listener.accept().await {
            Ok((stream, _)) => refuse(stream).await,
            Err(error) => Err(error),
        };
        if refused.is_err() {
            // Out of file descriptors, most likely: give others time to close some.
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// The line fits into the buffer of a new socket, so that nobody has to wait for the peer to read it.
async fn refuse(mut stream: TcpStream) -> io::Result<()> {
    stream.write_all(REFUSAL).await?;
    stream.shutdown().await
}
