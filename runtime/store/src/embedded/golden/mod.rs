//! Golden bytes of every record and key. Each release reads the data folders of all earlier ones.
//!
//! `records.txt` contains a value of each encoded type and variant. `session.txt` contains all rows
//! after a scripted session, and so the keys and the internal records, too. `tables.txt` lists the
//! tables.

mod alerts;
mod credit;
mod healing;
mod health;
mod operator;
mod records;
mod session;

use std::fmt::Write as _;

use tidemill_artifacts::golden::check;
use tidemill_core::delivery::BodyDigest;
use tidemill_core::hook::ObjectVersion;
use tidemill_core::run::Seed;
use tidemill_core::{DeliveryId, RunId, Timestamp};

use super::tables;
use crate::records::HookDelivery;

/// Adds the records of the nouns with a file of their own.
fn later_nouns(rows: &mut records::Rows) {
    health::health(rows);
    operator::operator(rows);
}

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

fn delivery(number: u128) -> DeliveryId {
    DeliveryId::new(at(0), number)
}

/// A delivery with every field set.
fn hook_delivery(number: u128) -> HookDelivery {
    HookDelivery {
        id: delivery(number),
        deployment: "shop".parse().unwrap(),
        hook: "events".parse().unwrap(),
        received_at: at(1),
        verified_by: "stripe".to_owned(),
        key: format!("evt_{number}"),
        transmission: Some("69cd13f0".to_owned()),
        event: Some("charge.succeeded".to_owned()),
        object: Some("ch_1".to_owned()),
        version: Some(ObjectVersion::Number(7)),
        method: "POST".to_owned(),
        path: "/hooks/shop/events".to_owned(),
        query: "a=b".to_owned(),
        headers: vec![("content-type".to_owned(), "application/json".to_owned())],
        body_bytes: 2,
        digest: BodyDigest::of(b"{}"),
        signed_digest: Some(BodyDigest::of(b"signed")),
    }
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
