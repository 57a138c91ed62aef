//! The TLS settings in force, with certificates that follow their files.

use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use jetsled_config::TlsOptions;
use jiff::Timestamp;
use tokio_rustls::TlsAcceptor;

use crate::tls::{TlsError, certificates, server_config};

/// Files are looked at not more often than this.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// TLS for new connections.
pub(crate) struct TlsState {
    acceptor: TlsAcceptor,
    options: TlsOptions,
    certificate_end: Option<Timestamp>,
    files: Vec<(PathBuf, Option<SystemTime>)>,
    looked: Instant,
}

impl TlsState {
    /// `None` if TLS is off.
    pub(crate) fn of(options: Option<&TlsOptions>) -> Result<Option<Self>, TlsError> {
        options.map(Self::new).transpose()
    }

    fn new(options: &TlsOptions) -> Result<Self, TlsError> {
        let files = modified(options);
        Ok(Self {
            acceptor: TlsAcceptor::from(server_config(options)?),
            certificate_end: certificate_end(options),
            options: options.clone(),
            files,
            looked: Instant::now(),
        })
    }

    /// What to accept the next connection with. Reads the files again if one of them has changed; while they do not make
    /// sense together, what was read before stays in force.
    pub(crate) fn acceptor(&mut self) -> TlsAcceptor {
        if self.looked.elapsed() >= LOOK_EVERY {
            self.looked = Instant::now();
            let files = modified(&self.options);
            if files != self.files {
                match server_config(&self.options) {
                    Ok(config) => {
                        self.acceptor = TlsAcceptor::from(config);
                        self.certificate_end = certificate_end(&self.options);
                        tracing::info!("TLS certificate files have changed and were read again");
                    }
                    Err(error) => {
                        tracing::error!(
                            "TLS certificate files have changed and are not used: {error}"
                        );
                    }
                }
                self.files = files;
            }
        }
        self.acceptor.clone()
    }

    /// When the server's certificate ends.
    pub(crate) fn certificate_end(&self) -> Option<Timestamp> {
        self.certificate_end
    }
}

fn certificate_end(options: &TlsOptions) -> Option<Timestamp> {
    let chain = certificates(&options.cert_file).ok()?;
    let end = jetsled_auth::certificate_end(chain.first()?)?;
    Timestamp::from_second(end).ok()
}

fn modified(options: &TlsOptions) -> Vec<(PathBuf, Option<SystemTime>)> {
    [
        Some(&options.cert_file),
        Some(&options.key_file),
        options.ca_file.as_ref(),
    ]
    .into_iter()
    .flatten()
    .map(|path| {
        let time = std::fs::metadata(path).and_then(|facts| facts.modified());
        (path.clone(), time.ok())
    })
    .collect()
}

impl std::fmt::Debug for TlsState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TlsState")
    }
}
