//! Follows a log: sends the existing lines, then new ones, until the run ends or is parked.

use bytes::Bytes;
use serde::Serialize;
use tidemill_api_types as shapes;
use tidemill_core::RunId;
use tidemill_store::StoreError;
use tidemill_store::kv::CommitPosition;
use tokio::sync::watch;

use crate::state::ApiState;
use crate::stream::{StreamFormat, StreamSource, WakeCause, wake};
use crate::wire::FromRecord as _;

/// Maximum number of lines in one read.
const AT_ONCE: usize = 200;

/// The remaining lines of one run's log.
pub struct LogFollower {
    state: ApiState,
    id: RunId,
    next: u64,
    format: StreamFormat,
    /// Lines that were read and not yet sent, as one piece per page.
    ready: Vec<u8>,
    /// True if more lines may be available already, or no page was read yet.
    more: bool,
    ended: bool,
    committed: watch::Receiver<CommitPosition>,
    closing: watch::Receiver<bool>,
}

#[derive(Serialize)]
struct EndOfLog<'a> {
    state: &'a str,
}

impl LogFollower {
    /// Follows the log of `id` from line `next`.
    #[must_use]
    pub fn new(state: &ApiState, id: RunId, next: u64, format: StreamFormat) -> Self {
        Self {
            id,
            next,
            format,
            ready: Vec::new(),
            more: true,
            ended: false,
            committed: state.host.store().committed(),
            closing: state.closing.clone(),
            state: state.clone(),
        }
    }

    /// Reads the available lines.
    async fn read(&mut self) -> Result<(), StoreError> {
        // Read the state first: if the run has ended, all of its lines are in the store.
        let Some(run) = self.state.host.store().run(self.id).await? else {
            self.ended = true;
            return Ok(());
        };
        let page = self.state.host.store().logs(self.id, self.next, AT_ONCE).await?;
        self.more = page.next.is_some();
        for line in &page.lines {
            self.next = line.seq.saturating_add(1);
            self.format.append(&mut self.ready, Some(line.seq), "log", &shapes::LogLine::of(line));
        }
        if run.state.is_settled() && !self.more {
            self.ended = true;
            if self.format == StreamFormat::Events {
                self.format.append(&mut self.ready, None, "end", &EndOfLog { state: run.state.name() });
            }
        }
        Ok(())
    }
}

impl StreamSource for LogFollower {
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if !self.ready.is_empty() {
                // A long log has many pages; yield to other tasks between them.
                tokio::task::yield_now().await;
                return Some(std::mem::take(&mut self.ready).into());
            }
            if self.ended {
                return None;
            }
            if !self.more {
                match wake(&mut self.committed, &mut self.closing).await {
                    WakeCause::Changed => {}
                    WakeCause::Quiet => return Some(self.format.heartbeat()),
                    WakeCause::Closing => return None,
                }
            }
            self.committed.mark_unchanged();
            if let Err(why) = self.read().await {
                tracing::warn!(run = %self.id, cause = %why, "followed log ended early");
                return None;
            }
        }
    }
}
