//! The runs that this node has in memory, in each of their roles.

use std::sync::Arc;

use tidemill_core::run::Run;

use crate::run::collection::SuspendedCollections;
use crate::run::completion::CompletionWatchers;
use crate::run::registry::RunRegistry;
use crate::run::resident::ResidentRuns;

/// The runs in this node's memory.
#[derive(Debug, Default)]
pub(crate) struct LocalRuns {
    pub(crate) registry: RunRegistry,
    pub(crate) resident: ResidentRuns,
    pub(crate) collections: SuspendedCollections,
    pub(crate) completions: Arc<CompletionWatchers>,
}

impl LocalRuns {
    /// Handles a run that another commit settled: ends its guest, and notifies waiting callers.
    pub(crate) fn on_settled_elsewhere(&self, run: &Run) {
        if let Some(handle) = self.registry.get(run.id) {
            handle.request_stop(true);
        }
        drop(self.collections.remove(run.id));
        self.completions.settle(run, None);
    }
}
