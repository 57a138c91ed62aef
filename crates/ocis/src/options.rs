//! The settings as a server starts from them.

use jetsled_config::{JetStreamOptions, LogOptions, Options, Port, Program, TlsOptions};

use crate::settings::{Level, Settings};

/// Settings that were read and cannot be served.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// Not a port.
    #[error(
        "nats.port (NATS_NATS_PORT) is {0}: a port is between 0 and 65535, or -1 for any free one"
    )]
    Port(i64),
    /// A name that clients could not read.
    #[error("nats.clusterid (NATS_NATS_CLUSTER_ID) is {0:?}: a cluster name has no blanks")]
    ClusterName(String),
    /// Something that this program does not have.
    #[error("{key} ({variable}) is not supported: {reason}; set it to false")]
    Refused {
        /// The setting in the file.
        key: &'static str,
        /// The variable.
        variable: &'static str,
        /// Why not.
        reason: &'static str,
    },
}

impl Settings {
    /// What a server starts from. Where its log lines go is the caller's: [`Settings::log`].
    ///
    /// # Errors
    /// A port or name that is none; profiles and trace pages.
    pub fn server_options(&self) -> Result<Options, SettingsError> {
        if self.debug.pprof {
            return Err(SettingsError::Refused {
                key: "debug.pprof",
                variable: "NATS_DEBUG_PPROF",
                reason: "its profiles show the inside of a Go program",
            });
        }
        if self.debug.zpages {
            return Err(SettingsError::Refused {
                key: "debug.zpages",
                variable: "NATS_DEBUG_ZPAGES",
                reason: "its pages show traces, and the nats service makes none",
            });
        }
        let nats = &self.nats;
        let level = self.log.level();
        let defaults = Options::default();
        Ok(Options {
            program: Program::Jetsled,
            host: filled(&nats.host).unwrap_or(defaults.host),
            port: port(nats.port)?,
            cluster_name: cluster_name(&nats.clusterid)?,
            tls: nats.enable_tls.then(|| TlsOptions {
                verify: !nats.tls_skip_verify_client_cert,
                ..TlsOptions::new(&nats.tls_cert, &nats.tls_key)
            }),
            jetstream: JetStreamOptions {
                enabled: true,
                configured_store_dir: filled(&nats.store_dir).map(Into::into),
                ..defaults.jetstream
            },
            log: LogOptions {
                debug: level >= Level::Debug,
                trace: level >= Level::Trace,
                ..defaults.log
            },
            ..Options::default()
        })
    }
}

fn filled(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

/// 0 and -1 are nats-server's ways to say 4222 and any.
fn port(number: i64) -> Result<Port, SettingsError> {
    match number {
        -1 => Ok(Port::Random),
        0 => Ok(Options::default().port),
        _ => u16::try_from(number)
            .map(Port::Fixed)
            .map_err(|_| SettingsError::Port(number)),
    }
}

fn cluster_name(name: &str) -> Result<Option<String>, SettingsError> {
    if name.contains(char::is_whitespace) {
        return Err(SettingsError::ClusterName(name.to_owned()));
    }
    Ok(filled(name))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::paths::Paths;

    fn settings() -> Settings {
        Settings::new(&Paths {
            base: "/data".into(),
            config: "/conf".into(),
        })
    }

    #[track_caller]
    fn options(change: impl FnOnce(&mut Settings)) -> Options {
        let mut settings = settings();
        change(&mut settings);
        settings.server_options().unwrap()
    }

    #[track_caller]
    fn refused(change: impl FnOnce(&mut Settings), text: &str) {
        let mut settings = settings();
        change(&mut settings);
        let error = settings.server_options().unwrap_err().to_string();
        assert!(error.contains(text), "{error}");
    }

    #[test]
    fn defaults_are_a_plain_local_server_with_streams() {
        let options = options(|_| {});
        assert_eq!(options.host, "127.0.0.1");
        assert_eq!(options.port, Port::Fixed(9233));
        assert_eq!(options.cluster_name.as_deref(), Some("ocis-cluster"));
        assert_eq!(options.tls, None);
        assert!(options.jetstream.enabled);
        let store = options.jetstream.store_dir();
        assert_eq!(store, Path::new("/data/nats/jetstream"));
        assert_eq!(options.monitor, Options::default().monitor);
        assert!(!options.log.debug);
    }

    #[test]
    fn empty_texts_are_nats_server_s_defaults() {
        let options = options(|settings| {
            settings.nats.host.clear();
            settings.nats.clusterid.clear();
            settings.nats.store_dir.clear();
        });
        assert_eq!(options.host, "0.0.0.0");
        assert_eq!(options.cluster_name, None);
        assert_eq!(options.jetstream.configured_store_dir, None);
    }

    #[test]
    fn ports_are_checked() {
        for (number, port) in [
            (0, Port::Fixed(4222)),
            (-1, Port::Random),
            (1, Port::Fixed(1)),
            (65535, Port::Fixed(65535)),
        ] {
            assert_eq!(options(|settings| settings.nats.port = number).port, port);
        }
        refused(
            |settings| settings.nats.port = 65536,
            "nats.port (NATS_NATS_PORT) is 65536",
        );
        refused(|settings| settings.nats.port = -2, "is -2");
    }

    #[test]
    fn tls_verifies_clients_unless_told_otherwise() {
        let mut tls = TlsOptions::new("/data/nats/tls.crt", "/data/nats/tls.key");
        tls.verify = true;
        let verifying = options(|settings| settings.nats.enable_tls = true);
        assert_eq!(verifying.tls, Some(tls.clone()));
        assert!(!verifying.allow_non_tls);
        tls.verify = false;
        let open = options(|settings| {
            settings.nats.enable_tls = true;
            settings.nats.tls_skip_verify_client_cert = true;
        });
        assert_eq!(open.tls, Some(tls));
    }

    #[test]
    fn levels_decide_what_the_server_tells() {
        for (level, debug, trace) in [
            ("", false, false),
            ("info", false, false),
            ("debug", true, false),
            ("TRACE", true, true),
        ] {
            let log = options(|settings| settings.log.level = level.to_owned()).log;
            assert_eq!((log.debug, log.trace), (debug, trace), "{level}");
        }
    }

    #[test]
    fn what_is_not_there_is_refused_by_name() {
        refused(
            |settings| settings.debug.pprof = true,
            "debug.pprof (NATS_DEBUG_PPROF)",
        );
        refused(
            |settings| settings.debug.zpages = true,
            "debug.zpages (NATS_DEBUG_ZPAGES)",
        );
        refused(
            |settings| settings.nats.clusterid = "a b".to_owned(),
            "\"a b\"",
        );
    }

    #[test]
    fn the_token_is_not_shown() {
        let mut settings = settings();
        settings.debug.token = "hush".to_owned();
        assert!(!format!("{settings:?}").contains("hush"));
    }
}
