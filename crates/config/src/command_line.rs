use std::{ffi::OsString, path::PathBuf};

use crate::{ConfigErrors, Environment, Options, Warning};

/// What the arguments ask the program to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Run a server; the warnings go to standard error before the log starts.
    Run {
        /// What to run.
        options: Box<Options>,
        /// What is doubtful about it.
        warnings: Vec<Warning>,
    },
    /// `-t`, and the file is good: print this line to standard error.
    ConfigIsValid(String),
    /// `-v`: print this line to standard output.
    Version(String),
    /// `-h` or `-help_tls`: print this text to standard output.
    Help(String),
    /// `--signal`
    Signal {
        /// The signal to send.
        signal: Signal,
        /// To whom.
        target: SignalTarget,
    },
}

/// What `--signal` can send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// `stop`: SIGKILL
    Kill,
    /// `quit`: SIGINT
    Interrupt,
    /// `term`: SIGTERM
    Terminate,
    /// `reopen`: SIGUSR1
    ReopenLog,
    /// `ldm`: SIGUSR2
    LameDuck,
    /// `reload`: SIGHUP
    Reload,
}

/// Whom `--signal` is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignalTarget {
    /// No pid given: the one running server of this name.
    OnlyServer,
    /// A process id, or the beginning of one followed by `*`.
    Pid(String),
    /// A file that holds the process id.
    PidFile(PathBuf),
}

/// Arguments, or the file that they name, that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommandLineError {
    /// Bad flags: print the message to standard error and the usage to standard output, exit 0 (observed nats-server 2.15.1).
    #[error("{message}")]
    Usage {
        /// What is wrong.
        message: String,
        /// The usage text.
        usage: String,
    },
    /// A word that is no command; exit 1.
    #[error("{program}: {message}")]
    Refused {
        /// The program's name.
        program: String,
        /// What is wrong.
        message: String,
    },
    /// The file or the combination of options is wrong; exit 1.
    #[error("{program}: {errors}")]
    Config {
        /// The program's name.
        program: String,
        /// What is wrong.
        errors: ConfigErrors,
    },
}

impl CommandLineError {
    /// The exit code of the program.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Usage { .. } => 0,
            Self::Refused { .. } | Self::Config { .. } => 1,
        }
    }
}

/// Reads the arguments (the first is the program's own name), then the configuration file that they name.
///
/// # Errors
/// Unknown flags and commands, an unreadable or wrong file, options that contradict each other.
pub fn parse_command_line(
    arguments: impl IntoIterator<Item = OsString>,
    environment: &Environment<'_>,
) -> Result<Command, CommandLineError> {
    let _ = (arguments.into_iter().next(), environment.variable);
    todo!()
}
