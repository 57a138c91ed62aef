//! The log: which events are shown, in which form, and where. nats-server's form is
//! `[PID] YYYY/MM/DD HH:MM:SS.uuuuuu [INF] text`.

mod ocis;

use std::fmt::{self, Write};
use std::io;
use std::sync::Arc;

use jetsled_auth::redacted;
use jetsled_config::LogOptions;
use jetsled_ocis::Level as OcisLevel;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use parking_lot::RwLock;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::{Registry, reload};

use crate::log_file::LogSink;
use ocis::OcisForm;

/// The target of events that end the program: an error with this target is shown as `[FTL]`.
pub const FATAL: &str = "jetsled::fatal";

/// The target of what an administrator must see whatever the log's level is.
pub(crate) const ALWAYS: &str = "jetsled::always";

/// Shows panics in the log as well: who reads a log file would not learn of them.
pub(crate) fn log_panics() {
    let show = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        tracing::error!("{}", panic.to_string().replace('\n', " "));
        show(panic);
    }));
}

/// The log of this process.
#[derive(Clone)]
pub struct Log {
    sink: Arc<RwLock<Arc<LogSink>>>,
    layer: reload::Handle<LineLayer, Registry>,
}

impl Log {
    /// Sends this process' events to stderr or to the configured file. Only the first call in a process has an effect.
    ///
    /// # Errors
    ///
    /// When the log file cannot be opened.
    pub fn install(options: &LogOptions) -> io::Result<Self> {
        let sink = Arc::new(open_sink(options)?);
        Ok(Self::install_layer(LineLayer::new(options, sink)))
    }

    /// As [`Log::install`], in the form and with the levels of oCIS.
    pub(crate) fn install_ocis(options: &jetsled_ocis::Log) -> io::Result<Self> {
        let file = (!options.pretty && !options.file.is_empty()).then(|| options.file.as_ref());
        let sink = Arc::new(LogSink::open(file, None, None)?);
        Ok(Self::install_layer(LineLayer::ocis(options, sink)))
    }

    fn install_layer(layer: LineLayer) -> Self {
        let sink = Arc::new(RwLock::new(Arc::clone(&layer.sink)));
        let (layer, handle) = reload::Layer::new(layer);
        // A library user may have installed a subscriber of its own, which then stays.
        tracing::subscriber::set_global_default(tracing_subscriber::registry().with(layer)).ok();
        Self {
            sink,
            layer: handle,
        }
    }

    /// Logs otherwise from now on.
    ///
    /// # Errors
    ///
    /// When the log file cannot be opened; the log stays as it was.
    pub fn reconfigure(&self, options: &LogOptions) -> io::Result<()> {
        let sink = Arc::new(open_sink(options)?);
        let layer = LineLayer::new(options, Arc::clone(&sink));
        *self.sink.write() = sink;
        self.layer.reload(layer).map_err(io::Error::other)
    }

    /// Opens the log file anew, after somebody has moved it, and says so.
    pub fn reopen(&self) {
        let sink = Arc::clone(&self.sink.read());
        match sink.reopen() {
            Ok(true) => tracing::info!("File log re-opened"),
            Ok(false) => tracing::info!("File log re-open ignored, not a file logger"),
            Err(error) => tracing::error!("can't re-open the log file: {error}"),
        }
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log").finish_non_exhaustive()
    }
}

fn open_sink(options: &LogOptions) -> io::Result<LogSink> {
    LogSink::open(
        options.file.as_deref(),
        options.size_limit,
        options.max_files,
    )
}

/// How severe an event is, the most severe first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Severity {
    Fatal,
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

impl Severity {
    fn of(metadata: &Metadata<'_>) -> Self {
        match *metadata.level() {
            Level::ERROR if metadata.target() == FATAL => Self::Fatal,
            Level::ERROR => Self::Error,
            Level::WARN => Self::Warn,
            Level::INFO => Self::Info,
            Level::DEBUG => Self::Debug,
            Level::TRACE => Self::Trace,
        }
    }

    /// As oCIS's levels go; nothing is as severe as its `panic`.
    fn of_ocis(level: OcisLevel) -> Option<Self> {
        match level {
            OcisLevel::Panic => None,
            OcisLevel::Fatal => Some(Self::Fatal),
            OcisLevel::Error => Some(Self::Error),
            OcisLevel::Warn => Some(Self::Warn),
            OcisLevel::Info => Some(Self::Info),
            OcisLevel::Debug => Some(Self::Debug),
            OcisLevel::Trace => Some(Self::Trace),
        }
    }

    fn filter(self) -> LevelFilter {
        match self {
            Self::Fatal | Self::Error => LevelFilter::ERROR,
            Self::Warn => LevelFilter::WARN,
            Self::Info => LevelFilter::INFO,
            Self::Debug => LevelFilter::DEBUG,
            Self::Trace => LevelFilter::TRACE,
        }
    }
}

/// What becomes a line.
#[derive(Clone, Copy)]
struct Entry<'a> {
    severity: Severity,
    /// File and line of the source.
    source: Option<(&'a str, u32)>,
    text: &'a str,
}

enum Form {
    Nats(NatsForm),
    Ocis(OcisForm),
}

impl Form {
    fn line(&self, entry: Entry<'_>) -> Vec<u8> {
        match self {
            Self::Nats(form) => form.line(entry),
            Self::Ocis(form) => form.line(entry),
        }
    }
}

