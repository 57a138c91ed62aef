//! What differs between a recording and what the program under test answered.

use std::collections::HashMap;
use std::path::Path;
use std::{fmt, io};

use super::allowed;
use super::catalog::Part;
use super::player::{Answers, Pace};
use super::recording::{self, Recorded};
use super::servers::play_all;
use super::step::History;

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

/// Plays a part's histories that are wanted and recorded, and compares.
///
/// # Errors
///
/// When there is no recording or the server does not start.
pub fn part(program: &Path, part: &Part, wanted: impl Fn(&str) -> bool) -> io::Result<Report> {
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
    let outcomes = play_all(program, &histories, |index| Pace::Compare(&answers[index]))?;
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
        for (side, lines) in [("want", &self.want), ("got ", &self.got)] {
            let lines = &lines[begin..lines.len() - end];
            if lines.is_empty() {
                writeln!(f, "  {side} nothing")?;
            }
            for line in lines {
                writeln!(f, "  {side} {line}")?;
            }
        }
        Ok(())
    }
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
        if difference.want != difference.got && allowed::reason(&difference).is_none() {
            differences.push(difference);
        }
    }
    differences
}
