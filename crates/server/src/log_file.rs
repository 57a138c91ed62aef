//! Where log lines go: stderr, or a file that can be reopened and is rotated by size.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use jiff::Zoned;
use parking_lot::Mutex;

/// The log's sink. Every line is written at once: readers poll the file.
#[derive(Debug)]
pub(crate) enum LogSink {
    Stderr,
    File(Mutex<LogFile>),
}

/// A log file.
#[derive(Debug)]
pub(crate) struct LogFile {
    path: PathBuf,
    file: File,
    written: u64,
    /// Rotate when larger.
    size_limit: Option<u64>,
    /// Files kept, the current one included.
    max_files: Option<usize>,
}

impl LogSink {
    /// Opens `path` for appending, or stderr without one.
    pub(crate) fn open(
        path: Option<&Path>,
        size_limit: Option<u64>,
        max_files: Option<usize>,
    ) -> io::Result<Self> {
        let Some(path) = path else {
            return Ok(Self::Stderr);
        };
        let file = append_to(path)?;
        let written = file.metadata()?.len();
        Ok(Self::File(Mutex::new(LogFile {
            path: path.to_owned(),
            file,
            written,
            size_limit,
            max_files,
        })))
    }

    /// Writes one line. `line_of` formats further lines that the log itself has to say.
    pub(crate) fn write(&self, line: &[u8], line_of: impl Fn(&str) -> Vec<u8>) {
        // A log that cannot be written has nowhere to complain.
        match self {
            Self::Stderr => io::stderr().lock().write_all(line).ok(),
            Self::File(file) => file.lock().write(line, line_of).ok(),
        };
    }

    /// Opens the file anew, after somebody has moved it. `false` when it is no file.
    pub(crate) fn reopen(&self) -> io::Result<bool> {
        match self {
            Self::Stderr => Ok(false),
            Self::File(file) => {
                let mut log = file.lock();
                log.file = append_to(&log.path)?;
                log.written = log.file.metadata()?.len();
                Ok(true)
            }
        }
    }
}

impl LogFile {
    fn write(&mut self, line: &[u8], line_of: impl Fn(&str) -> Vec<u8>) -> io::Result<()> {
        self.file.write_all(line)?;
        self.written += line.len() as u64;
        if self.size_limit.is_some_and(|limit| self.written > limit) {
            let backup = self.rotate()?;
            let said = line_of(&format!(
                "Rotated log, backup saved as {:?}",
                backup.display().to_string()
            ));
            self.file.write_all(&said)?;
            self.written = said.len() as u64;
            for purged in self.purge()? {
                let said = line_of(&format!(
                    "Purged log file {:?}",
                    purged.display().to_string()
                ));
                self.file.write_all(&said)?;
                self.written += said.len() as u64;
            }
        }
        Ok(())
    }

    fn rotate(&mut self) -> io::Result<PathBuf> {
        let now = Zoned::now();
        let mut name = self.path.clone().into_os_string();
        name.push(now.strftime(".%Y.%m.%d.%H.%M.%S.").to_string());
        name.push(format!("{:09}", now.subsec_nanosecond()));
        let backup = PathBuf::from(name);
        std::fs::rename(&self.path, &backup)?;
        self.file = append_to(&self.path)?;
        Ok(backup)
    }

    /// Removes the oldest backups beyond the limit.
    fn purge(&self) -> io::Result<Vec<PathBuf>> {
        let (Some(max_files), Some(name)) = (self.max_files, self.path.file_name()) else {
            return Ok(Vec::new());
        };
        let dir = match self.path.parent() {
            Some(dir) if !dir.as_os_str().is_empty() => dir,
            _ => Path::new("."),
        };
        let prefix = format!("{}.", name.to_string_lossy());
        let mut backups: Vec<_> = std::fs::read_dir(dir)?
            .filter_map(Result::ok)
            .filter(|entry| entry.file_name().to_string_lossy().starts_with(&prefix))
            .map(|entry| entry.path())
            .collect();
        // The date in the name sorts them by age.
        backups.sort();
        let keep = max_files.saturating_sub(1);
        backups.truncate(backups.len().saturating_sub(keep));
        for backup in &backups {
            std::fs::remove_file(backup)?;
        }
        Ok(backups)
    }
}

fn append_to(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o640)
        .open(path)
}
