//! The catalog's own tests.

use std::fs;
use std::path::Path;

use super::entry::CHUNK;
use super::{Catalog, CatalogError, CatalogState, PLAIN, Section};

type Entries = Vec<(Section, Vec<u8>, Vec<u8>)>;

fn load(catalog: &Catalog, shard: u8) -> Result<Option<Entries>, CatalogError> {
    let mut entries = Vec::new();
    let mut visit = |section, key: &[u8], value| entries.push((section, key.to_vec(), value));
    let found = catalog.load(shard, &mut visit)?;
    Ok(found.map(|()| entries))
}

fn write(catalog: &Catalog, shard: u8, entries: &Entries) {
    let mut writer = catalog.begin(shard).unwrap();
    for (section, key, value) in entries {
        writer.put(*section, key, value).unwrap();
    }
    writer.finish().unwrap();
}

fn entries(salt: u8) -> Entries {
    let sizes = [0, 1, CHUNK - 9, CHUNK - 8, CHUNK - 7, 3 * CHUNK, 100_000];
    let value = |len: usize| (0..len).map(|byte| byte as u8 ^ salt).collect();
    let entry = |(number, len): (usize, &usize)| {
        (
            Section::StreamState,
            (number as u32).to_be_bytes().to_vec(),
            value(*len),
        )
    };
    let mut entries = vec![(Section::Log, Vec::new(), vec![salt; 20])];
    entries.extend(sizes.iter().enumerate().map(entry));
    entries.push((Section::ConsumerState, b"c".to_vec(), vec![1]));
    entries
}

#[test]
fn the_newest_finished_checkpoint_is_loaded() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("catalog");
    {
        let (catalog, state) = Catalog::open(&path).unwrap();
        assert_eq!(state, CatalogState::Created);
        assert_eq!(load(&catalog, 0).unwrap(), None);
        write(&catalog, 0, &entries(1));
        write(&catalog, 1, &entries(2));
        write(&catalog, 0, &entries(3));
        let mut unfinished = catalog.begin(0).unwrap();
        unfinished.put(Section::Log, b"", b"never").unwrap();
    }
    let (catalog, state) = Catalog::open(&path).unwrap();
    assert_eq!(state, CatalogState::Loaded);
    assert_eq!(load(&catalog, 0).unwrap(), Some(entries(3)));
    assert_eq!(load(&catalog, 1).unwrap(), Some(entries(2)));
    catalog.forget(0).unwrap();
    assert_eq!(load(&catalog, 0).unwrap(), None);
    assert_eq!(load(&catalog, 1).unwrap(), Some(entries(2)));
    assert!(
        matches!(Catalog::open(&path), Err(CatalogError::Sled { .. })),
        "in use"
    );
    assert!(path.exists(), "a catalog in use is left alone");
}

#[test]
fn a_changed_entry_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let (catalog, _) = Catalog::open(&dir.path().join("catalog")).unwrap();
    write(&catalog, 0, &entries(1));
    let tree = catalog.tree(0).unwrap();
    for item in tree.iter().collect::<Result<Vec<_>, _>>().unwrap() {
        let (key, value) = item;
        let mut changed = value.to_vec();
        *changed.last_mut().unwrap() ^= 1;
        tree.insert(&key, changed).unwrap();
        assert!(load(&catalog, 0).is_err(), "changed value");
        tree.remove(&key).unwrap();
        assert!(load(&catalog, 0).is_err(), "missing chunk");
        tree.insert(&key, value).unwrap();
        assert_eq!(load(&catalog, 0).unwrap(), Some(entries(1)));
    }
}

#[test]
fn what_cannot_be_opened_is_set_aside() {
    let damage: [fn(&Path); 2] = [
        |path| fs::write(path, b"not a directory").unwrap(),
        |path| {
            drop(Catalog::open(path).map(|(catalog, _)| write(&catalog, 0, &entries(1))));
            fs::remove_file(path.join("db")).unwrap();
            fs::create_dir(path.join("db")).unwrap();
        },
    ];
    for damage in damage {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("catalog");
        damage(&path);
        let (catalog, state) = Catalog::open(&path).unwrap();
        let CatalogState::SetAside { path: aside, .. } = state else {
            panic!("{state:?}")
        };
        assert!(aside.exists());
        assert_eq!(load(&catalog, 0).unwrap(), None);
        write(&catalog, 0, &entries(1));
    }
}

#[test]
fn the_newest_three_of_those_set_aside_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(PLAIN);
    let other = dir.path().join("catalog.damaged-by-hand");
    fs::write(&other, b"no catalog of ours").unwrap();
    // What is in a catalog's place may be a directory or a file, and goes as well.
    fs::create_dir(&path).unwrap();
    fs::create_dir(path.join("db")).unwrap();
    for round in 1..=12 {
        if round > 1 {
            fs::remove_dir_all(&path).unwrap();
            fs::write(&path, round.to_string()).unwrap();
        }
        let (_, state) = Catalog::open(&path).unwrap();
        assert!(matches!(state, CatalogState::SetAside { .. }));
    }
    let mut kept: Vec<(String, String)> = fs::read_dir(dir.path())
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.path() != path && entry.path() != other)
        .map(|entry| {
            let name = entry.file_name().into_string().unwrap();
            (name, fs::read_to_string(entry.path()).unwrap())
        })
        .collect();
    kept.sort();
    let expected =
        [10, 11, 12].map(|round: u8| (format!("catalog.damaged-{round}"), round.to_string()));
    assert_eq!(kept, expected);
    assert!(other.exists());
}

/// Whatever a catalog's files hold, it opens or is set aside, what it gives back is what was written, and if it gives anything back it takes more.
#[test]
fn damaged_files_never_give_wrong_entries() {
    for round in 0..48usize {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(PLAIN);
        let (catalog, _) = Catalog::open(&path).unwrap();
        write(&catalog, 0, &entries(2));
        write(&catalog, 0, &entries(1));
        drop(catalog);
        let file = path.join("db");
        let mut bytes = fs::read(&file).unwrap();
        let at = round * 7919 * 13 % bytes.len().min(200_000);
        if round % 3 == 0 {
            bytes.truncate(at);
        } else {
            let end = bytes.len().min(at + 64);
            bytes[at..end].iter_mut().for_each(|byte| *byte = !*byte);
        }
        fs::write(&file, bytes).unwrap();
        let (mut catalog, _) = Catalog::open(&path).unwrap();
        match load(&catalog, 0) {
            Ok(Some(found)) if found == entries(2) => {}
            Ok(Some(found)) => assert_eq!(found, entries(1), "round {round}"),
            Ok(None) => {}
            Err(error) => {
                assert!(error.is_damage());
                drop(catalog);
                let (new, state) = Catalog::replace_in(dir.path(), None, "unreadable").unwrap();
                assert!(matches!(state, CatalogState::SetAside { .. }));
                catalog = new;
            }
        }
        write(&catalog, 0, &entries(3));
        assert_eq!(load(&catalog, 0).unwrap(), Some(entries(3)));
    }
}
