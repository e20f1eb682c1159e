//! Between a guest and the driver of its run: what it says, kept until the driver saves or commits it, and what it asks
//! for, carried to the driver. Nothing here decides.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use tidemill_core::manifest::Grants;
use tidemill_core::run::{Export, Progress};
use tidemill_core::{Code, DeploymentName, Failure, Revision, RunId};
use tidemill_engine::{CommitOutcome, PendingCommit, RunChannel, StartTarget};
use tidemill_store::records::{FAILURES_OF_RUN, FailureRecord, LogLine};
use tokio::sync::{Notify, oneshot};

use crate::control_plane::HostState;
use crate::deployment::contended_keys::KeyTurn;
use crate::run::{children, signal};

/// Between one run's guests and its driver.
pub(crate) struct GuestChannel {
    host: Arc<HostState>,
    deployment: DeploymentName,
    buffer: Mutex<ChannelBuffer>,
    /// Wakes the driver: something waits to be saved, or to leave.
    knock: Notify,
    visible: AtomicBool,
    became_visible: Notify,
    /// The run's turns on state keys that it has read, until its commit hands them on.
    turns: Mutex<Vec<KeyTurn>>,
}

#[derive(Debug, Default)]
struct ChannelBuffer {
    logs: Vec<LogLine>,
    failures: Vec<FailureRecord>,
    next_seq: u64,
    progress: Option<Progress>,
    status: Option<String>,
    unsaved: bool,
    asked: VecDeque<GuestRequest>,
}

/// What a guest asks its driver for, and where it waits for the answer. A guest that no longer waits was stopped.
pub(crate) enum GuestRequest {
    /// A commit point.
    Commit(Box<PendingCommit>, oneshot::Sender<Result<CommitOutcome, Failure>>),
    /// To save what the open stretch has recorded.
    Save(Box<PendingCommit>, oneshot::Sender<bool>),
}

impl std::fmt::Debug for GuestRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Commit(..) => "Commit",
            Self::Save(..) => "Save",
        })
    }
}

/// What the driver takes to save or commit.
#[derive(Debug, Default)]
pub(crate) struct DrainedOutput {
    pub(crate) logs: Vec<LogLine>,
    pub(crate) progress: Option<Progress>,
    pub(crate) status: Option<String>,
}

impl GuestChannel {
    /// For a run whose next log line has the place `next_seq`.
    pub(crate) fn new(host: Arc<HostState>, deployment: DeploymentName, next_seq: u64, visible: bool) -> Self {
        Self {
            host,
            deployment,
            buffer: Mutex::new(ChannelBuffer { next_seq, ..ChannelBuffer::default() }),
            knock: Notify::new(),
            visible: AtomicBool::new(visible),
            became_visible: Notify::new(),
            turns: Mutex::default(),
        }
    }

    fn turns(&self) -> MutexGuard<'_, Vec<KeyTurn>> {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The turns that the run has, for the commit that hands them on.
    pub(crate) fn take_turns(&self) -> Vec<KeyTurn> {
        std::mem::take(&mut *self.turns())
    }

    fn said(&self) -> MutexGuard<'_, ChannelBuffer> {
        self.buffer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The place of the next log line.
    pub(crate) fn next_seq(&self) -> u64 {
        self.said().next_seq
    }

    /// Everything that was said since the last call.
    pub(crate) fn take(&self) -> DrainedOutput {
        let mut said = self.said();
        said.unsaved = false;
        DrainedOutput {
            logs: std::mem::take(&mut said.logs),
            progress: said.progress.take(),
            status: said.status.take(),
        }
    }

    /// The failures that were not committed yet.
    pub(crate) fn take_failures(&self) -> Vec<FailureRecord> {
        std::mem::take(&mut self.said().failures)
    }

    /// Gives back failures that could not be committed, ahead of what failed since.
    pub(crate) fn give_back_failures(&self, mut failures: Vec<FailureRecord>) {
        let mut said = self.said();
        failures.append(&mut said.failures);
        said.failures = failures;
    }

    /// Gives back what could not be saved, ahead of what was said since.
    pub(crate) fn give_back(&self, taken: DrainedOutput) {
        let mut said = self.said();
        let later = std::mem::replace(&mut said.logs, taken.logs);
        said.logs.extend(later);
        said.progress = said.progress.take().or(taken.progress);
        said.status = said.status.take().or(taken.status);
        said.unsaved = true;
    }

