//! Entry points for the fuzzer: the reader of the commit log's records.

use super::table_checksum::TableSum;
use crate::kv::log::record;
use crate::kv::log::record::RecordBuffer;

const SEED: u64 = 7;
const SEGMENT: u64 = 3;

/// Returns valid payloads of records.
#[must_use]
pub fn log_payloads() -> Vec<Vec<u8>> {
    let mut record = RecordBuffer::default();
    record.begin([(1, TableSum { count: 2, sum: 99 }), (7, TableSum { count: 1, sum: 5 })].into_iter());
    record.write(1, b"key", Some(b"12345678value"));
    record.write(7, b"gone", None);
    let (bytes, _) = record.seal(SEED, SEGMENT, 1, 1, 0);
    let read = record::read(bytes, 0, SEED, SEGMENT);
    read.into_iter().map(|(_, payload)| payload.to_vec()).collect()
}

/// Decodes `payload`, as if its record's checksum were right. Returns whether it is valid.
#[must_use]
pub fn reads_log_payload(payload: &[u8]) -> bool {
    record::decode(payload).is_some()
}

/// Searches the bytes of a segment for records. Returns whether there is one.
#[must_use]
pub fn reads_log_segment(bytes: &[u8]) -> bool {
    record::any_after(bytes, 0, SEED, SEGMENT, 0).is_some()
}
