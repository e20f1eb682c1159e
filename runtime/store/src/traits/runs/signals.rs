//! Signals.

use async_trait::async_trait;
use tidemill_core::{RunId, Timestamp};

use crate::error::StoreError;
use crate::records::{InboxSignal, NewSignal, Page, PageRequest, SignalReceipt};

/// The inboxes of runs.
#[async_trait]
pub trait SignalStore: Send + Sync + 'static {
    /// Adds a signal to a run's inbox, and wakes the run if it waits for the signal.
    ///
    /// # Errors
    /// [`StoreError::InboxFull`] if the inbox is full or the signal is too large,
    /// [`StoreError::NotFound`].
    async fn signal(&self, signal: NewSignal, now: Timestamp) -> Result<SignalReceipt, StoreError>;
    /// Returns the first signal with a name in a run's inbox, after position `after`.
    async fn inbox(&self, id: RunId, name: &str, after: Option<u64>) -> Result<Option<InboxSignal>, StoreError>;
    /// Lists the signals in a run's inbox, in the order of arrival.
    async fn signals(&self, id: RunId, page: PageRequest) -> Result<Page<InboxSignal>, StoreError>;
    /// Deletes the signal at a position of a run's inbox. Returns whether there was one.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if the run does not exist.
    async fn drop_signal(&self, id: RunId, place: u64) -> Result<bool, StoreError>;
}
