//! The arguments of `jetsled check`.

use std::ffi::OsString;
use std::path::PathBuf;

/// What `jetsled check -h` prints.
pub(super) const USAGE: &str = "
Usage: jetsled check [flags] STORE_DIR

Reads everything in STORE_DIR, which no server may be using, and changes nothing there. STORE_DIR is a server's store_dir.

  -c, -config FILE              a server's configuration, for the key of an encrypted store: key, prev_key and cipher of jetstream
  -json                         print JSON
  -q, -quiet                    show no progress
  -h, -help                     show this text

Exit code: 0 all is there, 1 something is damaged or missing, 2 the store could not be read.
";

/// What to check, and how to tell.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Arguments {
    pub(super) store_dir: PathBuf,
    /// A server's configuration.
    pub(super) config: Option<OsString>,
    pub(super) json: bool,
    pub(super) quiet: bool,
}

/// What the arguments ask for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Asked {
    Check(Arguments),
    Help,
}

impl Arguments {
    /// Flags are written with one dash or two, as everywhere in the program.
    pub(super) fn parse(arguments: &[OsString]) -> Result<Asked, String> {
        let (mut store_dir, mut config, mut json, mut quiet) = (None, None, false, false);
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            let text = argument.to_string_lossy();
            let flag = text
                .strip_prefix("--")
                .or_else(|| text.strip_prefix('-'))
                .filter(|flag| !flag.is_empty());
            match flag {
                Some("c" | "config") => {
                    let file = arguments.next().ok_or("which file? -c needs one")?;
                    config = Some(file.clone());
                }
                Some("json") => json = true,
                Some("q" | "quiet") => quiet = true,
                Some("h" | "help") => return Ok(Asked::Help),
                Some(_) => return Err(format!("flag provided but not defined: {text}")),
                None if store_dir.is_none() => store_dir = Some(PathBuf::from(argument)),
                None => return Err(format!("unexpected argument: {text}")),
            }
        }
        let store_dir = store_dir.ok_or("which store? STORE_DIR is missing")?;
        Ok(Asked::Check(Self {
            store_dir,
            config,
            json,
            quiet,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_understood_or_named() {
        let parse = |arguments: &[&str]| {
            let arguments: Vec<_> = arguments.iter().map(OsString::from).collect();
            Arguments::parse(&arguments)
        };
        let check = |json, quiet| {
            Ok(Asked::Check(Arguments {
                store_dir: PathBuf::from("dir"),
                config: None,
                json,
                quiet,
            }))
        };
        assert_eq!(parse(&["dir"]), check(false, false));
        assert_eq!(parse(&["--json", "dir", "-q"]), check(true, true));
        assert_eq!(parse(&["dir", "-help"]), Ok(Asked::Help));
        let configured = parse(&["-config", "file", "dir"]);
        let config = Some(OsString::from("file"));
        assert!(matches!(configured, Ok(Asked::Check(arguments)) if arguments.config == config));
        assert!(parse(&["dir", "-c"]).is_err_and(|error| error.contains("-c")));
        assert!(parse(&[]).is_err_and(|error| error.contains("STORE_DIR")));
        assert!(parse(&["-x", "dir"]).is_err_and(|error| error.contains("-x")));
        assert!(parse(&["dir", "more"]).is_err_and(|error| error.contains("more")));
    }
}
