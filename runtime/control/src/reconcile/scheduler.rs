//! The scheduler: commits the run request of a due nominal time together with the schedule's next
//! time.
//!
//! A tick fires all due schedules concurrently, so that a thousand schedules of one second share
//! their commits. A firing that the store failed is due again in the next tick. A committed firing
//! is not, however often it is submitted.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::{StreamExt as _, stream};
use tidemill_core::Clock;
use tidemill_core::run::{Trigger, TriggerKind};
use tidemill_core::schedule::Schedule;
use tidemill_core::schedule::policy::{DueFirings, ON_TIME_MILLIS, due_firings};
use tidemill_core::{RunId, Timestamp};
use tidemill_store::Store;
use tidemill_store::records::{DueSchedule, FiringCommit, NewFiring, NextFiring, NominalRange};

use crate::deployment::active::{ActiveDeployment, DeploymentRegistry};
use crate::error::ControlError;
use crate::metrics::Metrics;
use crate::reconcile::{NextTick, Reconciler, TickReport};
use crate::run::effects::EffectHandler;
use crate::schedule::firing::{before, request, upcoming};
use crate::schedule::monitor::{self, ScheduleMonitor};
use crate::state::HostState;

/// Maximum number of schedules per tick.
const TICK_SCHEDULES: usize = 2_000;
/// Maximum number of concurrent firings, which share commits. It equals the number per tick, so
/// that in a burst they commit before the claims and the ends of the runs that they start.
const CONCURRENCY: usize = TICK_SCHEDULES;

/// The loop that fires schedules.
pub(crate) struct Scheduler {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    deployments: Arc<DeploymentRegistry>,
    schedules: Arc<ScheduleMonitor>,
    effects: Arc<EffectHandler>,
    metrics: Arc<Metrics>,
    queue_max: u64,
}

impl Scheduler {
    pub(crate) fn new(host: &HostState) -> Self {
        Self {
            store: Arc::clone(&host.store),
            clock: Arc::clone(&host.clock),
            deployments: Arc::clone(&host.deployments),
            schedules: Arc::clone(&host.schedules),
            effects: Arc::clone(&host.effects),
            metrics: Arc::clone(&host.metrics),
            queue_max: host.config.queue_max,
        }
    }

    /// Fires one schedule. Returns whether anything was committed.
    async fn fire(&self, due: DueSchedule, now: Timestamp) -> Result<bool, ControlError> {
        // Both can be missing while a new revision is applied. The next tick sees it.
        let Some(live) = self.deployments.get(&due.deployment) else { return Ok(false) };
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
            queue: live.queue_max(self.queue_max),
            missed: missed(&found),
        };
        let Some(fired) = self.store.fire(firing, now).await? else { return Ok(false) };
        for (nominal, due) in &found.fire {
            if fired.fired.contains(nominal) {
                let late = self.clock.now().millis_since(*due);
                self.metrics.lateness.observe(Duration::from_millis(late).as_secs_f64());
            }
        }
        live.metrics.firings(&fired);
        self.effects.on_runs_created(&live, fired);
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
        due.iter().zip(crate::random::run_ids(now, due.len())).map(firing).collect()
    }
}

fn missed(found: &DueFirings) -> Option<NominalRange> {
    let (first, last) = found.first_missed.zip(found.last_missed)?;
    Some(NominalRange { first, last, count: found.missed, more: false })
}

#[async_trait]
impl Reconciler for Scheduler {
    fn name(&self) -> &'static str {
        "scheduler"
    }

    async fn tick(&self, now: Timestamp) -> Result<TickReport, ControlError> {
        if self.schedules.setback.clock_went_back(now) {
            self.schedules.refresh_silent_schedules(now).await?;
        }
        // Blocked schedules stay due, so read further to leave room for the others.
        let blocked = self.schedules.blocked.all();
        let is_blocked =
            |due: &DueSchedule| blocked.get(&due.deployment).is_some_and(|names| names.contains_key(&due.name));
        let blocked_count = monitor::count(&blocked);
        let mut due = self.store.due_schedules(now, TICK_SCHEDULES + blocked_count).await?;
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
            self.store.next_due().await?
        } else {
            let first = self.store.due_schedules(Timestamp::MAX, blocked_count + 1).await?;
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
        self.schedules.rescheduled.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::fixture::{LoopFixture, START};

    #[tokio::test]
    async fn a_tick_fires_what_is_due_once_and_returns_the_next_time() {
        let fixture = LoopFixture::with(json!({ "schedules": [{ "name": "often", "cron": "* * * * *" }] })).await;
        let scheduler = Scheduler::new(&fixture.host);
        let (first, second) = (START.plus_millis(60_000), START.plus_millis(120_000));
        let early = scheduler.tick(START).await.unwrap();
        assert_eq!(early, TickReport { found: 0, done: 0, failed: 0, next: NextTick::At(first) });
        fixture.clock.set(first);
        for done in [1, 0] {
            let report = scheduler.tick(first).await.unwrap();
            assert_eq!(report, TickReport { found: done, done, failed: 0, next: NextTick::At(second) });
        }
        let runs = fixture.runs().await;
        let triggers: Vec<_> = runs.iter().map(|run| (run.trigger.kind, run.trigger.at)).collect();
        assert_eq!(triggers, [(TriggerKind::Schedule, Some(first))]);
    }

    #[tokio::test]
    async fn a_tick_without_schedules_waits_for_a_wake_up() {
        let fixture = LoopFixture::with(json!({})).await;
        let report = Scheduler::new(&fixture.host).tick(START).await.unwrap();
        assert_eq!(report.next, NextTick::OnWake);
    }
}
