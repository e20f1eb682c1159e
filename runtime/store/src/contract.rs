//! The store's contract, in the domain's words.
//!
//! What holds for every method:
//! - A method that writes is one atomic, durable commit: when it returns `Ok`, what it did survives a power cut
//!   and is visible to every read that begins afterwards. When it returns `Err`, nothing of it happened.
//! - Operations that are committed together succeed or fail singly.
//! - A read sees whole commits only, and never delays one.
//! - Every write that belongs to a run carries `(node, epoch)`; a stale epoch is refused.

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
pub use crate::kv::{CommitPosition as CommitMark, IndexSpace, VisibilityGuard};
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

/// What every method answers.
pub type Result<T> = std::result::Result<T, StoreError>;

/// How the store is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreHealth {
    /// It reads and writes.
    Good,
    /// Writes fail until there is room.
    DiskFull,
    /// It reads only; says why.
    ReadOnly(String),
}

/// What deployments keep and begin, and how much of it they may.
#[async_trait]
pub trait Bounds: Send + Sync + 'static {
    /// How many runs more a run may start that are not detached. `None` if the run is at the maximum depth of runs that start runs, and may
    /// start no detached run either.
    async fn child_room(&self, parent: RunId) -> Result<Option<u32>>;
    /// How many topics more a deployment's runs may begin.
    async fn topic_room(&self, deployment: &DeploymentName) -> Result<u64>;
    /// Deletes a topic with its events. An event that a subscription was not given is counted as lost, and announced.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    async fn delete_topic(&self, topic: &Topic, now: Timestamp) -> Result<ExpiredEvents>;
    /// How many events a replay of a range would look at: those that were published from `since` on, up to before `until`, and that the
    /// subscription was given or its filter left out. The range is open without `until`.
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
    /// What each deployment keeps, by name; one that keeps nothing is left out.
    async fn usage(&self) -> Result<Vec<(DeploymentName, Usage)>>;
    /// What each deployment may keep.
    fn quotas(&self) -> Quotas;
}

/// Keeps the progress of operations.
#[async_trait]
pub trait OperationStore: Send + Sync + 'static {
    /// Writes how far an operation has come; returns what is stored then. One that was cancelled before keeps that state and only
    /// counts what was done, and one that is done stays as it is.
    async fn put_operation(&self, operation: Operation) -> Result<Operation>;
    /// Cancels an operation: nothing more of it is done. One that is not running stays as it is.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    async fn cancel_operation(&self, id: &str, now: Timestamp) -> Result<Operation>;
    /// All operations that are kept, whatever their state, by id.
    async fn operations(&self, page: PageRequest) -> Result<Page<Operation>>;
    /// Writes an operation, unless there is one of its id; answers the one that is there then.
    async fn add_operation(&self, operation: Operation) -> Result<Operation>;
    /// One operation.
    async fn operation(&self, id: &str) -> Result<Option<Operation>>;
    /// The operations that run, by id.
    async fn open_operations(&self) -> Result<Vec<Operation>>;
}

