//! Records what a server shows of itself, for the tests that compare with it.

use std::io::{self, Write};
use std::path::Path;

use jetsled_tests::observed::{configuration, corpus, lines, monitoring};

const USAGE: &str =
    "usage: observed record SERVER            write down what nats-server makes of configurations
       observed compare SERVER [TITLE]   print what another server makes of them otherwise
       observed monitoring record SERVER
       observed monitoring compare SERVER [HISTORY...]     the same for monitoring";

fn main() -> io::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args.as_slice() {
        ["record", server] => record(Path::new(server)),
        ["compare", server, rest @ ..] => compare(Path::new(server), rest.first().copied()),
        ["monitoring", "record", server] => {
            let server = Path::new(server).canonicalize()?;
            for script in monitoring::scripts()? {
                script.write(&script.observe(&server)?)?;
            }
            Ok(())
        }
        ["monitoring", "compare", server, only @ ..] => {
            let server = Path::new(server).canonicalize()?;
            for script in monitoring::scripts()? {
                if only.is_empty() || only.contains(&script.name.as_str()) {
                    let differences = script.compare(&server)?;
                    differences.iter().try_for_each(|line| say(line))?;
                }
            }
            Ok(())
        }
        _ => Err(io::Error::new(io::ErrorKind::InvalidInput, USAGE)),
    }
}

fn record(server: &Path) -> io::Result<()> {
    let mut parts = corpus::read()?;
    let mut found = configuration::observe_all(&server.canonicalize()?, &parts).into_iter();
    for case in parts.iter_mut().flat_map(|part| &mut part.cases) {
        if let Some(found) = found.next() {
            case.recorded =
                found.map_err(|error| io::Error::other(format!("{}: {error}", case.title)))?;
        }
    }
    corpus::write(&parts)
}

fn compare(server: &Path, only: Option<&str>) -> io::Result<()> {
    let mut parts = corpus::read()?;
    for part in &mut parts {
        part.cases
            .retain(|case| only.is_none_or(|only| only == case.title));
    }
    let mut found = configuration::observe_all(&server.canonicalize()?, &parts).into_iter();
    for case in parts.iter().flat_map(|part| &part.cases) {
        match found.next() {
            Some(Ok(found)) => {
                for difference in lines::differences(&case.recorded, &found) {
                    say(&format!("{}: {difference}", case.title))?;
                }
            }
            Some(Err(error)) => say(&format!("{}: {error}", case.title))?,
            None => {}
        }
    }
    Ok(())
}

fn say(line: &str) -> io::Result<()> {
    writeln!(io::stdout(), "{}", line.trim_end())
}
