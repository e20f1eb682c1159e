//! Removes payload files that no record names any more, as soon as the commit that removed the last
//! reference is durable and no reader that started before it is left.
//!
//! Invariants: a file is removed only if it is not pinned, no durable record names it, and the
//! store is not read-only (then the log may contain a commit that names it and that this process
//! does not know). A hint is only a suggestion: each one is checked here, so a wrong hint costs one
//! look-up, and the next listing of the folder finds what a lost hint missed.
//!
//! Example: a commit replaces a replay snapshot of 1 MiB while a reader copies the old one. The
//! commit becomes durable in reader epoch 7, and the reader epoch becomes 8. The reader started in
//! epoch 7, so the old file stays until it ends. A reader of epoch 8 reads the new file. Reader
//! epochs are unrelated to the epochs of nodes.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, OnceLock, mpsc};
use std::{io, thread};

use parking_lot::{Mutex, MutexGuard};
use tidemill_core::failpoint;

use crate::embedded::blobs::BlobFolder;
use crate::embedded::value::BlobDigest;

/// Maximum number of hints that wait for readers to end. Beyond it, the next listing of the folder
/// finds the files.
const HINTS_MAX: usize = 1 << 16;

/// The files that may have lost their last reference, and the readers that may still need them.
#[derive(Default)]
pub(crate) struct BlobCollector {
    state: Mutex<CollectorState>,
    /// Held during removal, so that a second caller returns only after the first one has finished.
    removing: Mutex<()>,
    remover: OnceLock<BlobRemover>,
}

#[derive(Default)]
struct CollectorState {
    /// The reader epoch. Each commit that removes references increases it.
    epoch: u64,
    /// The number of readers by the epoch in which they started.
    readers: BTreeMap<u64, usize>,
    /// The files, oldest first, with the reader epoch of the commit.
    hints: VecDeque<(u64, BlobDigest)>,
    /// Whether a hint was dropped because there were too many.
    overflowed: bool,
    closed: bool,
}

/// The handle to the thread that removes files.
struct BlobRemover {
    /// Returns whether the store is open and writable, and no durable record names the file.
    is_unreferenced: Box<dyn Fn(&BlobDigest) -> bool + Send + Sync>,
    wake: mpsc::Sender<()>,
}

/// Protects the payload files of all records that existed when it was created. Take it before you
/// read a record.
#[must_use]
pub(crate) struct ReadLease {
    files: Arc<BlobFolder>,
    epoch: u64,
}

impl Drop for ReadLease {
    fn drop(&mut self) {
        let superseded = self.files.superseded();
        let mut state = superseded.state();
        if let Some(readers) = state.readers.get_mut(&self.epoch) {
            *readers -= 1;
            if *readers == 0 {
                state.readers.remove(&self.epoch);
            }
        }
        let due = state.is_due();
        drop(state);
        if due {
            superseded.wake();
        }
    }
}

impl CollectorState {
    fn is_due(&self) -> bool {
        let oldest = self.readers.first_key_value().map_or(u64::MAX, |(epoch, _)| *epoch);
        self.hints.front().is_some_and(|(epoch, _)| *epoch < oldest)
    }

    fn next_due(&mut self) -> Option<BlobDigest> {
        if self.is_due() { self.hints.pop_front().map(|(_, digest)| digest) } else { None }
    }
}

impl BlobCollector {
    fn state(&self) -> MutexGuard<'_, CollectorState> {
        self.state.lock()
    }

    fn wake(&self) {
        if let Some(remover) = self.remover.get() {
            let _ = remover.wake.send(());
        }
    }

    /// Adds files that may have lost their last reference in a commit that is durable now.
    pub(crate) fn hint(&self, digests: impl IntoIterator<Item = BlobDigest>) {
        let mut state = self.state();
        let (epoch, before) = (state.epoch, state.hints.len());
        for digest in digests {
            if state.hints.len() < HINTS_MAX {
                state.hints.push_back((epoch, digest));
            } else {
                state.overflowed = true;
            }
        }
        if state.hints.len() == before {
            return;
        }
        state.epoch += 1;
        let due = state.is_due();
        drop(state);
        if due {
            self.wake();
        }
    }

    /// Returns whether hints were dropped since the last call.
    pub(crate) fn take_overflowed(&self) -> bool {
        std::mem::take(&mut self.state().overflowed)
    }
}

impl BlobFolder {
    /// Starts the thread that removes files for which `is_unreferenced` returns true. It ends when
    /// the last handle to this folder is dropped.
    pub(crate) fn start_removing(
        self: &Arc<Self>,
        is_unreferenced: impl Fn(&BlobDigest) -> bool + Send + Sync + 'static,
    ) -> io::Result<()> {
        let (wake, woken) = mpsc::channel();
        let files = Arc::downgrade(self);
        thread::Builder::new().name("tidemill-payloads".to_owned()).spawn(move || {
            while woken.recv().is_ok() {
                let Some(files) = files.upgrade() else { return };
                files.remove_superseded();
            }
        })?;
        // This is called once, when the store opens.
        let _ = self.superseded().remover.set(BlobRemover { is_unreferenced: Box::new(is_unreferenced), wake });
        Ok(())
    }

