//! Schedules.

use std::collections::BTreeMap;

use async_trait::async_trait;
use tidemill_core::{DeploymentName, ScheduleName, Timestamp};

use crate::error::StoreError;
use crate::records::{
    BackfillPart, DueSchedule, FiringCommit, FiringCommitResult, FiringEntry, NewRun, Operation, Page, PageRequest,
    Pause, RunRequestResult, Schedule, ScheduleReplan, ScheduleResume,
};

/// Schedules and their firings.
#[async_trait]
pub trait ScheduleStore: Send + Sync + 'static {
    /// Lists schedules, sorted by deployment and name.
    async fn schedules(
        &self,
        deployment: Option<&DeploymentName>,
        page: PageRequest,
    ) -> Result<Page<Schedule>, StoreError>;
    /// Returns one schedule.
    async fn schedule(&self, deployment: &DeploymentName, name: &ScheduleName) -> Result<Option<Schedule>, StoreError>;
    /// Returns schedules that are due at `now`, earliest first. Excludes paused schedules and those
    /// of paused deployments.
    async fn due_schedules(&self, now: Timestamp, limit: usize) -> Result<Vec<DueSchedule>, StoreError>;
    /// Returns when the next schedule is due; the time can be in the past.
    async fn next_due(&self) -> Result<Option<Timestamp>, StoreError>;
    /// Commits one tick of a schedule in one step: the runs, decided by the overlap policy on the
    /// unfinished runs in this same commit, the counters, the entries of the firing list and the
    /// next time. `None` if the schedule has changed since the caller read it.
    async fn fire(&self, firing: FiringCommit, now: Timestamp) -> Result<Option<FiringCommitResult>, StoreError>;
    /// Creates a run of a schedule outside its times, regardless of other runs, and counts it.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if the schedule does not exist.
    async fn trigger_schedule(&self, name: &ScheduleName, new: NewRun) -> Result<RunRequestResult, StoreError>;
    /// Creates the runs of one part of a backfill and advances its operation in one commit, so a
    /// crash never repeats a part. `None` if the operation has advanced since the caller read it.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if the schedule no longer exists.
    async fn backfill(
        &self,
        part: BackfillPart,
        now: Timestamp,
    ) -> Result<Option<(Operation, FiringCommitResult)>, StoreError>;
    /// Lists the irregular firings of a schedule, newest first. The store keeps the newest 1,000
    /// entries.
    async fn firing_list(
        &self,
        deployment: &DeploymentName,
        name: &ScheduleName,
        page: PageRequest,
    ) -> Result<Page<FiringEntry>, StoreError>;
    /// Pauses a schedule. If it is already paused, replaces the note.
    async fn pause_schedule(
        &self,
        deployment: &DeploymentName,
        name: &ScheduleName,
        pause: Pause,
        now: Timestamp,
    ) -> Result<Schedule, StoreError>;
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
    ) -> Result<Schedule, StoreError>;
    /// Sets a new next time of a schedule. `None` if it has changed since the caller read it.
    async fn replan_schedule(&self, replan: ScheduleReplan, now: Timestamp) -> Result<Option<Schedule>, StoreError>;
    /// Returns a mark of the time zone rules that the next times were last computed with, by the
    /// name of the zone.
    async fn zone_marks(&self) -> Result<BTreeMap<String, u64>, StoreError>;
    /// Replaces the stored marks of time zone rules.
    async fn put_zone_marks(&self, marks: BTreeMap<String, u64>) -> Result<(), StoreError>;
}
