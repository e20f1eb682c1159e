//! The embedded [`Store`]: implements the contract in one folder that belongs to one process.
//!
//! Each noun has a file with its operations as plain functions over [`read_tx::ReadTx`] or
//! [`write_tx::WriteTx`]; `store.rs` only passes them to the committer. Every operation is decided
//! inside the committer on the newest state, so a condition still holds when its effect is written.

mod blobs;
mod codec;
mod deployments;
mod epoch;
mod feed;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
#[cfg(test)]
mod golden;
mod ledger;
mod modules;
mod operations;
mod read_tx;
mod retention;
mod runs;
mod schedules;
mod scrubs;
mod state;
mod store;
mod tables;
mod throttle;
mod topics;
mod usage;
mod value;
mod write_tx;
mod zones;

use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use tidemill_core::quotas::Quotas;
use tidemill_core::run::Run;
use tidemill_core::{DeploymentName, RunId, Timestamp, Topic};

use self::read_tx::ReadTx;
use self::throttle::{PIECE, paced};
use self::value::ValueRef;
use self::write_tx::WriteTx;
use crate::contract::{Result, Store};
use crate::embedded::blobs::collector::ReadLease;
use crate::error::StoreError;
use crate::kv::{Key, KeyRange, Kv, KvConfig, KvError, OpenReport, Snapshot, SubmitError, Table, Value};
use crate::records::{ClaimedRun, Event};

/// The embedded store: a commit log in front of sled.
#[derive(Clone)]
pub struct EmbeddedStore {
    kv: Kv,
    unwritten: epoch::PendingEpoch,
    /// The last run that retention read; `None` if it starts from the oldest.
    swept: Arc<Mutex<Option<RunId>>>,
    files: Arc<blobs::BlobFolder>,
    /// The quotas of each deployment.
    quotas: Quotas,
}

impl EmbeddedStore {
    /// Returns the default configuration of a store in `dir`.
    #[must_use]
    pub fn config(dir: &Path) -> KvConfig {
        KvConfig::new(dir, tables::ALL)
    }

    /// Opens the store, or creates it if the folder is empty or missing. Returns what recovery
    /// found. Blocks while it reads.
    ///
    /// # Errors
    /// [`StoreError::Locked`] if another process uses the folder, [`StoreError::Damaged`] if stored
    /// data differs from what was acknowledged, [`StoreError::Io`] if the operating system reports
    /// an error.
    pub fn open(config: KvConfig) -> Result<(Self, OpenReport)> {
        let files = Arc::new(blobs::BlobFolder::new(&config));
        let (kv, report) = Kv::open(config)?;
        files.start_removing(&kv).map_err(|error| {
            StoreError::Io(format!("the thread that removes payload files could not start: {error}"))
        })?;
        Ok((
            Self {
                kv,
                unwritten: epoch::PendingEpoch::default(),
                swept: Arc::default(),
                files,
                quotas: Quotas::default(),
            },
            report,
        ))
    }

    /// Replaces the default quotas.
    #[must_use]
    pub const fn with_quotas(mut self, quotas: Quotas) -> Self {
        self.quotas = quotas;
        self
    }

    /// Returns the key-value layer, for its metrics.
    #[must_use]
    pub const fn kv(&self) -> &Kv {
        &self.kv
    }

    async fn commit<T: Send + 'static>(
        &self,
        operation: impl FnOnce(&mut WriteTx<'_, '_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.commit_with(Vec::new(), operation).await
    }

