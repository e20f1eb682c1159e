//! Parents and children, cancellation and retry.

use async_trait::async_trait;
use tidemill_core::run::Run;
use tidemill_core::{RunId, Timestamp};

use crate::error::StoreError;
use crate::records::{CommitEffects, Page, PageRequest, RetryChange};

/// Trees of runs: children, cancellation and retry.
#[async_trait]
pub trait RunTreeStore: Send + Sync + 'static {
    /// Returns how many more attached (not detached) runs a parent may start. `None` if the parent
    /// is at the maximum depth of nested runs; then it may not start a detached run either.
    async fn child_room(&self, parent: RunId) -> Result<Option<u32>, StoreError>;
    /// Lists the children of a run, oldest first.
    async fn children(&self, parent: RunId, page: PageRequest) -> Result<Page<Run>, StoreError>;
    /// Requests the cancellation of a run. A parked run, and a queued run that has nothing to undo,
    /// ends at once. Every other run is marked, its attached children first. It is notified when no
    /// attached child is left unended: it is listed as ready, or is in
    /// [`CommitEffects::cancelling`] if it is running. `terminate` ends the run and its children at
    /// once; a running run is in [`CommitEffects::cancelling`], and its owner ends it.
    ///
    /// # Errors
    /// [`StoreError::IllegalTransition`] if the run has ended, [`StoreError::NotFound`].
    async fn request_cancel(
        &self,
        id: RunId,
        terminate: bool,
        now: Timestamp,
    ) -> Result<(Run, CommitEffects), StoreError>;
    /// Continues cancellations that exceeded one commit, for at most `limit` runs. Returns whether
    /// more are left.
    async fn drain_cancels(&self, limit: usize, now: Timestamp) -> Result<(bool, CommitEffects), StoreError>;
    /// Retries a parked or failed run, and its failed or parked children, so that the tree resumes
    /// at the failed leaf. Children whose failure the run has
    /// [observed](crate::records::RunCommit::observed) are not retried, unless the run restarts
    /// from the beginning. Retries at most 256 runs in total.
    ///
    /// # Errors
    /// [`StoreError::IllegalTransition`] if the run is neither parked nor failed,
    /// [`StoreError::NotFound`].
    async fn retry_run(&self, id: RunId, retry: RetryChange) -> Result<(Run, CommitEffects), StoreError>;
}
