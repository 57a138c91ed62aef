//! The command line: `jetsled ocis`, in oCIS's own words where those are used.

use std::ffi::OsString;

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// Run the service.
    Server,
    /// Ask the running service whether it is well.
    Health,
    /// Print the version.
    Version,
    /// Print the usage.
    Help,
}

/// Arguments that are no command.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no command of the nats service")]
pub struct CommandError(String);

/// How it is called.
pub const USAGE: &str = "
Usage: jetsled ocis [server | health | version]

  server    stand in for the nats service of ownCloud Infinite Scale (`ocis nats server`); the default
  health    ask the running service, by its debug address, whether it is well: exit code 0 if it is
  version   print the version

Called by the name ocis, the program takes oCIS's own words: ocis nats server.

It is configured as that service is: by the variables NATS_... and OCIS_..., and by the files nats.yaml and
ocis.yaml in OCIS_CONFIG_DIR (default ~/.ocis/config). Unless told otherwise it listens on 127.0.0.1:9233, its
debug server on 127.0.0.1:9234, and it keeps streams below ~/.ocis/nats.
";

impl Command {
    /// The arguments behind `jetsled ocis`, or behind the program's name where that is `ocis`; `None` where the program
    /// is something else.
    pub fn arguments(all: &[OsString]) -> Option<&[OsString]> {
        let (name, rest) = all.split_first()?;
        let name = name.to_string_lossy();
        let base = name.rsplit('/').next().unwrap_or_default();
        match rest.split_first() {
            _ if base == "ocis" => Some(rest),
            Some((word, rest)) if word == "ocis" => Some(rest),
            _ => None,
        }
    }

    /// Reads what [`Command::arguments`] gave. The service's name may stand before the command.
    ///
    /// # Errors
    /// Anything that is no command. Flags there are none.
    pub fn parse(arguments: &[OsString]) -> Result<Self, CommandError> {
        let mut words: Vec<_> = arguments
            .iter()
            .map(|word| word.to_string_lossy())
            .collect();
        if words.first().is_some_and(|word| word == "nats") {
            words.remove(0);
        }
        let words: Vec<&str> = words.iter().map(AsRef::as_ref).collect();
        match words[..] {
            [] | ["server"] => Ok(Self::Server),
            ["health"] => Ok(Self::Health),
            ["version" | "-v" | "--version"] => Ok(Self::Version),
            ["help" | "-h" | "-help" | "--help", ..] | [_, "-h" | "-help" | "--help"] => {
                Ok(Self::Help)
            }
            _ => Err(CommandError(words.join(" "))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<OsString> {
        line.split(' ').map(OsString::from).collect()
    }

    #[test]
    fn commands_are_told_by_the_name_and_the_words() {
        let cases = [
            ("jetsled ocis", Some(Ok(Command::Server))),
            ("/usr/bin/jetsled ocis server", Some(Ok(Command::Server))),
            ("jetsled ocis nats server", Some(Ok(Command::Server))),
            ("/usr/bin/ocis nats server", Some(Ok(Command::Server))),
            ("ocis nats health", Some(Ok(Command::Health))),
            ("ocis nats version", Some(Ok(Command::Version))),
            ("jetsled ocis --help", Some(Ok(Command::Help))),
            ("ocis nats server --help", Some(Ok(Command::Help))),
            ("jetsled ocis -p 4222", Some(Err("-p 4222"))),
            ("ocis nats serve", Some(Err("serve"))),
            ("ocis proxy server", Some(Err("proxy server"))),
            ("jetsled", None),
            ("jetsled -c ocis", None),
            ("nats-server server", None),
        ];
        for (line, expected) in cases {
            let line_words = words(line);
            let parsed = Command::arguments(&line_words).map(Command::parse);
            let expected =
                expected.map(|result| result.map_err(|words| CommandError(words.to_owned())));
            assert_eq!(parsed, expected, "{line}");
        }
    }
}
