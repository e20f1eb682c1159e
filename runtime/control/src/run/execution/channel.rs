//! The channel between a guest and the driver of its run. It buffers the guest's output until the
//! driver saves or commits it, and carries the guest's requests to the driver. It decides nothing.

use std::collections::VecDeque;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::{Mutex, MutexGuard};
use tidemill_core::manifest::Grants;
use tidemill_core::run::{Export, Progress};
use tidemill_core::{Code, DeploymentName, Failure, Revision, RunId};
use tidemill_engine::{
    CommitOutcome, Effects, ObservedHealth, OperatorRequest, PendingCommit, RunChannel, StartTarget, StateSource,
};
use tidemill_store::records::{FAILURES_OF_RUN, FailureRecord, LogLine, OperatorAnswer, OperatorCall};
use tokio::sync::{Notify, oneshot, watch};

use crate::deployment::contended_keys::KeyTurn;
use crate::deployment::operate;
use crate::run::{children, signal};
use crate::state::HostState;

/// The channel between one run's guests and its driver.
pub(crate) struct GuestChannel {
    host: Arc<HostState>,
    deployment: DeploymentName,
    buffer: Mutex<ChannelBuffer>,
    /// Wakes the driver: there is output to save or a request to answer.
    wake: Notify,
    /// Whether the run is in the store.
    visible: watch::Sender<bool>,
    /// The run's turns on state keys that it has read, until its commit passes them on.
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
    requests: VecDeque<GuestRequest>,
}

/// A request of a guest to its driver, with the channel of the answer. A guest that no longer waits
/// was stopped.
pub(crate) enum GuestRequest {
    /// Commits at a commit point.
    Commit(Box<PendingCommit>, oneshot::Sender<Result<CommitOutcome, Failure>>),
    /// Saves what the open transaction has recorded.
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

/// The output that the driver takes to save or commit it.
#[derive(Debug, Default)]
pub(crate) struct DrainedOutput {
    pub(crate) logs: Vec<LogLine>,
    pub(crate) progress: Option<Progress>,
    pub(crate) status: Option<String>,
}

impl GuestChannel {
    /// Creates the channel of a run whose next log line has the number `next_seq`.
    pub(crate) fn new(host: Arc<HostState>, deployment: DeploymentName, next_seq: u64, visible: bool) -> Self {
        Self {
            host,
            deployment,
            buffer: Mutex::new(ChannelBuffer { next_seq, ..ChannelBuffer::default() }),
            wake: Notify::new(),
            visible: watch::Sender::new(visible),
            turns: Mutex::default(),
        }
    }

    fn turns(&self) -> MutexGuard<'_, Vec<KeyTurn>> {
        self.turns.lock()
    }

    /// Takes the run's turns, for the commit that passes them on.
    pub(crate) fn take_turns(&self) -> Vec<KeyTurn> {
        std::mem::take(&mut *self.turns())
    }

    fn buffer(&self) -> MutexGuard<'_, ChannelBuffer> {
        self.buffer.lock()
    }

    /// Returns the number of the next log line.
    pub(crate) fn next_seq(&self) -> u64 {
        self.buffer().next_seq
    }

    /// Takes all output since the last call.
    pub(crate) fn take(&self) -> DrainedOutput {
        let mut buffer = self.buffer();
        buffer.unsaved = false;
        DrainedOutput {
            logs: std::mem::take(&mut buffer.logs),
            progress: buffer.progress.take(),
            status: buffer.status.take(),
        }
    }

    /// Takes the failures that were not committed yet.
    pub(crate) fn take_failures(&self) -> Vec<FailureRecord> {
        std::mem::take(&mut self.buffer().failures)
    }

    /// Returns failures that could not be committed. They come before later ones.
    pub(crate) fn give_back_failures(&self, mut failures: Vec<FailureRecord>) {
        let mut buffer = self.buffer();
        failures.append(&mut buffer.failures);
        buffer.failures = failures;
    }

    /// Returns output that could not be saved. It comes before later output.
    pub(crate) fn give_back(&self, taken: DrainedOutput) {
        let mut buffer = self.buffer();
        let later = std::mem::replace(&mut buffer.logs, taken.logs);
        buffer.logs.extend(later);
        buffer.progress = buffer.progress.take().or(taken.progress);
        buffer.status = buffer.status.take().or(taken.status);
        buffer.unsaved = true;
    }

    /// Returns whether there is unsaved output.
    pub(crate) fn is_unsaved(&self) -> bool {
        self.buffer().unsaved
    }

    /// Takes the guest's next request.
    pub(crate) fn take_request(&self) -> Option<GuestRequest> {
        self.buffer().requests.pop_front()
    }

    fn send(&self, request: GuestRequest) {
        self.buffer().requests.push_back(request);
        self.wake.notify_one();
    }

    /// Waits until the guest has output or a request for the driver.
    pub(crate) async fn woken(&self) {
        self.wake.notified().await;
    }

    /// Records that the run is in the store, as running.
    pub(crate) fn set_visible(&self) {
        self.visible.send_replace(true);
        if self.is_unsaved() {
            self.wake.notify_one();
        }
    }

    /// Returns whether the run is in the store.
    pub(crate) fn is_visible(&self) -> bool {
        *self.visible.borrow()
    }

    /// Waits until the run is in the store.
    pub(crate) async fn visible(&self) {
        // The channel owns the sender, so waiting cannot fail.
        let _ = self.visible.subscribe().wait_for(|visible| *visible).await;
    }

    fn update(&self, change: impl FnOnce(&mut ChannelBuffer)) {
        let first = {
            let mut buffer = self.buffer();
            change(&mut buffer);
            !std::mem::replace(&mut buffer.unsaved, true)
        };
        if first && self.is_visible() {
            self.wake.notify_one();
        }
    }
}

