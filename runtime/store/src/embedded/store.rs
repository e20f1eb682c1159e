//! Implements [`Store`] for [`EmbeddedStore`]: passes each write to the committer, and reads the
//! last committed state.

use std::collections::BTreeMap;

use async_trait::async_trait;
use bytes::Bytes;
use tidemill_core::flow::Rate;
use tidemill_core::ids::Owner;
use tidemill_core::journal::JournalChange;
use tidemill_core::lane::Lane;
use tidemill_core::run::Run;
use tidemill_core::{
    ComponentDigest, DeploymentName, Epoch, ModuleName, NodeId, Revision, RunId, ScheduleName, SubscriptionName,
    Timestamp, Topic,
};
use tokio::sync::watch;

use super::throttle::paced;
use super::write_tx::WriteTx;
use crate::contract::{CommitPosition, Result, Store, StoreHealth};
use crate::embedded::runs::{claim, commit, failures, inbox, index, journal, lanes, parked, position, tree};
use crate::embedded::schedules::{firing_log, queue};
use crate::embedded::topics::{replay, subscriptions};
use crate::embedded::{
    EmbeddedStore, UncommittedView, blobs, blocking, deployments, epoch, feed, ledger, modules, retention, runs,
    schedules, scrubs, state, tables, topics, zones,
};
use crate::kv::{IndexSpace, KvHealth, VisibilityGuard};
use crate::records::{
    AccountTotal, AdmissionResult, BackfillPart, ChildOutcome, ClaimedRun, CommitEffects, Component, DeliveryCommit,
    Deployment, DueSchedule, Event, EventPolicy, ExpiredEvents, ExternalId, FeedEntry, FeedEvent, FiringCommit,
    FiringCommitResult, FiringEntry, InboxSignal, LaneView, LedgerCheck, LedgerEntry, LogLine, LogPage, ModuleVersion,
    NewPublication, NewRun, NewSignal, NumberedFailure, Operation, Page, PageRequest, ParkedFilter, ParkedGroup,
    ParkedRun, Pause, PublishOutcome, PutDeployment, PutVersion, QueuePosition, RecoveryFilter, ReplayCommit,
    RetentionPolicy, RetentionResult, RetryChange, RunCommit, RunCommitResult, RunCounts, RunFilter, RunRequestResult,
    ScanPage, ScanRequest, Schedule, ScheduleReplan, ScheduleResume, Scrub, SignalReceipt, StateEdit, StateEditResult,
    StoredJournal, StreamTotal, Subscription, SubscriptionLag, SubscriptionReplay, TopicSummary, UnendedFirings,
    VersionedValue,
};

#[async_trait]
impl Store for EmbeddedStore {
    async fn begin_epoch(&self, node: &NodeId) -> Result<Epoch> {
        epoch::begin_next(self, node).await
    }

    fn health(&self) -> StoreHealth {
        match self.kv.health() {
            KvHealth::Healthy => StoreHealth::Good,
            KvHealth::DiskFull { .. } => StoreHealth::DiskFull,
            KvHealth::ReadOnly { why, .. } => StoreHealth::ReadOnly(why),
        }
    }

    fn space(&self) -> Option<IndexSpace> {
        Some(self.kv.space())
    }

    fn committed(&self) -> watch::Receiver<CommitPosition> {
        self.kv.commits()
    }

    fn sync_count(&self) -> u64 {
        self.kv.sync_count()
    }

    async fn scrub(&self, now: Timestamp) -> Result<Scrub> {
        scrubs::all(self, now).await
    }

    async fn last_scrub(&self) -> Result<Option<Scrub>> {
        scrubs::last(&self.kv)
    }

    async fn index_scrub(&self, now: Timestamp) -> Result<Option<Scrub>> {
        scrubs::index(self, now).await
    }

    fn run_counts(&self) -> RunCounts {
        index::counts(&self.kv)
    }

    async fn close(&self) -> Result<()> {
        self.files.stop_removing();
        Ok(self.kv.close().await?)
    }

