//! The scheduler: when a nominal time has come, commits the run request together with the schedule's next time.
//!
//! What a look finds due is fired side by side, so that a thousand schedules of one second share their commits. A
//! firing that the store failed is still due at the next look; one that it took is not, however often it is asked.

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

/// Schedules that one look takes.
const LOOK: usize = 2_000;
/// Firings under way at once: they share commits. As many as one look takes, so that in a burst they come before the claims and the
/// ends of the runs that they make, which share the same commits.
const SIDE_BY_SIDE: usize = LOOK;

/// The loop that fires.
pub(crate) struct Scheduler {
    host: Arc<HostState>,
}

impl Scheduler {
    pub(crate) fn new(host: Arc<HostState>) -> Self {
        Self { host }
    }

    /// Fires one schedule; true where something of it took hold.
    async fn fire(&self, due: DueSchedule, now: Timestamp) -> Result<bool, ControlError> {
        // Both are gone for the moment in which a new revision is being put in place; the next look sees it.
        let Some(live) = self.host.lives.get(&due.deployment) else { return Ok(false) };
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
        live.figures.firings(&fired);
        self.host.made(&live, fired);
        Ok(true)
    }

    /// What is to be carried out at those times. Ids rise with them, and runs of equal right begin in the order of their ids.
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
    /// Runs of a schedule were made: the dispatcher shall know, and whoever waits for what they ended.
    pub(crate) fn made(self: &Arc<Self>, live: &ActiveDeployment, fired: FiringCommitResult) {
        live.gate.add_queued(i64::try_from(fired.fired.len()).unwrap_or(0));
        self.apply_effects(fired.caused);
    }
}

/// The run that a firing of `schedule` asks for. One that collects does so from `start` on, or from where the last one ended.
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

/// The first firing strictly after `after`: its nominal time, and when it is carried out.
pub(crate) fn upcoming(schedule: &Schedule, deployment: &DeploymentName, after: Timestamp) -> Option<NextFiring> {
    schedule.next_after(after).map(|at| NextFiring { at, due: schedule.due_at(deployment, at) })
}

/// The firings to come of a schedule, for a commit to choose from; none while its deployment is not enabled.
pub(crate) fn times(schedule: Schedule, deployment: DeploymentName, enabled: bool) -> FiringTimes {
    FiringTimes::new(move |after| if enabled { upcoming(&schedule, &deployment, after) } else { None })
}

/// The last instant at which `due` had not come.
pub(crate) const fn before(due: Timestamp) -> Timestamp {
    Timestamp::from_millis(due.as_millis().saturating_sub(1))
}

impl Reconciler for Scheduler {
    const NAME: &'static str = "scheduler";

    async fn tick(&self, now: Timestamp) -> Result<TickReport, ControlError> {
        if self.host.setback.clock_went_back(now) {
            self.host.look_for_silent_schedules(now).await?;
        }
        // Blocked schedules stay due. They take no places of others.
        let blocked = self.host.blocked.all();
        let is_blocked =
            |due: &DueSchedule| blocked.get(&due.deployment).is_some_and(|names| names.contains_key(&due.name));
        let blocked_count = blocked::count(&blocked);
        let mut due = self.host.store.due_schedules(now, LOOK + blocked_count).await?;
        due.retain(|due| !is_blocked(due));
        due.truncate(LOOK);
        let found = due.len();
        let results: Vec<_> = stream::iter(due)
            .map(|due| async move {
                let name = (due.deployment.clone(), due.name.clone());
                (name, self.fire(due, now).await)
            })
            .buffer_unordered(SIDE_BY_SIDE)
            .collect()
            .await;
        let (mut done, mut failed) = (0, 0);
        for ((deployment, schedule), result) in results {
            match result {
                Ok(took) => done += usize::from(took),
                Err(error) => {
                    failed += 1;
                    tracing::warn!(%deployment, %schedule, %error, "a schedule did not fire and stays due");
                }
            }
        }
        let next = if blocked_count == 0 {
            self.host.store.next_due().await?
        } else {
            let first = self.host.store.due_schedules(Timestamp::MAX, blocked_count + 1).await?;
            first.iter().find(|due| !is_blocked(due)).map(|due| due.due)
        };
        let rest = match next {
            Some(next) if next <= now && done > 0 => NextTick::Now,
            // Due, but not to be fired: its deployment is being changed this moment.
            Some(next) if next <= now => NextTick::At(now.plus_millis(100)),
            Some(next) => NextTick::At(next),
            None => NextTick::OnWake,
        };
        Ok(TickReport { found, done, failed, rest })
    }

    async fn woken(&self) {
        self.host.rescheduled.notified().await;
    }
}
