//! The ledger's part of the store's contract.

use async_trait::async_trait;
use tidemill_core::money::{Currencies, LedgerStream};
use tidemill_core::{DeploymentName, Timestamp};

use crate::embedded::ledger::append;
use crate::embedded::ledger::{check, entries, expiry, keys, reports, reservations, totals, units};
use crate::embedded::store::{EmbeddedStore, blocking};
use crate::embedded::tables::{LEDGER_OF, WATERMARKS};
use crate::embedded::tx::ReadTx;
use crate::error::Result;
use crate::records::{
    AccountTotal, AppendedEntry, DueBatch, ExternalId, LedgerCheck, LedgerEntry, LedgerHead, LedgerUnit, NewEntry,
    Page, PageRequest, StoredReservation, StreamTotal, UnitConflict,
};
use crate::traits::LedgerStore;

#[async_trait]
impl LedgerStore for EmbeddedStore {
    async fn external_id(&self, stream: &LedgerStream, external_id: &str) -> Result<ExternalId> {
        entries::external_id(self.latest(), stream, external_id)
    }

    async fn ledger_entry(&self, id: &str) -> Result<Option<LedgerEntry>> {
        entries::by_id(self.latest(), id)
    }

    async fn ledger_entry_at(&self, sequence: u64) -> Result<Option<LedgerEntry>> {
        entries::at(self.latest(), sequence)
    }

    async fn ledger_entry_of(&self, stream: &LedgerStream, external_id: &str) -> Result<Option<LedgerEntry>> {
        entries::by_external_id(self.latest(), stream, external_id)
    }

    async fn ledger_answers(&self, stream: &LedgerStream, of: &str, page: PageRequest) -> Result<Page<LedgerEntry>> {
        let store = self.snapshot();
        let mut reader = entries::EntryReader::new(&store);
        let rows = store.page(LEDGER_OF, &keys::answers(stream, of), false, &page)?;
        rows.try_map(|(key, _)| reader.named(keys::sequence_at_end(&key)?))
    }

    async fn ledger_entries(&self, stream: Option<&LedgerStream>, page: PageRequest) -> Result<Page<LedgerEntry>> {
        let store = self.snapshot();
        match stream {
            Some(stream) => entries::page_of(&store, stream, &page),
            None => entries::page_of_all(&store, &page),
        }
    }

    async fn append_entries(&self, entries: Vec<NewEntry>, now: Timestamp) -> Result<Vec<AppendedEntry>> {
        self.commit(move |c| append::append_by_host(c, &entries, now)).await
    }

    async fn reservation(&self, id: &str) -> Result<Option<StoredReservation>> {
        reservations::reservation(&self.snapshot(), id)
    }

    async fn open_reservations(&self, page: PageRequest) -> Result<Page<LedgerEntry>> {
        reservations::page(&self.snapshot(), &page)
    }

    async fn expire_reservations(&self, now: Timestamp, limit: usize) -> Result<DueBatch> {
        // Most ticks find nothing, and then nothing is committed.
        let found = reservations::next_end(self.latest())?;
        if found.is_none_or(|next| next > now) {
            return Ok(DueBatch { done: 0, next: found });
        }
        self.commit(move |c| expiry::expire(c, now, limit)).await
    }

    async fn revenue(&self, stream: &LedgerStream, start: Timestamp, end: Timestamp) -> Result<Vec<StreamTotal>> {
        reports::revenue(&self.snapshot(), stream, &(start..end))
    }

    async fn stream_totals(&self) -> Result<Vec<StreamTotal>> {
        totals::streams(&self.snapshot())
    }

    async fn account_totals(&self, stream: Option<&LedgerStream>, now: Timestamp) -> Result<Vec<AccountTotal>> {
        totals::accounts(&self.snapshot(), stream, now)
    }

    async fn check_ledger(&self) -> Result<LedgerCheck> {
        let store = self.clone();
        blocking(move || check::check(&store.snapshot())).await
    }

    async fn ledger_head(&self) -> Result<LedgerHead> {
        Ok(entries::head(self.latest())?.head)
    }

    async fn first_posted_from(&self, time: Timestamp) -> Result<u64> {
        entries::first_posted_from(&self.snapshot(), time)
    }

    async fn open_reservation_count(&self) -> Result<u64> {
        Ok(entries::head(self.latest())?.open_reservations)
    }

    async fn ledger_units(&self) -> Result<Vec<LedgerUnit>> {
        units::all(self.latest())
    }

    async fn compare_units(&self, known: Currencies) -> Result<Vec<UnitConflict>> {
        let exponent = |code: &str| known.get(code).map(|unit| unit.exponent());
        let (conflicts, missing) = units::compare(&self.snapshot(), exponent)?;
        // A start on a full disk commits nothing.
        if !missing.is_empty() {
            self.commit(move |c| missing.iter().try_for_each(|unit| units::note(c, &unit.code, unit.exponent))).await?;
        }
        Ok(conflicts)
    }

    async fn watermark(&self, stream: &DeploymentName) -> Result<Option<Timestamp>> {
        self.latest().record(WATERMARKS, stream.as_str().as_bytes())
    }
}