    async fn put_version(&self, version: ModuleVersion, component: Component) -> Result<PutVersion> {
        self.commit(move |c| modules::put(c, &version, &component)).await
    }

    async fn component(&self, digest: &ComponentDigest) -> Result<Option<Component>> {
        modules::component(&self.kv, digest)
    }

    async fn versions(&self, module: &ModuleName) -> Result<Vec<ModuleVersion>> {
        modules::versions(&self.kv, module)
    }

    async fn modules(&self, page: PageRequest) -> Result<Page<ModuleVersion>> {
        modules::list(&self.kv, &page)
    }

    async fn delete_component(&self, digest: &ComponentDigest) -> Result<()> {
        let digest = *digest;
        self.commit(move |c| modules::delete(c, &digest)).await
    }

    async fn put_deployment(&self, put: PutDeployment) -> Result<Deployment> {
        if self.kv.get(tables::PURGES, put.name.as_str().as_bytes())?.is_some() {
            self.purge(&put.name).await?;
        }
        self.commit(move |c| deployments::put(c, &put)).await
    }

    async fn deployment(&self, name: &DeploymentName) -> Result<Option<Deployment>> {
        deployments::get(&self.kv, name)
    }

    async fn revision(&self, name: &DeploymentName, revision: Revision) -> Result<Option<Deployment>> {
        deployments::revision(&self.kv, name, revision)
    }

    async fn revisions(&self, name: &DeploymentName, page: PageRequest) -> Result<Page<Deployment>> {
        deployments::revisions(&self.kv, name, &page)
    }

    async fn deployments(&self, page: PageRequest) -> Result<Page<Deployment>> {
        deployments::list(&self.kv, &page)
    }

    async fn pause_deployment(
        &self,
        name: &DeploymentName,
        pause: Option<Pause>,
        now: Timestamp,
    ) -> Result<Deployment> {
        let name = name.clone();
        self.commit(move |c| deployments::pause(c, &name, pause, now)).await
    }

    async fn end_waiting(
        &self,
        name: &DeploymentName,
        after: Option<RunId>,
        now: Timestamp,
    ) -> Result<(Option<RunId>, CommitEffects)> {
        let name = name.clone();
        paced(self.commit(move |c| deployments::end_waiting(c, &name, after, now))).await
    }

    async fn delete_deployment(&self, name: &DeploymentName, now: Timestamp) -> Result<()> {
        deployments::delete_with_state(self, name, now).await
    }

    async fn request_run(&self, new: NewRun) -> Result<RunRequestResult> {
        self.commit_with(blobs::long([&new.input]), move |c| runs::request(c, &new)).await
    }

    async fn run_by_key(&self, deployment: &DeploymentName, key: &str) -> Result<Option<Run>> {
        runs::by_key(&self.kv, deployment, key)
    }

    async fn key_outlives(&self, deployment: &DeploymentName, key: &str, now: Timestamp) -> Result<Option<RunId>> {
        runs::outlived(&self.kv, deployment, key, now)
    }

    async fn admit(
        &self,
        owner: &Owner,
        deployment: &DeploymentName,
        limit: usize,
        rate: Option<Rate>,
        now: Timestamp,
    ) -> Result<AdmissionResult> {
        let (owner, deployment, lease) = (owner.clone(), deployment.clone(), self.lease());
        let (claimed, next) = self.commit(move |c| claim::admit(c, &owner, &deployment, limit, rate, now)).await?;
        Ok(AdmissionResult { claimed: self.with_inputs(lease, claimed).await?, next })
    }

    async fn waiting(&self, deployment: &DeploymentName) -> Result<u64> {
        index::queued(&self.kv, deployment)
    }

    async fn queue_position(&self, id: RunId, max: usize) -> Result<Option<QueuePosition>> {
        position::of(&self.kv.view(), id, max)
    }

    async fn lane_deadlock(
        &self,
        parent: RunId,
        deployment: &DeploymentName,
        lanes: &[Lane],
    ) -> Result<Option<(String, RunId)>> {
        lanes::lane_deadlock(&self.kv.view(), parent, deployment, lanes)
    }