#[async_trait]
impl RunChannel for GuestChannel {
    async fn commit(&self, pending: PendingCommit) -> Result<CommitOutcome, Failure> {
        let (sender, receiver) = oneshot::channel();
        self.before_commit(&pending.effects);
        self.send(GuestRequest::Commit(Box::new(pending), sender));
        receiver.await.unwrap_or_else(|_| Err(Code::ShuttingDown.failure("the host no longer executes the run")))
    }

    async fn save(&self, pending: PendingCommit) -> bool {
        let (sender, receiver) = oneshot::channel();
        self.send(GuestRequest::Save(Box::new(pending), sender));
        // If the driver has ended, nothing is saved: another node owns the run then.
        receiver.await.unwrap_or(false)
    }

    async fn target(
        &self,
        parent: RunId,
        deployment: &DeploymentName,
        export: Option<Export>,
        input: &[u8],
    ) -> Result<StartTarget, Failure> {
        children::wait_for_rate(&self.host, &self.deployment).await;
        children::target(&self.host, parent, deployment, export, input).await
    }

    async fn before_read(&self, key: &str) -> StateSource {
        let newest_or =
            |forwarded: Option<Option<Bytes>>| forwarded.map_or(StateSource::Newest, StateSource::Forwarded);
        let Some(live) = self.host.deployments.get(&self.deployment) else { return StateSource::Newest };
        if live.turns.is_empty() {
            return StateSource::Newest;
        }
        {
            let mut turns = self.turns();
            // A turn that took too long was passed on.
            turns.retain(KeyTurn::is_valid);
            if let Some(turn) = turns.iter().find(|turn| turn.key() == key) {
                return newest_or(turn.forwarded());
            }
        }
        let Some(turn) = live.turns.take(key).await else { return StateSource::Newest };
        let source = newest_or(turn.forwarded());
        self.turns().push(turn);
        source
    }

    fn before_commit(&self, effects: &Effects) {
        // Without a check of what was read, the commit does not keep the order of the turns.
        if effects.reads.is_empty() {
            return;
        }
        for turn in self.turns().iter_mut() {
            if let Some(write) = effects.writes.iter().find(|write| write.key == turn.key()) {
                turn.hand_over(write.value.as_ref());
            }
        }
    }

    async fn operate(&self, call: OperatorCall, request: OperatorRequest) -> Result<OperatorAnswer, Failure> {
        operate::operate(&self.host, call, request).await
    }

    async fn health_of(&self, deployment: &DeploymentName) -> Result<ObservedHealth, Failure> {
        operate::health_of(&self.host, deployment)
    }

    fn grants(&self) -> Option<Arc<Grants>> {
        // A deleted deployment has no new runs. Runs in progress keep their grants.
        self.host.deployments.get(&self.deployment).map(|live| Arc::clone(&live.plan.grants))
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
        let mut buffer = self.buffer();
        if buffer.failures.len() < FAILURES_OF_RUN {
            buffer.failures.push(failure);
        }
    }

    fn log(&self, line: LogLine) {
        self.update(|buffer| {
            buffer.next_seq = buffer.next_seq.max(line.seq.saturating_add(1));
            buffer.logs.push(line);
        });
    }

    fn progress(&self, progress: Progress) {
        self.update(|buffer| buffer.progress = Some(progress));
    }

    fn status(&self, json: String) {
        self.update(|buffer| buffer.status = Some(json));
    }
}