    /// Commits an operation that stores the `long` values. Writes them to payload files first.
    async fn commit_with<T: Send + 'static>(
        &self,
        long: Vec<Bytes>,
        operation: impl FnOnce(&mut WriteTx<'_, '_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let filed = if long.is_empty() {
            None
        } else {
            let files = Arc::clone(&self.files);
            Some(Arc::new(blocking(move || files.file(long)).await?))
        };
        let files = Arc::clone(&self.files);
        let unwritten = self.unwritten.now();
        let quotas = self.quotas;
        let first = unwritten.clone();
        let whole = move |c: &mut WriteTx<'_, '_>| {
            if let Some(life) = first {
                epoch::write(c, &life)?;
            }
            operation(c)
        };
        let submitted = self.kv.submit(move |tx| {
            let pinned = filed.clone();
            let (done, superseded) = WriteTx::new(tx, filed, quotas).run(whole)?;
            // Travels with the result, which is delivered or dropped when the commit is durable.
            // Until then the new payload files stay pinned, and the superseded ones stay.
            Ok((done, CommitFollowUp { files, superseded, _pinned: pinned }))
        });
        let (done, answered) = submitted.await.map_err(|error| match error {
            SubmitError::Refused(refusal) => refusal,
            SubmitError::Store(error) => error.into(),
            SubmitError::Panicked(why) => StoreError::Io(format!("an operation of the store failed: {why}")),
        })?;
        drop(answered);
        if let Some(life) = unwritten {
            self.unwritten.written(&life);
        }
        Ok(done)
    }

    /// Protects payload files from removal. Take the lease before you read a record that may name
    /// one.
    fn lease(&self) -> ReadLease {
        self.files.lease()
    }

    /// Returns a value from its record or its payload file.
    async fn value(&self, lease: ReadLease, held: ValueRef) -> Result<Bytes> {
        match held {
            ValueRef::Here(bytes) => Ok(bytes),
            held => Ok(self.values(lease, vec![held]).await?.pop().unwrap_or_default()),
        }
    }

    async fn values(&self, lease: ReadLease, held: Vec<ValueRef>) -> Result<Vec<Bytes>> {
        if held.iter().all(|held| matches!(held, ValueRef::Here(_))) {
            return blobs::read_all(&self.files, &lease, held);
        }
        let files = Arc::clone(&self.files);
        // Move the lease into the task: reading continues even if the caller drops the future.
        blocking(move || blobs::read_all(&files, &lease, held)).await.inspect_err(|error| self.stop_if_damaged(error))
    }

    fn stop_if_damaged(&self, error: &StoreError) {
        if let StoreError::Damaged { what } = error {
            self.kv.found_damaged(what.clone());
        }
    }

    async fn maybe(&self, lease: ReadLease, held: Option<ValueRef>) -> Result<Option<Bytes>> {
        match held {
            Some(held) => Ok(Some(self.value(lease, held).await?)),
            None => Ok(None),
        }
    }

    async fn with_inputs(&self, lease: ReadLease, runs: Vec<(Run, ValueRef)>) -> Result<Vec<ClaimedRun>> {
        let (runs, inputs): (Vec<_>, Vec<_>) = runs.into_iter().unzip();
        let inputs = self.values(lease, inputs).await?;
        Ok(runs.into_iter().zip(inputs).map(|(run, input)| ClaimedRun { run, input }).collect())
    }

    async fn with_payloads(
        &self,
        lease: ReadLease,
        topic: &Topic,
        lying: Vec<topics::StoredEvent>,
    ) -> Result<Vec<Event>> {
        let mut held = Vec::with_capacity(lying.len());
        let mut events = Vec::with_capacity(lying.len());
        for topics::StoredEvent { position, at, id, publisher, payload, .. } in lying {
            held.push(payload);
            events.push(Event { id, topic: topic.clone(), position, at, publisher, payload: Bytes::new() });
        }
        let payloads = self.values(lease, held).await?;
        Ok(events.into_iter().zip(payloads).map(|(event, payload)| Event { payload, ..event }).collect())
    }

    /// Removes unreferenced payload files, and the notes about them that an earlier version wrote.
    async fn sweep(&self, now: Timestamp) -> Result<()> {
        let store = self.clone();
        blocking(move || blobs::sweep(&store.files, &store.kv, now)).await?;
        while self.kv.count(tables::UNNAMED) > 0 {
            let forget = |c: &mut WriteTx<'_, '_>| {
                let notes = c.scan_prefix(tables::UNNAMED, &[], PIECE)?;
                notes.iter().for_each(|(key, _)| c.delete(tables::UNNAMED, key));
                Ok(notes.len())
            };
            if paced(self.commit(forget)).await? == 0 {
                break;
            }
        }
        Ok(())
    }

