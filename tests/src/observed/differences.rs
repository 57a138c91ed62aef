//! The differences that are meant: `tests/observed/*differences.txt`.

use std::cell::Cell;
use std::fs;
use std::io;
use std::path::Path;

/// Patterns `case: path`, in which `*` stands for anything.
#[derive(Debug)]
pub struct Allowed {
    patterns: Vec<(String, Cell<bool>)>,
}

/// Reads one of the files, such as `differences.txt`.
///
/// # Errors
///
/// When it can not be read.
pub fn read(name: &str) -> io::Result<Allowed> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("observed")
        .join(name);
    let text = fs::read_to_string(path)?;
    let patterns = text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| (line.to_owned(), Cell::new(false)));
    Ok(Allowed {
        patterns: patterns.collect(),
    })
}

impl Allowed {
    /// Whether a difference, `case: path: wanted ..., got ...`, is meant.
    pub fn allow(&self, difference: &str) -> bool {
        let place = difference.split(": wanted ").next().unwrap_or(difference);
        let mut allowed = false;
        for (pattern, used) in &self.patterns {
            if matches(pattern, place) {
                used.set(true);
                allowed = true;
            }
        }
        allowed
    }

    /// Patterns that allowed nothing so far.
    pub fn unused(&self) -> Vec<String> {
        let unused = self.patterns.iter().filter(|(_, used)| !used.get());
        unused.map(|(pattern, _)| pattern.clone()).collect()
    }
}

fn matches(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((before, after)) => text.strip_prefix(before).is_some_and(|rest| {
            (0..=rest.len())
                .filter(|&at| rest.is_char_boundary(at))
                .any(|at| matches(after, &rest[at..]))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn a_star_stands_for_anything() {
        assert!(matches("*: varz.git_commit", "some case: varz.git_commit"));
        assert!(matches("a: *.config.*", "a: jsz.config.x"));
        assert!(matches("a: b", "a: b"));
        assert!(!matches("a: b", "a: bc"));
        assert!(!matches("a: *.config.*", "b: jsz.config.x"));
    }
}
