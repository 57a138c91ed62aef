use std::path::PathBuf;

use jetsled_auth::Secret;

use crate::{ConfigErrors, Options, Port, TlsOptions, unsupported};

/// The flags that were given. A flag that was not given is `None` and leaves the file's word.
#[derive(Debug, Default, Clone)]
pub(crate) struct Flags {
    pub(crate) help: Option<bool>,
    pub(crate) help_tls: Option<bool>,
    pub(crate) version: Option<bool>,
    pub(crate) check: Option<bool>,
    pub(crate) config: Option<String>,
    pub(crate) signal: Option<String>,
    /// Flags of nats-server that this server has not, with the reason.
    pub(crate) refused: Vec<(String, &'static str)>,
    /// The names of all that were given, in their order.
    pub(crate) given: Vec<String>,

    host: Option<String>,
    port: Option<i64>,
    server_name: Option<String>,
    cluster_name: Option<String>,
    client_advertise: Option<String>,
    http_port: Option<i64>,
    https_port: Option<i64>,
    pid_file: Option<String>,
    ports_file_dir: Option<String>,

    log_file: Option<String>,
    log_size_limit: Option<i64>,
    max_traced_msg_len: Option<i64>,
    timestamps: Option<bool>,
    utc: Option<bool>,
    debug: Option<bool>,
    trace: Option<bool>,
    trace_verbose: Option<bool>,
    debug_and_trace: Option<bool>,
    debug_and_trace_verbose: Option<bool>,

    jetstream: Option<bool>,
    store_dir: Option<String>,

    user: Option<String>,
    password: Option<Secret>,
    token: Option<Secret>,

    tls: Option<bool>,
    tls_verify: Option<bool>,
    tls_cert: Option<String>,
    tls_key: Option<String>,
    tls_ca: Option<String>,
}

/// Why arguments cannot be read; Go's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FlagError {
    #[error("flag provided but not defined: -{0}")]
    Unknown(String),
    #[error("bad flag syntax: {0}")]
    Syntax(String),
    #[error("flag needs an argument: -{0}")]
    NoArgument(String),
    #[error("invalid boolean value {value:?} for -{flag}: parse error")]
    Boolean { flag: String, value: String },
    #[error("invalid value {value:?} for flag -{flag}: parse error")]
    Number { flag: String, value: String },
}

