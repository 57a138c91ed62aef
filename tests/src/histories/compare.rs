//! What differs between a recording and what the program under test answered.

use std::collections::HashMap;
use std::path::Path;
use std::{fmt, io};

use super::allowed;
use super::catalog::Part;
use super::player::{Answers, Pace};
use super::recording::{self, Recorded};
use super::servers::play_all;
use super::step::{History, Step};

/// What came of a part.
#[derive(Debug, Default)]
pub struct Report {
    /// How many histories were played.
    pub played: usize,
    /// How many steps they have.
    pub steps: usize,
    /// Recordings of histories that are made otherwise now: record anew.
    pub outdated: Vec<String>,
    /// All differences that are not allowed.
    pub differences: Vec<Difference>,
    /// Histories that could not be played to their end, and why.
    pub failed: Vec<(String, String)>,
}

impl Report {
    /// The names of the histories that differ or failed, in order.
    pub fn differing(&self) -> Vec<&str> {
        let differences = self.differences.iter();
        let mut names: Vec<&str> = differences
            .map(|difference| difference.history.as_str())
            .chain(self.failed.iter().map(|(name, _)| name.as_str()))
            .collect();
        names.dedup();
        names
    }
}

/// How long each step is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// Until as much came as was recorded: quick, but what comes too many is seen at a later step.
    AsRecorded,
    /// Until nothing comes any more, as in recording: each answer is seen where it belongs.
    UntilQuiet,
}

/// Plays a part's histories that are wanted and recorded, and compares.
///
/// # Errors
///
/// When there is no recording or the server does not start.
pub fn part(
    program: &Path,
    part: &Part,
    patience: Patience,
    wanted: impl Fn(&str) -> bool,
) -> io::Result<Report> {
    let mut report = Report::default();
    let mut recorded: HashMap<String, Recorded> = recording::read(part.name)?
        .into_iter()
        .map(|recorded| (recorded.name.clone(), recorded))
        .collect();
    let mut histories = Vec::new();
    let mut answers = Vec::new();
    for history in part.histories() {
        let Some(recorded) = recorded.remove(&history.name) else {
            continue;
        };
        if recorded.fingerprint != history.fingerprint() {
            report.outdated.push(history.name);
        } else if wanted(&history.name) {
            histories.push(history);
            answers.push(recorded.answers);
        }
    }
    report.outdated.extend(recorded.into_keys());
    let outcomes = play_all(program, &histories, |index| match patience {
        Patience::AsRecorded => Pace::Compare(&answers[index]),
        Patience::UntilQuiet => Pace::Record,
    })?;
    report.played = histories.len();
    for ((history, want), outcome) in histories.iter().zip(&answers).zip(outcomes) {
        report.steps += history.steps.len();
        match outcome {
            Ok(got) => report.differences.extend(differences(history, want, &got)),
            Err(error) => report.failed.push((history.name.clone(), error)),
        }
    }
    Ok(report)
}

/// One step, answered otherwise.
#[derive(Clone, Debug)]
pub struct Difference {
    /// The history's name.
    pub history: String,
    /// The step's index; the number of steps for the log.
    pub index: usize,
    /// The step as text.
    pub step: String,
    /// What was recorded.
    pub want: Vec<String>,
    /// What came.
    pub got: Vec<String>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} step {}: {}", self.history, self.index, self.step)?;
        // Of long lists (the log) the same beginning and end say nothing.
        let same = |pairs: &mut dyn Iterator<Item = (&String, &String)>| {
            pairs.take_while(|(one, other)| one == other).count()
        };
        let begin = same(&mut self.want.iter().zip(&self.got));
        let end = same(
            &mut self.want[begin..]
                .iter()
                .rev()
                .zip(self.got[begin..].iter().rev()),
        );
        let want = &self.want[begin..self.want.len() - end];
        let got = &self.got[begin..self.got.len() - end];
        let shown = |line: &str, other: Option<&String>| match other {
            Some(other) => without_same_ends(line, other),
            None => line.to_owned(),
        };
        for (side, lines, others) in [("want", want, got), ("got ", got, want)] {
            if lines.is_empty() {
                writeln!(f, "  {side} nothing")?;
            }
            for (index, line) in lines.iter().enumerate() {
                writeln!(f, "  {side} {}", shown(line, others.get(index)))?;
            }
        }
        Ok(())
    }
}

/// A line without what its beginning and end have in common with another: of a long answer only the members that differ.
fn without_same_ends(line: &str, other: &str) -> String {
    /// Context that is left on both sides.
    const AROUND: usize = 40;
    let pairs = || line.char_indices().zip(other.chars());
    let same = pairs().take_while(|((_, one), other)| one == other).count();
    let begin = line.char_indices().nth(same.saturating_sub(AROUND));
    let begin = begin.map_or(0, |(at, _)| at);
    let ends = line.chars().rev().zip(other.chars().rev());
    let room = line.chars().count().min(other.chars().count()) - same;
    let same = ends.take(room).take_while(|(one, other)| one == other);
    let cut = same.count().saturating_sub(AROUND);
    let end = line.len()
        - line
            .chars()
            .rev()
            .take(cut)
            .map(char::len_utf8)
            .sum::<usize>();
    let before = if begin == 0 { "" } else { "... " };
    let after = if end == line.len() { "" } else { " ..." };
    format!("{before}{}{after}", &line[begin..end])
}

/// The steps of a history that were answered otherwise, but for the [allowed] differences.
pub fn differences(history: &History, want: &Answers, got: &Answers) -> Vec<Difference> {
    let mut differences = Vec::new();
    let steps = history.steps.len();
    let none = Vec::new();
    for index in 0..=steps {
        let lines = |answers: &Answers| {
            let lines = match index == steps {
                true => &answers.log,
                false => answers.steps.get(index).unwrap_or(&none),
            };
            lines.clone()
        };
        let step = match history.steps.get(index) {
            Some(step) => step.to_string(),
            None => "log".to_owned(),
        };
        let difference = Difference {
            history: history.name.clone(),
            index,
            step,
            want: lines(want),
            got: lines(got),
        };
        let before = got.steps.get(..index).unwrap_or(&got.steps);
        let purged = || {
            let purges = |step: &Step| step.to_string().contains("$JS.API.STREAM.PURGE.");
            history.steps[..index].iter().any(purges)
        };
        if difference.want != difference.got
            && allowed::reason(&difference, before, purged()).is_none()
        {
            differences.push(difference);
        }
    }
    differences
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_long_lines_the_part_that_differs_is_shown() {
        let line = |middle: &str| format!("{}{middle}{}", "a".repeat(50), "b".repeat(50));
        assert_eq!(
            without_same_ends(&line("\u{e9}1"), &line("\u{e9}22")),
            format!("... {}\u{e9}1{} ...", "a".repeat(39), "b".repeat(40))
        );
        assert_eq!(without_same_ends("short", "shorter"), "short");
        assert_eq!(without_same_ends("aaa", "aa"), "aaa");
        assert_eq!(without_same_ends("", "aa"), "");
    }
}
