//! Converts the ledger of an earlier release, once: its entries had neither sequence numbers nor a
//! chain, and hashed all fields as their content.
//!
//! The entries get their numbers in the order of their posting and ids. Each commit converts a
//! bounded number and removes the old records, so that an interrupted conversion continues where it
//! stopped. The host posts nothing before the conversion is complete.

use serde::{Deserialize, Serialize};
use tidemill_core::money::{ContentHash, Currencies, EntryCall, EntryContent, EntryKind, EntryLinks, LedgerStream};
use tidemill_core::{DeploymentName, RunId, Timestamp};

use crate::embedded::codec::decode;
use crate::embedded::ledger::append::EntryAppender;
use crate::embedded::ledger::entries;
use crate::embedded::store::{EmbeddedStore, blocking};
use crate::embedded::tables::{ACCOUNTS, ENTRIES, ENTRIES_BY_STREAM, EXTERNAL_IDS, STREAMS, name_key, time_key};
use crate::embedded::tx::{ReadTx, WriteTx, prefix_range};
use crate::error::Result;
use crate::records::{Evidence, LedgerEntry, LedgerLeg};

/// Maximum number of entries that one commit converts.
const ENTRIES_AT_ONCE: usize = 500;

/// An entry of an earlier release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OldEntry {
    pub(crate) id: String,
    pub(crate) stream: DeploymentName,
    pub(crate) run: RunId,
    pub(crate) external_id: String,
    pub(crate) kind: String,
    pub(crate) minor_units: i64,
    pub(crate) currency: String,
    pub(crate) net_revenue: i64,
    pub(crate) occurred_at: Timestamp,
    pub(crate) posted_at: Timestamp,
    pub(crate) customer: Option<String>,
    pub(crate) description: String,
    pub(crate) metadata: String,
    pub(crate) legs: Vec<LedgerLeg>,
    /// A hash of all fields. Other fields are content now.
    pub(crate) fingerprint: [u8; 16],
}

/// Converts the entries of an earlier release, if there are any.
pub(crate) async fn convert_once(store: &EmbeddedStore) -> Result<()> {
    if entries::is_converted(store.latest())? {
        return Ok(());
    }
    let view = store.clone();
    let order = blocking(move || posting_order(&view.snapshot())).await?;
    tracing::info!(entries = order.len(), "converting the ledger of an earlier release");
    for ids in order.chunks(ENTRIES_AT_ONCE) {
        let ids = ids.to_vec();
        store.commit(move |c| convert(c, &ids)).await?;
    }
    store
        .commit(|c| {
            for table in [ACCOUNTS, STREAMS] {
                for (key, _) in c.scan_prefix(table, &[], usize::MAX)? {
                    c.delete(table, &key);
                }
            }
            Ok(())
        })
        .await
}

/// Returns the ids of all entries in the order of their posting.
fn posting_order(store: &impl ReadTx) -> Result<Vec<Box<str>>> {
    let mut order = Vec::new();
    store.each(ENTRIES, prefix_range(&[]), |_, bytes| {
        let entry: OldEntry = decode(ENTRIES, bytes)?;
        order.push((entry.posted_at, entry.id.into_boxed_str()));
        Ok(())
    })?;
    order.sort_unstable();
    Ok(order.into_iter().map(|(_, id)| id).collect())
}

fn convert(commit: &mut WriteTx<'_, '_>, ids: &[Box<str>]) -> Result<()> {
    let mut appending = EntryAppender::resume(commit)?;
    let units = Currencies::default();
    for id in ids {
        let Some(old) = commit.record::<OldEntry>(ENTRIES, id.as_bytes())? else { continue };
        // The exponent of a unit that an operator declared is compared and stored at the start.
        if let Some(unit) = units.get(&old.currency) {
            appending.note_unit(commit, unit.code(), unit.exponent())?;
        }
        let stream = old.stream.as_str();
        commit.delete(ENTRIES, id.as_bytes());
        commit.delete(ENTRIES_BY_STREAM, &name_key(stream, &time_key(old.occurred_at, id.as_bytes())));
        commit.delete(EXTERNAL_IDS, &name_key(stream, old.external_id.as_bytes()));
        let sequence = appending.next();
        appending.append(commit, converted(old, sequence))?;
    }
    appending.finish(commit)?;
    Ok(())
}

fn converted(old: OldEntry, sequence: u64) -> LedgerEntry {
    let of = EntryLinks::stored_of(&old.metadata);
    let content = EntryKind::parse(&old.kind).map_or_else(ContentHash::default, |kind| {
        let content = EntryContent {
            kind,
            minor_units: old.minor_units,
            currency: &old.currency,
            occurred_at: old.occurred_at,
            of: of.as_deref(),
            call: EntryCall::Post,
            customer: old.customer.as_deref(),
        };
        content.hash()
    });
    LedgerEntry {
        sequence,
        hash: [0; 32],
        id: old.id,
        stream: LedgerStream::of(&old.stream),
        run: Some(old.run),
        external_id: old.external_id,
        call: EntryCall::Post,
        kind: old.kind,
        minor_units: old.minor_units,
        currency: old.currency,
        net_revenue: old.net_revenue,
        occurred_at: old.occurred_at,
        posted_at: old.posted_at,
        customer: old.customer,
        description: old.description,
        metadata: old.metadata,
        of,
        legs: old.legs,
        pending: Vec::new(),
        reservation: None,
        expires_at: None,
        parts: Vec::new(),
        evidence: Evidence::default(),
        late: false,
        paper: false,
        content,
    }
}