/// Where a flag's value goes, and so what kind of value it is.
enum Slot<'a> {
    Switch(&'a mut Option<bool>),
    Number(&'a mut Option<i64>),
    Text(&'a mut Option<String>),
    Secret(&'a mut Option<Secret>),
    Refused(&'static str),
}

impl Flags {
    /// Reads Go's flag style: `-x` is `--x`, a value follows or is joined by `=`, a switch takes a value only by `=`.
    /// The first argument that is no flag ends them and is given back.
    pub(crate) fn parse(
        arguments: impl IntoIterator<Item = String>,
    ) -> Result<(Self, Option<String>), FlagError> {
        let mut flags = Self::default();
        let mut arguments = arguments.into_iter();
        while let Some(argument) = arguments.next() {
            let Some(flag) = argument.strip_prefix('-').filter(|flag| !flag.is_empty()) else {
                return Ok((flags, Some(argument)));
            };
            if flag == "-" {
                return Ok((flags, arguments.next()));
            }
            let flag = flag.strip_prefix('-').unwrap_or(flag);
            if flag.is_empty() || flag.starts_with(['-', '=']) {
                return Err(FlagError::Syntax(argument));
            }
            let (name, value) = match flag.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (flag, None),
            };
            flags.set(name, value, &mut arguments)?;
            flags.given.push(name.to_owned());
        }
        Ok((flags, None))
    }

    fn set(
        &mut self,
        name: &str,
        joined: Option<String>,
        arguments: &mut impl Iterator<Item = String>,
    ) -> Result<(), FlagError> {
        let slot = self
            .slot(name)
            .ok_or_else(|| FlagError::Unknown(name.to_owned()))?;
        let is_switch = match slot {
            Slot::Switch(_) => true,
            Slot::Refused(_) => matches!(name, "s" | "syslog" | "no_advertise"),
            Slot::Number(_) | Slot::Text(_) | Slot::Secret(_) => false,
        };
        let value = match joined {
            Some(value) => value,
            None if is_switch => "true".to_owned(),
            None => arguments
                .next()
                .ok_or_else(|| FlagError::NoArgument(name.to_owned()))?,
        };
        match slot {
            Slot::Switch(switch) => *switch = Some(boolean(name, value)?),
            Slot::Number(number) => {
                let parsed = value.parse().map_err(|_| FlagError::Number {
                    flag: name.to_owned(),
                    value,
                })?;
                *number = Some(parsed);
            }
            Slot::Text(text) => *text = Some(value),
            Slot::Secret(secret) => *secret = Some(Secret::new(value)),
            Slot::Refused(_) if is_switch && !boolean(name, value)? => {}
            Slot::Refused(reason) => self.refused.push((name.to_owned(), reason)),
        }
        Ok(())
    }

    fn slot(&mut self, name: &str) -> Option<Slot<'_>> {
        Some(match name {
            "h" | "help" => Slot::Switch(&mut self.help),
            "help_tls" => Slot::Switch(&mut self.help_tls),
            "v" | "version" => Slot::Switch(&mut self.version),
            "t" => Slot::Switch(&mut self.check),
            "c" | "config" => Slot::Text(&mut self.config),
            "sl" | "signal" => Slot::Text(&mut self.signal),
            "a" | "addr" | "net" => Slot::Text(&mut self.host),
            "p" | "port" => Slot::Number(&mut self.port),
            "n" | "name" | "server_name" => Slot::Text(&mut self.server_name),
            "cluster_name" => Slot::Text(&mut self.cluster_name),
            "client_advertise" => Slot::Text(&mut self.client_advertise),
            "m" | "http_port" => Slot::Number(&mut self.http_port),
            "ms" | "https_port" => Slot::Number(&mut self.https_port),
            "P" | "pid" => Slot::Text(&mut self.pid_file),
            "ports_file_dir" => Slot::Text(&mut self.ports_file_dir),
            "l" | "log" => Slot::Text(&mut self.log_file),
            "log_size_limit" => Slot::Number(&mut self.log_size_limit),
            "max_traced_msg_len" => Slot::Number(&mut self.max_traced_msg_len),
            "T" | "logtime" => Slot::Switch(&mut self.timestamps),
            "logtime_utc" => Slot::Switch(&mut self.utc),
            "D" | "debug" => Slot::Switch(&mut self.debug),
            "V" | "trace" => Slot::Switch(&mut self.trace),
            "VV" => Slot::Switch(&mut self.trace_verbose),
            "DV" => Slot::Switch(&mut self.debug_and_trace),
            "DVV" => Slot::Switch(&mut self.debug_and_trace_verbose),
            "js" | "jetstream" => Slot::Switch(&mut self.jetstream),
            "sd" | "store_dir" => Slot::Text(&mut self.store_dir),
            "user" => Slot::Text(&mut self.user),
            "pass" => Slot::Secret(&mut self.password),
            "auth" => Slot::Secret(&mut self.token),
            "tls" => Slot::Switch(&mut self.tls),
            "tlsverify" => Slot::Switch(&mut self.tls_verify),
            "tlscert" => Slot::Text(&mut self.tls_cert),
            "tlskey" => Slot::Text(&mut self.tls_key),
            "tlscacert" => Slot::Text(&mut self.tls_ca),
            _ => Slot::Refused(unsupported::flag_refusal(name)?),
        })
    }

    /// Lets the flags win over what `options` have.
    ///
    /// # Errors
    /// Port numbers out of range, TLS without a certificate.
    pub(crate) fn apply(&self, options: &mut Options) -> Result<(), ConfigErrors> {
        let default = Options::default();
        if let Some(host) = &self.host {
            options.host = filled(host).unwrap_or(default.host);
        }
        if let Some(number) = self.port {
            options.port = port(number)?.unwrap_or(default.port);
        }
        set_text(&mut options.server_name, &self.server_name);
        set_text(&mut options.cluster_name, &self.cluster_name);
        set_text(&mut options.client_advertise, &self.client_advertise);
        set_path(&mut options.pid_file, &self.pid_file);
        set_path(&mut options.ports_file_dir, &self.ports_file_dir);
        if let Some(number) = self.http_port {
            options.monitor.http_port = port(number)?;
        }
        if let Some(number) = self.https_port {
            options.monitor.https_port = port(number)?;
        }
        self.apply_log(options);
        set(&mut options.jetstream.enabled, self.jetstream);
        set_path(&mut options.jetstream.configured_store_dir, &self.store_dir);
        set_text(&mut options.authorization.user, &self.user);
        set_secret(&mut options.authorization.password, &self.password);
        set_secret(&mut options.authorization.token, &self.token);
        self.apply_tls(options)
    }

    fn apply_log(&self, options: &mut Options) {
        let log = &mut options.log;
        set_path(&mut log.file, &self.log_file);
        if let Some(bytes) = self.log_size_limit {
            log.size_limit = u64::try_from(bytes).ok().filter(|bytes| *bytes > 0);
        }
        if let Some(bytes) = self.max_traced_msg_len {
            log.max_traced_msg_len = usize::try_from(bytes).ok().filter(|bytes| *bytes > 0);
        }
        set(&mut log.timestamps, self.timestamps);
        set(&mut log.utc, self.utc);
        set(
            &mut log.debug,
            self.debug
                .or(self.debug_and_trace)
                .or(self.debug_and_trace_verbose),
        );
        let verbose = self.trace_verbose.or(self.debug_and_trace_verbose);
        set(
            &mut log.trace,
            self.trace.or(self.debug_and_trace).or(verbose),
        );
        set(&mut log.trace_verbose, verbose);
    }

    fn apply_tls(&self, options: &mut Options) -> Result<(), ConfigErrors> {
        if self.tls == Some(false) {
            options.tls = None;
            return Ok(());
        }
        let given = self.tls.is_some()
            || self.tls_verify.is_some()
            || [&self.tls_cert, &self.tls_key, &self.tls_ca]
                .into_iter()
                .any(Option::is_some);
        if !given {
            return Ok(());
        }
        let file = |flag: &Option<String>| flag.as_deref().and_then(filled);
        let cert = file(&self.tls_cert)
            .ok_or_else(|| ConfigErrors::one("TLS Server certificate must be present and valid"))?;
        let key = file(&self.tls_key)
            .ok_or_else(|| ConfigErrors::one("TLS Server private key must be present and valid"))?;
        options.tls = Some(TlsOptions {
            ca_file: file(&self.tls_ca).map(PathBuf::from),
            verify: self.tls_verify.unwrap_or(false),
            ..TlsOptions::new(cert, key)
        });
        Ok(())
    }
}

/// Go's spellings of a boolean.
fn boolean(flag: &str, value: String) -> Result<bool, FlagError> {
    match value.as_str() {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(FlagError::Boolean {
            flag: flag.to_owned(),
            value,
        }),
    }
}

fn port(number: i64) -> Result<Option<Port>, ConfigErrors> {
    Port::from_number(number)
        .map_err(|number| ConfigErrors::one(format!("port {number} is out of range")))
}

fn filled(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

fn set<T: Copy>(option: &mut T, flag: Option<T>) {
    if let Some(value) = flag {
        *option = value;
    }
}

fn set_text(option: &mut Option<String>, flag: &Option<String>) {
    if let Some(text) = flag {
        *option = filled(text);
    }
}

fn set_path(option: &mut Option<PathBuf>, flag: &Option<String>) {
    if let Some(path) = flag {
        *option = filled(path).map(PathBuf::from);
    }
}

fn set_secret(option: &mut Option<Secret>, flag: &Option<Secret>) {
    if let Some(secret) = flag {
        *option = (!secret.is_empty()).then(|| secret.clone());
    }
}
