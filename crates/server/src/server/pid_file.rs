use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Writes the process' id, without a line end, into a file that is the owner's alone if it is new (observed nats-server 2.15.1).
pub(super) fn write(path: &Path) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    write!(file, "{}", std::process::id())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn it_is_the_owners_and_holds_the_number_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pid");
        for _ in 0..2 {
            super::write(&path).unwrap();
            let text = std::fs::read_to_string(&path).unwrap();
            assert_eq!(text, std::process::id().to_string());
        }
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
