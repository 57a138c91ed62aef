//! What the arguments ask for: Go's flag style, nats-server's flags, exit codes and texts.

mod flags;
mod usage;

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

pub(crate) use flags::Flags;

use crate::{ConfigErrors, Environment, Options, Program, Warning, file};

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
    /// `-t`, and the file is good as far as it shows: if the files that it names are, too, print this line to standard error.
    ConfigIsValid {
        /// The line.
        line: String,
        /// What the file says.
        options: Box<Options>,
    },
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
/// Flags win over the file. Call it again with the same arguments to reload.
///
/// # Errors
/// Unknown flags and commands, an unreadable or wrong file, options that contradict each other.
pub fn parse_command_line(
    arguments: impl IntoIterator<Item = OsString>,
    environment: &Environment<'_>,
) -> Result<Command, CommandLineError> {
    let mut arguments = arguments
        .into_iter()
        .map(|argument| argument.to_string_lossy().into_owned());
    let program = Program::of(&arguments.next().unwrap_or_default());
    let refused = |message: String| CommandLineError::Refused {
        program: program.name().to_owned(),
        message,
    };
    let (flags, word) = Flags::parse(arguments).map_err(|error| CommandLineError::Usage {
        message: error.to_string(),
        usage: usage::text(program),
    })?;
    if flags.version == Some(true) {
        return Ok(Command::Version(program.version_line()));
    }
    if flags.help == Some(true) {
        return Ok(Command::Help(usage::text(program)));
    }
    if flags.help_tls == Some(true) {
        return Ok(Command::Help(usage::tls_text(program)));
    }
    match word.as_deref().map(str::to_lowercase).as_deref() {
        None => {}
        Some("version") => return Ok(Command::Version(program.version_line())),
        Some("help") => return Ok(Command::Help(usage::text(program))),
        Some(_) => {
            return Err(refused(format!(
                "unrecognized command: {:?}",
                word.unwrap_or_default()
            )));
        }
    }
    if let Some((flag, reason)) = flags.refused.first() {
        return Err(refused(format!("flag -{flag} is not supported: {reason}")));
    }
    if let Some(text) = flags.signal.as_deref().filter(|text| !text.is_empty()) {
        let (signal, target) = signal(text, environment).map_err(refused)?;
        return Ok(Command::Signal { signal, target });
    }
    configure(program, &flags, environment).map_err(|errors| CommandLineError::Config {
        program: program.name().to_owned(),
        errors,
    })
}

fn configure(
    program: Program,
    flags: &Flags,
    environment: &Environment<'_>,
) -> Result<Command, ConfigErrors> {
    let mut options = Options {
        program,
        ..Options::default()
    };
    let checking = flags.check == Some(true);
    let facts = match flags.config.as_deref().filter(|file| !file.is_empty()) {
        Some(file) => file::read(Path::new(file), &mut options, environment)?,
        None if checking => {
            return Err(ConfigErrors::one(
                "must specify [-c, --config] option to check configuration file syntax",
            ));
        }
        None => file::FileFacts {
            mentions_jetstream: false,
            warnings: Vec::new(),
        },
    };
    if checking && !facts.warnings.is_empty() {
        return Err(ConfigErrors(facts.warnings));
    }
    if program == Program::Jetsled && !facts.mentions_jetstream {
        options.jetstream.enabled = true;
    }
    flags.apply(&mut options)?;
    if program == Program::Jetsled && options.jetstream.configured_store_dir.is_none() {
        options.jetstream.configured_store_dir = lasting_directory(environment);
    }
    options.validate()?;
    if checking {
        let line = format!(
            "{}: configuration file {} is valid ({})",
            program.name(),
            options
                .config_file
                .as_deref()
                .unwrap_or(Path::new(""))
                .display(),
            options.config_digest.as_deref().unwrap_or_default()
        );
        return Ok(Command::ConfigIsValid {
            line,
            options: Box::new(options),
        });
    }
    Ok(Command::Run {
        options: Box::new(options),
        warnings: facts.warnings,
    })
}

/// Where streams are kept if nobody says: nats-server's temporary directory does not outlive the machine's restart.
fn lasting_directory(environment: &Environment<'_>) -> Option<PathBuf> {
    let filled = |name| {
        (environment.variable)(name)
            .filter(|dir| !dir.is_empty())
            .map(PathBuf::from)
    };
    let state = filled("XDG_STATE_HOME").or_else(|| Some(filled("HOME")?.join(".local/state")));
    Some(state?.join("jetsled"))
}

/// `<command>[=<pid or pid file>]`
fn signal(text: &str, environment: &Environment<'_>) -> Result<(Signal, SignalTarget), String> {
    let (command, target) = match text.split_once('=') {
        Some((_, target)) if target.contains('=') => {
            return Err(format!("invalid signal parameters: {target:?}"));
        }
        Some((command, target)) => (command, Some(target)),
        None => (text, None),
    };
    let signal = match command {
        "stop" => Signal::Kill,
        "quit" => Signal::Interrupt,
        "term" => Signal::Terminate,
        "reopen" => Signal::ReopenLog,
        "ldm" => Signal::LameDuck,
        "reload" => Signal::Reload,
        _ => return Err(format!("unknown signal {command:?}")),
    };
    let target = match target {
        None | Some("") => SignalTarget::OnlyServer,
        Some(file) if (environment.read_file)(Path::new(file)).is_ok() => {
            SignalTarget::PidFile(file.into())
        }
        Some(pid) if pid.trim_end_matches('*').parse::<u32>().is_ok() || pid == "*" => {
            SignalTarget::Pid(pid.to_owned())
        }
        Some(pid) => return Err(format!("invalid pid: {pid}")),
    };
    Ok((signal, target))
}

#[cfg(test)]
mod tests;
