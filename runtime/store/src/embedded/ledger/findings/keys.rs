//! The keys of findings and of the sums that they follow from.

use std::ops::Range;

use tidemill_core::Timestamp;
use tidemill_core::money::LedgerStream;
use tidemill_core::money::report::FindingKind;

use crate::embedded::tables::{name_key, time_key};

/// The key of the numbers of findings in the table of marks.
pub(crate) const MARKS: &[u8] = b"findings";

/// What precedes the number of an open finding.
pub(crate) const OPEN: u8 = 0;
/// What precedes the number of a finding that a person closed.
pub(crate) const CLOSED: u8 = 1;
/// What precedes a subject.
const SUBJECT: u8 = 2;
/// What precedes the time at which a finding opens or closes.
pub(crate) const DUE: u8 = 3;

/// What follows the time at which runs that wait for a budget of fuel are woken.
const FUEL_WAITS: u8 = 3;

/// What precedes the sum of the answers to an external id.
pub(crate) const ANSWERS: u8 = 0;
/// What precedes the sums of a conversion.
pub(crate) const CONVERSION: u8 = 1;
/// What precedes the sum of an invoice between streams.
pub(crate) const CLEARING: u8 = 2;
/// What precedes a customer's account that is below its floor.
const FLOOR: u8 = 3;

/// What a finding is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct FindingSubject {
    pub(crate) kind: FindingKind,
    pub(crate) paper: bool,
    pub(crate) stream: Option<LedgerStream>,
    pub(crate) name: String,
    pub(crate) currency: Option<String>,
}

impl FindingSubject {
    /// The key of the finding about it.
    pub(crate) fn key(&self) -> Vec<u8> {
        let stream = self.stream.as_ref().map_or("", LedgerStream::as_str);
        let currency = self.currency.as_deref().unwrap_or_default();
        let name = name_key(stream, &name_key(&self.name, currency.as_bytes()));
        [&[SUBJECT, self.kind.number(), u8::from(self.paper)], &name[..]].concat()
    }

    /// The key of the time at which the finding about it opens or closes.
    pub(crate) fn due(&self, at: Timestamp) -> Vec<u8> {
        [&[DUE][..], &time_key(at, &self.key())].concat()
    }
}

/// The key of the time at which the runs of a range that wait for a budget of fuel are woken.
pub(crate) fn due_fuel_waits(at: Timestamp, range: &Range<Vec<u8>>) -> Vec<u8> {
    [&[DUE][..], &time_key(at, &[FUEL_WAITS]), &range.start, &range.end].concat()
}

/// The key of a finding by its number.
pub(crate) fn number(state: u8, number: u64) -> Vec<u8> {
    [&[state][..], &number.to_be_bytes()].concat()
}

/// The key of the sum of the answers of one kind and currency to an external id.
pub(crate) fn answers(stream: &LedgerStream, of: &str, currency: &str, kind: &str) -> Vec<u8> {
    let rest = name_key(of, &name_key(currency, kind.as_bytes()));
    [&[ANSWERS], &name_key(stream.as_str(), &rest)[..]].concat()
}

/// The key of the sums of a conversion.
pub(crate) fn conversion(stream: &LedgerStream, id: &str) -> Vec<u8> {
    [&[CONVERSION], &name_key(stream.as_str(), id.as_bytes())[..]].concat()
}

/// The key of a customer's account that is below its floor, by the key of the account.
pub(crate) fn floor(account: &[u8]) -> Vec<u8> {
    [&[FLOOR], account].concat()
}

/// The key of the sum of an invoice between streams.
pub(crate) fn clearing(paper: bool, invoice: &str, currency: &str) -> Vec<u8> {
    [&[CLEARING, u8::from(paper)], &name_key(invoice, currency.as_bytes())[..]].concat()
}
