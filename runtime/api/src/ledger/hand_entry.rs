//! Entries by hand: built from a checked draft, and shown after they were posted.

use tidemill_api_types as shapes;
use tidemill_core::money::{EntryDraft, LedgerStream, Posting};
use tidemill_store::records::{AppendedEntry, Evidence, HandEntry, LedgerLeg, NewEntry};

use super::{Amounts, json};

/// Returns a checked entry of a stream that is not on paper and covers no late usage.
pub fn hand_entry(stream: &LedgerStream, draft: &EntryDraft<'_>, posting: Posting, by_hand: HandEntry) -> NewEntry {
    NewEntry {
        id: String::new(),
        stream: stream.clone(),
        run: None,
        external_id: draft.external_id.to_owned(),
        call: draft.call,
        kind: posting.kind.as_str().to_owned(),
        minor_units: posting.amount.minor_units,
        currency: posting.amount.currency.code().to_owned(),
        exponent: Some(posting.amount.currency.exponent()),
        net_revenue: posting.net_revenue,
        occurred_at: draft.occurred_at,
        customer: draft.customer.map(str::to_owned),
        description: draft.description.to_owned(),
        metadata: draft.metadata.to_owned(),
        of: posting.links.of,
        legs: posting.legs.map(LedgerLeg::from).to_vec(),
        pending: Vec::new(),
        reservation: None,
        expires_at: None,
        evidence: Evidence { by_hand: Some(by_hand), ..Evidence::default() },
        paper: false,
        late_usage_millis: 0,
        customer_floor: None,
        content: posting.content,
    }
}

/// Returns the shape of posted entries. They are duplicates if the ledger already had all of them.
pub fn posted<'a>(appended: &'a [AppendedEntry], amounts: &Amounts) -> shapes::CorrectionResult<'a> {
    let entries = appended.iter().map(|appended| match appended {
        AppendedEntry::New(entry) | AppendedEntry::Duplicate(entry) => json::entry(entry, amounts),
    });
    let duplicate = appended.iter().all(|appended| matches!(appended, AppendedEntry::Duplicate(_)));
    shapes::CorrectionResult { duplicate, entries: entries.collect() }
}