    /// Starts a read; see [`ReadLease`].
    pub(crate) fn lease(self: &Arc<Self>) -> ReadLease {
        let mut state = self.superseded().state();
        let epoch = state.epoch;
        *state.readers.entry(epoch).or_default() += 1;
        drop(state);
        ReadLease { files: Arc::clone(self), epoch }
    }

    /// Removes the files that have no reference and no reader. Blocks.
    pub(crate) fn remove_superseded(&self) {
        let superseded = self.superseded();
        let Some(remover) = superseded.remover.get() else { return };
        let _removing = superseded.removing.lock();
        loop {
            let next = superseded.state().next_due();
            let Some(digest) = next else { return };
            self.remove_if_unreferenced(remover, &digest);
        }
    }

    /// Stops all removal, because another process may use the folder soon.
    pub(crate) fn stop_removing(&self) {
        self.superseded().state().closed = true;
        // Wait for a removal in progress.
        drop(self.pins());
    }

    fn remove_if_unreferenced(&self, remover: &BlobRemover, digest: &BlobDigest) {
        // A caller that pins the file later finds it missing and writes it again.
        let pins = self.pins();
        if pins.contains_key(digest) || self.superseded().state().closed || !(remover.is_unreferenced)(digest) {
            return;
        }
        failpoint::hit("payload/remove");
        self.remove_file(digest);
        failpoint::hit("payload/removed");
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use tidemill_core::Timestamp;

    use super::*;
    use crate::embedded::store::EmbeddedStore;
    use crate::embedded::tables::{PAYLOADS, STATE};
    use crate::embedded::tx::ReadTx as _;
    use crate::embedded::{blobs, value};

    async fn put(store: &EmbeddedStore, value: &Bytes) {
        let (long, value) = (value::long([value]), value.clone());
        store.commit_with(long, move |c| c.put_value(None, STATE, b"key", &[], &value)).await.unwrap();
    }

    #[tokio::test]
    async fn superseded_files_stay_until_the_last_earlier_reader_ends() {
        let dir = tempfile::tempdir().unwrap();
        let (store, _) = EmbeddedStore::open(EmbeddedStore::config(dir.path())).unwrap();
        let values: Vec<Bytes> = (0..4).map(|of| Bytes::from(vec![of; 9_000])).collect();
        put(&store, &values[0]).await;
        let mut readers = Vec::new();
        for value in &values[1..] {
            let lease = store.lease();
            let held = value::alone(store.latest(), STATE, b"key").unwrap().unwrap();
            put(&store, value).await;
            store.blobs.remove_superseded();
            readers.push((lease, held));
        }
        // The oldest reader leaves last.
        for (at, (lease, held)) in readers.into_iter().enumerate().rev() {
            assert_eq!(blobs::read_all(&store.blobs, &lease, vec![held.clone()]).unwrap(), [values[at].clone()]);
            drop(lease);
            store.blobs.remove_superseded();
            let gone = blobs::read_all(&store.blobs, &store.lease(), vec![held]).is_err();
            assert_eq!(gone, at == 0, "reader {at}");
        }
        assert_eq!(store.blobs.list().unwrap().len(), 1);
        let now = value::alone(store.latest(), STATE, b"key").unwrap().unwrap();
        assert_eq!(store.value(store.lease(), now).await.unwrap(), values[3]);
    }

    #[tokio::test]
    async fn the_listing_finds_the_files_of_dropped_hints() {
        let dir = tempfile::tempdir().unwrap();
        let (store, _) = EmbeddedStore::open(EmbeddedStore::config(dir.path())).unwrap();
        let now = Timestamp::from_millis(1);
        blobs::sweep(&store.blobs, store.latest(), now).unwrap();
        put(&store, &Bytes::from(vec![1; 9_000])).await;
        // No hint of the first value is left in the queue.
        store.blobs.remove_superseded();
        let lease = store.lease();
        store.blobs.superseded().hint((0..HINTS_MAX).map(|_| [0; 32]));
        put(&store, &Bytes::from(vec![2; 9_000])).await;
        assert!(store.latest().bytes(PAYLOADS, &[0; 32]).unwrap().is_none());
        drop(lease);
        store.blobs.remove_superseded();
        assert_eq!(store.blobs.list().unwrap().len(), 2);
        blobs::sweep(&store.blobs, store.latest(), now).unwrap();
        assert_eq!(store.blobs.list().unwrap().len(), 1);
    }

    #[tokio::test]
    async fn nothing_is_removed_while_the_store_is_read_only_or_after_it_was_closed() {
        for closed in [false, true] {
            let dir = tempfile::tempdir().unwrap();
            let (store, _) = EmbeddedStore::open(EmbeddedStore::config(dir.path())).unwrap();
            put(&store, &Bytes::from(vec![1; 9_000])).await;
            let lease = store.lease();
            put(&store, &Bytes::from(vec![2; 9_000])).await;
            if closed {
                store.blobs.stop_removing();
            } else {
                store.kv().found_damaged("a test");
            }
            drop(lease);
            store.blobs.remove_superseded();
            assert_eq!(store.blobs.list().unwrap().len(), 2);
        }
    }
}
