//! The contract that every store fulfils, in the terms of the domain.
//!
//! These rules hold for every method:
//! - A method that writes is one atomic and durable commit. After `Ok`, its effects survive a power
//!   failure and are visible to every read that starts later. After `Err`, it has no effect.
//! - Operations that share a group of commits succeed or fail one by one.
//! - A read sees only whole commits, and never delays a commit.
//! - Every write that belongs to a run carries `(node, epoch)`. A stale epoch is refused.

use std::collections::BTreeMap;

use async_trait::async_trait;
use bytes::Bytes;
use tidemill_core::flow::Rate;
use tidemill_core::ids::Owner;
use tidemill_core::journal::JournalChange;
use tidemill_core::lane::Lane;
use tidemill_core::quotas::Quotas;
use tidemill_core::run::{Run, RunState};
use tidemill_core::{
    ComponentDigest, DeploymentName, Epoch, Failure, ModuleName, NodeId, Revision, RunId, ScheduleName,
    SubscriptionName, Timestamp, Topic,
};
use tokio::sync::watch;

use crate::error::StoreError;
pub use crate::kv::{CommitPosition, IndexSpace, VisibilityGuard};
use crate::records::{
    AccountTotal, AdmissionResult, BackfillPart, ChildOutcome, ClaimedRun, CommitEffects, Component, DeliveryCommit,
    Deployment, DueSchedule, Event, EventPolicy, ExpiredEvents, ExternalId, FailedPart, FeedEntry, FeedEvent,
    FiringCommit, FiringCommitResult, FiringEntry, InboxSignal, LaneView, LedgerCheck, LedgerEntry, LogLine, LogPage,
    ModuleVersion, NewPublication, NewRun, NewSignal, NumberedFailure, Operation, Page, PageRequest, ParkedFilter,
    ParkedGroup, ParkedRun, Pause, PublishOutcome, PutDeployment, PutVersion, QueuePosition, RecoveryFilter,
    ReplayCommit, RetentionPolicy, RetentionResult, RetryChange, RunCommit, RunCommitResult, RunCounts, RunFilter,
    RunRequestResult, ScanPage, ScanRequest, Schedule, ScheduleReplan, ScheduleResume, Scrub, SignalReceipt, StateEdit,
    StateEditResult, StoredJournal, StreamTotal, Subscription, SubscriptionLag, SubscriptionReplay, TopicSummary,
    UnendedFirings, Usage, VersionedValue,
};

/// The result of every method.
pub type Result<T> = std::result::Result<T, StoreError>;

/// Whether the store accepts reads and writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreHealth {
    /// The store reads and writes.
    Good,
    /// Writes fail until disk space is freed.
    DiskFull,
    /// The store is read-only. The text is the cause.
    ReadOnly(String),
}

/// The usage of deployments and their limits.
#[async_trait]
pub trait Bounds: Send + Sync + 'static {
    /// Returns how many more attached (not detached) runs a parent may start. `None` if the parent
    /// is at the maximum depth of nested runs; then it may not start a detached run either.
    async fn child_room(&self, parent: RunId) -> Result<Option<u32>>;
    /// Returns how many more topics the runs of a deployment may create.
    async fn topic_room(&self, deployment: &DeploymentName) -> Result<u64>;
    /// Deletes a topic with its events. Counts and announces as lost each event that a subscription
    /// had not received.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    async fn delete_topic(&self, topic: &Topic, now: Timestamp) -> Result<ExpiredEvents>;
    /// Returns how many events a subscription replay of a range covers: those published at or after
    /// `since` and before `until` that the subscription has already passed, delivered or filtered.
    /// Without `until` the range has no end.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    async fn replay_size(
        &self,
        deployment: &DeploymentName,
        name: &SubscriptionName,
        since: Timestamp,
        until: Option<Timestamp>,
    ) -> Result<u64>;
    /// Returns the usage of each deployment, sorted by name, without deployments that store
    /// nothing.
    async fn usage(&self) -> Result<Vec<(DeploymentName, Usage)>>;
    /// Returns the quotas of each deployment.
    fn quotas(&self) -> Quotas;
}

