//! What is judged of an entry that a commit appends.

use tidemill_core::Timestamp;
use tidemill_core::money::report::is_future_dated;
use tidemill_core::money::{EntryCall, LedgerStream, is_external_id};

use crate::records::LedgerEntry;

/// What is judged of an entry.
pub(crate) struct NotedEntry {
    pub(crate) sequence: u64,
    pub(crate) stream: LedgerStream,
    pub(crate) external_id: String,
    pub(crate) kind: String,
    /// The posted amount, in minor units.
    pub(crate) posted: i64,
    pub(crate) currency: String,
    /// The external id that it answers; `None` for the end of a reservation that posts nothing.
    pub(crate) of: Option<String>,
    /// Whether it is a side of a conversion, or of what streams pass on.
    pub(crate) has_side: bool,
    /// The id of its conversion or its invoice.
    pub(crate) link: Option<String>,
    pub(crate) posted_at: Timestamp,
    pub(crate) occurred_at: Timestamp,
    pub(crate) is_late: bool,
    pub(crate) is_future: bool,
    pub(crate) ends_reservation: bool,
    pub(crate) by_hand: bool,
    pub(crate) paper: bool,
}

impl NotedEntry {
    /// Returns what is judged of an entry; `None` if nothing is.
    pub(crate) fn of(entry: &LedgerEntry) -> Option<Self> {
        let by_hand = entry.call == EntryCall::Correct;
        let answers = entry.of.is_some() && !matches!(entry.call, EntryCall::Void | EntryCall::Expire);
        let has_side = !entry.legs.is_empty() && has_side(&entry.kind);
        let is_late = entry.late && !by_hand;
        let is_future = is_future_dated(entry.occurred_at, entry.posted_at) && !by_hand;
        (answers || has_side || is_late || is_future || by_hand).then(|| Self {
            sequence: entry.sequence,
            stream: entry.stream.clone(),
            external_id: entry.external_id.clone(),
            kind: entry.kind.clone(),
            posted: entry.posted_units(),
            currency: entry.currency.clone(),
            of: entry.of.clone().filter(|_| answers),
            has_side,
            link: if has_side { link(&entry.kind, &entry.metadata) } else { None },
            posted_at: entry.posted_at,
            occurred_at: entry.occurred_at,
            is_late,
            is_future,
            ends_reservation: entry.reservation.is_some(),
            by_hand,
            paper: entry.paper,
        })
    }
}

/// Whether an entry of this kind belongs together with others: a side of a conversion, or what a
/// stream passes on.
fn has_side(kind: &str) -> bool {
    ["conversion-", "received", "collected"].iter().any(|start| kind.starts_with(start))
}

/// Returns the id of a conversion or an invoice in the metadata of an entry.
fn link(kind: &str, metadata: &str) -> Option<String> {
    let member = if kind.starts_with("conversion-") { "conversion" } else { "invoice" };
    let metadata: serde_json::Value = serde_json::from_str(metadata).ok()?;
    let text = metadata.get(member)?.as_str()?;
    is_external_id(text).then(|| text.to_owned())
}
