//! Truncated, changed or missing files: the store opens with every acknowledged record, refuses to
//! open, or fails the read. It never returns less without an error, and never panics.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use tidemill_store::kv::{KeyRange, Kv, KvConfig, KvError, KvHealth, SubmitError, Tx};

use super::support::{EVENTS, RUNS, copy, open, small, unhurried};

type Records = BTreeMap<(u8, Vec<u8>), Vec<u8>>;

/// A random generator with a fixed seed, so that every test run uses the same places.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }
}

/// Creates a store with small records, records of many pages and blobs, and replaced and deleted
/// ones; some only in the log.
async fn filled(dir: &Path, clean: bool) -> Records {
    let (kv, _) = open(unhurried(dir));
    let mut expected = Records::new();
    let mut dice = Dice(7);
    for round in 0..6 {
        for _ in 0..60 {
            let key = format!("{:04}", dice.below(300)).into_bytes();
            let value = vec![b'a' + round; dice.below(400)];
            expected.insert((RUNS.id, key.clone()), value.clone());
            expected.insert((EVENTS.id, [&key[..], &[round]].concat()), vec![round]);
            let gone = format!("{:04}", dice.below(300)).into_bytes();
            expected.remove(&(RUNS.id, gone.clone()));
            kv.submit(move |tx: &mut Tx<'_>| {
                tx.put(RUNS, &key, value)?;
                tx.put(EVENTS, [&key[..], &[round]].concat(), [round])?;
                tx.delete(RUNS, gone)
            })
            .await
            .unwrap();
        }
        let large = vec![round; 200_000];
        expected.insert((RUNS.id, b"large".to_vec()), large.clone());
        kv.submit(move |tx: &mut Tx<'_>| tx.put(RUNS, "large", large)).await.unwrap();
        if round < 5 {
            kv.checkpoint().unwrap();
        }
    }
    if clean {
        kv.close().await.unwrap();
    } else {
        // The next copy is of a store that was killed.
        std::mem::forget(kv);
    }
    expected
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { found.push(path) }
        }
    }
    found.sort();
    found
}

#[derive(Debug, PartialEq)]
enum DamageEffect {
    Whole,
    Refused,
    ReadFailed,
}

/// Opens the store and reads every record; panics if a record is missing without an error.
fn look(dir: &Path, expected: &Records, what: &str) -> DamageEffect {
    look_with(small(dir), expected, what)
}

fn look_with(config: KvConfig, expected: &Records, what: &str) -> DamageEffect {
    let kv = match Kv::open(config) {
        Ok((kv, _)) => kv,
        Err(KvError::Damaged { what }) => {
            assert!(!what.is_empty());
            return DamageEffect::Refused;
        }
        Err(other) => panic!("{what}: {other}"),
    };
    let mut seen = DamageEffect::Whole;
    for ((table, key), value) in expected {
        let table = if *table == RUNS.id { RUNS } else { EVENTS };
        match kv.get(table, key) {
            Ok(found) => {
                let found = found.map(Vec::from);
                assert!(found.as_ref() == Some(value), "{what}: {} is wrong or gone", key.escape_ascii());
            }
            Err(KvError::Damaged { .. }) => seen = DamageEffect::ReadFailed,
            Err(other) => panic!("{what}: {other}"),
        }
    }
    for table in [RUNS, EVENTS] {
        match kv.scan(table, &KeyRange::all(), false, usize::MAX) {
            Ok(rows) => {
                let found: Records = rows.into_iter().map(|(k, v)| ((table.id, k.into()), v.into())).collect();
                let expected: Records = expected
                    .iter()
                    .filter(|((id, _), _)| *id == table.id)
                    .map(|(k, v)| (k.clone(), v.clone()))
                    .collect();
                assert!(found == expected, "{what}: a scan of {} is not what was acknowledged", table.name);
            }
            Err(KvError::Damaged { .. }) => seen = DamageEffect::ReadFailed,
            Err(other) => panic!("{what}: {other}"),
        }
    }
    std::mem::forget(kv);
    seen
}

fn spoil(files: &[PathBuf], root: &Path, dice: &mut Dice) -> String {
    let path = &files[dice.below(files.len())];
    let name = path.strip_prefix(root).unwrap().display().to_string();
    let length = fs::metadata(path).unwrap().len();
    if length == 0 {
        return format!("{name} left empty");
    }
    let file = OpenOptions::new().read(true).write(true).open(path).unwrap();
    // Half of the places are within the written part, because segments are mostly zeros.
    let used = fs::read(path).unwrap().iter().rposition(|byte| *byte != 0).map_or(length, |last| last as u64 + 1);
    let bound = if dice.below(2) == 0 { used } else { length };
    let at = dice.below(usize::try_from(bound).unwrap()) as u64;
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    byte[0] ^= 1 << dice.below(8);
    file.write_all_at(&byte, at).unwrap();
    format!("{name} flipped at {at} of {length}")
}

