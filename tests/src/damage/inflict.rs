//! Damaging a file.

use std::fs;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use rand::RngExt;
use rand::rngs::SmallRng;

/// What is done to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// One to three bits.
    FlipBits,
    /// A sector or page reads as zeros.
    Zero,
    /// The end is gone.
    Truncate,
    /// Two pieces have changed places.
    Swap,
    /// The file as it was earlier.
    Older,
    /// It is gone.
    Delete,
}

impl Action {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::FlipBits,
        Self::Zero,
        Self::Truncate,
        Self::Swap,
        Self::Older,
        Self::Delete,
    ];

    /// Each in turn.
    #[must_use]
    pub fn of_seed(seed: u64) -> Self {
        let [first, ..] = Self::ALL;
        let turn = Self::ALL.iter().cycle().nth((seed % 6) as usize);
        turn.copied().unwrap_or(first)
    }

    /// This one, and then the others, for where it would change nothing.
    pub(crate) fn and_others(self) -> impl Iterator<Item = Self> {
        let first = Self::ALL.iter().position(|one| *one == self);
        let turns = Self::ALL.into_iter().cycle();
        turns.skip(first.unwrap_or(0)).take(Self::ALL.len())
    }
}

/// What was damaged.
#[derive(Debug)]
pub(crate) struct Hits {
    pub(crate) file: PathBuf,
    /// Bytes that are not what they were; to the end of all files if it is shorter now.
    pub(crate) ranges: Vec<Range<usize>>,
}

impl Hits {
    pub(crate) fn touch(&self, file: &Path, from: usize, to: usize) -> bool {
        file == self.file
            && self
                .ranges
                .iter()
                .any(|range| range.start < to && from < range.end)
    }
}

/// Damages the first of the files, which are in the first directory, that this damage changes. The second directory has copies of an earlier time.
pub(crate) fn inflict_on_any(
    files: Vec<PathBuf>,
    action: Action,
    dirs: (&Path, &Path),
    random: &mut SmallRng,
) -> Result<Option<Hits>, String> {
    for file in files {
        if let Some(hits) = inflict_on(file, action, dirs, random)? {
            return Ok(Some(hits));
        }
    }
    Ok(None)
}

fn inflict_on(
    file: PathBuf,
    action: Action,
    (dir, older): (&Path, &Path),
    random: &mut SmallRng,
) -> Result<Option<Hits>, String> {
    let before = fs::read(&file).map_err(|error| error.to_string())?;
    // Most of a segment may be unused.
    let used = before
        .iter()
        .rposition(|byte| *byte != 0)
        .map_or(0, |at| at + 1);
    let after = match damaged(&before, used, action, random) {
        Some(after) => Some(after),
        None if action == Action::Delete => None,
        None => {
            let within = file.strip_prefix(dir).map_err(|error| error.to_string())?;
            match fs::read(older.join(within)) {
                Ok(older) => Some(older),
                Err(_) => return Ok(None),
            }
        }
    };
    let ranges = match &after {
        Some(after) => differences(&before, after),
        None => std::iter::once(0..usize::MAX).collect(),
    };
    if ranges.is_empty() {
        return Ok(None);
    }
    match after {
        Some(after) => fs::write(&file, after),
        None => fs::remove_file(&file),
    }
    .map_err(|error| error.to_string())?;
    Ok(Some(Hits { file, ranges }))
}

/// `None` for what is not made of the bytes themselves.
fn damaged(before: &[u8], used: usize, action: Action, random: &mut SmallRng) -> Option<Vec<u8>> {
    let mut bytes = before.to_vec();
    let any = |random: &mut SmallRng| random.random_range(0..used.max(1));
    match action {
        Action::FlipBits => {
            for _ in 0..random.random_range(1..4) {
                if let Some(byte) = bytes.get_mut(any(random)) {
                    *byte ^= 1 << random.random_range(0..8);
                }
            }
        }
        Action::Zero => {
            let len = [512, 4096][random.random_range(0..2)];
            let from = any(random) / len * len;
            let to = (from + len).min(bytes.len());
            bytes[from.min(to)..to].fill(0);
        }
        Action::Truncate => bytes.truncate(any(random)),
        Action::Swap => {
            let len = [8, 512, 4096][random.random_range(0..3)];
            let (a, b) = (any(random) / len, any(random) / len);
            let (a, b) = (a.min(b) * len, a.max(b) * len);
            if a != b && b + len <= bytes.len() {
                let (front, back) = bytes.split_at_mut(b);
                front[a..a + len].swap_with_slice(&mut back[..len]);
            }
        }
        Action::Older | Action::Delete => return None,
    }
    Some(bytes)
}

fn differences(before: &[u8], after: &[u8]) -> Vec<Range<usize>> {
    let mut ranges: Vec<Range<usize>> = Vec::new();
    let common = before.len().min(after.len());
    for at in (0..common).filter(|at| before[*at] != after[*at]) {
        match ranges.last_mut() {
            Some(last) if last.end == at => last.end = at + 1,
            _ => ranges.push(at..at + 1),
        }
    }
    if after.len() != before.len() {
        ranges.push(common..usize::MAX);
    }
    ranges
}

pub(crate) fn walk(dir: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            walk(&path, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}

/// Copies a directory. Files may have long ends that were never written.
pub(crate) fn copy_tree(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_tree(&entry.path(), &target)?;
            continue;
        }
        let bytes = fs::read(entry.path())?;
        let used = bytes
            .iter()
            .rposition(|byte| *byte != 0)
            .map_or(0, |at| at + 1);
        fs::write(&target, &bytes[..used])?;
        fs::OpenOptions::new()
            .write(true)
            .open(&target)?
            .set_len(bytes.len() as u64)?;
    }
    Ok(())
}
