//! Implements the operations on schedules.

use std::collections::BTreeMap;

use async_trait::async_trait;
use tidemill_core::{DeploymentName, ScheduleName, Timestamp};

use crate::embedded::schedules::{self, change, fire, firing_log};
use crate::embedded::store::EmbeddedStore;
use crate::embedded::tables::{DUE, FIRING_LIST, META, SCHEDULES, name_key, time_key, time_of};
use crate::embedded::tx::{ReadTx, prefix_range};
use crate::embedded::value;
use crate::error::{Result, StoreError};
use crate::records::{
    BackfillPart, DueSchedule, FiringCommit, FiringCommitResult, FiringEntry, NewRun, Operation, Page, PageRequest,
    Pause, RunRequestResult, Schedule, ScheduleReplan, ScheduleResume,
};
use crate::traits::ScheduleStore;

/// The key of the marks in [`META`].
const ZONES: &[u8] = b"zones";

#[async_trait]
impl ScheduleStore for EmbeddedStore {
    async fn schedules(&self, deployment: Option<&DeploymentName>, page: PageRequest) -> Result<Page<Schedule>> {
        let prefix = deployment.map(|name| name_key(name.as_str(), &[])).unwrap_or_default();
        self.latest().record_page(SCHEDULES, &prefix, false, &page)
    }

    async fn schedule(&self, deployment: &DeploymentName, name: &ScheduleName) -> Result<Option<Schedule>> {
        schedules::get(self.latest(), deployment, name)
    }

    async fn due_schedules(&self, now: Timestamp, limit: usize) -> Result<Vec<DueSchedule>> {
        let found = self.latest().range(DUE, Vec::new()..time_key(now.plus_millis(1), &[]), false, limit)?;
        found.iter().map(|(key, nominal)| read_due(key, nominal)).collect()
    }

    async fn next_due(&self) -> Result<Option<Timestamp>> {
        Ok(self.latest().range(DUE, prefix_range(&[]), false, 1)?.first().and_then(|(key, _)| time_of(key)))
    }

    async fn fire(&self, firing: FiringCommit, now: Timestamp) -> Result<Option<FiringCommitResult>> {
        let long = value::long(firing.firings.iter().map(|firing| &firing.run.input));
        self.commit_with(long, move |c| fire::fire(c, &firing, now)).await
    }

    async fn trigger_schedule(&self, name: &ScheduleName, new: NewRun) -> Result<RunRequestResult> {
        let name = name.clone();
        self.commit_with(value::long([&new.input]), move |c| fire::trigger(c, &name, &new)).await
    }

    async fn backfill(&self, part: BackfillPart, now: Timestamp) -> Result<Option<(Operation, FiringCommitResult)>> {
        let long = value::long(part.firings.iter().map(|firing| &firing.run.input));
        self.commit_with(long, move |c| fire::backfill(c, &part, now)).await
    }

    async fn firing_list(
        &self,
        deployment: &DeploymentName,
        name: &ScheduleName,
        page: PageRequest,
    ) -> Result<Page<FiringEntry>> {
        self.latest().record_page(FIRING_LIST, &firing_log::prefix(deployment, name), true, &page)
    }

    async fn pause_schedule(
        &self,
        deployment: &DeploymentName,
        name: &ScheduleName,
        pause: Pause,
        now: Timestamp,
    ) -> Result<Schedule> {
        let (deployment, name) = (deployment.clone(), name.clone());
        self.commit(move |c| change::pause(c, (&deployment, &name), pause, now)).await
    }

    async fn resume_schedule(
        &self,
        deployment: &DeploymentName,
        name: &ScheduleName,
        resume: ScheduleResume,
        now: Timestamp,
    ) -> Result<Schedule> {
        let (deployment, name) = (deployment.clone(), name.clone());
        self.commit(move |c| change::resume(c, (&deployment, &name), &resume, now)).await
    }

    async fn replan_schedule(&self, replan: ScheduleReplan, now: Timestamp) -> Result<Option<Schedule>> {
        self.commit(move |c| change::replan(c, &replan, now)).await
    }

    async fn zone_marks(&self) -> Result<BTreeMap<String, u64>> {
        Ok(self.latest().record(META, ZONES)?.unwrap_or_default())
    }

    async fn put_zone_marks(&self, marks: BTreeMap<String, u64>) -> Result<()> {
        self.commit(move |c| c.put_record(META, ZONES, &marks)).await
    }
}

fn read_due(key: &[u8], nominal: &[u8]) -> Result<DueSchedule> {
    let read = || {
        let due = time_of(key)?;
        let at = if nominal.is_empty() { due } else { time_of(nominal)? };
        let (deployment, name) = std::str::from_utf8(key.get(8..)?).ok()?.split_once('\0')?;
        Some(DueSchedule { deployment: deployment.parse().ok()?, name: name.parse().ok()?, at, due })
    };
    read().ok_or_else(|| StoreError::Damaged { what: "a key of table due-schedules cannot be read".into() })
}
