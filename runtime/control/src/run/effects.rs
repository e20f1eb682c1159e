//! What a commit led to in other runs, carried to where it matters: the dispatcher, runs in memory, those who wait.

use std::sync::Arc;

use tidemill_core::RunId;
use tidemill_core::run::Run;
use tidemill_store::StoreError;
use tidemill_store::records::{CommitEffects, PageRequest};

use crate::control_plane::HostState;
use crate::run::registry::RunHandle;

/// Children that one look takes.
const PAGE: usize = 500;

impl HostState {
    /// Takes note of all of it. Nothing is lost where the host dies before: the store has it, and the next life looks.
    pub(crate) fn apply_effects(self: &Arc<Self>, caused: CommitEffects) {
        let CommitEffects { ready, delayed, cancelling, settled, undelivered, published, paused } = caused;
        for live in ready.iter().filter_map(|name| self.lives.get(name)) {
            self.node.backlog.add(&live.gate);
        }
        if let Some(at) = delayed {
            self.delayed(at);
        }
        for run in settled {
            self.on_settled_elsewhere(&run);
        }
        for lost in undelivered {
            tracing::info!(run = %lost.to, signal = lost.name, "a signal came after the end of its run and is dropped");
        }
        for (deployment, schedule, note) in paused {
            tracing::info!(%deployment, %schedule, note, "paused schedule");
        }
        if !published.is_empty() {
            self.deliveries.published(published);
        }
        if !cancelling.is_empty() {
            let host = Arc::clone(self);
            tokio::spawn(async move { host.notify_settled(cancelling).await });
        }
    }

    /// A run is settled, and not by its own work: one that waited in memory has nothing to wait for any more.
    pub(crate) fn on_settled_elsewhere(&self, run: &Run) {
        if let Some(handle) = self.going.get(run.id) {
            handle.request_stop(true);
        }
        drop(self.collections.take(run.id));
        self.outcomes.settle(run, None);
    }

    /// Tells running runs that they are to end.
    async fn notify_settled(&self, runs: Vec<RunId>) {
        for id in runs {
            // One that is not here yet looks for itself when it comes; see `adopt`.
            let Some(handle) = self.going.get(id) else { continue };
            match self.store.run(id).await {
                Ok(Some(run)) if !run.state.has_ended() => {
                    handle.request_stop(run.cancel.is_some_and(|asked| asked.terminate))
                }
                Ok(_) => {}
                // It is to end either way; that it may take its time is what cannot be known.
                Err(error) => {
                    self.store_failed(&error);
                    handle.request_stop(false);
                }
            }
        }
    }

    /// Tells a run that was just taken in hand what was asked of it before. Where children of it have not ended, it is told
    /// with the last of them.
    pub(crate) async fn notify_claimed(&self, run: &Run, handle: &RunHandle) -> Result<(), StoreError> {
        let Some(asked) = run.cancel else { return Ok(()) };
        if asked.terminate || !self.has_open_children(run.id).await? {
            handle.request_stop(asked.terminate);
        }
        Ok(())
    }

    async fn has_open_children(&self, id: RunId) -> Result<bool, StoreError> {
        let mut page = PageRequest::first(PAGE);
        loop {
            let children = self.store.children(id, page).await?;
            if children.items.iter().any(|child| !child.detached && !child.state.has_ended()) {
                return Ok(true);
            }
            match children.next {
                Some(cursor) => page = PageRequest { cursor: Some(cursor), limit: PAGE },
                None => return Ok(false),
            }
        }
    }
}
