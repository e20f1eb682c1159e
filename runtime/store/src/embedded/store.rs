//! The embedded store: opens the folder, commits operations and reads values.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use tidemill_core::RunId;
use tidemill_core::quotas::Quotas;

use crate::embedded::blobs::{self, BlobFolder, PinnedBlobs, ReadLease};
use crate::embedded::epoch::{self, PendingEpoch};
use crate::embedded::tables::{self, PAYLOADS};
use crate::embedded::tx::{ReadTx, Table, UncommittedView, WriteTx};
use crate::embedded::usage;
use crate::embedded::value::{BlobDigest, ValueRef};
use crate::error::{Result, StoreError};
use crate::kv::{Kv, KvConfig, MAX_OPERATION, OpenReport, SubmitError};

/// The embedded store: a commit log in front of sled.
#[derive(Clone)]
pub struct EmbeddedStore {
    kv: Kv,
    pub(crate) pending_epoch: PendingEpoch,
    /// The last run that retention read; `None` if it starts from the oldest.
    pub(crate) last_expired: Arc<Mutex<Option<RunId>>>,
    pub(crate) blobs: Arc<BlobFolder>,
    /// The quotas of each deployment.
    pub(crate) quotas: Quotas,
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
        let blobs =
            Arc::new(BlobFolder::new(&config.dir, Arc::clone(&config.disk), config.reserve_bytes, MAX_OPERATION));
        let (kv, report) = Kv::open(config)?;
        let references = kv.downgrade();
        // While the store is read-only, the log may contain a reference that this process does not
        // know.
        let is_unreferenced = move |digest: &BlobDigest| {
            references.upgrade().is_some_and(|kv| !kv.is_read_only() && matches!(kv.get(PAYLOADS, digest), Ok(None)))
        };
        blobs.start_removing(is_unreferenced).map_err(|error| {
            StoreError::Io(format!("the thread that removes payload files could not start: {error}"))
        })?;
        Ok((
            Self {
                kv,
                pending_epoch: PendingEpoch::default(),
                last_expired: Arc::default(),
                blobs,
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

    /// Returns the last committed state. Each read can see a later commit than the previous one.
    pub(crate) const fn latest(&self) -> &impl ReadTx {
        &self.kv
    }

    /// Returns the committed state of this moment.
    pub(crate) fn snapshot(&self) -> impl ReadTx + use<> {
        self.kv.view()
    }

    /// Returns the state with the commits that are not durable yet.
    pub(crate) const fn uncommitted(&self) -> impl ReadTx {
        UncommittedView(&self.kv)
    }

    /// Returns the number of records in a table after the last commit, without reading any.
    pub(crate) fn count(&self, table: Table) -> u64 {
        self.kv.count(table)
    }

    /// Commits an operation.
    pub(crate) async fn commit<T: Send + 'static>(
        &self,
        operation: impl FnOnce(&mut WriteTx<'_, '_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.commit_with(Vec::new(), operation).await
    }

    /// Commits an operation that stores the `long` values. Writes them to payload files first.
    pub(crate) async fn commit_with<T: Send + 'static>(
        &self,
        long: Vec<Bytes>,
        operation: impl FnOnce(&mut WriteTx<'_, '_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let pinned = if long.is_empty() {
            None
        } else {
            let blobs = Arc::clone(&self.blobs);
            Some(Arc::new(blocking(move || blobs.write_pinned(long)).await?))
        };
        let blobs = Arc::clone(&self.blobs);
        let pending = self.pending_epoch.now();
        let quotas = self.quotas;
        let first = pending.clone();
        let submitted = self.kv.submit(move |tx| {
            let until_durable = pinned.clone();
            let mut commit = WriteTx::new(tx, pinned, quotas);
            if let Some(epoch) = first {
                epoch::write(&mut commit, &epoch)?;
            }
            let done = operation(&mut commit)?;
            usage::write(&mut commit)?;
            let superseded = commit.finish()?;
            // Travels with the result, which is delivered or dropped when the commit is durable.
            // Until then the new payload files stay pinned, and the superseded ones stay.
            Ok((done, CommitFollowUp { blobs, superseded, _pinned: until_durable }))
        });
        let (done, answered) = submitted.await.map_err(|error| match error {
            SubmitError::Refused(refusal) => refusal,
            SubmitError::Store(error) => error.into(),
            SubmitError::Panicked(why) => StoreError::Io(format!("an operation of the store failed: {why}")),
        })?;
        drop(answered);
        if let Some(epoch) = pending {
            self.pending_epoch.written(&epoch);
        }
        Ok(done)
    }

    /// Protects payload files from removal. Take the lease before you read a record that may name
    /// one.
    pub(crate) fn lease(&self) -> ReadLease {
        self.blobs.lease()
    }

    /// Returns a value from its record or its payload file.
    pub(crate) async fn value(&self, lease: ReadLease, held: ValueRef) -> Result<Bytes> {
        match held {
            ValueRef::Inline(bytes) => Ok(bytes),
            held => Ok(self.values(lease, vec![held]).await?.pop().unwrap_or_default()),
        }
    }

    /// Returns values from their records or their payload files, in order.
    pub(crate) async fn values(&self, lease: ReadLease, held: Vec<ValueRef>) -> Result<Vec<Bytes>> {
        if held.iter().all(|held| matches!(held, ValueRef::Inline(_))) {
            return blobs::read_all(&self.blobs, &lease, held);
        }
        let files = Arc::clone(&self.blobs);
        // Move the lease into the task: reading continues even if the caller drops the future.
        blocking(move || blobs::read_all(&files, &lease, held)).await.inspect_err(|error| self.stop_if_damaged(error))
    }

    /// Makes the store read-only if `error` is damage.
    pub(crate) fn stop_if_damaged(&self, error: &StoreError) {
        if let StoreError::Damaged { what } = error {
            self.kv.found_damaged(what.clone());
        }
    }

    /// Returns a value that may be absent.
    pub(crate) async fn maybe(&self, lease: ReadLease, held: Option<ValueRef>) -> Result<Option<Bytes>> {
        match held {
            Some(held) => Ok(Some(self.value(lease, held).await?)),
            None => Ok(None),
        }
    }
}

/// The clean-up after a commit is durable.
struct CommitFollowUp {
    blobs: Arc<BlobFolder>,
    superseded: Vec<BlobDigest>,
    _pinned: Option<Arc<PinnedBlobs>>,
}

impl Drop for CommitFollowUp {
    fn drop(&mut self) {
        if !self.superseded.is_empty() {
            self.blobs.superseded().hint(std::mem::take(&mut self.superseded));
        }
    }
}

/// Runs blocking work on a thread for blocking tasks.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|error| StoreError::Io(error.to_string()))?
}
