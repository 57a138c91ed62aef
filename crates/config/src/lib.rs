//! The nats-server configuration language, its options, the command line, and what a reload may change.
//!
//! [`parse_command_line`] turns arguments (and the file that they name) into a [`Command`]; [`Options`] is what a
//! server starts from. Nothing here starts anything: files and environment variables are read through
//! [`Environment`], so that tests and fuzzers need neither.
//!
//! A setting is supported, or refused by name at start; none is parsed and ignored (`docs/compatibility.md`).

mod command_line;
mod digest;
mod duration;
mod environment;
mod error;
mod explain;
mod file;
mod language;
mod options;
mod reader;
mod reload;
mod unsupported;

pub use command_line::{Command, CommandLineError, Signal, SignalTarget, parse_command_line};
pub use environment::Environment;
pub use error::{ConfigError, ConfigErrors, ErrorPosition, Warning};
pub use explain::{Explained, Source, explain};
pub use options::{
    AccountJetStreamOptions, AccountLimits, AccountOptions, AuthCalloutOptions,
    AuthorizationOptions, CookieNames, CurvePreference, DeletePolicy, HandshakeFirst,
    JetStreamLimits, JetStreamOptions, LameDuckOptions, LeafnodeOptions, LogOptions,
    MappingOptions, MonitorLogin, MonitorOptions, NATS_VERSION, OperatorOptions, Options, Port,
    Program, ResolverOptions, RouteOptions, StoreCipher, SyncPolicy, TlsMinVersion, TlsOptions,
    TraceOptions, WebsocketOptions,
};
pub use reload::{ReloadDiff, ReloadError};
