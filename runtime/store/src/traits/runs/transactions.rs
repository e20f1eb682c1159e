//! The transactions of runs.

use async_trait::async_trait;
use bytes::Bytes;
use tidemill_core::RunId;
use tidemill_core::ids::Owner;
use tidemill_core::journal::JournalChange;
use tidemill_core::run::Run;

use crate::error::StoreError;
use crate::kv::VisibilityGuard;
use crate::records::{LogLine, RunCommit, RunCommitResult, StoredJournal};

/// What the owner of a run writes: transactions, and savings of open transactions.
#[async_trait]
pub trait TransactionStore: Send + Sync + 'static {
    /// Commits a transaction. If it suspends the run, the same commit checks what the run waits
    /// for. If the wait already holds, because a signal is in the inbox or a run has ended, the run
    /// is ready at once. Otherwise the commit that fulfils the wait makes the run ready. So no
    /// wake-up is lost. If the transaction ends the run, its attached children that have not ended
    /// are cancelled, and a run that waits for it wakes up.
    ///
    /// # Errors
    /// [`StoreError::StaleEpoch`] if the run belongs to another epoch, [`StoreError::KeyMismatch`]
    /// if the key of a fresh run belongs to a run with another input, [`StoreError::InboxFull`] if
    /// an inbox cannot take a signal.
    async fn commit_run(&self, commit: RunCommit) -> Result<RunCommitResult, StoreError>;
    /// Commits a transaction like [`TransactionStore::commit_run`], and drops `guard` as soon as
    /// [`newest_state`](super::super::StateStore::newest_state) shows the writes of the
    /// transaction, or as soon as it is certain that the transaction has no effect. That can be
    /// before the commit is durable. The method still returns after the commit is durable.
    ///
    /// # Errors
    /// The same as [`TransactionStore::commit_run`].
    async fn commit_run_guarded(
        &self,
        commit: RunCommit,
        guard: VisibilityGuard,
    ) -> Result<RunCommitResult, StoreError> {
        let committed = self.commit_run(commit).await;
        drop(guard);
        committed
    }
    /// Saves log lines, progress and status of a running run. Journal, replay snapshot and
    /// uncommitted effects do not change.
    async fn save_progress(&self, owner: &Owner, run: &Run, logs: Vec<LogLine>) -> Result<(), StoreError>;
    /// Saves the records of an open transaction, so that a crash repeats little work: journal,
    /// replay snapshot, log lines, and from the run's record progress, status, fuel, peak memory
    /// and the number of journal entries. No effect is committed. New entries reset the number of
    /// takeovers.
    async fn save(
        &self,
        owner: &Owner,
        run: &Run,
        journal: Option<JournalChange>,
        snapshot: Option<Bytes>,
        logs: Vec<LogLine>,
    ) -> Result<(), StoreError>;
    /// Returns the journal and the replay snapshot of a run, both as of one moment; empty if the
    /// run has none.
    async fn journal(&self, id: RunId) -> Result<StoredJournal, StoreError>;
    /// Returns consecutive chunks of a run's journal, starting with chunk number `from` (the first
    /// is 0), as of one moment. Ends with the chunk that brings the total to `limit` bytes, and
    /// after at most 64 chunks; returns at least one chunk if there is one. So a journal of any
    /// length can be read in little memory.
    async fn journal_part(&self, id: RunId, from: u32, limit: u64) -> Result<Vec<Bytes>, StoreError>;
}
