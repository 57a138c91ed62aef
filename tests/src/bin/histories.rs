//! Records what a server answers to the histories of the differential test, shows it, and compares another server with it.

use std::io::{self, Write};
use std::path::Path;

use jetsled_tests::histories::catalog::{PARTS, Part};
use jetsled_tests::histories::compare::Patience;
use jetsled_tests::histories::recording::{self, Recorded};
use jetsled_tests::histories::{Pace, compare, play_all};

const USAGE: &str = "usage: histories record SERVER [PART]      write down what nats-server answers
       histories compare SERVER [PART [HISTORY]]   play to another server, print what differs
       histories first SERVER [PART [HISTORY]]     the same, slowly, and only the first difference of each history
       histories show PART [HISTORY]      steps and recorded answers as text
       histories count                    histories and requests of each part";

fn main() -> io::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args.as_slice() {
        ["record", server, rest @ ..] => record(Path::new(server), rest.first()),
        ["compare", server, rest @ ..] => compare(
            Path::new(server),
            Patience::AsRecorded,
            rest.first(),
            rest.get(1),
        ),
        ["first", server, rest @ ..] => compare(
            Path::new(server),
            Patience::UntilQuiet,
            rest.first(),
            rest.get(1),
        ),
        ["show", part, rest @ ..] => show(part, rest.first()),
        ["count"] => count(),
        _ => Err(io::Error::new(io::ErrorKind::InvalidInput, USAGE)),
    }
}

fn parts(name: Option<&&str>) -> impl Iterator<Item = &'static Part> {
    PARTS
        .iter()
        .filter(move |part| name.is_none_or(|name| part.name == *name))
}

/// Plays three times, the second and third as comparing does: what the same server answers otherwise then is no measure
/// for another one. Such histories are left out and named.
fn record(server: &Path, part: Option<&&str>) -> io::Result<()> {
    for part in parts(part) {
        let mut histories = part.histories();
        let failed = |error| io::Error::other(format!("{}: {error}", part.name));
        let first: Result<Vec<_>, _> = play_all(server, &histories, |_| Pace::Record)?
            .into_iter()
            .collect();
        let mut recorded: Vec<Recorded> = histories
            .iter()
            .zip(first.map_err(failed)?)
            .map(|(history, answers)| Recorded::new(history, answers))
            .collect();
        for _ in 0..2 {
            let again = play_all(server, &histories, |index| {
                Pace::Compare(&recorded[index].answers)
            })?;
            let mut same = Vec::new();
            for ((history, recorded), answers) in histories.iter().zip(&recorded).zip(again) {
                let found =
                    compare::differences(history, &recorded.answers, &answers.map_err(failed)?);
                if let Some(difference) = found.first() {
                    say(&format!("not the same twice: {difference}"))?;
                }
                same.push(found.is_empty());
            }
            let mut keep = same.iter().copied();
            histories.retain(|_| keep.next().unwrap_or(false));
            let mut keep = same.iter().copied();
            recorded.retain(|_| keep.next().unwrap_or(false));
        }
        recording::write(part.name, &recorded)?;
        say(&format!("{}: {} histories", part.name, recorded.len()))?;
    }
    Ok(())
}

/// With patience only the first difference of a history is printed: most others follow from it.
fn compare(
    server: &Path,
    patience: Patience,
    part: Option<&&str>,
    only: Option<&&str>,
) -> io::Result<()> {
    for part in parts(part) {
        let wanted = |name: &str| only.is_none_or(|only| *only == name);
        let mut report = compare::part(server, part, patience, wanted)?;
        if patience == Patience::UntilQuiet {
            let differences = &mut report.differences;
            differences.dedup_by(|later, first| later.history == first.history);
        }
        for difference in &report.differences {
            say(&difference.to_string())?;
        }
        for (history, error) in &report.failed {
            say(&format!("{history}: {error}"))?;
        }
        say(&format!(
            "{}: {} of {} histories differ: {}",
            part.name,
            report.differing().len(),
            report.played,
            report.differing().join(", ")
        ))?;
    }
    Ok(())
}

fn show(part: &str, only: Option<&&str>) -> io::Result<()> {
    for part in parts(Some(&part)) {
        let recorded = recording::read(part.name)?;
        for history in part.histories() {
            if only.is_some_and(|only| *only != history.name) {
                continue;
            }
            let Some(recorded) = recorded.iter().find(|one| one.name == history.name) else {
                continue;
            };
            say(&format!("= {}", history.name))?;
            for (index, (step, lines)) in history
                .steps
                .iter()
                .zip(&recorded.answers.steps)
                .enumerate()
            {
                say(&format!("{index}> {step}"))?;
                lines
                    .iter()
                    .try_for_each(|line| say(&format!("  {line}")))?;
            }
            for line in &recorded.answers.log {
                say(&format!("log {line}"))?;
            }
        }
    }
    Ok(())
}

fn count() -> io::Result<()> {
    for part in PARTS {
        let histories = part.histories();
        let steps: usize = histories.iter().map(|history| history.steps.len()).sum();
        say(&format!(
            "{}: {} histories, {steps} steps",
            part.name,
            histories.len()
        ))?;
    }
    Ok(())
}

fn say(line: &str) -> io::Result<()> {
    writeln!(io::stdout(), "{}", line.trim_end())
}
