//! Reports about the ledger.

use std::ops::Range;

use async_trait::async_trait;
use tidemill_core::money::LedgerStream;
use tidemill_core::{DeploymentName, Timestamp};

use crate::error::StoreError;
use crate::records::{
    ClosedPeriod, CustomerQuery, CustomerReport, FuelTotal, LedgerEntry, Page, PageRequest, RateRecord, ReportScope,
    ReportSums,
};

/// Sums and lists of ledger entries for reports.
#[async_trait]
pub trait ReportStore: Send + Sync + 'static {
    /// Returns the sums of each kind of entry in each half-open range of each series. The ranges of
    /// one series are sorted and do not overlap. All sums are of one moment.
    async fn kind_sums(&self, scope: ReportScope, series: Vec<Vec<Range<Timestamp>>>)
    -> Result<ReportSums, StoreError>;
    /// Returns what customers brought, for each currency.
    async fn customer_totals(&self, query: CustomerQuery) -> Result<CustomerReport, StoreError>;
    /// Returns the fuel of the runs of one stream or of all that have ended in a half-open range. A
    /// quarter of an hour that the range cuts counts as a whole.
    async fn fuel_totals(
        &self,
        stream: Option<&LedgerStream>,
        range: Range<Timestamp>,
    ) -> Result<Vec<FuelTotal>, StoreError>;
    /// Returns the first stream of a deployment that has entries, and whether it is on paper.
    async fn stream_of(&self, deployment: &DeploymentName) -> Result<Option<(LedgerStream, bool)>, StoreError>;
    /// Returns entries of a range of sequence numbers in order, at most `limit`.
    async fn entries_in(&self, range: Range<u64>, limit: usize) -> Result<Vec<LedgerEntry>, StoreError>;
    /// Closes a period, so that no later entry changes its statement. Closing it again returns the
    /// first result.
    ///
    /// # Errors
    /// [`StoreError::IllegalTransition`] if it has not ended at `now`, or a later one is closed.
    async fn close_period(&self, period: ClosedPeriod, now: Timestamp) -> Result<ClosedPeriod, StoreError>;
    /// Lists closed periods, the latest first.
    async fn closed_periods(&self, page: PageRequest) -> Result<Page<ClosedPeriod>, StoreError>;
    /// Sets rates. One of the same day and currencies is replaced.
    async fn put_rates(&self, rates: Vec<RateRecord>) -> Result<(), StoreError>;
    /// Lists the rates into one currency or into all, the latest day of each currency first.
    async fn rates(&self, to: Option<&str>, page: PageRequest) -> Result<Page<RateRecord>, StoreError>;
    /// Returns the rates into a currency from one day to another, both inclusive.
    async fn rates_into(&self, to: &str, first: &str, last: &str) -> Result<Vec<RateRecord>, StoreError>;
    /// Returns the end of the last closed period; 1970 if none is closed.
    async fn closed_until(&self) -> Result<Timestamp, StoreError>;
}
