//! Handles a clock that was set back: finds the schedules that are silent because of it, and
//! resyncs them.
//!
//! A nominal time that was processed does not fire again. So schedules are silent while the clock
//! shows times that it has shown before. The host notices the step, reports it in its log, on the
//! feed and in its health, and checks every minute until no schedule is silent any more.

use tidemill_core::{Code, DeploymentName, ScheduleName, Timestamp};
use tidemill_store::records::{FeedEvent, Operation, PageRequest, Schedule, ScheduleReplan, Task};

use crate::error::ControlError;
use crate::operation::{same_task, start_once};
use crate::schedule::bulk::{ScheduleFilter, was_applied};
use crate::schedule::firing::upcoming;
use crate::schedule::manage::check_zone;
use crate::schedule::monitor::{ClockSetBack, NOTABLE_MILLIS, ScheduleMonitor};
use crate::state::ControlPlane;

/// Number of schedules per page.
const PAGE: usize = 500;
/// Maximum number of silent schedules that are named.
const NAMED: usize = 20;

impl ClockSetBack {
    /// Describes it in a sentence.
    #[must_use]
    pub fn text(&self) -> String {
        let back = tidemill_core::wire::duration_text(self.back_millis / 1_000 * 1_000);
        format!(
            "the clock was set back by {back}: {} schedules do not fire until the already processed times have passed, the last at {}; \
             `tidemill schedules resync --all` makes them follow the clock now",
            self.schedules,
            self.until.to_rfc3339()
        )
    }
}

impl ScheduleMonitor {
    /// Finds the schedules that are silent because the clock was set back, and reports them if
    /// there are more than before.
    pub(crate) async fn refresh_silent_schedules(&self, now: Timestamp) -> Result<(), ControlError> {
        let found = self.silent_schedules(now).await?;
        let before = self.setback.replace(found.clone());
        match (before, found) {
            (Some(before), Some(found)) if before.schedules >= found.schedules => {}
            (_, Some(found)) => {
                let ClockSetBack { back_millis, schedules, until, .. } = found;
                tracing::warn!(back_millis, schedules, until = %until.to_rfc3339(), "clock was set back; schedules are silent");
                self.store.announce(FeedEvent::ClockSetBack { back_millis, schedules, until }, now).await?;
            }
            (Some(_), None) => tracing::info!("all schedules follow the clock again"),
            (None, None) => {}
        }
        Ok(())
    }

    async fn silent_schedules(&self, now: Timestamp) -> Result<Option<ClockSetBack>, ControlError> {
        let mut found: Option<ClockSetBack> = None;
        let mut page = PageRequest::first(PAGE);
        loop {
            let part = self.store.schedules(None, page).await?;
            for schedule in part.items {
                let Some(until) = schedule.silent_until(now).filter(|until| until.millis_since(now) >= NOTABLE_MILLIS)
                else {
                    continue;
                };
                let next = schedule.next.unwrap_or(until);
                let found = found.get_or_insert_with(|| ClockSetBack {
                    back_millis: self.setback.step_millis(),
                    schedules: 0,
                    until: next,
                    named: Vec::new(),
                });
                found.back_millis = found.back_millis.max(until.millis_since(now));
                found.schedules += 1;
                found.until = found.until.max(next);
                if found.named.len() < NAMED {
                    found.named.push((schedule.deployment, schedule.name, next));
                }
            }
            match part.next {
                Some(cursor) => page = PageRequest { cursor: Some(cursor), limit: PAGE },
                None => return Ok(found),
            }
        }
    }
}

impl ControlPlane {
    /// Returns the schedules that were silent because of the clock at the last check; `None` if
    /// there were none.
    #[must_use]
    pub fn clock_set_back(&self) -> Option<ClockSetBack> {
        self.0.schedules.setback.found()
    }

    /// Makes a schedule follow a clock that was set back: its next time is the first one from now,
    /// even if that was processed before. Nominal times in between may start a second run.
    ///
    /// # Errors
    /// `host/deployment-not-found`, `host/schedule-not-found`; `host/run-state` if it is not
    /// silent.
    pub async fn resync_schedule(
        &self,
        deployment: &DeploymentName,
        name: &ScheduleName,
    ) -> Result<Schedule, ControlError> {
        let _turn = self.0.changes.lock().await;
        let now = self.0.clock.now();
        let (live, schedule) = self.resolve_schedule(deployment, name)?;
        check_zone(&schedule)?;
        let stored = self.0.store.schedule(deployment, name).await?;
        let silent = stored.and_then(|stored| Some((stored.silent_until(now)?, stored.next)));
        let Some((until, seen)) = silent else {
            return Err(ControlError::refused_with(
                Code::RunState,
                "the schedule follows the clock",
                "There is nothing to do: `tidemill schedules list` shows when it fires.",
            ));
        };
        let replan = ScheduleReplan {
            deployment: deployment.clone(),
            name: name.clone(),
            revision: live.plan.revision,
            seen,
            next: if live.plan.enabled { upcoming(&schedule, deployment, now) } else { None },
            through: Some(now),
            change: "resynced",
            note: format!("the clock was set back; it was silent until {}", until.to_rfc3339()),
        };
        let resynced = self.0.store.replan_schedule(replan, now).await?;
        if resynced.is_some() {
            tracing::info!(%deployment, schedule = %name, "resynced schedule");
        }
        self.0.schedules.rescheduled.notify_one();
        resynced.ok_or_else(|| ControlError::refused(Code::Conflict, "the schedule has changed: try again"))
    }

    /// Starts to resync all schedules that match the filter. The same key returns the same
    /// operation.
    ///
    /// # Errors
    /// Errors of the store.
    pub async fn resync(&self, filter: ScheduleFilter, key: Option<String>) -> Result<Operation, ControlError> {
        self.0.shutdown.check_open()?;
        let task = Task::Resync { deployment: filter.deployment, labels: filter.labels };
        let operation = start_once(task.clone(), "schedules", key.as_deref(), self.0.clock.now())?;
        same_task(self.begin(operation).await?, &task)
    }

    /// Executes one page of the operation. Schedules that follow the clock are skipped.
    pub(crate) async fn resync_page(
        &self,
        mut operation: Operation,
        deployment: Option<&DeploymentName>,
        labels: &[(String, String)],
    ) -> Result<Operation, ControlError> {
        let now = self.0.clock.now();
        let (schedules, next) = self.matching_schedules(&mut operation, deployment, labels).await?;
        for schedule in schedules.iter().filter(|schedule| schedule.silent_until(now).is_some()) {
            operation.matched += 1;
            let resynced = self.resync_schedule(&schedule.deployment, &schedule.name).await;
            if was_applied(schedule, resynced)? { operation.done += 1 } else { operation.failed += 1 }
        }
        if next.is_none() {
            self.0.schedules.refresh_silent_schedules(now).await?;
        }
        self.page_done(operation, next).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_name_the_step_and_the_end_of_the_silence() {
        let until = Timestamp::from_millis(1_700_000_000_000);
        let found = ClockSetBack { back_millis: 3_600_500, schedules: 3, until, named: Vec::new() };
        let text = found.text();
        assert!(
            text.contains("set back by 1h:") && text.contains("3 schedules") && text.contains("2023-11-14T22:13:20"),
            "{text}"
        );
    }
}
