//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use lexopt::prelude::*;

pub(crate) const USAGE: &str = "\
Usage: jetsled-benches [OPTIONS] --server NAME=PROGRAM [--server NAME=\"PROGRAM ARGUMENTS\"]...

Runs each case against each server in turn, warmed up and interleaved, and prints medians. The first server is
compared with each of the others. Without --server the workspace's own jetsled runs alone.

  --server NAME=COMMAND   a server; COMMAND is split at blanks; address, port and store directory are added to it
  --limit NAME=TEXT       server NAME runs only cases whose name contains TEXT (may be given several times)
  --only TEXT             only cases whose name contains TEXT (may be given several times)
  --list                  print the names of the cases
  --seconds N             length of one measurement (default 2)
  --repetitions N         measurements a case and server (default 3)
  --dir DIR               where store directories are made (default: the system's temporary directory)
  --json FILE             write every measurement there
  --markdown FILE         write the table there as well
  --svg FILE              draw the ratios there
  --smoke                 every case once and briefly: does it still run?";

/// What to run.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) help: bool,
    pub(crate) list: bool,
    pub(crate) servers: Vec<ServerSpec>,
    pub(crate) only: Vec<String>,
    pub(crate) duration: Duration,
    pub(crate) repetitions: usize,
    pub(crate) dir: PathBuf,
    pub(crate) json: Option<PathBuf>,
    pub(crate) markdown: Option<PathBuf>,
    pub(crate) svg: Option<PathBuf>,
    pub(crate) smoke: bool,
}

/// A server under measurement.
#[derive(Clone, Debug)]
pub(crate) struct ServerSpec {
    pub(crate) name: String,
    pub(crate) program: PathBuf,
    pub(crate) args: Vec<OsString>,
    /// Texts of which one must be in a case's name; none: every case.
    pub(crate) limits: Vec<String>,
}

impl ServerSpec {
    fn parse(text: &str) -> Result<Self, lexopt::Error> {
        let (name, command) = text
            .split_once('=')
            .ok_or_else(|| format!("--server takes NAME=COMMAND, not {text:?}"))?;
        let mut words = command.split_whitespace();
        let program = words
            .next()
            .ok_or_else(|| format!("--server {name} has no program"))?;
        Ok(Self {
            name: name.to_owned(),
            program: std::path::absolute(program).map_err(|error| error.to_string())?,
            args: words.map(OsString::from).collect(),
            limits: Vec::new(),
        })
    }

    /// Whether it takes part in a case.
    pub(crate) fn runs(&self, case: &str) -> bool {
        self.limits.is_empty() || self.limits.iter().any(|text| case.contains(text.as_str()))
    }
}

impl Options {
    pub(crate) fn parse() -> Result<Self, lexopt::Error> {
        let mut options = Self {
            help: false,
            list: false,
            servers: Vec::new(),
            only: Vec::new(),
            duration: Duration::from_secs(2),
            repetitions: 3,
            dir: std::env::temp_dir(),
            json: None,
            markdown: None,
            svg: None,
            smoke: false,
        };
        let mut parser = lexopt::Parser::from_env();
        while let Some(arg) = parser.next()? {
            match arg {
                Short('h') | Long("help") => options.help = true,
                Long("list") => options.list = true,
                Long("server") => {
                    options
                        .servers
                        .push(ServerSpec::parse(&parser.value()?.string()?)?);
                }
                Long("limit") => options.limit(&parser.value()?.string()?)?,
                Long("only") => options.only.push(parser.value()?.string()?),
                Long("seconds") => {
                    let seconds: f64 = parser.value()?.parse()?;
                    options.duration = Duration::try_from_secs_f64(seconds)
                        .map_err(|error| format!("--seconds {seconds}: {error}"))?;
                }
                Long("repetitions") => {
                    options.repetitions = parser.value()?.parse()?;
                    if options.repetitions == 0 {
                        return Err("--repetitions must be at least 1".into());
                    }
                }
                Long("dir") => options.dir = parser.value()?.into(),
                Long("json") => options.json = Some(parser.value()?.into()),
                Long("markdown") => options.markdown = Some(parser.value()?.into()),
                Long("svg") => options.svg = Some(parser.value()?.into()),
                Long("smoke") => options.smoke = true,
                _ => return Err(arg.unexpected()),
            }
        }
        if options.smoke {
            options.duration = Duration::from_millis(100);
            options.repetitions = 1;
        }
        if options.servers.is_empty() && !options.help && !options.list {
            options.servers.push(ServerSpec {
                name: "jetsled".to_owned(),
                program: jetsled_testkit::program().to_owned(),
                args: Vec::new(),
                limits: Vec::new(),
            });
        }
        Ok(options)
    }

    fn limit(&mut self, text: &str) -> Result<(), lexopt::Error> {
        let (name, part) = text
            .split_once('=')
            .ok_or_else(|| format!("--limit takes NAME=TEXT, not {text:?}"))?;
        let server = self
            .servers
            .iter_mut()
            .find(|server| server.name == name)
            .ok_or_else(|| format!("--limit names {name:?}, which no --server before it does"))?;
        server.limits.push(part.to_owned());
        Ok(())
    }
}
