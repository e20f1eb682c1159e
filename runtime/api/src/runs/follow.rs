//! A log that is followed: what is there, then what comes, until the run is settled.

use bytes::Bytes;
use serde::Serialize;
use tidemill_core::RunId;
use tidemill_store::StoreError;
use tidemill_store::contract::CommitMark;
use tokio::sync::watch;

use super::json::LogLineJson;
use crate::state::ApiState;
use crate::stream::{Framing, StreamSource, WakeCause, wake};

/// Lines that are read at once.
const AT_ONCE: usize = 200;

/// The rest of one run's log.
pub struct LogFollower {
    state: ApiState,
    id: RunId,
    next: u64,
    framing: Framing,
    /// What was read and not sent, one piece for all of a page.
    ready: Vec<u8>,
    /// There is more to read already, or there was no page yet.
    more: bool,
    ended: bool,
    committed: watch::Receiver<CommitMark>,
    closing: watch::Receiver<bool>,
}

#[derive(Serialize)]
struct EndOfLog<'a> {
    state: &'a str,
}

impl LogFollower {
    /// The log of `id` from line `next` on.
    #[must_use]
    pub fn new(state: &ApiState, id: RunId, next: u64, framing: Framing) -> Self {
        Self {
            id,
            next,
            framing,
            ready: Vec::new(),
            more: true,
            ended: false,
            committed: state.host.store().committed(),
            closing: state.closing.clone(),
            state: state.clone(),
        }
    }

    /// Reads what is there now.
    async fn read(&mut self) -> Result<(), StoreError> {
        // First the state: what a run wrote before it ended is there when the state says so.
        let Some(run) = self.state.host.store().run(self.id).await? else {
            self.ended = true;
            return Ok(());
        };
        let page = self.state.host.store().logs(self.id, self.next, AT_ONCE).await?;
        self.more = page.next.is_some();
        for line in &page.lines {
            self.next = line.seq.saturating_add(1);
            self.framing.append(&mut self.ready, Some(line.seq), "log", &LogLineJson::of(line));
        }
        if run.state.is_settled() && !self.more {
            self.ended = true;
            if self.framing == Framing::Events {
                self.framing.append(&mut self.ready, None, "end", &EndOfLog { state: run.state.name() });
            }
        }
        Ok(())
    }
}

impl StreamSource for LogFollower {
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if !self.ready.is_empty() {
                // A long log has a page after another: others are let in between.
                tokio::task::yield_now().await;
                return Some(std::mem::take(&mut self.ready).into());
            }
            if self.ended {
                return None;
            }
            if !self.more {
                match wake(&mut self.committed, &mut self.closing).await {
                    WakeCause::Changed => {}
                    WakeCause::Quiet => return Some(self.framing.heartbeat()),
                    WakeCause::Closing => return None,
                }
            }
            self.committed.mark_unchanged();
            if let Err(why) = self.read().await {
                tracing::warn!(run = %self.id, cause = %why, "a followed log ended early");
                return None;
            }
        }
    }
}
