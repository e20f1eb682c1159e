//! The scheduler: commits the run request of a due nominal time together with the schedule's next
//! time.
//!
//! A tick fires all due schedules concurrently, so that a thousand schedules of one second share
//! their commits. A firing that the store failed is due again in the next tick. A committed firing
//! is not, however often it is submitted.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use tidemill_core::run::{Export, Trigger, TriggerKind};
use tidemill_core::schedule::Schedule;
use tidemill_core::schedule::policy::{DueFirings, ON_TIME_MILLIS, due_firings};
use tidemill_core::{DeploymentName, RunId, Timestamp};
use tidemill_store::records::{
    DueSchedule, FiringCommit, FiringCommitResult, FiringTimes, NewFiring, NewRun, NextFiring, NominalRange,
};

use crate::control_plane::HostState;
use crate::deployment::active::ActiveDeployment;
use crate::error::ControlError;
use crate::reconcile::{NextTick, Reconciler, TickReport};
use crate::run::execution::collection::period;
use crate::schedule::blocked;

/// Maximum number of schedules per tick.
const TICK_SCHEDULES: usize = 2_000;
/// Maximum number of concurrent firings, which share commits. It equals the number per tick, so
/// that in a burst they commit before the claims and the ends of the runs that they start.
const CONCURRENCY: usize = TICK_SCHEDULES;

/// The loop that fires schedules.
pub(crate) struct Scheduler {
    host: Arc<HostState>,
}

impl Scheduler {
    pub(crate) fn new(host: Arc<HostState>) -> Self {
        Self { host }
    }

    /// Fires one schedule. Returns whether anything was committed.
    async fn fire(&self, due: DueSchedule, now: Timestamp) -> Result<bool, ControlError> {
        // Both can be missing while a new revision is applied. The next tick sees it.
        let Some(live) = self.host.deployments.get(&due.deployment) else { return Ok(false) };
        let Some(schedule) = live.plan.schedule(&due.name) else { return Ok(false) };
        let found = due_firings(&schedule, &due.deployment, before(due.at), due.due, now);
        let next = upcoming(&schedule, &due.deployment, found.through);
        let firing = FiringCommit {
            next: next.map(|next| NextFiring { due: next.due.max(found.held), ..next }),
            deployment: due.deployment,
            name: due.name,
            revision: live.plan.revision,
            at: due.at,
            through: found.through,
            firings: self.firings(&live, &schedule, &found.fire, now)?,
            overlap: schedule.spec().overlap,
            queue: live.queue_max(self.host.config.queue_max),
            missed: missed(&found),
        };
        let Some(fired) = self.host.store.fire(firing, now).await? else { return Ok(false) };
        for (nominal, due) in &found.fire {
            if fired.fired.contains(nominal) {
                let late = self.host.clock.now().millis_since(*due);
                self.host.metrics.lateness.observe(Duration::from_millis(late).as_secs_f64());
            }
        }
        live.metrics.firings(&fired);
        self.host.on_runs_created(&live, fired);
        Ok(true)
    }

    /// Returns the firings of those times. Their ids ascend with the times, because runs of equal
    /// priority start in the order of their ids.
    fn firings(
        &self,
        live: &ActiveDeployment,
        schedule: &Schedule,
        due: &[(Timestamp, Timestamp)],
        now: Timestamp,
    ) -> Result<Vec<NewFiring>, ControlError> {
        let trigger = |nominal| Trigger {
            kind: TriggerKind::Schedule,
            name: Some(schedule.name().to_string()),
            at: Some(nominal),
            ..Trigger::default()
        };
        let firing = |((nominal, due), id): (&(Timestamp, Timestamp), RunId)| {
            let run = request(live, schedule, id, trigger(*nominal), None, now)?;
            Ok(NewFiring { run, late: now.millis_since(*due) > ON_TIME_MILLIS })
        };
        due.iter().zip(crate::random::run_ids(now, due.len())?).map(firing).collect()
    }
}