    async fn waiting_deployments(&self, now: Timestamp) -> Result<Vec<DeploymentName>> {
        runs::waiting(&self.kv, now)
    }

    async fn next_delayed(&self, now: Timestamp) -> Result<Option<Timestamp>> {
        runs::next_delayed(&self.kv, now)
    }

    async fn queued(&self, deployment: &DeploymentName, max: usize) -> Result<usize> {
        runs::queued(&self.kv, deployment, max)
    }

    async fn lane(&self, deployment: &DeploymentName, lane: &str, max: usize) -> Result<LaneView> {
        lanes::view(&self.kv.view(), deployment, lane, max)
    }

    async fn commit_run(&self, commit: RunCommit) -> Result<RunCommitResult> {
        self.commit_with(blobs::long(commit::values(&commit)), move |c| commit::commit(c, &commit)).await
    }

    async fn commit_run_guarded(&self, commit: RunCommit, turn: VisibilityGuard) -> Result<RunCommitResult> {
        let long = blobs::long(commit::values(&commit));
        self.commit_with(long, move |c| commit::commit_in_turn(c, &commit, turn)).await
    }

    async fn save_progress(&self, owner: &Owner, run: &Run, logs: Vec<LogLine>) -> Result<()> {
        let (owner, run) = (owner.clone(), run.clone());
        self.commit(move |c| runs::save_progress(c, &owner, &run, &logs)).await
    }

    async fn save(
        &self,
        owner: &Owner,
        run: &Run,
        journal: Option<JournalChange>,
        head: Option<Bytes>,
        logs: Vec<LogLine>,
    ) -> Result<()> {
        let (owner, run) = (owner.clone(), run.clone());
        let long = blobs::long(journal.iter().flat_map(|change| &change.chunks).chain(&head));
        let save = move |c: &mut WriteTx<'_, '_>| runs::save(c, &owner, &run, journal.as_ref(), head.as_ref(), &logs);
        self.commit_with(long, save).await
    }

    async fn journal(&self, id: RunId) -> Result<StoredJournal> {
        journal::stored(self, id).await
    }

    async fn journal_part(&self, id: RunId, from: u32, limit: u64) -> Result<Vec<Bytes>> {
        let lease = self.lease();
        self.values(lease, journal::part(&self.kv.view(), id, from, limit)?).await
    }

    async fn take_over(
        &self,
        owner: &Owner,
        of: RecoveryFilter,
        limit: usize,
        now: Timestamp,
    ) -> Result<Vec<ClaimedRun>> {
        let (owner, lease) = (owner.clone(), self.lease());
        let taken = self.commit(move |c| runs::take_over(c, &owner, of, limit, now)).await?;
        self.with_inputs(lease, taken).await
    }

    async fn request_cancel(&self, id: RunId, terminate: bool, now: Timestamp) -> Result<(Run, CommitEffects)> {
        self.commit(move |c| tree::request_cancel(c, id, terminate, now)).await
    }

    async fn drain_cancels(&self, limit: usize, now: Timestamp) -> Result<(bool, CommitEffects)> {
        self.commit(move |c| tree::drain(c, limit, now)).await
    }

    async fn retry_run(&self, id: RunId, retry: RetryChange) -> Result<(Run, CommitEffects)> {
        self.commit(move |c| tree::retry(c, id, &retry)).await
    }

    async fn children(&self, parent: RunId, page: PageRequest) -> Result<Page<Run>> {
        tree::children(&self.kv, parent, &page)
    }

    async fn outcome(&self, id: RunId) -> Result<Option<ChildOutcome>> {
        runs::child_outcome(self, id).await
    }

    async fn signal(&self, signal: NewSignal, now: Timestamp) -> Result<SignalReceipt> {
        self.commit_with(blobs::long([&signal.payload]), move |c| inbox::signal(c, &signal, now)).await
    }

