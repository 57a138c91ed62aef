//! Catalogs that are not in use any more: those that were set aside, and those from before a store was encrypted.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::CatalogError;

/// Removes the catalogs, set aside or not, that a store had before it was encrypted. What they say the log says, too.
pub(super) fn remove_plain(store: &Path, name: &str) -> Result<(), CatalogError> {
    let aside = format!("{name}.damaged-");
    let failed = |path: &Path| {
        let path = path.to_owned();
        |source| CatalogError::Io {
            doing: "removing",
            path,
            source,
        }
    };
    for entry in fs::read_dir(store).map_err(failed(store))? {
        let entry = entry.map_err(failed(store))?;
        let is_plain = entry
            .file_name()
            .to_str()
            .is_some_and(|found| found == name || found.starts_with(&aside));
        if is_plain {
            let path = entry.path();
            remove(&path).map_err(failed(&path))?;
        }
    }
    Ok(())
}

/// A catalog is a directory, but what is in its place may be anything.
fn remove(path: &Path) -> io::Result<()> {
    if fs::symlink_metadata(path)?.is_dir() {
        fs::remove_dir_all(path)
    } else {
        fs::remove_file(path)
    }
}

/// How many catalogs that were set aside are kept. They are there to be looked at: what they say the log says, too.
const KEPT: usize = 3;

/// Renames what can't be opened to the next free name. Of those set aside before, the oldest go that would be more than [`KEPT`].
pub(super) fn set_aside(dir: &Path) -> Result<PathBuf, CatalogError> {
    let name = |number: u64| {
        let mut name = dir.as_os_str().to_owned();
        name.push(format!(".damaged-{number}"));
        PathBuf::from(name)
    };
    let failed = |doing| {
        move |source| CatalogError::Io {
            doing,
            path: dir.to_owned(),
            source,
        }
    };
    let before = set_aside_before(dir).map_err(failed("listing the directory of"))?;
    let free = name(before.last().map_or(1, |last| last.saturating_add(1)));
    fs::rename(dir, &free).map_err(failed("renaming"))?;
    let surplus = (before.len() + 1).saturating_sub(KEPT);
    for number in &before[..surplus] {
        // One that can't be removed is no reason not to start: `jetsled check` names it.
        let _stays = remove(&name(*number));
    }
    Ok(free)
}

/// The numbers of the catalogs that were set aside, in ascending order.
fn set_aside_before(dir: &Path) -> io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    let (Some(parent), Some(name)) = (dir.parent(), dir.file_name()) else {
        return Ok(numbers);
    };
    let prefix = format!("{}.damaged-", name.to_string_lossy());
    for entry in fs::read_dir(parent)? {
        let entry = entry?;
        let name = entry.file_name();
        let digits = name.to_str().and_then(|name| name.strip_prefix(&prefix));
        numbers.extend(digits.and_then(|digits| digits.parse::<u64>().ok()));
    }
    numbers.sort_unstable();
    Ok(numbers)
}