impl HostState {
    /// Counts the new runs of a schedule, notifies the dispatcher, and applies the effects of the
    /// commit.
    pub(crate) fn on_runs_created(self: &Arc<Self>, live: &ActiveDeployment, fired: FiringCommitResult) {
        live.limiter.add_queued(i64::try_from(fired.fired.len()).unwrap_or(0));
        self.apply_effects(fired.caused);
    }
}

/// Returns the run that a firing of `schedule` requests. A collection starts at `start`, or where
/// the last one ended.
pub(crate) fn request(
    live: &ActiveDeployment,
    schedule: &Schedule,
    id: RunId,
    trigger: Trigger,
    start: Option<Timestamp>,
    now: Timestamp,
) -> Result<NewRun, ControlError> {
    let export = crate::deployment::exports::of_schedule(&live.plan.exports, schedule.spec().export)?;
    let nominal = trigger.at.unwrap_or(now);
    let input = match export {
        Export::RevenueStream => period(start, nominal),
        _ => Bytes::copy_from_slice(schedule.spec().input.as_bytes()),
    };
    live.new_run(id, export, trigger, input, now)
}

fn missed(found: &DueFirings) -> Option<NominalRange> {
    let (first, last) = found.first_missed.zip(found.last_missed)?;
    Some(NominalRange { first, last, count: found.missed, more: false })
}

/// Returns the first firing strictly after `after`: its nominal time, and when it is due.
pub(crate) fn upcoming(schedule: &Schedule, deployment: &DeploymentName, after: Timestamp) -> Option<NextFiring> {
    schedule.next_after(after).map(|at| NextFiring { at, due: schedule.due_at(deployment, at) })
}

/// Returns the future firings of a schedule, from which a commit selects; empty while its
/// deployment is disabled.
pub(crate) fn times(schedule: Schedule, deployment: DeploymentName, enabled: bool) -> FiringTimes {
    FiringTimes::new(move |after| if enabled { upcoming(&schedule, &deployment, after) } else { None })
}

/// Returns the last instant before `due`.
pub(crate) const fn before(due: Timestamp) -> Timestamp {
    Timestamp::from_millis(due.as_millis().saturating_sub(1))
}

impl Reconciler for Scheduler {
    const NAME: &'static str = "scheduler";

    async fn tick(&self, now: Timestamp) -> Result<TickReport, ControlError> {
        if self.host.setback.clock_went_back(now) {
            self.host.refresh_silent_schedules(now).await?;
        }
        // Blocked schedules stay due, so read further to leave room for the others.
        let blocked = self.host.blocked.all();
        let is_blocked =
            |due: &DueSchedule| blocked.get(&due.deployment).is_some_and(|names| names.contains_key(&due.name));
        let blocked_count = blocked::count(&blocked);
        let mut due = self.host.store.due_schedules(now, TICK_SCHEDULES + blocked_count).await?;
        due.retain(|due| !is_blocked(due));
        due.truncate(TICK_SCHEDULES);
        let found = due.len();
        let results: Vec<_> = stream::iter(due)
            .map(|due| async move {
                let name = (due.deployment.clone(), due.name.clone());
                (name, self.fire(due, now).await)
            })
            .buffer_unordered(CONCURRENCY)
            .collect()
            .await;
        let (mut done, mut failed) = (0, 0);
        for ((deployment, schedule), result) in results {
            match result {
                Ok(committed) => done += usize::from(committed),
                Err(error) => {
                    failed += 1;
                    tracing::warn!(%deployment, %schedule, %error, "schedule failed to fire; will retry");
                }
            }
        }
        let next = if blocked_count == 0 {
            self.host.store.next_due().await?
        } else {
            let first = self.host.store.due_schedules(Timestamp::MAX, blocked_count + 1).await?;
            first.iter().find(|due| !is_blocked(due)).map(|due| due.due)
        };
        let next = match next {
            Some(next) if next <= now && done > 0 => NextTick::Now,
            // It is due but cannot fire yet: its deployment is being changed.
            Some(next) if next <= now => NextTick::At(now.plus_millis(100)),
            Some(next) => NextTick::At(next),
            None => NextTick::OnWake,
        };
        Ok(TickReport { found, done, failed, next })
    }

    async fn woken(&self) {
        self.host.rescheduled.notified().await;
    }
}
