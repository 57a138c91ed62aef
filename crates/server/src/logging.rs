//! Log lines in nats-server's form: `[PID] YYYY/MM/DD HH:MM:SS.uuuuuu [INF] text`.

use std::fmt::{self, Write};
use std::io;
use std::sync::Arc;

use jetsled_config::LogOptions;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use parking_lot::RwLock;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::{Registry, reload};

use crate::log_file::LogSink;

/// The target of events that end the program: an error with this target is shown as `[FTL]`.
pub const FATAL: &str = "jetsled::fatal";

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
        let (layer, handle) = reload::Layer::new(LineLayer::new(options, Arc::clone(&sink)));
        // A library user may have installed a subscriber of its own, which then stays.
        tracing::subscriber::set_global_default(tracing_subscriber::registry().with(layer)).ok();
        Ok(Self {
            sink: Arc::new(RwLock::new(sink)),
            layer: handle,
        })
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

impl LineLayer {
    fn new(options: &LogOptions, sink: Arc<LogSink>) -> Self {
        Self {
            sink,
            format: LineFormat {
                pid: std::process::id(),
                timestamps: options.timestamps,
                zone: if options.utc {
                    TimeZone::UTC
                } else {
                    TimeZone::system()
                },
            },
            level: match options {
                LogOptions { trace: true, .. } => LevelFilter::TRACE,
                LogOptions { debug: true, .. } => LevelFilter::DEBUG,
                _ => LevelFilter::INFO,
            },
            debug: options.debug,
        }
    }
}

struct LineLayer {
    sink: Arc<LogSink>,
    format: LineFormat,
    level: LevelFilter,
    debug: bool,
}

struct LineFormat {
    pid: u32,
    timestamps: bool,
    zone: TimeZone,
}

impl LineFormat {
    fn line(&self, tag: &str, text: &dyn fmt::Display) -> Vec<u8> {
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
        let _: fmt::Result = writeln!(line, "[{tag}] {text}");
        line.into_bytes()
    }
}

impl<S: Subscriber> Layer<S> for LineLayer {
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        let ours = metadata.target().starts_with("jetsled");
        let level = *metadata.level();
        // Tracing the protocol does not ask for debug lines.
        let wanted = level <= self.level && (level != Level::DEBUG || self.debug);
        wanted && (ours || level <= Level::WARN)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.level)
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        let tag = match *metadata.level() {
            Level::ERROR if metadata.target() == FATAL => "FTL",
            Level::ERROR => "ERR",
            Level::WARN => "WRN",
            Level::INFO => "INF",
            Level::DEBUG => "DBG",
            Level::TRACE => "TRC",
        };
        let mut text = Text::default();
        event.record(&mut text);
        let line = self.format.line(tag, &text.0);
        self.sink
            .write(&line, |text| self.format.line("INF", &text));
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

    #[test]
    fn a_line_without_timestamp_has_pid_tag_and_text() {
        let format = LineFormat {
            pid: 42,
            timestamps: false,
            zone: TimeZone::UTC,
        };
        assert_eq!(
            format.line("INF", &"Server is ready"),
            b"[42] [INF] Server is ready\n"
        );
    }

    #[test]
    fn a_line_with_timestamp_has_microseconds() {
        let format = LineFormat {
            pid: 7,
            timestamps: true,
            zone: TimeZone::UTC,
        };
        let line = String::from_utf8(format.line("WRN", &"x")).unwrap();
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
