//! Notifies callers that wait for the completion of a run when it is committed, so that they need
//! not poll the store.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use parking_lot::Mutex;
use tidemill_core::RunId;
use tidemill_core::run::Run;
use tokio::sync::oneshot;

use crate::run::end_log::EndLog;

/// What a waiting caller receives.
#[derive(Debug, Clone, PartialEq)]
pub struct InvokeResult {
    /// The run in its present state. If it is settled, there is nothing more to wait for.
    pub run: Run,
    /// Its output, if it succeeded.
    pub output: Option<Bytes>,
    /// Whether an earlier request with the same idempotency key created the run.
    pub replayed: bool,
}

type WatcherList = HashMap<RunId, Vec<(u64, oneshot::Sender<Arc<InvokeResult>>)>>;

/// All waiting callers, by run.
#[derive(Debug, Default)]
pub(crate) struct CompletionWatchers {
    watchers: Mutex<WatcherList>,
    runs: AtomicUsize,
    next: std::sync::atomic::AtomicU64,
    log: EndLog,
}

/// A waiting caller. Dropping it ends the wait.
#[derive(Debug)]
pub(crate) struct CompletionWatch {
    completions: Arc<CompletionWatchers>,
    id: RunId,
    number: u64,
    receiver: oneshot::Receiver<Arc<InvokeResult>>,
}

impl CompletionWatchers {
    /// Starts to wait for the completion of `id`. Read the store after this call, because an
    /// earlier completion sends no notification.
    pub(crate) fn watch(self: &Arc<Self>, id: RunId) -> CompletionWatch {
        let (sender, receiver) = oneshot::channel();
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let mut watchers = self.watchers.lock();
        watchers.entry(id).or_default().push((number, sender));
        self.runs.store(watchers.len(), Ordering::Release);
        CompletionWatch { completions: Arc::clone(self), id, number, receiver }
    }

    /// Notifies all callers that wait for this run.
    pub(crate) fn settle(&self, run: &Run, output: Option<&Bytes>) {
        self.log.record(run);
        if self.runs.load(Ordering::Acquire) == 0 {
            return;
        }
        let watchers_of_run = {
            let mut watchers = self.watchers.lock();
            let watchers_of_run = watchers.remove(&run.id);
            self.runs.store(watchers.len(), Ordering::Release);
            watchers_of_run
        };
        let Some(watchers_of_run) = watchers_of_run else { return };
        let settled = Arc::new(InvokeResult { run: run.clone(), output: output.cloned(), replayed: false });
        for (_, sender) in watchers_of_run {
            // A caller that has left is skipped.
            let _ = sender.send(Arc::clone(&settled));
        }
    }
}

impl CompletionWatch {
    /// Waits for the completion; `None` if no notification will come any more.
    pub(crate) async fn outcome(&mut self) -> Option<Arc<InvokeResult>> {
        (&mut self.receiver).await.ok()
    }
}

impl Drop for CompletionWatch {
    fn drop(&mut self) {
        let mut watchers = self.completions.watchers.lock();
        if let Some(list) = watchers.get_mut(&self.id) {
            list.retain(|(number, _)| *number != self.number);
            if list.is_empty() {
                watchers.remove(&self.id);
            }
        }
        self.completions.runs.store(watchers.len(), Ordering::Release);
    }
}
