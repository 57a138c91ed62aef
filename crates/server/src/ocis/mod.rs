//! `jetsled ocis`: the program in the place of `ocis nats server` (observed oCIS 7.0.0).
//!
//! What is configured, and how, is `jetsled-ocis`'s; this is what the service does around the server: its log, its
//! certificate, its debug listener, and a stop that leaves other services time to deregister.

mod certificate;
mod debug;
mod folder;
mod health;

use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use jetsled_config::{Environment, Options};
use jetsled_ocis::{Command, Settings, USAGE};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::Server;
use crate::logging::{ALWAYS, FATAL, Log};
use crate::program::{ServeError, run_to_end, say};

pub(crate) use debug::DebugError;
use debug::DebugListener;
use health::Check;

/// How long the service goes on after it was told to stop: other services delete their registry entries meanwhile.
const DEREGISTER_WITHIN: Duration = Duration::from_secs(3);

/// Runs the command that the arguments ask for; returns the program's exit code.
pub(crate) fn run(arguments: &[OsString]) -> ExitCode {
    match Command::parse(arguments) {
        Ok(Command::Server) => serve(),
        Ok(Command::Health) => ask_health(),
        Ok(Command::Version) => {
            say(
                io::stdout(),
                concat!("jetsled ", env!("CARGO_PKG_VERSION"), "\n"),
            );
            ExitCode::SUCCESS
        }
        Ok(Command::Help) => {
            say(io::stdout(), USAGE);
            ExitCode::SUCCESS
        }
        Err(error) => {
            say(io::stderr(), &format!("{error}\n{USAGE}"));
            ExitCode::FAILURE
        }
    }
}

fn serve() -> ExitCode {
    let (settings, warnings) = match jetsled_ocis::load(&Environment::PROCESS) {
        Ok(loaded) => loaded,
        Err(error) => {
            // There is no log yet, and oCIS says it there.
            say(io::stdout(), &format!("{error}\n"));
            return ExitCode::FAILURE;
        }
    };
    let log = match Log::install_ocis(&settings.log) {
        Ok(log) => log,
        Err(error) => {
            let file = &settings.log.file;
            say(
                io::stderr(),
                &format!("log file {file} could not be opened for writing: {error}\n"),
            );
            return ExitCode::FAILURE;
        }
    };
    for warning in warnings {
        tracing::warn!(target: ALWAYS, "{warning}");
    }
    match prepare(&settings) {
        Ok(options) => run_to_end(serve_until_stopped(options, &settings, &log)),
        Err(reason) => {
            tracing::error!(target: FATAL, "{reason}");
            ExitCode::FAILURE
        }
    }
}

/// Makes what must be there before the server starts.
fn prepare(settings: &Settings) -> Result<Options, String> {
    let options = settings
        .server_options()
        .map_err(|error| error.to_string())?;
    if let Some(tls) = &options.tls {
        certificate::ensure(&tls.cert_file, &tls.key_file)
            .map_err(|error| format!("could not generate a certificate: {error}"))?;
    }
    if let Some(dir) = &options.jetstream.configured_store_dir {
        folder::create_private(dir)
            .map_err(|error| format!("could not create the folder {}: {error}", dir.display()))?;
    }
    warn_of_other_store(&options.jetstream.store_dir());
    Ok(options)
}

/// Streams of the service that was here before are not read: better said than found out.
fn warn_of_other_store(store_dir: &Path) {
    let streams = store_dir.join("$G").join("streams");
    let has_streams = std::fs::read_dir(&streams).is_ok_and(|mut found| found.next().is_some());
    if has_streams {
        tracing::warn!(
            target: ALWAYS,
            "{} holds streams of the nats service that ran here before: they are left alone and not served; \
             docs/ocis.md has how to carry them over",
            streams.display()
        );
    }
}

async fn serve_until_stopped(
    options: Options,
    settings: &Settings,
    log: &Log,
) -> Result<(), ServeError> {
    let mut stop = StopSignals::new()?;
    let mut reopen = signal(SignalKind::user_defined1())?;
    // Without a handler it would end the process; oCIS's service does not mind it.
    drop(signal(SignalKind::user_defined2())?);

    let check = Arc::new(Check::new(options.tls.is_some()));
    let debug = DebugListener::start(&settings.debug, &check).await?;
    let server = Server::start(options).await?;
    check.server_listens_on(server.client_address());
    debug.shows(&server);
    loop {
        tokio::select! {
            () = stop.next() => break,
            _ = reopen.recv() => log.reopen(),
        }
    }
    tracing::info!("letting other services deregister");
    tokio::select! {
        () = tokio::time::sleep(DEREGISTER_WITHIN) => {}
        // Asked twice: at once.
        () = stop.next() => {}
    }
    server.shutdown().await;
    drop(debug);
    Ok(())
}

/// All signals that mean stop.
struct StopSignals([Signal; 4]);

impl StopSignals {
    fn new() -> io::Result<Self> {
        Ok(Self([
            signal(SignalKind::terminate())?,
            signal(SignalKind::interrupt())?,
            signal(SignalKind::quit())?,
            signal(SignalKind::hangup())?,
        ]))
    }

    async fn next(&mut self) {
        let [terminate, interrupt, quit, hangup] = &mut self.0;
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            _ = quit.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}

/// Asks the service that runs with the same settings.
fn ask_health() -> ExitCode {
    let answer = jetsled_ocis::load(&Environment::PROCESS)
        .map_err(|error| error.to_string())
        .and_then(|(settings, _)| health::ask(&settings.debug).map_err(|error| error.to_string()));
    match answer {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            say(io::stderr(), &format!("{reason}\n"));
            ExitCode::FAILURE
        }
    }
}
