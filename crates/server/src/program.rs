//! The program around the server: arguments, log, signals, exit codes.

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

use jetsled_auth::redacted;
use jetsled_config::{Command, CommandLineError, Environment, Options, parse_command_line};
use tokio::signal::unix::{SignalKind, signal};

use crate::foreign_store;
use crate::logging::{FATAL, Log, log_panics};
use crate::send_signal::send_signal;
use crate::tls::server_config;
use crate::{Server, StartError, commands, ocis};

/// Runs the program with the process' arguments, the program's own name first; returns its exit code.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<_> = arguments.into_iter().collect();
    if let Some(arguments) = jetsled_ocis::Command::arguments(&arguments) {
        return ocis::run(arguments);
    }
    if let Some((command, arguments)) = commands::find(&arguments) {
        return (command.run)(arguments);
    }
    let command = match parse_command_line(arguments.clone(), &Environment::PROCESS) {
        Ok(command) => command,
        Err(error) => return refuse(&error),
    };
    match command {
        Command::Run { options, warnings } => {
            for warning in warnings {
                say(io::stderr(), &format!("{warning}\n"));
            }
            serve(*options, &arguments)
        }
        Command::ConfigIsValid { line, options } => {
            if let Some(Err(error)) = options.tls.as_ref().map(server_config) {
                say(io::stderr(), &format!("nats-server: {error}\n"));
                return ExitCode::FAILURE;
            }
            say(io::stderr(), &format!("{line}\n"));
            ExitCode::SUCCESS
        }
        Command::Version(text) => {
            say(io::stdout(), &format!("{text}\n"));
            ExitCode::SUCCESS
        }
        Command::Help(text) => {
            let commands = commands::usage(arguments.first());
            say(io::stdout(), &format!("{text}{commands}\n"));
            ExitCode::SUCCESS
        }
        Command::Signal { signal, target } => match send_signal(signal, &target) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                say(io::stderr(), &format!("nats-server: {error}\n"));
                ExitCode::FAILURE
            }
        },
    }
}

fn refuse(error: &CommandLineError) -> ExitCode {
    say(io::stderr(), &format!("{error}\n"));
    if let CommandLineError::Usage { usage, .. } = error {
        say(io::stdout(), usage);
    }
    ExitCode::from(error.exit_code())
}

pub(crate) fn say(mut to: impl Write, text: &str) {
    // Nobody reads it; there is nothing else to do about that.
    to.write_all(redacted(text).as_bytes()).ok();
}

fn serve(options: Options, arguments: &[OsString]) -> ExitCode {
    let log = match Log::install(&options.log) {
        Ok(log) => log,
        Err(error) => {
            let file = options.log.file.unwrap_or_default();
            say(
                io::stderr(),
                &format!(
                    "nats-server: error opening log file {}: {error}\n",
                    file.display()
                ),
            );
            return ExitCode::FAILURE;
        }
    };
    run_to_end(serve_until_stopped(options, &log, arguments))
}

/// Runs a server until it is stopped; an error goes to the log and into the exit code.
pub(crate) fn run_to_end(serving: impl Future<Output = Result<(), ServeError>>) -> ExitCode {
    log_panics();
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(target: FATAL, "can't start the runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(serving) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(target: FATAL, "{error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve_until_stopped(
    options: Options,
    log: &Log,
    arguments: &[OsString],
) -> Result<(), ServeError> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut reopen = signal(SignalKind::user_defined1())?;
    let mut lame_duck = signal(SignalKind::user_defined2())?;
    let mut reload = signal(SignalKind::hangup())?;

    foreign_store::refuse(&options)?;
    let server = Server::start(options).await?;
    server.greet();
    let mut reload_requests = server.reload_requests();
    loop {
        tokio::select! {
            _ = interrupt.recv() => {
                trapped("interrupt");
                break;
            }
            _ = terminate.recv() => {
                trapped("terminated");
                break;
            }
            _ = reopen.recv() => {
                trapped("user defined signal 1");
                log.reopen();
            }
            _ = reload.recv() => {
                trapped("hangup");
                if let Err(reason) = reload_from(&server, log, arguments) {
                    tracing::error!("Failed to reload server configuration: {reason}");
                }
            }
            Some(request) = reload_requests.recv() => {
                let result = reload_from(&server, log, arguments);
                if let Err(reason) = &result {
                    tracing::error!("Failed to reload server configuration: {reason}");
                }
                // Whoever asked may be gone.
                request.done.send(result).ok();
            }
            _ = lame_duck.recv() => {
                trapped("user defined signal 2");
                tokio::select! {
                    () = server.lame_duck() => {}
                    _ = interrupt.recv() => trapped("interrupt"),
                }
                break;
            }
        }
    }
    server.shutdown().await;
    Ok(())
}

/// Reads the arguments and the file that they name again.
fn reload_from(server: &Server, log: &Log, arguments: &[OsString]) -> Result<(), String> {
    if !server.has_config_file() {
        let reason = "can only reload config when a file is provided using -c or --config";
        return Err(reason.to_owned());
    }
    let options = match parse_command_line(arguments.to_vec(), &Environment::PROCESS) {
        Ok(Command::Run { options, .. }) => *options,
        Ok(_) => return Err("the arguments do not start a server".to_owned()),
        Err(CommandLineError::Config { errors, .. }) => return Err(errors.to_string()),
        Err(error) => return Err(error.to_string()),
    };
    let logging = options.log.clone();
    server.reload(options).map_err(|error| error.to_string())?;
    log.reconfigure(&logging)
        .map_err(|error| format!("error opening log file: {error}"))
}

fn trapped(name: &str) {
    tracing::info!("Trapped {name:?} signal");
}

/// Why the program ended with an error.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServeError {
    #[error("can't listen for signals: {0}")]
    Signals(#[from] io::Error),
    #[error(transparent)]
    Start(#[from] StartError),
    /// The debug listener of oCIS's service.
    #[error("can't start the debug server: {0}")]
    Debug(#[from] ocis::DebugError),
}