async fn matrix(clean: bool, places: usize, seed: u64) -> BTreeMap<String, usize> {
    let dir = tempfile::tempdir().unwrap();
    let expected = filled(dir.path(), clean).await;
    let mut seen = BTreeMap::new();
    let mut dice = Dice(seed);
    for _ in 0..places {
        let copied = tempfile::tempdir().unwrap();
        copy(dir.path(), copied.path());
        let what = spoil(&files(copied.path()), copied.path(), &mut dice);
        let outcome = look(copied.path(), &expected, &what);
        *seen.entry(format!("{outcome:?}")).or_default() += 1;
    }
    seen
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_bit_after_a_kill_is_always_detected() {
    let seen = matrix(false, 250, 1).await;
    assert!(seen.contains_key("Refused") && seen.contains_key("Whole"), "{seen:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_bit_after_a_clean_shutdown_is_always_detected() {
    let seen = matrix(true, 150, 2).await;
    assert!(seen.contains_key("Refused") && seen.contains_key("Whole"), "{seen:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn truncated_or_missing_files_are_always_detected() {
    for clean in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let expected = filled(dir.path(), clean).await;
        let all = files(dir.path());
        let names: Vec<PathBuf> = all.iter().map(|path| path.strip_prefix(dir.path()).unwrap().to_owned()).collect();
        let cut = |root: &Path, name: &Path, bytes: u64| {
            let file = OpenOptions::new().write(true).open(root.join(name)).unwrap();
            let length = file.metadata().unwrap().len();
            file.set_len(length.saturating_sub(bytes)).unwrap();
        };
        let mut refused = 0;
        let mut judge = |what: String, spoil: &dyn Fn(&Path)| {
            let copied = tempfile::tempdir().unwrap();
            copy(dir.path(), copied.path());
            spoil(copied.path());
            if look(copied.path(), &expected, &what) == DamageEffect::Refused {
                refused += 1;
            }
        };
        judge("all cut by 1 kB".to_owned(), &|root| names.iter().for_each(|name| cut(root, name, 1000)));
        for name in &names {
            judge(format!("{} gone", name.display()), &|root| fs::remove_file(root.join(name)).unwrap());
            for bytes in [1, 1000, 4096, 600_000] {
                judge(format!("{} cut by {bytes}", name.display()), &|root| cut(root, name, bytes));
            }
        }
        for folder in ["log", "index", "index/blobs"] {
            judge(format!("{folder} gone"), &|root| fs::remove_dir_all(root.join(folder)).unwrap());
        }
        assert!(refused > names.len());
    }
}

/// Changes the index of a closed store, so that sled itself detects nothing.
async fn meddled(dir: &Path, meddle: impl FnOnce(&sled::Tree)) {
    filled(dir, true).await;
    fs::remove_file(dir.join("stopped")).unwrap();
    let db = sled::open(dir.join("index")).unwrap();
    meddle(&db.open_tree(RUNS.name).unwrap());
    db.flush().unwrap();
}

fn one_more(tree: &sled::Tree) {
    let (key, _) = tree.first().unwrap().unwrap();
    let strayed = tree.last().unwrap().unwrap().1;
    tree.insert(key, strayed).unwrap();
}

fn one_less(tree: &sled::Tree) {
    tree.pop_min().unwrap().unwrap();
}

#[tokio::test]
async fn a_lost_or_stray_record_is_found_before_the_store_opens_after_an_unclean_shutdown() {
    for meddle in [one_more, one_less] {
        let dir = tempfile::tempdir().unwrap();
        meddled(dir.path(), meddle).await;
        for _ in 0..2 {
            let Err(error @ KvError::Damaged { .. }) = Kv::open(small(dir.path())) else { panic!("it opened") };
            assert_eq!(error.code(), "host/store-damaged");
            assert!(error.to_string().contains("restore the last backup"), "{error}");
        }
    }
}

#[tokio::test]
async fn a_scrub_of_a_large_store_finds_damage_and_sound_records_stay_readable() {
    for meddle in [one_more, one_less] {
        let dir = tempfile::tempdir().unwrap();
        meddled(dir.path(), meddle).await;
        let (kv, report) = open(KvConfig { scrub_at_open_bytes: 0, ..unhurried(dir.path()) });
        assert!(!report.clean && !report.scrubbed);
        assert!(matches!(kv.scrub(), Err(KvError::Damaged { .. })));
        assert!(matches!(kv.health(), KvHealth::ReadOnly { code: "host/store-damaged", .. }));
        let refused = kv.submit(|tx: &mut Tx<'_>| tx.put(RUNS, "more", "x")).await;
        assert!(matches!(refused, Err(SubmitError::Store(KvError::Damaged { .. }))), "{refused:?}");
        assert!(kv.get(RUNS, "large").unwrap().is_some());
        assert!(kv.close().await.is_err());
        assert!(Kv::open(small(dir.path())).is_err(), "it is not forgotten");
    }
}

#[tokio::test]
async fn a_read_of_a_damaged_record_fails_and_makes_the_store_read_only() {
    let dir = tempfile::tempdir().unwrap();
    meddled(dir.path(), one_more).await;
    let (kv, _) = open(KvConfig { scrub_at_open_bytes: 0, ..unhurried(dir.path()) });
    let first = kv.scan(EVENTS, &KeyRange::all(), false, 1).unwrap();
    assert_eq!(first.len(), 1);
    assert!(matches!(kv.scan(RUNS, &KeyRange::all(), false, 1), Err(KvError::Damaged { .. })));
    assert!(matches!(kv.health(), KvHealth::ReadOnly { code: "host/store-damaged", .. }));
    let _ = kv.close().await;
}