    fn swept(&self) -> Option<RunId> {
        *self.swept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sweep_from(&self, last: Option<RunId>) {
        *self.swept.lock().unwrap_or_else(PoisonError::into_inner) = last;
    }

    async fn purge(&self, name: &DeploymentName) -> Result<()> {
        loop {
            let part = name.clone();
            if self.commit(move |c| deployments::purge(c, &part)).await? {
                return Ok(());
            }
        }
    }
}

/// The clean-up after a commit is durable.
struct CommitFollowUp {
    files: Arc<blobs::BlobFolder>,
    superseded: Vec<blobs::BlobDigest>,
    _pinned: Option<Arc<blobs::PinnedBlobs>>,
}

impl Drop for CommitFollowUp {
    fn drop(&mut self) {
        if !self.superseded.is_empty() {
            self.files.superseded().hint(std::mem::take(&mut self.superseded));
        }
    }
}

/// Runs blocking work on a thread for blocking tasks.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|error| StoreError::Io(error.to_string()))?
}

impl ReadTx for Kv {
    fn bytes(&self, table: Table, key: &[u8]) -> Result<Option<Value>> {
        Ok(self.get(table, key)?)
    }

    fn range(&self, table: Table, range: Range<Vec<u8>>, backwards: bool, limit: usize) -> Result<Vec<(Key, Value)>> {
        Ok(self.scan(table, &KeyRange::between(range.start, range.end), backwards, limit)?)
    }
}

/// A view that includes commits that are not durable yet; see [`Kv::newest`].
struct UncommittedView<'a>(&'a Kv);

impl ReadTx for UncommittedView<'_> {
    fn bytes(&self, table: Table, key: &[u8]) -> Result<Option<Value>> {
        Ok(self.0.newest(table, key)?)
    }

    /// Reads the last committed state: uncommitted keys are not sorted, so they cannot be scanned.
    fn range(&self, table: Table, range: Range<Vec<u8>>, backwards: bool, limit: usize) -> Result<Vec<(Key, Value)>> {
        self.0.range(table, range, backwards, limit)
    }
}

impl ReadTx for Snapshot {
    fn bytes(&self, table: Table, key: &[u8]) -> Result<Option<Value>> {
        Ok(self.get(table, key)?)
    }

    fn range(&self, table: Table, range: Range<Vec<u8>>, backwards: bool, limit: usize) -> Result<Vec<(Key, Value)>> {
        Ok(self.scan(table, &KeyRange::between(range.start, range.end), backwards, limit)?)
    }
}

impl From<KvError> for StoreError {
    fn from(error: KvError) -> Self {
        match error {
            KvError::Damaged { what } => Self::Damaged { what },
            KvError::DiskFull { .. } => Self::DiskFull,
            KvError::ReadOnly { why } => Self::ReadOnly { why },
            KvError::Closed => Self::Closed,
            KvError::Locked { .. } => Self::Locked { holder: error.to_string() },
            KvError::TooLarge { .. } => Self::TooLarge(error.to_string()),
            other => Self::Io(other.to_string()),
        }
    }
}

/// A store that is shared by all of its callers.
pub type SharedStore = Arc<dyn Store>;

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use tidemill_core::run::{Export, Seed, Trigger};
    use tidemill_core::{ComponentDigest, Revision, RunId, Timestamp};

    use crate::records::NewRun;

    /// A request for a run.
    pub(super) fn new() -> NewRun {
        NewRun {
            id: RunId::new(Timestamp::default(), 1),
            deployment: "a".parse().unwrap(),
            revision: Revision::new(1),
            component: ComponentDigest::of(b"component"),
            export: Export::Workflow,
            trigger: Trigger::default(),
            input: Bytes::new(),
            key: None,
            labels: vec![],
            priority: 5,
            now: Timestamp::default(),
            not_before: Timestamp::default(),
            seed: Seed([0; 32]),
            detached: false,
            lanes: vec![],
            terms: crate::records::AdmissionTerms::default(),
        }
    }
}
