//! What files a store has, and damaging one.

use std::fs;
use std::io;
use std::path::Path;

use rand::rngs::SmallRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};

use super::build::Built;
use crate::damage::inflict::{Action, Hits, copy_tree, inflict_on_any, walk};

const CATALOG: &str = "catalog";
const SEALED_CATALOG: &str = "catalog.sealed";

/// A kind of file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `*.seg`
    Segment,
    /// `*.idx`
    Index,
    /// A file of the catalog.
    Catalog,
    /// `store.json` or its copy.
    Description,
    /// `*.spare`, `lock`.
    Other,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Segment,
        Self::Index,
        Self::Catalog,
        Self::Description,
        Self::Other,
    ];
}

/// `None` if there is no such file, or nothing has changed.
pub(super) fn inflict(
    seed: u64,
    kind: Kind,
    action: Action,
    built: &Built,
) -> Result<Option<Hits>, String> {
    let mut random = SmallRng::seed_from_u64(seed ^ 0x5eed);
    let dir = &built.options.dir;
    let whole = matches!(action, Action::Older | Action::Delete) && random.random_bool(0.5);
    if kind == Kind::Catalog && whole {
        return replace_catalog(action, built).map_err(|error| error.to_string());
    }
    let mut files = Vec::new();
    walk(dir, &mut files).map_err(|error| error.to_string())?;
    files.retain(|path| kind_of(dir, path) == kind);
    files.sort();
    files.shuffle(&mut random);
    inflict_on_any(files, action, (dir, &built.older), &mut random)
}

/// All files of the catalog at once.
fn replace_catalog(action: Action, built: &Built) -> io::Result<Option<Hits>> {
    let name = if built.key.is_some() {
        SEALED_CATALOG
    } else {
        CATALOG
    };
    let (catalog, older) = (built.options.dir.join(name), built.older.join(name));
    if action == Action::Older && !older.exists() {
        return Ok(None);
    }
    fs::remove_dir_all(&catalog)?;
    if action == Action::Older {
        copy_tree(&older, &catalog)?;
    }
    Ok(Some(Hits {
        file: catalog,
        ranges: std::iter::once(0..usize::MAX).collect(),
    }))
}

fn kind_of(dir: &Path, path: &Path) -> Kind {
    let ends = |ext: &str| path.extension().is_some_and(|found| found == ext);
    match path {
        _ if ends("seg") => Kind::Segment,
        _ if ends("idx") => Kind::Index,
        _ if ends("json") => Kind::Description,
        _ if path.starts_with(dir.join(CATALOG)) || path.starts_with(dir.join(SEALED_CATALOG)) => {
            Kind::Catalog
        }
        _ => Kind::Other,
    }
}
