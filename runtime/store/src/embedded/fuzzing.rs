//! Entry points of the fuzzer: the decoder of stored records.

use std::fmt::Debug;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tidemill_core::run::{Export, TriggerKind};
use tidemill_core::{DeploymentName, Fuel, RunId, Timestamp};

use crate::embedded::codec::{decode, encode};
use crate::embedded::runs::record::RunRecord;
use crate::embedded::tables::{FEED, LOGS, RUNS};
use crate::embedded::tx::Table;
use crate::records::{FeedEntry, FeedEvent, LogLevel, LogLine};

/// Returns valid records: a run's log lines and an entry of the event feed.
#[must_use]
pub fn records() -> Vec<Vec<u8>> {
    let line = LogLine {
        seq: 300,
        at: Timestamp::from_millis(1_700_000_000_000),
        attempt: 2,
        level: LogLevel::Warn,
        message: "the origin answered 503".to_owned(),
        fields: vec![("url".to_owned(), "https://example.org".to_owned()), ("n".to_owned(), String::new())],
    };
    let event = "orders".parse::<DeploymentName>().ok().map(|deployment| FeedEvent::Run {
        id: RunId::new(line.at, 7),
        deployment,
        export: Export::Workflow,
        trigger: TriggerKind::Schedule,
        state: "parked".to_owned(),
        code: Some("host/trap".to_owned()),
        attempt: 1,
        fuel: Fuel::new(5_000),
        peak_memory: 65_536,
        took_millis: 12,
    });
    let entry = event.map(|event| FeedEntry { position: 9, at: line.at, event });
    [encode(&vec![line]), encode(&entry)].into_iter().flatten().collect()
}

/// Decodes `bytes` as each kind of record, and returns whether any succeeds.
///
/// # Panics
/// If a decoded record changes when it is encoded and decoded again.
#[must_use]
pub fn reads_record(bytes: &[u8]) -> bool {
    reads::<Vec<LogLine>>(LOGS, bytes) | reads::<Option<FeedEntry>>(FEED, bytes) | reads::<RunRecord>(RUNS, bytes)
}

fn reads<T: Serialize + DeserializeOwned + PartialEq + Debug>(table: Table, bytes: &[u8]) -> bool {
    let Ok(record) = decode::<T>(table, bytes) else { return false };
    let again = encode(&record).and_then(|bytes| decode::<T>(table, &bytes));
    assert_eq!(again.ok().as_ref(), Some(&record), "a record changes when it is written and read again");
    true
}
