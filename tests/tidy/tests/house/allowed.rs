//! The lists of present offenders, with the maximum count of each.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// Offenders by their name in the list, each with its places.
pub type Offenders = BTreeMap<String, Vec<String>>;

/// Maximum number of places that a failure shows.
const SHOWN: usize = 200;

fn path(list: &str) -> PathBuf {
    tidemill_tidy::root().join("tests/tidy/allowed").join(format!("{list}.txt"))
}

/// Reads the maximum counts of a list; `None` if the list does not exist.
fn read(list: &str) -> Option<BTreeMap<String, usize>> {
    let text = std::fs::read_to_string(path(list)).ok()?;
    let entry = |line: &str| {
        let (count, name) = line.split_once(' ').unwrap();
        (name.to_owned(), count.parse().unwrap())
    };
    Some(text.lines().map(entry).collect())
}

fn write(list: &str, found: &Offenders) {
    let text: String = found.iter().map(|(name, places)| format!("{} {name}\n", places.len())).collect();
    std::fs::create_dir_all(path(list).parent().unwrap()).unwrap();
    std::fs::write(path(list), text).unwrap();
}

/// Compares the offenders with the list. Panics if there are more than allowed, or if an entry no
/// longer applies.
pub fn check(list: &str, rule: &str, found: &Offenders) {
    let before = read(list);
    let blesses = std::env::var_os("TIDEMILL_BLESS").is_some();
    if before.is_none() && blesses {
        return write(list, found);
    }
    let before = before.unwrap_or_default();
    let mut more = Vec::new();
    for (name, places) in found {
        let allowed = before.get(name).copied().unwrap_or_default();
        if places.len() > allowed {
            let shown = &places[..places.len().min(SHOWN)];
            more.push(format!("{name}: {} places, at most {allowed} are allowed: {shown:#?}", places.len()));
        }
    }
    assert!(more.is_empty(), "{rule}\n{}", more.join("\n"));
    if blesses {
        return write(list, found);
    }
    let gone: Vec<_> = before.keys().filter(|name| !found.contains_key(*name)).collect();
    let advice = "these no longer offend; remove them: TIDEMILL_BLESS=1 cargo test -p tidemill-tidy";
    assert!(gone.is_empty(), "tests/tidy/allowed/{list}.txt: {advice}\n{gone:#?}");
}
