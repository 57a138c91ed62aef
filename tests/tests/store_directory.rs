//! A store directory that cannot be used: a message that names it, and exit code 1.

use std::fs;
use std::path::Path;

use jetsled_testkit::Launch;

/// Starts the program on this directory; it must give up with one fatal line that holds all of these texts.
#[track_caller]
fn refused(store_dir: &Path, texts: &[&str]) {
    let output = Launch::new()
        .jetstream(store_dir)
        .run_to_end()
        .expect("it gives up");
    let log = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{log}");
    let fatal: Vec<_> = log.lines().filter(|line| line.contains("[FTL]")).collect();
    let [fatal] = fatal[..] else {
        panic!("not one fatal line in\n{log}")
    };
    for text in ["Can't start JetStream"].iter().chain(texts) {
        assert!(fatal.contains(text), "{text:?} is not in {fatal:?}");
    }
}

#[test]
fn a_file_is_no_store_directory() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let file = dir.path().join("store");
    fs::write(&file, "not a directory").expect("written");
    refused(&file, &["storage directory is not a directory"]);
    assert_eq!(
        fs::read_to_string(&file).expect("still there"),
        "not a directory"
    );
}

#[test]
fn a_directory_that_cannot_be_made_is_refused() {
    // Nobody can make a directory there, not even root.
    refused(
        Path::new("/proc/jetsled"),
        &["could not create storage directory", "/proc/jetsled"],
    );
}

#[test]
fn a_directory_that_cannot_be_written_is_refused() {
    // This one exists, and nobody can make a file in it.
    refused(Path::new("/proc/self"), &["/proc/self"]);
}

#[test]
fn a_store_has_one_server_at_a_time() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut first = Launch::new()
        .jetstream(dir.path())
        .start()
        .expect("the first one starts");
    refused(dir.path(), &["in use", &dir.path().display().to_string()]);
    first.kill();
    first
        .start_again()
        .expect("a dead server does not keep others out");
}

#[test]
fn a_store_of_a_newer_format_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut server = Launch::new()
        .jetstream(dir.path())
        .start()
        .expect("the server starts");
    assert!(server.stop().is_some_and(|status| status.success()));
    let files = ["store.json", "store.copy.json"];
    let files = files.map(|name| dir.path().join("jetstream").join(name));
    let text = fs::read_to_string(&files[0]).expect("a store describes itself");
    let newer = text.replacen("\"format\":1,", "\"format\":999,", 1);
    assert_ne!(newer, text, "the format is in the description");
    for file in &files {
        fs::write(file, &newer).expect("written");
    }
    refused(
        dir.path(),
        &["format version 999", &dir.path().display().to_string()],
    );
    for file in &files {
        assert_eq!(fs::read_to_string(file).expect("still there"), newer);
    }
}