    async fn inbox(&self, id: RunId, name: &str, after: Option<u64>) -> Result<Option<InboxSignal>> {
        inbox::first_signal(self, id, name, after).await
    }

    async fn signals(&self, id: RunId, page: PageRequest) -> Result<Page<InboxSignal>> {
        inbox::signals(self, id, &page).await
    }

    async fn drop_signal(&self, id: RunId, place: u64) -> Result<bool> {
        self.commit(move |c| inbox::drop_one(c, id, place)).await
    }

    async fn failures(&self, id: RunId) -> Result<Vec<NumberedFailure>> {
        failures::list(&self.kv, id)
    }

    async fn dismiss(&self, id: RunId) -> Result<bool> {
        self.commit(move |c| parked::dismiss(c, id)).await
    }

    async fn run(&self, id: RunId) -> Result<Option<Run>> {
        runs::run(&self.kv, id)
    }

    async fn input(&self, id: RunId) -> Result<Option<Bytes>> {
        let lease = self.lease();
        self.maybe(lease, runs::input(&self.kv, id)?).await
    }

    async fn output(&self, id: RunId) -> Result<Option<Bytes>> {
        let lease = self.lease();
        self.maybe(lease, runs::output(&self.kv, id)?).await
    }

    async fn logs(&self, id: RunId, seq: u64, limit: usize) -> Result<LogPage> {
        runs::logs(&self.kv, id, seq, limit)
    }

    async fn runs(&self, filter: RunFilter, page: PageRequest) -> Result<Page<Run>> {
        // A list is not a snapshot: a run that changes during the read is shown in its old or new
        // state.
        runs::list(&self.kv, &filter, &page)
    }

    async fn schedules(&self, deployment: Option<&DeploymentName>, page: PageRequest) -> Result<Page<Schedule>> {
        schedules::list(&self.kv, deployment, &page)
    }

    async fn schedule(&self, deployment: &DeploymentName, name: &ScheduleName) -> Result<Option<Schedule>> {
        schedules::get(&self.kv, deployment, name)
    }

    async fn due_schedules(&self, now: Timestamp, limit: usize) -> Result<Vec<DueSchedule>> {
        schedules::due(&self.kv, now, limit)
    }

    async fn next_due(&self) -> Result<Option<Timestamp>> {
        schedules::next_due(&self.kv)
    }

    async fn fire(&self, firing: FiringCommit, now: Timestamp) -> Result<Option<FiringCommitResult>> {
        let long = blobs::long(firing.firings.iter().map(|firing| &firing.run.input));
        self.commit_with(long, move |c| schedules::fire(c, &firing, now)).await
    }

    async fn trigger_schedule(&self, name: &ScheduleName, new: NewRun) -> Result<RunRequestResult> {
        let name = name.clone();
        self.commit_with(blobs::long([&new.input]), move |c| schedules::trigger(c, &name, &new)).await
    }

    async fn backfill(&self, part: BackfillPart, now: Timestamp) -> Result<Option<(Operation, FiringCommitResult)>> {
        let long = blobs::long(part.firings.iter().map(|firing| &firing.run.input));
        self.commit_with(long, move |c| schedules::backfill(c, &part, now)).await
    }

    async fn firing_list(
        &self,
        deployment: &DeploymentName,
        name: &ScheduleName,
        page: PageRequest,
    ) -> Result<Page<FiringEntry>> {
        firing_log::list(&self.kv, deployment, name, &page)
    }

    async fn pause_schedule(
        &self,
        deployment: &DeploymentName,
        name: &ScheduleName,
        pause: Pause,
        now: Timestamp,
    ) -> Result<Schedule> {
        let (deployment, name) = (deployment.clone(), name.clone());
        self.commit(move |c| schedules::pause(c, (&deployment, &name), pause, now)).await
    }

    async fn resume_schedule(
        &self,
        deployment: &DeploymentName,
        name: &ScheduleName,
        resume: ScheduleResume,
        now: Timestamp,
    ) -> Result<Schedule> {
        let (deployment, name) = (deployment.clone(), name.clone());
        self.commit(move |c| schedules::resume(c, (&deployment, &name), &resume, now)).await
    }

