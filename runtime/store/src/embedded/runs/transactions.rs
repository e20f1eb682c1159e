//! Saves what the owner of a run writes: whole transactions, and the records of an open one.

use async_trait::async_trait;
use bytes::Bytes;
use tidemill_core::RunId;
use tidemill_core::ids::Owner;
use tidemill_core::journal::JournalChange;
use tidemill_core::run::Run;

use crate::embedded::runs::{self, commit, journal, record};
use crate::embedded::store::EmbeddedStore;
use crate::embedded::tables::RUNS;
use crate::embedded::tx::{VisibilityGuard, WriteTx};
use crate::embedded::value;
use crate::error::Result;
use crate::records::{LogLine, RunCommit, RunCommitResult, StoredJournal};
use crate::traits::TransactionStore;

#[async_trait]
impl TransactionStore for EmbeddedStore {
    async fn commit_run(&self, commit: RunCommit) -> Result<RunCommitResult> {
        self.commit_with(value::long(commit::values(&commit)), move |c| commit::commit(c, &commit)).await
    }

    async fn commit_run_guarded(&self, commit: RunCommit, guard: VisibilityGuard) -> Result<RunCommitResult> {
        let long = value::long(commit::values(&commit));
        self.commit_with(long, move |c| commit::commit_guarded(c, &commit, guard)).await
    }

    async fn save_progress(&self, owner: &Owner, run: &Run, logs: Vec<LogLine>) -> Result<()> {
        let (owner, run) = (owner.clone(), run.clone());
        self.commit(move |c| self::save_progress(c, &owner, &run, &logs)).await
    }

    async fn save(
        &self,
        owner: &Owner,
        run: &Run,
        journal: Option<JournalChange>,
        snapshot: Option<Bytes>,
        logs: Vec<LogLine>,
    ) -> Result<()> {
        let (owner, run) = (owner.clone(), run.clone());
        let long = value::long(journal.iter().flat_map(|change| &change.chunks).chain(&snapshot));
        let save =
            move |c: &mut WriteTx<'_, '_>| self::save(c, &owner, &run, journal.as_ref(), snapshot.as_ref(), &logs);
        self.commit_with(long, save).await
    }

    async fn journal(&self, id: RunId) -> Result<StoredJournal> {
        let (of_chunks, of_snapshot) = (self.lease(), self.lease());
        let (chunks, snapshot) = journal::read(&self.snapshot(), id)?;
        Ok(StoredJournal {
            chunks: self.values(of_chunks, chunks).await?,
            snapshot: self.maybe(of_snapshot, snapshot).await?,
        })
    }

    async fn journal_part(&self, id: RunId, from: u32, limit: u64) -> Result<Vec<Bytes>> {
        let lease = self.lease();
        self.values(lease, journal::part(&self.snapshot(), id, from, limit)?).await
    }
}

fn save_progress(commit: &mut WriteTx<'_, '_>, owner: &Owner, run: &Run, logs: &[LogLine]) -> Result<()> {
    let mut record = record::get_owned(commit, owner, run.id)?;
    record.run.progress.clone_from(&run.progress);
    record.run.status.clone_from(&run.status);
    commit.put_record(RUNS, &run.id.to_bytes(), &record)?;
    runs::put_logs(commit, &record.run, logs)
}

/// Saves the records of an open transaction.
fn save(
    commit: &mut WriteTx<'_, '_>,
    owner: &Owner,
    run: &Run,
    change: Option<&JournalChange>,
    snapshot: Option<&Bytes>,
    logs: &[LogLine],
) -> Result<()> {
    let mut record = record::get_owned(commit, owner, run.id)?;
    record.run.progress.clone_from(&run.progress);
    record.run.status.clone_from(&run.status);
    record.run.fuel = record.run.fuel.max(run.fuel);
    record.run.peak_memory = record.run.peak_memory.max(run.peak_memory);
    record.run.journal_entries = run.journal_entries;
    if let Some(change) = change {
        journal::change(commit, &mut record, change)?;
        // The run made progress, so the host's crashes do not count against it.
        record.run.takeovers = 0;
    }
    journal::set_snapshot(commit, &mut record, snapshot)?;
    commit.put_record(RUNS, &run.id.to_bytes(), &record)?;
    runs::put_logs(commit, &record.run, logs)
}
