//! Who waits for the outcome of a run: told by whoever commits it, so that nobody asks the store again and again.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use tidemill_core::RunId;
use tidemill_core::run::Run;
use tokio::sync::oneshot;

use crate::run::end_log::EndLog;

/// A run that is settled, with its output where it succeeded.
#[derive(Debug, Clone)]
pub(crate) struct Completion {
    pub(crate) run: Run,
    pub(crate) output: Option<Bytes>,
}

type WatcherList = HashMap<RunId, Vec<(u64, oneshot::Sender<Arc<Completion>>)>>;

/// Everybody who waits, by run.
#[derive(Debug, Default)]
pub(crate) struct CompletionWatchers {
    watchers: Mutex<WatcherList>,
    runs: AtomicUsize,
    next: std::sync::atomic::AtomicU64,
    log: EndLog,
}

/// One who waits; dropping it ends the wait.
#[derive(Debug)]
pub(crate) struct CompletionWatch {
    outcomes: Arc<CompletionWatchers>,
    id: RunId,
    number: u64,
    receiver: oneshot::Receiver<Arc<Completion>>,
}

impl CompletionWatchers {
    /// Waits for the outcome of `id` from now on. Look into the store after this: what was settled before tells nobody.
    pub(crate) fn watch(self: &Arc<Self>, id: RunId) -> CompletionWatch {
        let (sender, receiver) = oneshot::channel();
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let mut watchers = self.watchers.lock().unwrap_or_else(PoisonError::into_inner);
        watchers.entry(id).or_default().push((number, sender));
        self.runs.store(watchers.len(), Ordering::Release);
        CompletionWatch { outcomes: Arc::clone(self), id, number, receiver }
    }

    /// Tells all who wait for this run.
    pub(crate) fn settle(&self, run: &Run, output: Option<&Bytes>) {
        self.log.note(run);
        if self.runs.load(Ordering::Acquire) == 0 {
            return;
        }
        let told = {
            let mut watchers = self.watchers.lock().unwrap_or_else(PoisonError::into_inner);
            let told = watchers.remove(&run.id);
            self.runs.store(watchers.len(), Ordering::Release);
            told
        };
        let Some(told) = told else { return };
        let settled = Arc::new(Completion { run: run.clone(), output: output.cloned() });
        for (_, sender) in told {
            // Who is gone need not be told.
            let _ = sender.send(Arc::clone(&settled));
        }
    }
}

impl CompletionWatch {
    /// The outcome; none where nobody will tell it any more.
    pub(crate) async fn outcome(&mut self) -> Option<Arc<Completion>> {
        (&mut self.receiver).await.ok()
    }
}

impl Drop for CompletionWatch {
    fn drop(&mut self) {
        let mut watchers = self.outcomes.watchers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(list) = watchers.get_mut(&self.id) {
            list.retain(|(number, _)| *number != self.number);
            if list.is_empty() {
                watchers.remove(&self.id);
            }
        }
        self.outcomes.runs.store(watchers.len(), Ordering::Release);
    }
}