    async fn replan_schedule(&self, replan: ScheduleReplan, now: Timestamp) -> Result<Option<Schedule>> {
        self.commit(move |c| schedules::replan(c, &replan, now)).await
    }

    async fn unended_firings(
        &self,
        deployment: &DeploymentName,
        name: &ScheduleName,
        max: usize,
    ) -> Result<UnendedFirings> {
        let view = self.kv.view();
        let started = queue::started(&view, deployment, name, max)?;
        Ok(UnendedFirings { started, waiting: queue::waiting(&view, deployment, name, max)? })
    }

    async fn watermark(&self, stream: &DeploymentName) -> Result<Option<Timestamp>> {
        schedules::watermark(&self.kv, stream)
    }

    async fn publish(&self, publish: NewPublication, now: Timestamp) -> Result<PublishOutcome> {
        let long = blobs::long([&publish.event.payload]);
        self.commit_with(long, move |c| topics::publish_once(c, &publish, now)).await
    }

    async fn topics(&self, page: PageRequest) -> Result<Page<TopicSummary>> {
        topics::topics(&self.kv, &page)
    }

    async fn topic(&self, topic: &Topic) -> Result<Option<TopicSummary>> {
        Ok(topics::head(&self.kv, topic)?.map(|head| topics::summary(topic.clone(), &head)))
    }

    async fn topic_count(&self) -> Result<u64> {
        topics::total(&self.kv)
    }

    async fn events(&self, topic: &Topic, position: u64, limit: usize) -> Result<Vec<Event>> {
        let lease = self.lease();
        let found = topics::from(&self.kv, topic, position, limit)?;
        self.with_payloads(lease, topic, found).await
    }

    async fn topic_events(&self, topic: &Topic, since: Option<Timestamp>, page: PageRequest) -> Result<Page<Event>> {
        let lease = self.lease();
        let Page { items, next } = topics::list(&self.kv.view(), topic, since, &page)?;
        Ok(Page { items: self.with_payloads(lease, topic, items).await?, next })
    }

    async fn subscriptions(
        &self,
        deployment: Option<&DeploymentName>,
        page: PageRequest,
    ) -> Result<Page<Subscription>> {
        subscriptions::list(&self.kv, deployment, &page)
    }

    async fn subscription(&self, deployment: &DeploymentName, name: &SubscriptionName) -> Result<Option<Subscription>> {
        subscriptions::get(&self.kv, deployment, name)
    }

    async fn pause_subscription(
        &self,
        deployment: &DeploymentName,
        name: &SubscriptionName,
        pause: Option<Pause>,
        now: Timestamp,
    ) -> Result<Subscription> {
        let (deployment, name) = (deployment.clone(), name.clone());
        self.commit(move |c| subscriptions::pause(c, &deployment, &name, pause, now)).await
    }

    async fn subscription_lag(
        &self,
        deployment: &DeploymentName,
        name: &SubscriptionName,
        topic: &Topic,
    ) -> Result<Option<SubscriptionLag>> {
        subscriptions::lag_in(&self.kv.view(), deployment, name, topic)
    }

    async fn lag(&self, subscription: &Subscription) -> Result<u64> {
        subscriptions::lag(&self.kv.view(), subscription)
    }

    async fn deliver(&self, delivery: DeliveryCommit) -> Result<bool> {
        let long = blobs::long(delivery.runs.iter().map(|new| &new.input));
        self.commit_with(long, move |c| subscriptions::deliver(c, &delivery)).await
    }

    async fn skip(&self, deployment: &DeploymentName, name: &SubscriptionName, now: Timestamp) -> Result<u64> {
        let (deployment, name) = (deployment.clone(), name.clone());
        self.commit(move |c| subscriptions::skip(c, &deployment, &name, now)).await
    }

    async fn begin_replay(&self, operation: Operation) -> Result<Operation> {
        self.commit(move |c| replay::begin(c, &operation)).await
    }

