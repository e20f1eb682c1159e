//! Failures and parked runs.

use async_trait::async_trait;
use tidemill_core::run::Run;
use tidemill_core::run::RunState;
use tidemill_core::{Failure, RunId};

use crate::error::StoreError;
use crate::records::{FailedPart, NumberedFailure, Page, PageRequest, ParkedFilter, ParkedGroup, ParkedRun};

/// The failures of runs, and the runs that wait for a person.
#[async_trait]
pub trait FailureStore: Send + Sync + 'static {
    /// Returns the stored failures of a run, in order: the first ones and the newest ones, at most
    /// [`FAILURES_OF_RUN`](crate::records::FAILURES_OF_RUN).
    async fn failures(&self, id: RunId) -> Result<Vec<NumberedFailure>, StoreError>;
    /// Returns the failure of a failed or parked run, or of a cancelled run that could not undo its
    /// work.
    async fn failure_of(&self, run: &Run) -> Result<Option<Failure>, StoreError> {
        if run.state != RunState::Cancelled {
            return Ok(run.state.failure().cloned());
        }
        let last = self.failures(run.id).await?.pop().map(|last| last.record);
        Ok(last.filter(|last| last.part == FailedPart::Cancellation).map(|last| last.failure))
    }
    /// Lists parked runs, newest first.
    async fn parked(&self, filter: ParkedFilter, page: PageRequest) -> Result<Page<ParkedRun>, StoreError>;
    /// Groups parked runs by deployment and code, largest group first. Reads every parked run.
    async fn parked_groups(&self, filter: ParkedFilter) -> Result<Vec<ParkedGroup>, StoreError>;
    /// Removes a cancelled run from the list of runs that wait for a person. Returns whether it was
    /// listed.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if the run does not exist.
    async fn dismiss(&self, id: RunId) -> Result<bool, StoreError>;
}
