//! Golden bytes of every record and key. Each release reads the data folders of all earlier ones.
//!
//! `records.txt` contains a value of each encoded type and variant. `session.txt` contains all rows
//! after a scripted session, and so the keys and the internal records, too. `tables.txt` lists the
//! tables.

mod records;
mod session;

use std::fmt::Write as _;

use tidemill_artifacts::golden::check;
use tidemill_core::run::Seed;
use tidemill_core::{RunId, Timestamp};

use super::tables;

/// Compares `text` with the golden file `name`.
fn golden(name: &str, text: &str) {
    check(env!("CARGO_MANIFEST_DIR"), name, text);
}

fn at(millis: u64) -> Timestamp {
    Timestamp::from_millis(1_700_000_000_000 + millis)
}

fn run(number: u128) -> RunId {
    RunId::new(at(0), number)
}

const SEED: Seed = Seed([7; 32]);

#[test]
fn tables_keep_their_ids_and_names() {
    let mut tables: Vec<_> = tables::ALL.iter().map(|table| (table.id, table.name)).collect();
    tables.sort_unstable();
    let text = tables.iter().fold(String::new(), |mut text, (id, name)| {
        writeln!(text, "{id} {name}").unwrap();
        text
    });
    golden("tables.txt", &text);
}