/// Stores the progress of operations.
#[async_trait]
pub trait OperationStore: Send + Sync + 'static {
    /// Writes the progress of an operation and returns the stored record. A cancelled operation
    /// stays cancelled and updates only its counters. A finished operation does not change.
    async fn put_operation(&self, operation: Operation) -> Result<Operation>;
    /// Cancels an operation, so that it acts on no further object. An operation that is not running
    /// does not change.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    async fn cancel_operation(&self, id: &str, now: Timestamp) -> Result<Operation>;
    /// Lists all stored operations in every state, sorted by id.
    async fn operations(&self, page: PageRequest) -> Result<Page<Operation>>;
    /// Adds an operation, unless one with its id exists. Returns the stored operation.
    async fn add_operation(&self, operation: Operation) -> Result<Operation>;
    /// Returns one operation.
    async fn operation(&self, id: &str) -> Result<Option<Operation>>;
    /// Returns the running operations, sorted by id.
    async fn open_operations(&self) -> Result<Vec<Operation>>;
}

/// Stores everything that must survive a restart.
#[async_trait]
pub trait Store: Bounds + OperationStore + Send + Sync + 'static {
    // --- the node ---

    /// Starts a new epoch of `node`. The epoch is greater than every earlier one.
    async fn begin_epoch(&self, node: &NodeId) -> Result<Epoch>;
    /// Returns the current health of the store.
    fn health(&self) -> StoreHealth;
    /// Returns the disk space of the store's index; `None` if the store has no files of its own.
    fn space(&self) -> Option<IndexSpace> {
        None
    }
    /// Returns a channel with the position of the newest readable commit. Each commit updates it.
    fn committed(&self) -> watch::Receiver<CommitPosition>;
    /// Returns how many times the store has waited for the disk to confirm writes.
    fn sync_count(&self) -> u64;
    /// Reads and verifies all stored data at low cost, in parallel to commits. Stops if the caller
    /// drops the future or the store closes. `now` becomes the time of the scrub.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] if data differs from what was acknowledged. The store is then
    /// read-only.
    async fn scrub(&self, now: Timestamp) -> Result<Scrub>;
    /// Returns the last scrub that found no damage, in this epoch or an earlier one.
    async fn last_scrub(&self) -> Result<Option<Scrub>>;
    /// Returns the last scrub of the index alone, which a store does on its own after an unclean
    /// stop. If that scrub is not recorded yet, records it with the time `now`.
    async fn index_scrub(&self, now: Timestamp) -> Result<Option<Scrub>>;
    /// Returns how many runs of each kind the whole store contains. The cost does not depend on the
    /// number of runs.
    fn run_counts(&self) -> RunCounts;
    /// Completes queued operations, writes all data to the index and releases the files.
    async fn close(&self) -> Result<()>;

    // --- components and modules ---

    /// Adds a version of a module that refers to `component`.
    ///
    /// # Errors
    /// [`StoreError::VersionTaken`] if the version refers to other bytes.
    async fn put_version(&self, version: ModuleVersion, component: Component) -> Result<PutVersion>;
    /// Returns the component with a digest.
    async fn component(&self, digest: &ComponentDigest) -> Result<Option<Component>>;
    /// Returns every version of a module, sorted by the text of the version.
    async fn versions(&self, module: &ModuleName) -> Result<Vec<ModuleVersion>>;
    /// Lists all versions of all modules, sorted by module and version.
    async fn modules(&self, page: PageRequest) -> Result<Page<ModuleVersion>>;
    /// Deletes a component and the versions that refer to it.
    ///
    /// # Errors
    /// [`StoreError::InUse`] with the deployments whose current revision uses the component, or
    /// that have unfinished runs of it.
    async fn delete_component(&self, digest: &ComponentDigest) -> Result<()>;

    // --- deployments ---

    /// Creates a revision. If component and manifest equal those of the current revision, writes
    /// nothing and returns the current revision.
    async fn put_deployment(&self, put: PutDeployment) -> Result<Deployment>;
    /// Returns the current revision.
    async fn deployment(&self, name: &DeploymentName) -> Result<Option<Deployment>>;
    /// Returns one revision.
    async fn revision(&self, name: &DeploymentName, revision: Revision) -> Result<Option<Deployment>>;
    /// Lists all revisions, newest first.
    async fn revisions(&self, name: &DeploymentName, page: PageRequest) -> Result<Page<Deployment>>;
    /// Lists all deployments, sorted by name.
    async fn deployments(&self, page: PageRequest) -> Result<Page<Deployment>>;
    /// Pauses admission and firing of a deployment. `None` resumes them.
    async fn pause_deployment(&self, name: &DeploymentName, pause: Option<Pause>, now: Timestamp)
    -> Result<Deployment>;
    /// Ends runs of a deployment that are queued, suspended or parked, without notifying their
    /// guests: a bounded number of runs after the run `after`. Returns the run to continue after,
    /// or `None` if no more are left.
    async fn end_waiting(
        &self,
        name: &DeploymentName,
        after: Option<RunId>,
        now: Timestamp,
    ) -> Result<(Option<RunId>, CommitEffects)>;
    /// Deletes a deployment with its schedules, revisions and state. Its runs and ledger entries
    /// stay.
    ///
    /// # Errors
    /// [`StoreError::RunsGoing`] if runs have not ended.
    async fn delete_deployment(&self, name: &DeploymentName, now: Timestamp) -> Result<()>;

    // --- runs ---

    /// Requests a run.
    ///
    /// # Errors
    /// [`StoreError::KeyMismatch`] if its key belongs to a run with another input,
    /// [`StoreError::KeyOutlivesRun`] if retention removed the record of its key's run,
    /// [`StoreError::QueueFull`] if its terms allow no further queued run.
    async fn request_run(&self, new: NewRun) -> Result<RunRequestResult>;
    /// Returns the run of an idempotency key. Does not compare the input; [`Store::request_run`]
    /// does.
    async fn run_by_key(&self, deployment: &DeploymentName, key: &str) -> Result<Option<Run>>;
    /// Returns the run of an idempotency key if retention has removed the run's record and the key
    /// is still reserved.
    async fn key_outlives(&self, deployment: &DeploymentName, key: &str, now: Timestamp) -> Result<Option<RunId>>;
    /// Claims up to `limit` runs of a deployment that are due, queued or suspended, and in all
    /// their lanes. Runs that have started before come first, then runs of higher priority, then
    /// older runs. For runs that have not started before, sixteen passes over their priority level
    /// raise it by one step, and `rate` limits how many start.
    async fn admit(
        &self,
        owner: &Owner,
        deployment: &DeploymentName,
        limit: usize,
        rate: Option<Rate>,
        now: Timestamp,
    ) -> Result<AdmissionResult>;
    /// Claims runs without a rate limit; see [`Store::admit`].
    async fn claim(
        &self,
        owner: &Owner,
        deployment: &DeploymentName,
        limit: usize,
        now: Timestamp,
    ) -> Result<Vec<ClaimedRun>> {
        Ok(self.admit(owner, deployment, limit, None, now).await?.claimed)
    }
    /// Returns the deployments with runs that can be claimed at `now`.
    async fn waiting_deployments(&self, now: Timestamp) -> Result<Vec<DeploymentName>>;
    /// Returns when the next queued or suspended run becomes due that is not due at `now`.
    async fn next_delayed(&self, now: Timestamp) -> Result<Option<Timestamp>>;
    /// Lists parked runs, newest first.
    async fn parked(&self, filter: ParkedFilter, page: PageRequest) -> Result<Page<ParkedRun>>;
    /// Groups parked runs by deployment and code, largest group first. Reads every parked run.
    async fn parked_groups(&self, filter: ParkedFilter) -> Result<Vec<ParkedGroup>>;
    /// Returns how many runs of a deployment can be claimed, counted up to `max`.
    async fn queued(&self, deployment: &DeploymentName, max: usize) -> Result<usize>;
    /// Returns how many runs of a deployment are queued, whether or not they are due or in their
    /// lanes. The number is exact, and the cost does not depend on it.
    async fn waiting(&self, deployment: &DeploymentName) -> Result<u64>;
    /// Returns the queue position of a run; `None` if the run does not exist. Runs ahead of it are
    /// counted up to `max`.
    async fn queue_position(&self, id: RunId, max: usize) -> Result<Option<QueuePosition>>;
    /// Returns a lane that would deadlock a new run of `deployment` with these lanes, started by
    /// `parent` now, and the run that holds it: the new run would wait for the lane while `parent`
    /// or one of its ancestors is in it.
    async fn lane_deadlock(
        &self,
        parent: RunId,
        deployment: &DeploymentName,
        lanes: &[Lane],
    ) -> Result<Option<(String, RunId)>>;
    /// Returns the current view of a lane, with at most `max` of the runs in it and at most `max`
    /// of the waiting runs. An unused lane is empty.
    async fn lane(&self, deployment: &DeploymentName, lane: &str, max: usize) -> Result<LaneView>;
    /// Commits a transaction. If it suspends the run, the same commit checks what the run waits
    /// for. If the wait already holds, because a signal is in the inbox or a run has ended, the run
    /// is ready at once. Otherwise the commit that fulfils the wait makes the run ready. So no
    /// wake-up is lost. If the transaction ends the run, its attached children that have not ended
    /// are cancelled, and a run that waits for it wakes up.
    ///
    /// # Errors
    /// [`StoreError::StaleEpoch`] if the run belongs to another epoch, [`StoreError::KeyMismatch`]
    /// if the key of a fresh run belongs to a run with another input, [`StoreError::InboxFull`] if
    /// an inbox cannot take a signal.
    async fn commit_run(&self, commit: RunCommit) -> Result<RunCommitResult>;
    /// Commits a transaction like [`Store::commit_run`], and drops `turn` as soon as
    /// [`Store::newest_state`] shows the writes of the transaction, or as soon as it is certain
    /// that the transaction has no effect. That can be before the commit is durable. The method
    /// still returns after the commit is durable.
    ///
    /// # Errors
    /// The same as [`Store::commit_run`].
    async fn commit_run_guarded(&self, commit: RunCommit, turn: VisibilityGuard) -> Result<RunCommitResult> {
        let committed = self.commit_run(commit).await;
        drop(turn);
        committed
    }
    /// Saves log lines, progress and status of a running run. Journal, replay state and uncommitted
    /// effects do not change.
    async fn save_progress(&self, owner: &Owner, run: &Run, logs: Vec<LogLine>) -> Result<()>;
    /// Saves the records of an open transaction, so that a crash repeats little work: journal,
    /// replay state, log lines, and from the run's record progress, status, fuel, peak memory and
    /// the number of journal entries. No effect is committed. New entries reset the number of
    /// takeovers.
    async fn save(
        &self,
        owner: &Owner,
        run: &Run,
        journal: Option<JournalChange>,
        head: Option<Bytes>,
        logs: Vec<LogLine>,
    ) -> Result<()>;
    /// Returns the journal and the replay state of a run, both as of one moment; empty if the run
    /// has none.
    async fn journal(&self, id: RunId) -> Result<StoredJournal>;
    /// Returns consecutive chunks of a run's journal, starting with chunk number `from` (the first
    /// is 0), as of one moment. Ends with the chunk that brings the total to `limit` bytes, and
    /// after at most 64 chunks; returns at least one chunk if there is one. So a journal of any
    /// length can be read in little memory.
    async fn journal_part(&self, id: RunId, from: u32, limit: u64) -> Result<Vec<Bytes>>;
    /// Takes over runs that earlier epochs of `owner`'s node, or dead nodes, left running and that
    /// match the filter: at most `limit`, oldest first. Counts each takeover in the run.
    async fn take_over(
        &self,
        owner: &Owner,
        of: RecoveryFilter,
        limit: usize,
        now: Timestamp,
    ) -> Result<Vec<ClaimedRun>>;
    /// Requests the cancellation of a run. A parked run, and a queued run that has nothing to undo,
    /// ends at once. Every other run is marked, its attached children first. It is notified when no
    /// attached child is left unended: it is listed as ready, or is in
    /// [`CommitEffects::cancelling`] if it is running. `terminate` ends the run and its children at
    /// once; a running run is in [`CommitEffects::cancelling`], and its owner ends it.
    ///
    /// # Errors
    /// [`StoreError::IllegalTransition`] if the run has ended, [`StoreError::NotFound`].
    async fn request_cancel(&self, id: RunId, terminate: bool, now: Timestamp) -> Result<(Run, CommitEffects)>;
    /// Continues cancellations that exceeded one commit, for at most `limit` runs. Returns whether
    /// more are left.
    async fn drain_cancels(&self, limit: usize, now: Timestamp) -> Result<(bool, CommitEffects)>;
    /// Retries a parked or failed run, and its failed or parked children, so that the tree resumes
    /// at the failed leaf. Children whose failure is in [`RunCommit::observed`] are not retried,
    /// unless the run restarts from the beginning. Retries at most 256 runs in total.
    ///
    /// # Errors
    /// [`StoreError::IllegalTransition`] if the run is neither parked nor failed,
    /// [`StoreError::NotFound`].
    async fn retry_run(&self, id: RunId, retry: RetryChange) -> Result<(Run, CommitEffects)>;
    /// Lists the children of a run, oldest first.
    async fn children(&self, parent: RunId, page: PageRequest) -> Result<Page<Run>>;
    /// Returns how a run ended; `None` if it has not ended.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    async fn outcome(&self, id: RunId) -> Result<Option<ChildOutcome>>;
    /// Adds a signal to a run's inbox, and wakes the run if it waits for the signal.
    ///
    /// # Errors
    /// [`StoreError::InboxFull`] if the inbox is full or the signal is too large,
    /// [`StoreError::NotFound`].
    async fn signal(&self, signal: NewSignal, now: Timestamp) -> Result<SignalReceipt>;
    /// Returns the first signal with a name in a run's inbox, after position `after`.
    async fn inbox(&self, id: RunId, name: &str, after: Option<u64>) -> Result<Option<InboxSignal>>;
    /// Lists the signals in a run's inbox, in the order of arrival.
    async fn signals(&self, id: RunId, page: PageRequest) -> Result<Page<InboxSignal>>;
    /// Deletes the signal at a position of a run's inbox. Returns whether there was one.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if the run does not exist.
    async fn drop_signal(&self, id: RunId, place: u64) -> Result<bool>;
    /// Returns the stored failures of a run, in order: the first ones and the newest ones, at most
    /// [`FAILURES_OF_RUN`](crate::records::FAILURES_OF_RUN).
    async fn failures(&self, id: RunId) -> Result<Vec<NumberedFailure>>;
    /// Returns the failure of a failed or parked run, or of a cancelled run that could not undo its
    /// work.
    async fn failure_of(&self, run: &Run) -> Result<Option<Failure>> {
        if run.state != RunState::Cancelled {
            return Ok(run.state.failure().cloned());
        }
        let last = self.failures(run.id).await?.pop().map(|last| last.record);
        Ok(last.filter(|last| last.part == FailedPart::Cancellation).map(|last| last.failure))
    }
    /// Removes a cancelled run from the list of runs that wait for a person. Returns whether it was
    /// listed.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if the run does not exist.
    async fn dismiss(&self, id: RunId) -> Result<bool>;
    /// Returns one run.
    async fn run(&self, id: RunId) -> Result<Option<Run>>;
    /// Returns the input of a run.
    async fn input(&self, id: RunId) -> Result<Option<Bytes>>;
    /// Returns the output of a run.
    async fn output(&self, id: RunId) -> Result<Option<Bytes>>;
    /// Returns the log lines of a run from `seq` on, in order: at most `limit` lines and at most
    /// the bytes of one page, but at least one line if there is one.
    async fn logs(&self, id: RunId, seq: u64, limit: usize) -> Result<LogPage>;
    /// Lists runs, newest first.
    async fn runs(&self, filter: RunFilter, page: PageRequest) -> Result<Page<Run>>;

    // --- schedules ---

    /// Lists schedules, sorted by deployment and name.
    async fn schedules(&self, deployment: Option<&DeploymentName>, page: PageRequest) -> Result<Page<Schedule>>;
    /// Returns one schedule.
    async fn schedule(&self, deployment: &DeploymentName, name: &ScheduleName) -> Result<Option<Schedule>>;
    /// Returns schedules that are due at `now`, earliest first. Excludes paused schedules and those
    /// of paused deployments.
    async fn due_schedules(&self, now: Timestamp, limit: usize) -> Result<Vec<DueSchedule>>;
    /// Returns when the next schedule is due; the time can be in the past.
    async fn next_due(&self) -> Result<Option<Timestamp>>;
    /// Commits one tick of a schedule in one step: the runs, decided by the overlap policy on the
    /// unfinished runs in this same commit, the counters, the entries of the firing list and the
    /// next time. `None` if the schedule has changed since the caller read it.
    async fn fire(&self, firing: FiringCommit, now: Timestamp) -> Result<Option<FiringCommitResult>>;
    /// Creates a run of a schedule outside its times, regardless of other runs, and counts it.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if the schedule does not exist.
    async fn trigger_schedule(&self, name: &ScheduleName, new: NewRun) -> Result<RunRequestResult>;
    /// Creates the runs of one part of a backfill and advances its operation in one commit, so a
    /// crash never repeats a part. `None` if the operation has advanced since the caller read it.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if the schedule no longer exists.
    async fn backfill(&self, part: BackfillPart, now: Timestamp) -> Result<Option<(Operation, FiringCommitResult)>>;
    /// Lists the irregular firings of a schedule, newest first. The store keeps the newest 1,000
    /// entries.
    async fn firing_list(
        &self,
        deployment: &DeploymentName,
        name: &ScheduleName,
        page: PageRequest,
    ) -> Result<Page<FiringEntry>>;
    /// Pauses a schedule. If it is already paused, replaces the note.
    async fn pause_schedule(
        &self,
        deployment: &DeploymentName,
        name: &ScheduleName,
        pause: Pause,
        now: Timestamp,
    ) -> Result<Schedule>;
    /// Resumes a schedule with its next time, and lists the nominal times that passed during the
    /// pause. If the firing limit is used up, there is no next time.
    ///
    /// # Errors
    /// [`StoreError::IllegalTransition`] if it is not paused.
    async fn resume_schedule(
        &self,
        deployment: &DeploymentName,
        name: &ScheduleName,
        resume: ScheduleResume,
        now: Timestamp,
    ) -> Result<Schedule>;
    /// Sets a new next time of a schedule. `None` if it has changed since the caller read it.
    async fn replan_schedule(&self, replan: ScheduleReplan, now: Timestamp) -> Result<Option<Schedule>>;
    /// Returns the runs of a schedule that have not ended and are not parked, at most `max` of
    /// each kind.
    async fn unended_firings(
        &self,
        deployment: &DeploymentName,
        name: &ScheduleName,
        max: usize,
    ) -> Result<UnendedFirings>;

    /// Returns where the last successful collection of a stream ended.
    async fn watermark(&self, stream: &DeploymentName) -> Result<Option<Timestamp>>;

    // --- topics ---

    /// Publishes an event of a caller outside of any run.
    ///
    /// # Errors
    /// [`StoreError::EventKeyMismatch`] if its key published another payload,
    /// [`StoreError::TooLarge`].
    async fn publish(&self, publish: NewPublication, now: Timestamp) -> Result<PublishOutcome>;
    /// Lists all topics, sorted by name.
    async fn topics(&self, page: PageRequest) -> Result<Page<TopicSummary>>;
    /// Returns one topic.
    async fn topic(&self, topic: &Topic) -> Result<Option<TopicSummary>>;
    /// Returns the number of topics.
    async fn topic_count(&self) -> Result<u64>;
    /// Returns events of a topic from a position on, in order. Fewer than `limit` means that there
    /// are no more.
    async fn events(&self, topic: &Topic, position: u64, limit: usize) -> Result<Vec<Event>>;
    /// Lists the events of a topic from a time on, oldest first; empty if the topic does not exist.
    async fn topic_events(&self, topic: &Topic, since: Option<Timestamp>, page: PageRequest) -> Result<Page<Event>>;
    /// Deletes events that the policy selects, at most `limit` of each topic, and topics without
    /// events. Counts events that a subscription had not received as lost, and announces them on
    /// the feed.
    async fn expire_events(&self, policy: EventPolicy, limit: usize, now: Timestamp) -> Result<ExpiredEvents>;

    // --- subscriptions ---

    /// Lists subscriptions, sorted by deployment and name.
    async fn subscriptions(&self, deployment: Option<&DeploymentName>, page: PageRequest)
    -> Result<Page<Subscription>>;
    /// Returns one subscription.
    async fn subscription(&self, deployment: &DeploymentName, name: &SubscriptionName) -> Result<Option<Subscription>>;
    /// Returns the position of a subscription in a topic; `None` if either does not exist or the
    /// subscription's pattern does not match the topic.
    async fn subscription_lag(
        &self,
        deployment: &DeploymentName,
        name: &SubscriptionName,
        topic: &Topic,
    ) -> Result<Option<SubscriptionLag>>;
    /// Returns how many events wait for a subscription, over all its topics.
    async fn lag(&self, subscription: &Subscription) -> Result<u64>;
    /// Pauses a subscription. `None` resumes it at its position. A new revision keeps the pause.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if the subscription does not exist.
    async fn pause_subscription(
        &self,
        deployment: &DeploymentName,
        name: &SubscriptionName,
        pause: Option<Pause>,
        now: Timestamp,
    ) -> Result<Subscription>;
    /// Creates the runs of some events and advances the subscription past them. Returns `false`
    /// without an effect if the subscription has another position, it or its deployment is paused,
    /// or the deployment has another revision.
    async fn deliver(&self, delivery: DeliveryCommit) -> Result<bool>;
    /// Advances a subscription past all waiting events. Returns the number of these events.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    async fn skip(&self, deployment: &DeploymentName, name: &SubscriptionName, now: Timestamp) -> Result<u64>;
    /// Adds a replay operation and determines the events that it covers. Returns the stored
    /// operation with the number of events. The operation is done at once if there are none.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    async fn begin_replay(&self, operation: Operation) -> Result<Operation>;
    /// Returns the next events of a replay; `None` if the replay is complete.
    async fn next_replay(&self, operation: &str) -> Result<Option<SubscriptionReplay>>;
    /// Creates the runs of one part of a replay, advances the replay past it and writes the
    /// operation. Returns `false` without an effect if the replay has another position.
    async fn replay(&self, replayed: ReplayCommit) -> Result<bool>;

    // --- state ---

    /// Returns the last committed value of a state key of a deployment.
    async fn state(&self, deployment: &DeploymentName, key: &str) -> Result<VersionedValue>;
    /// Returns the value of a state key as the next commit will most likely find it. The value can
    /// come from a commit that is not durable yet and may fail. Use it only for a run: the run's
    /// own commit checks the version, refuses if that commit failed, and is not durable before it.
    async fn newest_state(&self, deployment: &DeploymentName, key: &str) -> Result<VersionedValue> {
        self.state(deployment, key).await
    }
    /// Lists committed keys and values of a deployment's state. A page shows one moment.
    async fn scan_state(&self, deployment: &DeploymentName, request: &ScanRequest) -> Result<ScanPage>;
    /// Changes a state value by hand and announces the change on the feed. A run that has read the
    /// old value and commits later conflicts.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] for the deployment, or for the key of a value to delete;
    /// [`StoreError::ValueChanged`] if the value has another version than expected.
    async fn edit_state(&self, edit: StateEdit) -> Result<StateEditResult>;

    // --- ledger ---

    /// Returns the record of an external id of a stream.
    async fn external_id(&self, stream: &DeploymentName, external_id: &str) -> Result<ExternalId>;
    /// Lists ledger entries of one stream or of all, by the time of their occurrence, newest first.
    async fn ledger_entries(&self, stream: Option<&DeploymentName>, page: PageRequest) -> Result<Page<LedgerEntry>>;
    /// Returns the net revenue of a stream in the half-open range `start..end`, for each currency,
    /// summed from the entries.
    async fn revenue(&self, stream: &DeploymentName, start: Timestamp, end: Timestamp) -> Result<Vec<StreamTotal>>;
    /// Returns the net revenue of each stream in each currency.
    async fn stream_totals(&self) -> Result<Vec<StreamTotal>>;
    /// Returns the balance of each account of one stream or of all.
    async fn account_totals(&self, stream: Option<&DeploymentName>) -> Result<Vec<AccountTotal>>;
    /// Recomputes every total from the entries and reports differences.
    async fn check_ledger(&self) -> Result<LedgerCheck>;

    // --- feed ---

    /// Returns a mark of the time zone rules that the next times were last computed with, by the
    /// name of the zone.
    async fn zone_marks(&self) -> Result<BTreeMap<String, u64>>;
    /// Replaces the stored marks of time zone rules.
    async fn put_zone_marks(&self, marks: BTreeMap<String, u64>) -> Result<()>;
    /// Adds an event to the feed that no other change adds.
    async fn announce(&self, event: FeedEvent, now: Timestamp) -> Result<()>;
    /// Returns feed entries after `position`, in order.
    async fn feed(&self, after: u64, limit: usize) -> Result<Vec<FeedEntry>>;
    /// Returns the first and the last position of the feed; (0, 0) if it is empty.
    async fn feed_range(&self) -> Result<(u64, u64)>;
    /// Deletes all but the newest `keep` feed entries, expired idempotency keys and unreferenced
    /// payload files. Deletes a little in each commit and rests in between, so that it takes long
    /// if there is much to delete, and delays no caller.
    async fn trim(&self, keep: usize, now: Timestamp) -> Result<()>;

    // --- retention ---

    /// Deletes what the policy selects, at most `limit` runs and `limit` components.
    async fn expire(&self, policy: RetentionPolicy, limit: usize) -> Result<RetentionResult>;
}