    /// Whether something waits to be saved.
    pub(crate) fn is_unsaved(&self) -> bool {
        self.said().unsaved
    }

    /// What the guest asks for, in its order.
    pub(crate) fn take_request(&self) -> Option<GuestRequest> {
        self.said().asked.pop_front()
    }

    fn ask(&self, asked: GuestRequest) {
        self.said().asked.push_back(asked);
        self.knock.notify_one();
    }

    /// Waits until the guest has something for the driver.
    pub(crate) async fn woken(&self) {
        self.knock.notified().await;
    }

    /// The run is in the store, as running.
    pub(crate) fn set_visible(&self) {
        self.visible.store(true, Ordering::Release);
        self.became_visible.notify_waiters();
        if self.is_unsaved() {
            self.knock.notify_one();
        }
    }

    /// Whether the run is in the store.
    pub(crate) fn is_visible(&self) -> bool {
        self.visible.load(Ordering::Acquire)
    }

    /// Waits until the run is in the store.
    pub(crate) async fn visible(&self) {
        loop {
            let became = self.became_visible.notified();
            tokio::pin!(became);
            became.as_mut().enable();
            if self.is_visible() {
                return;
            }
            became.await;
        }
    }

    fn say(&self, change: impl FnOnce(&mut ChannelBuffer)) {
        let first = {
            let mut said = self.said();
            change(&mut said);
            !std::mem::replace(&mut said.unsaved, true)
        };
        if first && self.is_visible() {
            self.knock.notify_one();
        }
    }
}

#[async_trait]
impl RunChannel for GuestChannel {
    async fn commit(&self, stretch: PendingCommit) -> Result<CommitOutcome, Failure> {
        let (sender, receiver) = oneshot::channel();
        self.ask(GuestRequest::Commit(Box::new(stretch), sender));
        receiver.await.unwrap_or_else(|_| Err(Code::ShuttingDown.failure("the run is given up")))
    }

    async fn save(&self, stretch: PendingCommit) -> bool {
        let (sender, receiver) = oneshot::channel();
        self.ask(GuestRequest::Save(Box::new(stretch), sender));
        // A driver that is gone saves nothing; the run is another's then.
        receiver.await.unwrap_or(false)
    }

    async fn target(
        &self,
        parent: RunId,
        deployment: &DeploymentName,
        export: Option<Export>,
        input: &[u8],
    ) -> Result<StartTarget, Failure> {
        children::keep_rate(&self.host, &self.deployment).await;
        children::target(&self.host, parent, deployment, export, input).await
    }

    async fn before_read(&self, key: &str) -> bool {
        let Some(live) = self.host.lives.get(&self.deployment) else { return true };
        if live.turns.are_none() {
            return true;
        }
        let has = {
            let mut turns = self.turns();
            // A turn that took too long was given to another.
            turns.retain(KeyTurn::is_valid);
            turns.iter().any(|turn| turn.key() == key)
        };
        if !has && let Some(turn) = live.turns.take(key).await {
            self.turns().push(turn);
        }
        true
    }

    fn grants(&self) -> Option<Arc<Grants>> {
        // One that is gone has runs no more; those under way end by what they had.
        self.host.lives.get(&self.deployment).map(|live| Arc::clone(&live.plan.grants))
    }

    async fn check_signal(
        &self,
        deployment: &DeploymentName,
        revision: Revision,
        name: &str,
        payload: &[u8],
    ) -> Result<(), Failure> {
        signal::check(&self.host, deployment, revision, name, payload).await.map_err(|error| {
            let code = error.code();
            code.failure(error.to_string())
        })
    }

    fn failed(&self, failure: FailureRecord) {
        let mut said = self.said();
        if said.failures.len() < FAILURES_OF_RUN {
            said.failures.push(failure);
        }
    }

    fn log(&self, line: LogLine) {
        self.say(|said| {
            said.next_seq = said.next_seq.max(line.seq.saturating_add(1));
            said.logs.push(line);
        });
    }

    fn progress(&self, progress: Progress) {
        self.say(|said| said.progress = Some(progress));
    }

    fn status(&self, json: String) {
        self.say(|said| said.status = Some(json));
    }
}
