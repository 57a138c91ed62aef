//! What ownCloud Infinite Scale (oCIS) configures its `nats` service with: the variables, the files `ocis.yaml` and
//! `nats.yaml`, which of them wins, and how oCIS reads values (observed oCIS 7.0.0).
//!
//! [`load`] gives the settings, [`Settings::server_options`] what a server starts from. Nothing is started here and no
//! file but the two is read; the program and its debug listener are the server's.
//!
//! ```
//! use jetsled_config::Environment;
//!
//! let environment = Environment {
//!     read_file: &|_| Err(std::io::ErrorKind::NotFound.into()),
//!     variable: &|name| (name == "NATS_NATS_PORT").then(|| "0x2411".to_owned()),
//! };
//! let (settings, _warnings) = jetsled_ocis::load(&environment).unwrap();
//! assert_eq!(settings.nats.port, 9233);
//! ```

mod command;
mod convert;
mod expression;
mod load;
mod number;
mod options;
mod paths;
mod settings;
mod table;
mod warning;
mod yaml;

pub use command::{Command, CommandError, USAGE};
pub use load::{LoadError, load};
pub use options::SettingsError;
pub use settings::{Debug, Level, Log, Nats, Settings, Tracing};
pub use warning::Warning;
