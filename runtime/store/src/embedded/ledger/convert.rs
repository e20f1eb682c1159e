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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embedded::codec::encode;
    use crate::embedded::ledger::{check, entries, units};
    use crate::traits::{LedgerStore as _, NodeStore as _};

    fn old(number: u64, posted_at: u64) -> OldEntry {
        let run = RunId::new(Timestamp::from_millis(1), u128::from(number % 7));
        let leg = |account: &str, minor_units| LedgerLeg { account: account.to_owned(), minor_units };
        let cents = i64::try_from(number).unwrap() + 1;
        OldEntry {
            id: format!("{run}-1-{number:05}"),
            stream: ["shop", "bar"][usize::try_from(number % 2).unwrap()].parse().unwrap(),
            run,
            external_id: format!("sale-{number}"),
            kind: "sale".to_owned(),
            minor_units: cents,
            currency: ["EUR", "POINTS"][usize::try_from(number % 3 / 2).unwrap()].to_owned(),
            net_revenue: cents,
            occurred_at: Timestamp::from_millis(number * 1_000_000),
            posted_at: Timestamp::from_millis(posted_at),
            customer: None,
            description: "a book".to_owned(),
            metadata: r#"{"of":"order-1"}"#.to_owned(),
            legs: vec![leg("sales", -cents), leg("receivable", cents)],
            fingerprint: [9; 16],
        }
    }

    /// Writes entries as an earlier release did.
    async fn write_old(store: &EmbeddedStore, all: Vec<OldEntry>) {
        let write = move |c: &mut WriteTx<'_, '_>| {
            for entry in &all {
                let (stream, id) = (entry.stream.as_str(), entry.id.as_bytes());
                c.put(ENTRIES, id, &encode(entry)?);
                c.put(ENTRIES_BY_STREAM, &name_key(stream, &time_key(entry.occurred_at, id)), b"x");
                c.put(EXTERNAL_IDS, &name_key(stream, entry.external_id.as_bytes()), b"x");
                c.put(ACCOUNTS, stream.as_bytes(), b"x");
                c.put(STREAMS, stream.as_bytes(), b"x");
            }
            Ok(())
        };
        store.commit(write).await.unwrap();
    }

    #[tokio::test]
    async fn entries_of_an_earlier_release_are_numbered_by_posting_and_id_and_an_interruption_loses_none() {
        let dir = tempfile::tempdir().unwrap();
        let (store, _) = EmbeddedStore::open(EmbeddedStore::config(dir.path())).unwrap();
        // More than two commits, posted in another order than that of the ids.
        let all: Vec<OldEntry> = (0..1_100).map(|number| old(number, 5_000 - number / 10)).collect();
        write_old(&store, all.clone()).await;
        assert!(!entries::is_converted(store.latest()).unwrap());
        let posted = store.commit(|c| EntryAppender::begin(c, Timestamp::default()).map(drop)).await;
        assert!(posted.is_err(), "nothing is posted before the conversion");
        let order = posting_order(&store.snapshot()).unwrap();
        let first = order[..300].to_vec();
        store.commit(move |c| convert(c, &first)).await.unwrap();
        store.begin_epoch(&"node-1".parse().unwrap()).await.unwrap();

        let mut expected = all;
        expected.sort_by_key(|entry| (entry.posted_at, entry.id.clone()));
        let view = store.snapshot();
        for (number, old) in (1..).zip(&expected) {
            let entry = entries::at(&view, number).unwrap().unwrap();
            assert_eq!((&entry.id, entry.posted_at, &entry.legs), (&old.id, old.posted_at, &old.legs));
            assert_eq!((entry.of.as_deref(), entry.call), (Some("order-1"), EntryCall::Post));
        }
        let found = check::check(&view).unwrap();
        assert_eq!((found.entries, found.problems), (1_100, vec![]));
        for table in [ENTRIES, ENTRIES_BY_STREAM, EXTERNAL_IDS, ACCOUNTS, STREAMS] {
            assert_eq!(store.count(table), 0, "{}", table.name);
        }
        // The number of decimal places of a declared unit is stored at the start.
        assert_eq!(units::all(&view).unwrap().len(), 1);
        let known = Currencies::with_declared([("POINTS", 3)]).unwrap();
        assert_eq!(store.compare_units(known).await, Ok(vec![]));
        assert_eq!(store.ledger_units().await.unwrap().len(), 2);
        // An entry with the content of an old one is a duplicate.
        let entry = store.ledger_entry_at(1).await.unwrap().unwrap();
        let content = EntryContent {
            kind: EntryKind::Sale,
            minor_units: entry.minor_units,
            currency: &entry.currency,
            occurred_at: entry.occurred_at,
            of: Some("order-1"),
            call: EntryCall::Post,
            customer: Some("a remark"),
        };
        assert_eq!(store.external_id(&entry.stream, &entry.external_id).await.unwrap().content, content.hash());
    }
}
