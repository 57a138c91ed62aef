//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

use jetsled_import::StoreKeys;
use jetsled_store::{Encryption, StoreKey, UnknownCipher};

use crate::chance;

/// What is to be done.
#[derive(Debug)]
pub(super) enum Command {
    Import(Import),
    Help,
}

/// An import as it was asked for.
#[derive(Debug)]
pub(super) struct Import {
    /// Where the nats-server's store lies.
    pub(super) from: PathBuf,
    /// The new store directory, as `-sd` takes it. Without one nothing is written.
    pub(super) to: Option<PathBuf>,
    pub(super) verify: bool,
    pub(super) keys: StoreKeys,
    /// What the new store is encrypted with; nothing: it is plain.
    pub(super) encryption: Option<Encryption>,
}

/// Arguments that are no import.
#[derive(Debug, thiserror::Error)]
pub(super) enum CommandError {
    #[error(transparent)]
    Arguments(#[from] lexopt::Error),
    #[error("the directory of the nats-server's store is missing")]
    NoSource,
    #[error("--store is missing: where the new store is to be made")]
    NoTarget,
    #[error("variable {0} is not set, or empty")]
    NoVariable(String),
    #[error("can't read the key file {path}: {source}")]
    KeyFile {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("the key file {0} is empty")]
    EmptyKeyFile(PathBuf),
    #[error(transparent)]
    Cipher(#[from] UnknownCipher),
    #[error("--new-cipher without a key for the new store")]
    CipherAlone,
}

/// How it is called.
pub(super) const USAGE: &str = "
Usage: jetsled import NATS_STORE_DIR --store NEW_STORE_DIR [options]

Reads the store of a nats-server that is stopped and makes a new store with the same streams, messages and
consumers. NATS_STORE_DIR is that server's store_dir, and is only read; NEW_STORE_DIR must be empty or not exist.

  --store DIR          where the new store is to be made: what -sd, or store_dir, will name
  --dry-run            read everything and report, write nothing
  --verify             read both stores once more at the end and compare them
  --key-env VARIABLE   the key of an encrypted store, in a variable
  --key-file FILE      the key of an encrypted store, in a file; a line end behind it does not count

The new store is encrypted if it is given a key: the encryption_key of jetsled's configuration.

  --new-key-env VARIABLE   that key, in a variable
  --new-key-file FILE      that key, in a file
  --new-cipher NAME        chacha (the default) or aes

Keys of the old store may be given more than once, for a server with a prev_key. Exit code 0: all was carried over; 2: something was
not, as the report says; 1: nothing was made.
";

impl Command {
    pub(super) fn parse(arguments: &[OsString]) -> Result<Self, CommandError> {
        use lexopt::prelude::*;
        let (mut from, mut to) = (None, None);
        let (mut dry_run, mut verify) = (false, false);
        let mut keys = StoreKeys::default();
        let (mut new_key, mut cipher) = (None, None);
        let mut parser = lexopt::Parser::from_args(arguments);
        while let Some(argument) = parser.next()? {
            match argument {
                Value(dir) if from.is_none() => from = Some(PathBuf::from(dir)),
                Long("store") => to = Some(PathBuf::from(parser.value()?)),
                Long("dry-run") => dry_run = true,
                Long("verify") => verify = true,
                Long("key-env") => keys.add(key_in_variable(&parser.value()?.string()?)?),
                Long("key-file") => keys.add(key_in_file(parser.value()?.into())?),
                Long("new-key-env") => new_key = Some(key_in_variable(&parser.value()?.string()?)?),
                Long("new-key-file") => new_key = Some(key_in_file(parser.value()?.into())?),
                Long("new-cipher") => cipher = Some(parser.value()?.string()?.parse()?),
                Long("help") | Short('h') => return Ok(Self::Help),
                other => return Err(other.unexpected().into()),
            }
        }
        let from = from.ok_or(CommandError::NoSource)?;
        let to = if dry_run {
            None
        } else {
            Some(to.ok_or(CommandError::NoTarget)?)
        };
        let encryption = match (new_key, cipher) {
            (None, Some(_)) => return Err(CommandError::CipherAlone),
            (None, None) => None,
            (Some(key), cipher) => Some(Encryption {
                key: StoreKey::new(key),
                previous: None,
                cipher: cipher.unwrap_or_default(),
                random: Arc::new(chance::bytes),
            }),
        };
        Ok(Self::Import(Import {
            from,
            to,
            verify,
            keys,
            encryption,
        }))
    }
}

fn key_in_variable(name: &str) -> Result<Vec<u8>, CommandError> {
    match std::env::var(name) {
        Ok(key) if !key.is_empty() => Ok(key.into_bytes()),
        _ => Err(CommandError::NoVariable(name.to_owned())),
    }
}

fn key_in_file(path: PathBuf) -> Result<Vec<u8>, CommandError> {
    let key = match std::fs::read(&path) {
        Ok(key) => key,
        Err(source) => return Err(CommandError::KeyFile { path, source }),
    };
    let key = key.strip_suffix(b"\n").unwrap_or(&key);
    let key = key.strip_suffix(b"\r").unwrap_or(key);
    if key.is_empty() {
        return Err(CommandError::EmptyKeyFile(path));
    }
    Ok(key.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str) -> String {
        let words: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
        match Command::parse(&words) {
            Ok(Command::Help) => "help".to_owned(),
            Ok(Command::Import(Import {
                from, to, verify, ..
            })) => format!(
                "{} {} {verify}",
                from.display(),
                to.map_or("-".to_owned(), |to| to.display().to_string())
            ),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn arguments_are_read_in_any_order() {
        assert_eq!(check("/old --store /new"), "/old /new false");
        assert_eq!(check("--verify --store=/new /old"), "/old /new true");
        assert_eq!(check("/old --dry-run"), "/old - false");
        assert_eq!(check("/old --dry-run --store /new"), "/old - false");
        assert_eq!(check("/old --help"), "help");
        assert_eq!(
            check("--store /new"),
            "the directory of the nats-server's store is missing"
        );
        assert_eq!(
            check("/old"),
            "--store is missing: where the new store is to be made"
        );
        assert_eq!(check("/old /new"), "unexpected argument \"/new\"");
        assert_eq!(check("/old -sd /new"), "invalid option '-s'");
        assert_eq!(
            check("/old --dry-run --key-env JETSLED_NO_SUCH_VARIABLE"),
            "variable JETSLED_NO_SUCH_VARIABLE is not set, or empty"
        );
        let missing = check("/old --dry-run --key-file /no/such/file");
        assert!(missing.starts_with("can't read the key file /no/such/file: "));
        assert_eq!(
            check("/old --store /new --new-cipher des"),
            "unknown cipher type: \"des\""
        );
        assert_eq!(
            check("/old --store /new --new-cipher aes"),
            "--new-cipher without a key for the new store"
        );
    }
}
