use crate::Options;

/// What differs between the running options and new ones, and whether it can be applied without a restart.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReloadDiff {
    /// The differences, in the order of [`Options`]' fields.
    pub changes: Vec<OptionChange>,
}

/// One changed option.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OptionChange {
    /// Its name in the file.
    pub name: &'static str,
    /// nats-server can apply it to a running server.
    pub reloadable: bool,
}

impl ReloadDiff {
    /// Compares field by field. A random port in `new` equals whatever is in use.
    pub fn between(running: &Options, new: &Options) -> Self {
        todo!("{running:?} {new:?}")
    }
}