impl LineLayer {
    fn new(options: &LogOptions, sink: Arc<LogSink>) -> Self {
        Self {
            sink,
            form: Form::Nats(NatsForm {
                pid: std::process::id(),
                timestamps: options.timestamps,
                zone: if options.utc {
                    TimeZone::UTC
                } else {
                    TimeZone::system()
                },
            }),
            lowest: Some(match options {
                LogOptions { trace: true, .. } => Severity::Trace,
                LogOptions { debug: true, .. } => Severity::Debug,
                _ => Severity::Info,
            }),
            debug: options.debug,
        }
    }

    fn ocis(options: &jetsled_ocis::Log, sink: Arc<LogSink>) -> Self {
        Self {
            sink,
            form: Form::Ocis(OcisForm::new(options)),
            lowest: Severity::of_ocis(options.level()),
            debug: true,
        }
    }
}

struct LineLayer {
    sink: Arc<LogSink>,
    form: Form,
    /// The least severe that is shown; `None` shows nothing.
    lowest: Option<Severity>,
    /// Debug lines are shown where the level admits them: tracing the protocol does not ask for them.
    debug: bool,
}

struct NatsForm {
    pid: u32,
    timestamps: bool,
    zone: TimeZone,
}

impl NatsForm {
    fn line(&self, entry: Entry<'_>) -> Vec<u8> {
        let tag = match entry.severity {
            Severity::Fatal => "FTL",
            Severity::Error => "ERR",
            Severity::Warn => "WRN",
            Severity::Info => "INF",
            Severity::Debug => "DBG",
            Severity::Trace => "TRC",
        };
        let mut line = String::with_capacity(96);
        // Writing to a string cannot fail.
        let _: fmt::Result = write!(line, "[{}] ", self.pid);
        if self.timestamps {
            let now = Zoned::new(Timestamp::now(), self.zone.clone());
            let _: fmt::Result = write!(
                line,
                "{:04}/{:02}/{:02} {:02}:{:02}:{:02}.{:06} ",
                now.year(),
                now.month(),
                now.day(),
                now.hour(),
                now.minute(),
                now.second(),
                now.subsec_nanosecond() / 1000
            );
        }
        let _: fmt::Result = writeln!(line, "[{tag}] {}", entry.text);
        line.into_bytes()
    }
}

impl<S: Subscriber> Layer<S> for LineLayer {
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        if metadata.target() == ALWAYS {
            return true;
        }
        let ours = metadata.target().starts_with("jetsled");
        let severity = Severity::of(metadata);
        let wanted = self.lowest.is_some_and(|lowest| severity <= lowest)
            && (severity != Severity::Debug || self.debug);
        wanted && (ours || severity <= Severity::Warn)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        let lowest = self.lowest.unwrap_or(Severity::Fatal);
        // Warnings may be meant for everybody.
        Some(lowest.max(Severity::Warn).filter())
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        let mut text = Text::default();
        event.record(&mut text);
        // All lines pass here: what nobody has thought of is hidden at least in them.
        let text = redacted(&text.0);
        let line = self.form.line(Entry {
            severity: Severity::of(metadata),
            source: metadata.file().zip(metadata.line()),
            text: &text,
        });
        let of_the_log = |text: &str| {
            self.form.line(Entry {
                severity: Severity::Info,
                source: None,
                text,
            })
        };
        self.sink.write(&line, of_the_log);
    }
}

/// An event's message, and its other fields behind it.
#[derive(Default)]
struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a string cannot fail.
        let _: fmt::Result = if field.name() == "message" {
            write!(self.0, "{value:?}")
        } else {
            write!(self.0, " {}={value:?}", field.name())
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(severity: Severity, text: &str) -> Entry<'_> {
        Entry {
            severity,
            source: None,
            text,
        }
    }

    #[test]
    fn a_line_without_timestamp_has_pid_tag_and_text() {
        let form = NatsForm {
            pid: 42,
            timestamps: false,
            zone: TimeZone::UTC,
        };
        assert_eq!(
            form.line(entry(Severity::Info, "Server is ready")),
            b"[42] [INF] Server is ready\n"
        );
    }

    #[test]
    fn a_panic_is_a_line_of_the_log() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let options = LogOptions {
            file: Some(path.clone()),
            ..LogOptions::default()
        };
        let layer = LineLayer::new(&options, Arc::new(open_sink(&options).unwrap()));
        log_panics();
        tracing::subscriber::with_default(Registry::default().with(layer), || {
            std::panic::catch_unwind(|| panic!("a bug")).unwrap_err();
        });
        let log = std::fs::read_to_string(path).unwrap();
        assert!(log.contains("[ERR] panicked at "), "{log}");
        assert!(log.ends_with(": a bug\n"), "{log}");
    }

    #[test]
    fn a_line_with_timestamp_has_microseconds() {
        let form = NatsForm {
            pid: 7,
            timestamps: true,
            zone: TimeZone::UTC,
        };
        let line = String::from_utf8(form.line(entry(Severity::Warn, "x"))).unwrap();
        let time = line
            .strip_prefix("[7] ")
            .unwrap()
            .strip_suffix(" [WRN] x\n")
            .unwrap();
        let shape: String = time
            .chars()
            .map(|c| if c.is_ascii_digit() { '0' } else { c })
            .collect();
        assert_eq!(shape, "0000/00/00 00:00:00.000000");
    }
}
