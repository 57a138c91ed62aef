//! Whether the service is well: it answers a client.

use std::net::SocketAddr;
use std::time::Duration;

use hyper::StatusCode;
use jetsled_ocis::Debug;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::sync::SetOnce;

use crate::http_client::{BoxError, get_and_wait};
use crate::server::reachable;

/// How long the server may take to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// How long the service may take to answer who asks by HTTP.
const HTTP_WITHIN: Duration = Duration::from_secs(5);
/// Bytes of an answer at most.
const MAX_ANSWER: usize = 1 << 20;

/// What a check says to the server. It asks for nothing but a sign of life.
const HELLO: &str = concat!(
    r#"CONNECT {"verbose":false,"pedantic":false,"name":"health check","lang":"rust","version":""#,
    env!("CARGO_PKG_VERSION"),
    "\",\"protocol\":0}\r\nPING\r\n"
);

/// Checks the server as a client sees it, with a connection of its own.
#[derive(Debug)]
pub(super) struct Check {
    address: SetOnce<SocketAddr>,
    is_tls: bool,
    /// How long the server may take to come up, and then to answer.
    within: Duration,
}

/// Why the service is not well.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unwell {
    #[error("the server is not up yet")]
    Starting,
    #[error("could not connect to nats cluster: {0}")]
    Connection(#[from] std::io::Error),
    #[error("could not connect to nats cluster: no answer within {}s", ANSWER_WITHIN.as_secs())]
    TimedOut,
    #[error("could not connect to nats cluster: it answered {0:?}")]
    Answer(String),
}

impl Check {
    pub(super) fn new(is_tls: bool) -> Self {
        Self {
            address: SetOnce::new(),
            is_tls,
            within: ANSWER_WITHIN,
        }
    }

    /// From now on the server can be asked.
    pub(super) fn server_listens_on(&self, bound: SocketAddr) {
        // It listens on one address for all its life: the first one stays.
        self.address.set(reachable(bound)).ok();
    }

    /// Connects anew. Where TLS is on, the greeting before the handshake is enough: nobody needs to trust the
    /// certificate to see that the server is up (oCIS's own check does, and fails with a generated one).
    pub(super) async fn run(&self) -> Result<(), Unwell> {
        let address = tokio::time::timeout(self.within, self.address.wait())
            .await
            .map_err(|_| Unwell::Starting)?;
        tokio::time::timeout(self.within, self.ask(*address))
            .await
            .map_err(|_| Unwell::TimedOut)?
    }

    async fn ask(&self, address: SocketAddr) -> Result<(), Unwell> {
        let mut stream = BufReader::new(TcpStream::connect(address).await?);
        let mut line = String::new();
        stream.read_line(&mut line).await?;
        if !line.starts_with("INFO ") {
            return Err(Unwell::Answer(line));
        }
        if self.is_tls {
            return Ok(());
        }
        stream.write_all(HELLO.as_bytes()).await?;
        loop {
            line.clear();
            stream.read_line(&mut line).await?;
            match line.trim_end() {
                "PONG" => return Ok(()),
                info if info.starts_with("INFO ") => {}
                _ => return Err(Unwell::Answer(line)),
            }
        }
    }
}

/// Why a running service could not be asked, or what it answered.
#[derive(Debug, thiserror::Error)]
pub(super) enum AskError {
    #[error("the service on {address} could not be asked: {source}")]
    Http { address: String, source: BoxError },
    #[error("the service on {address} is not well: {status}")]
    Unwell { address: String, status: StatusCode },
}

/// Asks the service whose debug listener is configured so.
pub(super) fn ask(debug: &Debug) -> Result<(), AskError> {
    let address = match debug.addr.strip_prefix(':') {
        Some(port) => format!("127.0.0.1:{port}"),
        None => debug.addr.replace("0.0.0.0", "127.0.0.1"),
    };
    match get_and_wait(
        &format!("http://{address}/healthz"),
        MAX_ANSWER,
        HTTP_WITHIN,
    ) {
        Ok((StatusCode::OK, _)) => Ok(()),
        Ok((status, _)) => Err(AskError::Unwell { address, status }),
        Err(source) => Err(AskError::Http { address, source }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks a server that answers these lines, whatever it is told.
    async fn check(answers: &'static str, is_tls: bool) -> Result<(), Unwell> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let check = Check::new(is_tls);
        check.server_listens_on(listener.local_addr()?);
        let serving = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(answers.as_bytes()).await.unwrap();
            stream.shutdown().await.unwrap();
        };
        tokio::join!(check.run(), serving).0
    }

    #[tokio::test]
    async fn a_server_that_answers_is_well() {
        check("INFO {}\r\nPONG\r\n", false).await.unwrap();
        check("INFO {}\r\nINFO {}\r\nPONG\r\n", false)
            .await
            .unwrap();
        // Behind the greeting comes the handshake.
        check("INFO {}\r\n", true).await.unwrap();
    }

    #[tokio::test]
    async fn a_server_that_does_not_is_not() {
        for (answers, is_tls) in [
            ("", false),
            ("", true),
            ("HTTP/1.1 200 OK\r\n", true),
            ("INFO {}\r\n", false),
            ("INFO {}\r\n-ERR 'maximum connections exceeded'\r\n", false),
        ] {
            let answer = check(answers, is_tls).await;
            assert!(
                matches!(answer, Err(Unwell::Answer(_) | Unwell::Connection(_))),
                "{answers:?}: {answer:?}"
            );
        }
    }

    #[tokio::test]
    async fn a_server_that_is_not_there_is_not() {
        let mut check = Check::new(false);
        check.within = Duration::from_millis(20);
        assert!(matches!(check.run().await, Err(Unwell::Starting)));
        check.within = ANSWER_WITHIN;
        let gone = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        check.server_listens_on(gone.local_addr().unwrap());
        drop(gone);
        assert!(matches!(check.run().await, Err(Unwell::Connection(_))));
    }
}
