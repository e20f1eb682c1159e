//! The keys of the ledger's tables.

use tidemill_core::money::LedgerStream;
use tidemill_core::money::report::BucketLevel;
use tidemill_core::{RunId, Timestamp};

use crate::embedded::tables::{name_key, time_key};
use crate::error::{Result, StoreError};
use crate::records::BucketAxis;

/// The key of the head in the table of marks.
pub(crate) const HEAD: &[u8] = b"head";
/// What precedes the code of a unit in the table of marks.
pub(crate) const UNITS: &[u8] = b"unit/";

/// What precedes the id of a reservation's entry.
const RESERVATION: u8 = 0;
/// What precedes the sequence number of an open reservation.
pub(crate) const OPEN: u8 = 1;
/// What precedes the time at which an open reservation expires.
pub(crate) const ENDS: u8 = 2;

/// The key of a sequence number.
pub(crate) const fn sequence(sequence: u64) -> [u8; 8] {
    sequence.to_be_bytes()
}

/// The key of an external id.
pub(crate) fn external_id(stream: &LedgerStream, external_id: &str) -> Vec<u8> {
    name_key(stream.as_str(), external_id.as_bytes())
}

/// The key of the entries of one commit of a run.
pub(crate) fn of_run(run: RunId, first: u64) -> Vec<u8> {
    [&run.to_bytes()[..], &sequence(first)].concat()
}

/// The key of an entry under its stream and time.
pub(crate) fn by_time(stream: &LedgerStream, occurred_at: Timestamp, number: u64) -> Vec<u8> {
    name_key(stream.as_str(), &time_key(occurred_at, &sequence(number)))
}

/// The prefix of the entries that answer an external id.
pub(crate) fn answers(stream: &LedgerStream, of: &str) -> Vec<u8> {
    name_key(stream.as_str(), &name_key(of, &[]))
}

/// The key of an entry under the external id that it answers.
pub(crate) fn answer(stream: &LedgerStream, of: &str, number: u64) -> Vec<u8> {
    name_key(stream.as_str(), &name_key(of, &sequence(number)))
}

/// The key of an account's balance.
pub(crate) fn account(stream: &LedgerStream, account: &str, currency: &str) -> Vec<u8> {
    name_key(stream.as_str(), &name_key(account, currency.as_bytes()))
}

/// The key of a stream's total.
pub(crate) fn total(stream: &LedgerStream, currency: &str) -> Vec<u8> {
    name_key(stream.as_str(), currency.as_bytes())
}

/// The key of the marks of a unit.
pub(crate) fn unit(code: &str) -> Vec<u8> {
    [UNITS, code.as_bytes()].concat()
}

/// The prefix of all buckets of a stream on one axis and level.
pub(crate) fn buckets(stream: &LedgerStream, axis: BucketAxis, level: BucketLevel) -> Vec<u8> {
    name_key(stream.as_str(), &[axis as u8, level.number()])
}

/// The key of a bucket.
pub(crate) fn bucket(
    stream: &LedgerStream,
    axis: BucketAxis,
    level: BucketLevel,
    start: Timestamp,
    late: bool,
    kind: &str,
    currency: &str,
) -> Vec<u8> {
    let mut key = buckets(stream, axis, level);
    key.extend_from_slice(&start.as_millis().to_be_bytes());
    key.push(u8::from(late));
    key.extend_from_slice(kind.as_bytes());
    key.push(0);
    key.extend_from_slice(currency.as_bytes());
    key
}

/// Reads what follows the prefix of [`buckets`] in the key of a bucket: whether its entries are
/// late, their kind and their currency.
pub(crate) fn bucket_parts(rest: &[u8]) -> Result<(bool, &str, &str)> {
    let late = rest.get(8).ok_or_else(unreadable)?;
    let (kind, currency) = text(&rest[9..])?.split_once('\0').ok_or_else(unreadable)?;
    Ok((*late != 0, kind, currency))
}

/// The key of a reservation.
pub(crate) fn reservation(id: &str) -> Vec<u8> {
    [&[RESERVATION], id.as_bytes()].concat()
}

/// The key of a reservation in the order of age, while it is open.
pub(crate) fn open_reservation(number: u64) -> Vec<u8> {
    [&[OPEN][..], &sequence(number)].concat()
}

/// The key of a reservation in the order of expiry, while it is open.
pub(crate) fn reservation_end(end: Timestamp, number: u64) -> Vec<u8> {
    [&[ENDS][..], &time_key(end, &sequence(number))].concat()
}

/// Reads the time in a key made by [`reservation_end`].
pub(crate) fn end_of(key: &[u8]) -> Option<Timestamp> {
    crate::embedded::tables::time_of(key.get(1..)?)
}

/// Reads the sequence number at the end of a key.
pub(crate) fn sequence_at_end(key: &[u8]) -> Result<u64> {
    key.last_chunk::<8>().map(|bytes| u64::from_be_bytes(*bytes)).ok_or_else(unreadable)
}

/// Reads the stream before the first NUL of a key, and the rest after it.
pub(crate) fn stream_and_rest(key: &[u8]) -> Result<(LedgerStream, &[u8])> {
    let end = key.iter().position(|byte| *byte == 0).ok_or_else(unreadable)?;
    let name = std::str::from_utf8(&key[..end]).map_err(|_| unreadable())?;
    Ok((name.parse().map_err(|_| unreadable())?, &key[end + 1..]))
}

/// Reads the text of the rest of a key.
pub(crate) fn text(bytes: &[u8]) -> Result<&str> {
    std::str::from_utf8(bytes).map_err(|_| unreadable())
}

pub(crate) fn unreadable() -> StoreError {
    StoreError::Damaged { what: "a key of the ledger cannot be read".into() }
}
