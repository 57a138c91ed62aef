//! What monitoring, the services of the system account and its events show after a history of connections, subscriptions,
//! streams and consumers.
//!
//! Each `tests/observed/monitoring/*.txt` has a configuration, a line `---`, then the steps that `history.rs` tells of. What
//! nats-server showed is beside it in `*.recorded`.

mod history;
mod transport;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::lines::Lines;
use history::History;

/// A question and what came back.
pub type Shown = (String, Lines);

/// A configuration and what is done then.
#[derive(Debug)]
pub struct Script {
    /// The file's name without its end.
    pub name: String,
    config: String,
    steps: Vec<String>,
}

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("observed/monitoring")
        .join(name)
}

/// All scripts, by name.
///
/// # Errors
///
/// When one can not be read.
pub fn scripts() -> io::Result<Vec<Script>> {
    let mut scripts = Vec::new();
    for entry in fs::read_dir(file(""))? {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != "txt") {
            continue;
        }
        let text = fs::read_to_string(&path)?;
        let (config, steps) = text
            .split_once("\n---\n")
            .ok_or_else(|| io::Error::other("no steps"))?;
        let steps = steps.lines().filter(|line| !line.is_empty());
        scripts.push(Script {
            name: path
                .file_stem()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned(),
            config: config.to_owned(),
            steps: steps
                .filter(|line| !line.starts_with('#'))
                .map(str::to_owned)
                .collect(),
        });
    }
    scripts.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(scripts)
}

impl Script {
    /// Plays the history to a program.
    ///
    /// # Errors
    ///
    /// When a step fails.
    pub fn observe(&self, program: &Path) -> io::Result<Vec<Shown>> {
        let mut history = History::start(program, &self.config)?;
        for step in &self.steps {
            history
                .step(step)
                .map_err(|error| io::Error::other(format!("{}: {step}: {error}", self.name)))?;
        }
        Ok(history.finish())
    }

    /// Writes down what was shown.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub fn write(&self, shown: &[Shown]) -> io::Result<()> {
        let mut text = "What nats-server 2.15.1 shows after the history.\n".to_owned();
        for (question, lines) in shown {
            text += &format!("> {question}\n");
            for (path, value) in lines {
                text += &format!("{path} = {}\n", value.replace('\n', "\\n"));
            }
        }
        fs::write(file(&format!("{}.recorded", self.name)), text)
    }

    /// What was written down.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn recorded(&self) -> io::Result<Vec<Shown>> {
        let text = fs::read_to_string(file(&format!("{}.recorded", self.name)))?;
        let questions = text.split("\n> ").skip(1).map(|section| {
            let (question, answer) = section.split_once('\n').unwrap_or((section, ""));
            let lines = answer.lines().filter_map(|line| {
                let (path, value) = line.split_once(" = ")?;
                Some((path.to_owned(), value.replace("\\n", "\n")))
            });
            (question.to_owned(), lines.collect())
        });
        Ok(questions.collect())
    }

    /// How a program's answers differ from the recorded ones: `SCRIPT, QUESTION: PATH: wanted ..., got ...`.
    ///
    /// # Errors
    ///
    /// When a step fails or there is no recording.
    pub fn compare(&self, program: &Path) -> io::Result<Vec<String>> {
        let (wanted, found) = (self.recorded()?, self.observe(program)?);
        let mut all = Vec::new();
        if wanted.len() != found.len() {
            let (wanted, found) = (wanted.len(), found.len());
            all.push(format!(
                "{}: answers: wanted {wanted}, got {found}",
                self.name
            ));
        }
        for ((question, wanted), (_, found)) in wanted.iter().zip(&found) {
            let differences = super::lines::differences(wanted, found);
            all.extend(
                differences
                    .iter()
                    .map(|one| format!("{}, {question}: {one}", self.name)),
            );
        }
        Ok(all)
    }
}
