//! The ledger: its entries, what they add up to, and its proof.

use async_trait::async_trait;
use tidemill_core::money::{Currencies, LedgerStream};
use tidemill_core::{DeploymentName, Timestamp};

use crate::error::StoreError;
use crate::records::{
    AccountTotal, AppendedEntry, DueBatch, ExternalId, LedgerCheck, LedgerEntry, LedgerHead, LedgerUnit, NewEntry,
    Page, PageRequest, StoredReservation, StreamTotal, UnitConflict,
};

/// The ledger of revenue streams.
#[async_trait]
pub trait LedgerStore: Send + Sync + 'static {
    /// Returns the record of an external id of a stream.
    async fn external_id(&self, stream: &LedgerStream, external_id: &str) -> Result<ExternalId, StoreError>;
    /// Returns the entry with an id.
    async fn ledger_entry(&self, id: &str) -> Result<Option<LedgerEntry>, StoreError>;
    /// Returns the entry with a sequence number.
    async fn ledger_entry_at(&self, sequence: u64) -> Result<Option<LedgerEntry>, StoreError>;
    /// Returns the entry of a stream with an external id.
    async fn ledger_entry_of(
        &self,
        stream: &LedgerStream,
        external_id: &str,
    ) -> Result<Option<LedgerEntry>, StoreError>;
    /// Lists the entries that answer an external id of a stream, in the order of their posting.
    async fn ledger_answers(
        &self,
        stream: &LedgerStream,
        of: &str,
        page: PageRequest,
    ) -> Result<Page<LedgerEntry>, StoreError>;
    /// Lists ledger entries of one stream or of all, by the time of their occurrence, newest first.
    async fn ledger_entries(
        &self,
        stream: Option<&LedgerStream>,
        page: PageRequest,
    ) -> Result<Page<LedgerEntry>, StoreError>;
    /// Appends entries that no run posted, all or none. An entry whose external id has the same
    /// content is a duplicate and is not appended.
    ///
    /// # Errors
    /// [`StoreError::ExternalIdTaken`] if an external id has other content.
    async fn append_entries(&self, entries: Vec<NewEntry>, now: Timestamp) -> Result<Vec<AppendedEntry>, StoreError>;
    /// Returns the reservation that an entry made, by the entry's id.
    async fn reservation(&self, id: &str) -> Result<Option<StoredReservation>, StoreError>;
    /// Lists the entries of the open reservations, oldest first. One whose time is over is listed
    /// until its amount is returned.
    async fn open_reservations(&self, page: PageRequest) -> Result<Page<LedgerEntry>, StoreError>;
    /// Returns the amounts of at most `limit` reservations whose time is over at `now`.
    async fn expire_reservations(&self, now: Timestamp, limit: usize) -> Result<DueBatch, StoreError>;
    /// Returns the net revenue of a stream in the half-open range `start..end`, for each currency.
    async fn revenue(
        &self,
        stream: &LedgerStream,
        start: Timestamp,
        end: Timestamp,
    ) -> Result<Vec<StreamTotal>, StoreError>;
    /// Returns the net revenue of each stream in each currency, those on paper included.
    async fn stream_totals(&self) -> Result<Vec<StreamTotal>, StoreError>;
    /// Returns the balance of each account of one stream or of all. A reservation whose time is
    /// over at `now` is not pending.
    async fn account_totals(
        &self,
        stream: Option<&LedgerStream>,
        now: Timestamp,
    ) -> Result<Vec<AccountTotal>, StoreError>;
    /// Recomputes the chain and every total from the entries, and reports differences.
    async fn check_ledger(&self) -> Result<LedgerCheck, StoreError>;
    /// Returns the end of the chain.
    async fn ledger_head(&self) -> Result<LedgerHead, StoreError>;
    /// Returns the number of the first entry that was posted at `time` or later, or the number
    /// after the last entry.
    async fn first_posted_from(&self, time: Timestamp) -> Result<u64, StoreError>;
    /// Returns the number of open reservations.
    async fn open_reservation_count(&self) -> Result<u64, StoreError>;
    /// Returns the units of the ledger, by their codes.
    async fn ledger_units(&self) -> Result<Vec<LedgerUnit>, StoreError>;
    /// Compares the units of the ledger with those that the host knows.
    async fn compare_units(&self, known: Currencies) -> Result<Vec<UnitConflict>, StoreError>;
    /// Returns where the last successful collection of a stream ended.
    async fn watermark(&self, stream: &DeploymentName) -> Result<Option<Timestamp>, StoreError>;
}
