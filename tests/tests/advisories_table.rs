//! The table of `docs/security.md` names tests that are there, and every test that is named after an advisory is in it.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// The names of test functions in a file or, with what is below it, in a folder.
fn tests_in(path: &Path, into: &mut BTreeSet<String>) {
    if path.is_dir() {
        for entry in fs::read_dir(path).expect("a folder") {
            let path = entry.expect("an entry").path();
            if !path.ends_with("target") {
                tests_in(&path, into);
            }
        }
    } else if path.extension().is_some_and(|end| end == "rs") {
        let text = fs::read_to_string(path).expect("a source file");
        let mut after_attribute = false;
        for line in text.lines().map(str::trim_start) {
            let rest = line.strip_prefix("async ").unwrap_or(line);
            if let Some(rest) = rest.strip_prefix("fn ").filter(|_| after_attribute) {
                into.extend(rest.split('(').next().map(str::to_owned));
            }
            after_attribute = line.starts_with("#[test]") || line.starts_with("#[tokio::test");
        }
    }
}

#[test]
fn every_advisory_has_the_tests_that_its_row_names() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut tests = BTreeSet::new();
    for folder in ["crates", "tests"] {
        tests_in(&root.join(folder), &mut tests);
    }
    let document = fs::read_to_string(root.join("docs/security.md")).expect("the document");
    let rows: Vec<&str> = document
        .lines()
        .filter(|line| line.starts_with("| CVE-") || line.starts_with("| GHSA-"))
        .collect();
    assert!(rows.len() > 30, "{} rows", rows.len());
    let mut named = BTreeSet::new();
    for row in rows {
        // In the last column, between backticks, and a name with several words.
        let here = row.trim_end_matches(" |").rsplit(" | ").next();
        let names = here
            .unwrap_or_default()
            .split('`')
            .skip(1)
            .step_by(2)
            .filter(|name| {
                name.contains('_')
                    && name.bytes().all(|byte| {
                        byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_'
                    })
            });
        let names: Vec<&str> = names.collect();
        let has_none = ["not here", "a client's matter", "another TLS library"];
        assert!(
            !names.is_empty() || has_none.iter().any(|reason| row.contains(reason)),
            "no test in {row}"
        );
        for name in names {
            let target = root.join(format!("fuzz/fuzz_targets/{name}.rs"));
            let is_there = tests.contains(name) || target.exists();
            assert!(is_there, "there is no test {name}: {row}");
            named.insert(name.to_owned());
        }
    }
    let of_advisories = |name: &&String| name.starts_with("cve_") || name.starts_with("ghsa_");
    for test in tests.iter().filter(of_advisories) {
        assert!(named.contains(test), "{test} is in no row");
    }
}
