use std::{io, path::Path};

/// What a configuration is read from: files and environment variables.
pub struct Environment<'a> {
    /// Reads a whole file.
    pub read_file: &'a dyn Fn(&Path) -> io::Result<String>,
    /// Looks an environment variable up.
    pub variable: &'a dyn Fn(&str) -> Option<String>,
}

impl Environment<'static> {
    /// The real files and the process' variables.
    pub const PROCESS: Self = Self {
        read_file: &|path| std::fs::read_to_string(path),
        variable: &|name| std::env::var(name).ok(),
    };
}