/// Keeps everything that must not be lost.
#[async_trait]
pub trait Store: Bounds + OperationStore + Send + Sync + 'static {
    // --- the node ---

    /// Begins a new life of `node`: the answer is higher than of any life before.
    async fn begin_life(&self, node: &NodeId) -> Result<Epoch>;
    /// How the store is now.
    fn health(&self) -> StoreHealth;
    /// How much room the store's index takes; none if the store has no files of its own.
    fn space(&self) -> Option<IndexSpace> {
        None
    }
    /// The newest commit that can be read; changes with each.
    fn committed(&self) -> watch::Receiver<CommitMark>;
    /// How often the store has waited for the disk to confirm a commit.
    fn sync_count(&self) -> u64;
    /// Reads and verifies all that is kept, beside commits and at low cost. Takes as long as that takes; given up where the caller
    /// no longer waits or the store closes. `now` is kept as its time.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] where something is not what was acknowledged: the store is read-only from then on.
    async fn scrub(&self, now: Timestamp) -> Result<Scrub>;
    /// The last scrub that found everything sound, in this life of the host or an earlier one.
    async fn last_scrub(&self) -> Result<Option<Scrub>>;
    /// The last scrub of the index alone, which a store makes by itself after an unclean stop. One that is not known yet is kept with
    /// `now` as its time.
    async fn index_scrub(&self, now: Timestamp) -> Result<Option<Scrub>>;
    /// How many runs there are of each kind, in the whole store. As quick for a million as for one.
    fn run_counts(&self) -> RunCounts;
    /// Finishes what is queued, writes everything to its place and lets go of the files.
    async fn close(&self) -> Result<()>;

    // --- components and modules ---

    /// Names `component` as a version of a module.
    ///
    /// # Errors
    /// [`StoreError::VersionTaken`] where the version has other bytes.
    async fn put_version(&self, version: ModuleVersion, component: Component) -> Result<PutVersion>;
    /// The component of that digest.
    async fn component(&self, digest: &ComponentDigest) -> Result<Option<Component>>;
    /// Every version of a module, in order of their text.
    async fn versions(&self, module: &ModuleName) -> Result<Vec<ModuleVersion>>;
    /// All versions of all modules, by module and version.
    async fn modules(&self, page: PageRequest) -> Result<Page<ModuleVersion>>;
    /// Forgets a component and the versions that name it.
    ///
    /// # Errors
    /// [`StoreError::InUse`] with the deployments whose present revision runs it, or which have runs of it that have not ended.
    async fn delete_component(&self, digest: &ComponentDigest) -> Result<()>;

    // --- deployments ---

    /// Makes a revision. Where component and manifest are those of the present one, nothing is written and the present one is
    /// the answer.
    async fn put_deployment(&self, put: PutDeployment) -> Result<Deployment>;
    /// The present revision.
    async fn deployment(&self, name: &DeploymentName) -> Result<Option<Deployment>>;
    /// One revision.
    async fn revision(&self, name: &DeploymentName, revision: Revision) -> Result<Option<Deployment>>;
    /// All revisions, newest first.
    async fn revisions(&self, name: &DeploymentName, page: PageRequest) -> Result<Page<Deployment>>;
    /// All deployments, by name.
    async fn deployments(&self, page: PageRequest) -> Result<Page<Deployment>>;
    /// Stops (or, with none, begins again) to admit and fire.
    async fn pause_deployment(&self, name: &DeploymentName, pause: Option<Pause>, now: Timestamp)
    -> Result<Deployment>;
    /// Ends runs of a deployment that are queued, suspended or parked, untold: a bounded number behind the run `after`.
    /// Answers the run to go on behind, as long as there may be more.
    async fn end_waiting(
        &self,
        name: &DeploymentName,
        after: Option<RunId>,
        now: Timestamp,
    ) -> Result<(Option<RunId>, CommitEffects)>;
    /// Removes a deployment, its schedules, revisions and state; its runs and ledger entries stay.
    ///
    /// # Errors
    /// [`StoreError::RunsGoing`] where runs have not ended.
    async fn delete_deployment(&self, name: &DeploymentName, now: Timestamp) -> Result<()>;

    // --- runs ---

    /// Asks for a run.
    ///
    /// # Errors
    /// [`StoreError::KeyMismatch`] where its key belongs to a run with another input, [`StoreError::KeyOutlivesRun`] if the record of its
    /// key's run was removed, [`StoreError::QueueFull`] where its terms leave no room.
    async fn request_run(&self, new: NewRun) -> Result<RunRequestResult>;
    /// The run that an idempotency key made; input is compared by the caller's [`Store::request_run`].
    async fn run_by_key(&self, deployment: &DeploymentName, key: &str) -> Result<Option<Run>>;
    /// The run that an idempotency key made, if retention has removed its record and the key is still kept.
    async fn key_outlives(&self, deployment: &DeploymentName, key: &str, now: Timestamp) -> Result<Option<RunId>>;
    /// Takes up to `limit` runs of a deployment that are due, queued or suspended, and in all their lanes: those that have begun before come
    /// first, then those of higher priority, then older ones. Of those that have not begun before, being passed over sixteen times is
    /// worth one step of priority, and no more begin than `rate` allows.
    async fn admit(
        &self,
        owner: &Owner,
        deployment: &DeploymentName,
        limit: usize,
        rate: Option<Rate>,
        now: Timestamp,
    ) -> Result<AdmissionResult>;
    /// The same without a rate.
    async fn claim(
        &self,
        owner: &Owner,
        deployment: &DeploymentName,
        limit: usize,
        now: Timestamp,
    ) -> Result<Vec<ClaimedRun>> {
        Ok(self.admit(owner, deployment, limit, None, now).await?.claimed)
    }
    /// The deployments that have runs to claim at `now`.
    async fn waiting_deployments(&self, now: Timestamp) -> Result<Vec<DeploymentName>>;
    /// When the next run becomes due, queued or suspended, that is not due at `now`.
    async fn next_delayed(&self, now: Timestamp) -> Result<Option<Timestamp>>;
    /// Parked runs, the newest first.
    async fn parked(&self, filter: ParkedFilter, page: PageRequest) -> Result<Page<ParkedRun>>;
    /// Parked runs by deployment and code, the largest group first. Looks at each that is parked.
    async fn parked_groups(&self, filter: ParkedFilter) -> Result<Vec<ParkedGroup>>;
    /// How many runs of a deployment could be claimed, counted up to `most`.
    async fn queued(&self, deployment: &DeploymentName, most: usize) -> Result<usize>;
    /// How many runs of a deployment are queued, due or not, in their lanes or not. Exact, and as quick for a million as for one.
    async fn waiting(&self, deployment: &DeploymentName) -> Result<u64>;
    /// Where a run stands among others; what comes before it is counted up to `most`. None where there is no such run.
    async fn standing(&self, id: RunId, most: usize) -> Result<Option<QueuePosition>>;
    /// The lane that a run of `deployment` with these lanes would have to wait for, were it started by `parent` now, though that run or
    /// one above it is in it; and that run.
    async fn behind_ancestor(
        &self,
        parent: RunId,
        deployment: &DeploymentName,
        lanes: &[Lane],
    ) -> Result<Option<(String, RunId)>>;
    /// A lane of a deployment as it stands, with at most `most` of those who are in it and of those who wait. What nobody is in or waits for
    /// is empty.
    async fn lane(&self, deployment: &DeploymentName, lane: &str, most: usize) -> Result<LaneView>;
    /// Commits a stretch. Where it ends as suspended, what it waits for is looked at in the same commit: a wait that holds
    /// already, because a signal lies there or a run has ended, makes it ready at once; otherwise whatever makes it hold later does, in the
    /// commit that brings it. So no wake-up is lost. Where it ends the run, its children that are not detached and have not ended are
    /// cancelled, and a run that waits for it is woken.
    ///
    /// # Errors
    /// [`StoreError::StaleEpoch`] where the run belongs to another life, [`StoreError::KeyMismatch`] where a fresh run's
    /// key belongs to a run with another input, [`StoreError::InboxFull`] where a signal finds no room.
    async fn commit_stretch(&self, commit: RunCommit) -> Result<RunCommitResult>;
    /// As [`Store::commit_stretch`], and drops `turn` as soon as [`Store::newest_state`] shows what the stretch wrote, or nothing
    /// of it will take hold. That may be before it is durable; the answer comes after, as always.
    ///
    /// # Errors
    /// As [`Store::commit_stretch`].
    async fn commit_stretch_in_turn(&self, commit: RunCommit, turn: VisibilityGuard) -> Result<RunCommitResult> {
        let committed = self.commit_stretch(commit).await;
        drop(turn);
        committed
    }
    /// Saves log lines, progress and status of a running run, without anything taking hold. Journal and head stay.
    async fn save_progress(&self, owner: &Owner, run: &Run, logs: Vec<LogLine>) -> Result<()>;
    /// Saves what an open stretch has recorded, so that a crash costs little: journal, head, log lines, and of the run's record progress,
    /// status, fuel, peak memory and number of entries. Nothing takes hold. New entries make an end of counted takeovers.
    async fn save(
        &self,
        owner: &Owner,
        run: &Run,
        journal: Option<JournalChange>,
        head: Option<Bytes>,
        logs: Vec<LogLine>,
    ) -> Result<()>;
    /// The journal of a run and the head, as of one moment; empty where it has none.
    async fn journal(&self, id: RunId) -> Result<StoredJournal>;
    /// Chunks of a run's journal in order, from the one numbered `from` on (the first is 0), as of one moment: up to the one that makes them
    /// `limit` bytes together, and at most 64; at least one where it is there. A journal of any length is read so in little memory.
    async fn journal_part(&self, id: RunId, from: u32, limit: u64) -> Result<Vec<Bytes>>;
    /// Takes up what earlier lives of `owner`'s node, or dead nodes, left running and the filter fits: at most `limit`, oldest first.
    /// Counts the takeover.
    async fn take_over(
        &self,
        owner: &Owner,
        of: RecoveryFilter,
        limit: usize,
        now: Timestamp,
    ) -> Result<Vec<ClaimedRun>>;
    /// Asks a run to end. A parked one, and a queued one with nothing that it could undo, ends at once; any other is marked, its children
    /// that are not detached first, and told (listed as ready, or in [`CommitEffects::cancelling`] where it runs) when it has no child left that
    /// has not ended. `terminate` ends it and its children at once; one that runs is in [`CommitEffects::cancelling`] for its owner to end.
    ///
    /// # Errors
    /// [`StoreError::IllegalTransition`] where it has ended, [`StoreError::NotFound`].
    async fn request_cancel(&self, id: RunId, terminate: bool, now: Timestamp) -> Result<(Run, CommitEffects)>;
    /// Goes on with cancellations that were too many for the commit that asked for them: at most `limit` runs. Says whether there are more.
    async fn drain_cancels(&self, limit: usize, now: Timestamp) -> Result<(bool, CommitEffects)>;
    /// Tries a parked or failed run again, and its children that failed or parked, so that the tree goes on at the leaf that failed.
    /// Children whose failure is [`RunCommit::observed`] are left alone, unless all begins from the start. At most 256 runs in all.
    ///
    /// # Errors
    /// [`StoreError::IllegalTransition`] where it is neither parked nor failed, [`StoreError::NotFound`].
    async fn retry_run(&self, id: RunId, retry: RetryChange) -> Result<(Run, CommitEffects)>;
    /// Runs that a run started, oldest first.
    async fn children(&self, parent: RunId, page: PageRequest) -> Result<Page<Run>>;
    /// How a run ended; none while it has not.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    async fn outcome(&self, id: RunId) -> Result<Option<ChildOutcome>>;
    /// Puts a signal into a run's inbox, and wakes the run where it waits for it.
    ///
    /// # Errors
    /// [`StoreError::InboxFull`] where it finds no room or is too large, [`StoreError::NotFound`].
    async fn signal(&self, signal: NewSignal, now: Timestamp) -> Result<SignalReceipt>;
    /// The first signal of a name in a run's inbox, behind the place `after`.
    async fn inbox(&self, id: RunId, name: &str, after: Option<u64>) -> Result<Option<InboxSignal>>;
    /// The signals that wait in a run's inbox, in the order of arrival.
    async fn signals(&self, id: RunId, page: PageRequest) -> Result<Page<InboxSignal>>;
    /// Drops the signal at that place of a run's inbox. Says whether one was there.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where there is no such run.
    async fn drop_signal(&self, id: RunId, place: u64) -> Result<bool>;
    /// The failures of a run, in order: its first ones and its newest ones, at most [`FAILURES_OF_RUN`](crate::records::FAILURES_OF_RUN).
    async fn failures(&self, id: RunId) -> Result<Vec<NumberedFailure>>;
    /// The failure with which a run ended or waits for a person: that of a failed or parked run, and that of a run that was cancelled
    /// and could not undo what it did.
    async fn failure_of(&self, run: &Run) -> Result<Option<Failure>> {
        if run.state != RunState::Cancelled {
            return Ok(run.state.failure().cloned());
        }
        let last = self.failures(run.id).await?.pop().map(|last| last.record);
        Ok(last.filter(|last| last.part == FailedPart::Cancellation).map(|last| last.failure))
    }
    /// Takes a cancelled run off the list of those that wait for a person. Says whether it was on it.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where there is no such run.
    async fn dismiss(&self, id: RunId) -> Result<bool>;
    /// One run.
    async fn run(&self, id: RunId) -> Result<Option<Run>>;
    /// Its input.
    async fn input(&self, id: RunId) -> Result<Option<Bytes>>;
    /// Its output.
    async fn output(&self, id: RunId) -> Result<Option<Bytes>>;
    /// Its log lines from `seq` on, in order: at most `limit`, and no more than fit a page's bytes, but at least one.
    async fn logs(&self, id: RunId, seq: u64, limit: usize) -> Result<LogPage>;
    /// Runs, newest first.
    async fn runs(&self, filter: RunFilter, page: PageRequest) -> Result<Page<Run>>;

    // --- schedules ---

    /// Schedules by deployment and name.
    async fn schedules(&self, deployment: Option<&DeploymentName>, page: PageRequest) -> Result<Page<Schedule>>;
    /// One schedule.
    async fn schedule(&self, deployment: &DeploymentName, name: &ScheduleName) -> Result<Option<Schedule>>;
    /// Schedules that are due at `now` and not paused, nor is their deployment; earliest first.
    async fn due_schedules(&self, now: Timestamp, limit: usize) -> Result<Vec<DueSchedule>>;
    /// When the next schedule is due, be it past or to come.
    async fn next_due(&self) -> Result<Option<Timestamp>>;
    /// Carries out what one look at a schedule found: the runs, as the overlap policy says of what goes on in this very commit, the
    /// counts, the entries of its list, and the next time, together. None where the schedule has moved on meanwhile.
    async fn fire(&self, firing: FiringCommit, now: Timestamp) -> Result<Option<FiringCommitResult>>;
    /// Makes a run of a schedule beside its times, whatever goes on, and counts it.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where there is no such schedule.
    async fn trigger_schedule(&self, name: &ScheduleName, new: NewRun) -> Result<RunRequestResult>;
    /// Makes a part of a backfill and moves its operation on, together; so a part is made once, whatever happens to the host. None where
    /// the operation has moved on meanwhile.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where there is no such schedule any more.
    async fn backfill(&self, part: BackfillPart, now: Timestamp) -> Result<Option<(Operation, FiringCommitResult)>>;
    /// The firings of a schedule that did not go as usual, newest first; at most the newest 1,000 entries are kept.
    async fn firing_list(
        &self,
        deployment: &DeploymentName,
        name: &ScheduleName,
        page: PageRequest,
    ) -> Result<Page<FiringEntry>>;
    /// Pauses a schedule. One that is paused gets another note.
    async fn pause_schedule(
        &self,
        deployment: &DeploymentName,
        name: &ScheduleName,
        pause: Pause,
        now: Timestamp,
    ) -> Result<Schedule>;
    /// Resumes a schedule with its next time, and lists what passed while it was paused. A limit that is used up leaves no next time.
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
    /// Sets the next time of a schedule anew. None if it has moved on since the caller looked.
    async fn replan_schedule(&self, replan: ScheduleReplan, now: Timestamp) -> Result<Option<Schedule>>;
    /// The runs of a schedule that have not ended and are not parked, at most `most` of each kind.
    async fn unended_firings(
        &self,
        deployment: &DeploymentName,
        name: &ScheduleName,
        most: usize,
    ) -> Result<UnendedFirings>;

    /// Where the last successful collection of a stream ended.
    async fn watermark(&self, stream: &DeploymentName) -> Result<Option<Timestamp>>;

    // --- topics ---

    /// Publishes an event from outside.
    ///
    /// # Errors
    /// [`StoreError::EventKeyMismatch`] where its key published another payload, [`StoreError::TooLarge`].
    async fn publish(&self, publish: NewPublication, now: Timestamp) -> Result<PublishOutcome>;
    /// All topics, by name.
    async fn topics(&self, page: PageRequest) -> Result<Page<TopicSummary>>;
    /// One topic.
    async fn topic(&self, topic: &Topic) -> Result<Option<TopicSummary>>;
    /// How many topics there are.
    async fn topic_count(&self) -> Result<u64>;
    /// Events of a topic from a place on, in order; fewer than `limit` only where there are no more.
    async fn events(&self, topic: &Topic, position: u64, limit: usize) -> Result<Vec<Event>>;
    /// A page of a topic's events, oldest first, from a time on; none where there is no such topic.
    async fn topic_events(&self, topic: &Topic, since: Option<Timestamp>, page: PageRequest) -> Result<Page<Event>>;
    /// Forgets the events that the policy says, and topics of which nothing is left; at most `limit` events of each topic. What a
    /// subscription had not been given is counted as lost, and told on the feed.
    async fn expire_events(&self, policy: EventPolicy, limit: usize, now: Timestamp) -> Result<ExpiredEvents>;

    // --- subscriptions ---

    /// Subscriptions by deployment and name.
    async fn subscriptions(&self, deployment: Option<&DeploymentName>, page: PageRequest)
    -> Result<Page<Subscription>>;
    /// One subscription.
    async fn subscription(&self, deployment: &DeploymentName, name: &SubscriptionName) -> Result<Option<Subscription>>;
    /// How far a subscription has come in a topic; none where there is no such subscription or topic, or the one does not name the other.
    async fn behind(
        &self,
        deployment: &DeploymentName,
        name: &SubscriptionName,
        topic: &Topic,
    ) -> Result<Option<SubscriptionLag>>;
    /// How many events wait for a subscription, of all its topics.
    async fn lag(&self, subscription: &Subscription) -> Result<u64>;
    /// Pauses a subscription, or has it go on where it stands. A new revision keeps the pause.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where there is no such subscription.
    async fn pause_subscription(
        &self,
        deployment: &DeploymentName,
        name: &SubscriptionName,
        pause: Option<Pause>,
        now: Timestamp,
    ) -> Result<Subscription>;
    /// Makes the runs of some events and moves the subscription behind them. False, and nothing of it, where it stands elsewhere, it or
    /// its deployment is paused, or that has another revision.
    async fn deliver(&self, delivery: DeliveryCommit) -> Result<bool>;
    /// Moves a subscription behind all that waits for it; says how many events that was.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    async fn skip(&self, deployment: &DeploymentName, name: &SubscriptionName, now: Timestamp) -> Result<u64>;
    /// Writes an operation whose task is a replay, and settles which events it gives again. Answers it as it stands, with their number:
    /// done where there are none.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    async fn begin_replay(&self, operation: Operation) -> Result<Operation>;
    /// What a replay has to do next; none where it is through.
    async fn next_replay(&self, operation: &str) -> Result<Option<SubscriptionReplay>>;
    /// Makes the runs of a part of a replay, moves it behind them and writes the operation. False, and nothing of it, where it stands
    /// elsewhere.
    async fn replay(&self, replayed: ReplayCommit) -> Result<bool>;

    // --- state ---

    /// A value of a deployment's state, as last committed.
    async fn state(&self, deployment: &DeploymentName, key: &str) -> Result<VersionedValue>;
    /// A value of a deployment's state as the next commit will most likely find it: with what commits that are not durable yet
    /// have written, and may never. Only for a run, whose own commit checks what it read: that commit refuses if this came to
    /// nothing, and is not durable before it.
    async fn newest_state(&self, deployment: &DeploymentName, key: &str) -> Result<VersionedValue> {
        self.state(deployment, key).await
    }
    /// Keys and values of a deployment's state, as last committed; one moment for the whole page.
    async fn scan_state(&self, deployment: &DeploymentName, request: &ScanRequest) -> Result<ScanPage>;
    /// Changes a value by hand and puts that on the feed. A run that has read the value and commits later conflicts.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] for the deployment, or for the key of a value to delete;
    /// [`StoreError::ValueChanged`] if the value has another version than expected.
    async fn edit_state(&self, edit: StateEdit) -> Result<StateEditResult>;

    // --- ledger ---

    /// What is known under an external id of a stream.
    async fn external_id(&self, stream: &DeploymentName, external_id: &str) -> Result<ExternalId>;
    /// Entries by the time at which they happened, newest first; of one stream, or of all.
    async fn ledger_entries(&self, stream: Option<&DeploymentName>, page: PageRequest) -> Result<Page<LedgerEntry>>;
    /// Net revenue of a stream in a half-open range of time, per currency, summed from the entries.
    async fn revenue(&self, stream: &DeploymentName, start: Timestamp, end: Timestamp) -> Result<Vec<StreamTotal>>;
    /// What each stream earned, per currency.
    async fn stream_totals(&self) -> Result<Vec<StreamTotal>>;
    /// The balance of each account, of one stream or of all.
    async fn account_totals(&self, stream: Option<&DeploymentName>) -> Result<Vec<AccountTotal>>;
    /// Recomputes every total from the entries.
    async fn check_ledger(&self) -> Result<LedgerCheck>;

    // --- feed ---

    /// The rules by which next times were last set: a mark for each time zone by its name.
    async fn zone_marks(&self) -> Result<BTreeMap<String, u64>>;
    /// Keeps these instead.
    async fn put_zone_marks(&self, marks: BTreeMap<String, u64>) -> Result<()>;
    /// Puts an event on the feed that no other change puts there.
    async fn announce(&self, event: FeedEvent, now: Timestamp) -> Result<()>;
    /// What happened after `position`, in order.
    async fn feed(&self, after: u64, limit: usize) -> Result<Vec<FeedEntry>>;
    /// The first position that the feed still holds, and the last; (0, 0) while it is empty.
    async fn feed_range(&self) -> Result<(u64, u64)>;
    /// Forgets all of the feed but the newest `keep` entries, idempotency keys whose time is over, and what nothing names any more: a
    /// little in each commit and with rests between, so that it takes long where there is much, and holds nobody up.
    async fn trim(&self, keep: usize, now: Timestamp) -> Result<()>;

    // --- retention ---

    /// Forgets what the policy says, at most `limit` runs and as many components.
    async fn expire(&self, policy: RetentionPolicy, limit: usize) -> Result<RetentionResult>;
}
