//! The scheduler: when a nominal time has come, commits the run request together with the schedule's next time.
//!
//! What a look finds due is fired side by side, so that a thousand schedules of one second share their commits. A
//! firing that the store failed is still due at the next look; one that it took is not, however often it is asked.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use tidemill_core::Timestamp;
use tidemill_core::run::{Export, Trigger, TriggerKind};
use tidemill_core::schedule::policy::{Due, OverlapDecision, Unended, due_firings, overlap_decision};
use tidemill_core::schedule::{Overlap, Schedule};
use tidemill_store::records::{DueSchedule, Firing, NewRun, Terms};

use crate::error::ControlError;
use crate::host::Inner;
use crate::live::Live;
use crate::looping::{Loop, Progress, Rest};

/// Schedules that one look takes.
const LOOK: usize = 2_000;
/// Firings under way at once: they share commits.
const SIDE_BY_SIDE: usize = 256;

/// The loop that fires.
pub(crate) struct Scheduler {
    host: Arc<Inner>,
}

impl Scheduler {
    pub(crate) fn new(host: Arc<Inner>) -> Self {
        Self { host }
    }

    /// Fires one schedule; true where something of it took hold.
    async fn fire(&self, due: DueSchedule, now: Timestamp) -> Result<bool, ControlError> {
        // Both are gone for the moment in which a new revision is being put in place; the next look sees it.
        let Some(live) = self.host.lives.get(&due.deployment) else { return Ok(false) };
        let Some(schedule) = live.plan.schedule(&due.name) else { return Ok(false) };
        let found = due_firings(schedule, before(due.due), now);
        let (starts, skipped) = self.starts(&live, schedule, &found).await?;
        let mut runs = Vec::with_capacity(starts.len());
        for nominal in &starts {
            runs.push(self.run_request(&live, schedule, *nominal, now)?);
        }
        let firing = Firing {
            deployment: due.deployment,
            name: due.name,
            due: due.due,
            next: schedule.next_after(found.through.max(due.due)),
            runs,
            skipped,
            missed: found.missed,
        };
        let times: Vec<Timestamp> = firing.runs.iter().map(|run| run.not_before).collect();
        if !self.host.store.fire(firing, now).await? {
            return Ok(false);
        }
        live.figures.skipped.inc_by(skipped);
        live.figures.missed.inc_by(found.missed);
        for (not_before, nominal) in times.into_iter().zip(starts) {
            live.figures.fired.inc();
            let late = self.host.clock.now().millis_since(nominal);
            self.host.metrics.lateness.observe(Duration::from_millis(late).as_secs_f64());
            self.host.queued_again(&live, not_before);
        }
        Ok(true)
    }

    /// Which of the firings start a run, and how many the overlap policy skips.
    async fn starts(
        &self,
        live: &Live,
        schedule: &Schedule,
        found: &Due,
    ) -> Result<(Vec<Timestamp>, u64), ControlError> {
        let overlap = schedule.spec().overlap;
        if overlap == Overlap::Allow || found.fire.is_empty() {
            return Ok((found.fire.clone(), 0));
        }
        let started = self.host.store.unended_firings(&live.deployment.name, schedule.name(), 1).await?;
        let unended = Unended { started: u64::try_from(started).unwrap_or(u64::MAX), waiting: 0 };
        let starts: Vec<Timestamp> = match overlap_decision(overlap, unended) {
            // Of several at once the latest stands for all: the others would only be in its way.
            OverlapDecision::Start => found.fire.last().copied().into_iter().collect(),
            _ => Vec::new(),
        };
        let skipped = found.fire.len() - starts.len();
        Ok((starts, u64::try_from(skipped).unwrap_or(u64::MAX)))
    }

    fn run_request(
        &self,
        live: &Live,
        schedule: &Schedule,
        nominal: Timestamp,
        now: Timestamp,
    ) -> Result<NewRun, ControlError> {
        let trigger = Trigger {
            kind: TriggerKind::Schedule,
            name: Some(schedule.name().to_string()),
            at: Some(nominal),
            ..Trigger::default()
        };
        let due = schedule.due_at(&live.deployment.name, nominal);
        request(live, schedule, trigger, now, due.max(now))
    }
}

/// The run that a firing of `schedule` asks for.
pub(crate) fn request(
    live: &Live,
    schedule: &Schedule,
    trigger: Trigger,
    now: Timestamp,
    not_before: Timestamp,
) -> Result<NewRun, ControlError> {
    let export = crate::exports::of_schedule(&live.plan.exports, schedule.spec().export)?;
    let nominal = trigger.at.unwrap_or(now);
    let input = match export {
        // The period begins where the last collection ended; that is known when this one begins.
        Export::RevenueStream => Bytes::from(format!(r#"{{"end":{}}}"#, nominal.as_millis())),
        _ => Bytes::copy_from_slice(schedule.spec().input.as_bytes()),
    };
    let lanes = live.lanes(&input);
    Ok(NewRun {
        id: crate::chance::run_id(now)?,
        deployment: live.deployment.name.clone(),
        revision: live.deployment.revision,
        component: live.deployment.component,
        export,
        trigger,
        input,
        key: None,
        labels: live.plan.labels.clone(),
        priority: live.plan.priority,
        now,
        not_before,
        seed: crate::chance::seed()?,
        detached: false,
        lanes,
        terms: Terms::default(),
    })
}

/// The last instant at which `due` had not come.
const fn before(due: Timestamp) -> Timestamp {
    Timestamp::from_millis(due.as_millis().saturating_sub(1))
}

impl Loop for Scheduler {
    const NAME: &'static str = "scheduler";

    async fn tick(&self, now: Timestamp) -> Result<Progress, ControlError> {
        let due = self.host.store.due_schedules(now, LOOK).await?;
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
        let rest = match self.host.store.next_due().await? {
            Some(next) if next <= now && done > 0 => Rest::None,
            // Due, but not to be fired: its deployment is being changed this moment.
            Some(next) if next <= now => Rest::Until(now.plus_millis(100)),
            Some(next) => Rest::Until(next),
            None => Rest::UntilKnock,
        };
        Ok(Progress { found, done, failed, rest })
    }

    async fn knocked(&self) {
        self.host.rescheduled.notified().await;
    }
}