    async fn next_replay(&self, operation: &str) -> Result<Option<SubscriptionReplay>> {
        replay::next(&self.kv, operation)
    }

    async fn replay(&self, replayed: ReplayCommit) -> Result<bool> {
        let long = blobs::long(replayed.runs.iter().map(|new| &new.input));
        self.commit_with(long, move |c| replay::advance(c, &replayed)).await
    }

    async fn expire_events(&self, policy: EventPolicy, limit: usize, now: Timestamp) -> Result<ExpiredEvents> {
        retention::expire_events(self, policy, limit, now).await
    }

    async fn state(&self, deployment: &DeploymentName, key: &str) -> Result<VersionedValue> {
        let lease = self.lease();
        let (value, version) = state::get(&self.kv, deployment, key)?;
        Ok(VersionedValue { value: self.maybe(lease, value).await?, version })
    }

    async fn newest_state(&self, deployment: &DeploymentName, key: &str) -> Result<VersionedValue> {
        let lease = self.lease();
        let (value, version) = state::get(&UncommittedView(&self.kv), deployment, key)?;
        Ok(VersionedValue { value: self.maybe(lease, value).await?, version })
    }

    async fn scan_state(&self, deployment: &DeploymentName, request: &ScanRequest) -> Result<ScanPage> {
        state::page(self, deployment, request).await
    }

    async fn edit_state(&self, edit: StateEdit) -> Result<StateEditResult> {
        self.commit_with(blobs::long(&edit.value), move |c| state::edit(c, &edit)).await
    }

    async fn external_id(&self, stream: &DeploymentName, external_id: &str) -> Result<ExternalId> {
        ledger::external_id(&self.kv, stream, external_id)
    }

    async fn ledger_entries(&self, stream: Option<&DeploymentName>, page: PageRequest) -> Result<Page<LedgerEntry>> {
        ledger::entries(&self.kv, stream, &page)
    }

    async fn revenue(&self, stream: &DeploymentName, start: Timestamp, end: Timestamp) -> Result<Vec<StreamTotal>> {
        ledger::revenue(&self.kv.view(), stream, start, end)
    }

    async fn stream_totals(&self) -> Result<Vec<StreamTotal>> {
        ledger::stream_totals(&self.kv.view())
    }

    async fn account_totals(&self, stream: Option<&DeploymentName>) -> Result<Vec<AccountTotal>> {
        ledger::account_totals(&self.kv.view(), stream)
    }

    async fn check_ledger(&self) -> Result<LedgerCheck> {
        let store = self.clone();
        blocking(move || ledger::check(&store.kv.view())).await
    }

    async fn zone_marks(&self) -> Result<BTreeMap<String, u64>> {
        zones::marks(&self.kv)
    }

    async fn put_zone_marks(&self, marks: BTreeMap<String, u64>) -> Result<()> {
        self.commit(move |c| zones::put_marks(c, &marks)).await
    }

    async fn announce(&self, event: FeedEvent, now: Timestamp) -> Result<()> {
        self.commit(move |c| c.announce(now, &event)).await
    }

    async fn feed(&self, after: u64, limit: usize) -> Result<Vec<FeedEntry>> {
        feed::after(&self.kv, after, limit)
    }

    async fn feed_range(&self) -> Result<(u64, u64)> {
        feed::ends(&self.kv)
    }

    async fn trim(&self, keep: usize, now: Timestamp) -> Result<()> {
        feed::trim(self, keep, now).await
    }

    async fn parked(&self, filter: ParkedFilter, page: PageRequest) -> Result<Page<ParkedRun>> {
        parked::list(&self.kv, &filter, &page)
    }

    async fn parked_groups(&self, filter: ParkedFilter) -> Result<Vec<ParkedGroup>> {
        let store = self.clone();
        blocking(move || parked::groups(&store.kv, &filter)).await
    }

    async fn expire(&self, policy: RetentionPolicy, limit: usize) -> Result<RetentionResult> {
        retention::expire(self, policy, limit).await
    }
}
