//! Requests for runs, and the stored data of runs.

use async_trait::async_trait;
use bytes::Bytes;
use tidemill_core::run::Run;
use tidemill_core::{DeploymentName, RunId, Timestamp};

use crate::error::StoreError;
use crate::records::{ChildOutcome, LogPage, NewRun, Page, PageRequest, RunFilter, RunRequestResult};

/// Requests for runs, and what callers read of runs.
#[async_trait]
pub trait RunStore: Send + Sync + 'static {
    /// Requests a run.
    ///
    /// # Errors
    /// [`StoreError::KeyMismatch`] if its key belongs to a run with another input,
    /// [`StoreError::KeyOutlivesRun`] if retention removed the record of its key's run,
    /// [`StoreError::QueueFull`] if its terms allow no further queued run.
    async fn request_run(&self, new: NewRun) -> Result<RunRequestResult, StoreError>;
    /// Returns the run of an idempotency key. Does not compare the input; [`RunStore::request_run`]
    /// does.
    async fn run_by_key(&self, deployment: &DeploymentName, key: &str) -> Result<Option<Run>, StoreError>;
    /// Returns the run of an idempotency key if retention has removed the run's record and the key
    /// is still reserved.
    async fn key_outlives(
        &self,
        deployment: &DeploymentName,
        key: &str,
        now: Timestamp,
    ) -> Result<Option<RunId>, StoreError>;
    /// Returns one run.
    async fn run(&self, id: RunId) -> Result<Option<Run>, StoreError>;
    /// Returns the input of a run.
    async fn input(&self, id: RunId) -> Result<Option<Bytes>, StoreError>;
    /// Returns the output of a run.
    async fn output(&self, id: RunId) -> Result<Option<Bytes>, StoreError>;
    /// Returns the log lines of a run from `seq` on, in order: at most `limit` lines and at most
    /// the bytes of one page, but at least one line if there is one.
    async fn logs(&self, id: RunId, seq: u64, limit: usize) -> Result<LogPage, StoreError>;
    /// Lists runs, newest first.
    async fn runs(&self, filter: RunFilter, page: PageRequest) -> Result<Page<Run>, StoreError>;
    /// Returns how a run ended; `None` if it has not ended.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    async fn outcome(&self, id: RunId) -> Result<Option<ChildOutcome>, StoreError>;
}
