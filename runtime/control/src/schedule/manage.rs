//! How callers manage schedules: pause, resume, trigger and preview.

use std::sync::Arc;

use tidemill_core::run::{Run, Trigger, TriggerKind};
use tidemill_core::schedule::{ScheduleEnd, SchedulePreview};
use tidemill_core::{Code, DeploymentName, ScheduleName, Timestamp};
use tidemill_store::StoreError;
use tidemill_store::records::{NewRun, Pause, RunRequestResult, Schedule, ScheduleResume};

use crate::deployment::active::ActiveDeployment;
use crate::error::ControlError;
use crate::run_to_completion::run_to_completion;
use crate::schedule::firing::{self, PASSED_MAX, times_between};
use crate::state::ControlPlane;
use crate::validate::{check_key, checked_note};

/// Maximum number of firings in one preview.
pub const PREVIEW_MAX: usize = 1_000;

/// The details of a trigger by hand.
const BY_HAND: &str = r#"{"by_hand":true}"#;

impl ControlPlane {
    /// Stops the schedule from firing.
    ///
    /// # Errors
    /// `host/deployment-not-found`, `host/schedule-not-found`.
    pub async fn pause_schedule(
        &self,
        deployment: &DeploymentName,
        name: &ScheduleName,
        note: String,
    ) -> Result<Schedule, ControlError> {
        let (now, note) = (self.0.clock.now(), checked_note(note)?);
        let _turn = self.0.changes.lock().await;
        self.resolve_schedule(deployment, name)?;
        let paused =
            self.0.store.pause_schedule(deployment, name, Pause { since: now, note: note.clone() }, now).await?;
        tracing::info!(%deployment, schedule = %name, ?note, "paused schedule");
        Ok(paused)
    }

    /// Resumes a schedule with its next time from now. Times that passed during the pause are
    /// listed with the first and the last, counted up to [`PASSED_MAX`], and not made up for. The
    /// counter of failures in a row is reset.
    ///
    /// # Errors
    /// `host/deployment-not-found`, `host/schedule-not-found`.
    pub async fn resume_schedule(
        &self,
        deployment: &DeploymentName,
        name: &ScheduleName,
    ) -> Result<Schedule, ControlError> {
        let _turn = self.0.changes.lock().await;
        // Read the clock after the lock, because nominal times may pass during the wait.
        let now = self.0.clock.now();
        let (live, schedule) = self.resolve_schedule(deployment, name)?;
        let stored = self.0.store.schedule(deployment, name).await?;
        let Some(stored) = stored.filter(|stored| stored.paused.is_some()) else {
            return Err(ControlError::refused_with(
                Code::RunState,
                "the schedule is not paused",
                "There is nothing to do: `tidemill schedules list` shows when it fires.",
            ));
        };
        check_zone(&schedule)?;
        let times = firing::times(schedule.clone(), deployment.clone(), live.plan.enabled);
        let passed = match stored.next.filter(|next| *next <= now) {
            Some(first) => times_between(schedule, first, now.plus_millis(1), PASSED_MAX).await?,
            None => None,
        };
        let resume = ScheduleResume { next: times.next_after(now), times, passed };
        let resumed = self.0.store.resume_schedule(deployment, name, resume, now).await?;
        tracing::info!(%deployment, schedule = %name, "resumed schedule");
        self.0.schedules.rescheduled.notify_one();
        Ok(resumed)
    }

    /// Starts a run of the schedule now, in addition to its times, with its export, input and name.
    /// A collection waits for other collections of its stream; any other overlap is the caller's
    /// decision. The same `key` returns the same run, and `true` as the second value.
    ///
    /// # Errors
    /// `host/deployment-not-found`, `host/schedule-not-found`; `host/idempotency-mismatch` if the
    /// key created a run in another way; errors of the store.
    pub async fn trigger(
        &self,
        deployment: &DeploymentName,
        name: &ScheduleName,
        key: Option<String>,
    ) -> Result<(Run, bool), ControlError> {
        self.0.shutdown.check_open()?;
        key.as_deref().map_or(Ok(()), check_key)?;
        let now = self.0.clock.now();
        let (live, schedule) = self.resolve_schedule(deployment, name)?;
        let trigger = Trigger {
            kind: TriggerKind::Schedule,
            name: Some(name.to_string()),
            at: Some(now),
            details: Some(BY_HAND.to_owned()),
            ..Trigger::default()
        };
        let new = firing::request(&live, &schedule, crate::random::run_id(now), trigger, None, now)?;
        // A key may belong to an existing run, for which a full queue does not matter.
        let known = match &key {
            Some(key) => self.0.store.run_by_key(deployment, key).await?.is_some(),
            None => false,
        };
        if !known {
            self.check_queue(&live).await?;
        }
        let (host, name, new) = (Arc::clone(&self.0), name.clone(), NewRun { key, ..new });
        run_to_completion(async move {
            match host.store.trigger_schedule(&name, new).await {
                Ok(RunRequestResult::Created(run) | RunRequestResult::Joined(run)) => {
                    host.admission.note_queued(&live, now);
                    Ok((run, false))
                }
                Ok(RunRequestResult::Existing(run)) => Ok((fired_by_hand(run, &name)?, true)),
                // The input of a collection is its period, which moves with the clock.
                Err(StoreError::KeyMismatch { run: id }) => {
                    let run = host.store.run(id).await?.ok_or(StoreError::KeyMismatch { run: id })?;
                    Ok((fired_by_hand(run, &name)?, true))
                }
                Err(error) => {
                    host.store_failures.record(&error);
                    Err(error.into())
                }
            }
        })
        .await
    }

    /// Returns the next `n` firings after `from`, at most [`PREVIEW_MAX`] and fewer if the
    /// schedule's limit ends them, and those that daylight saving drops. Firings between now and a
    /// later `from` count towards the limit, up to [`PASSED_MAX`]; past ones that an earlier `from`
    /// shows do not. After the clock was set back, times that were processed before are omitted.
    ///
    /// # Errors
    /// `host/deployment-not-found`, `host/schedule-not-found`; errors of the store.
    pub async fn preview(
        &self,
        deployment: &DeploymentName,
        name: &ScheduleName,
        n: usize,
        from: Timestamp,
    ) -> Result<SchedulePreview, ControlError> {
        let (_, schedule) = self.resolve_schedule(deployment, name)?;
        if self.0.schedules.blocked.get(deployment, name).is_some() {
            return Ok(SchedulePreview { firings: Vec::new(), ends: Some(ScheduleEnd::Blocked) });
        }
        let (n, now) = (n.min(PREVIEW_MAX), self.0.clock.now());
        let (silent_until, left) = self.remaining_firings(deployment, &schedule, now).await?;
        let from = silent_until.map_or(from, |until| until.max(from));
        let left = match left {
            Some(left) if from > now => {
                let (start, end, most) = (now.plus_millis(1), from.plus_millis(1), left.min(PASSED_MAX));
                let between = times_between(schedule.clone(), start, end, most).await?;
                Some(left.saturating_sub(between.map_or(0, |span| span.count)))
            }
            Some(left) => {
                let passed = schedule.preview(from, n).into_iter().take_while(|time| *time <= now).count();
                Some(left.saturating_add(passed as u64))
            }
            None => None,
        };
        Ok(schedule.ahead(from, n, left))
    }

    /// Returns the time before which a schedule does not fire because the clock was set back, and
    /// the number of firings that this version of it has left; `None` has no limit. A limit that
    /// differs from the stored one starts again.
    pub(crate) async fn remaining_firings(
        &self,
        deployment: &DeploymentName,
        schedule: &tidemill_core::schedule::Schedule,
        now: Timestamp,
    ) -> Result<(Option<Timestamp>, Option<u64>), ControlError> {
        let limit = schedule.spec().limit;
        let Some(stored) = self.0.store.schedule(deployment, schedule.name()).await? else { return Ok((None, limit)) };
        let silent_until = stored.last_processed().filter(|through| *through > now);
        Ok((silent_until, if stored.limit == limit { stored.left } else { limit }))
    }

    /// Returns whether the deployment is enabled, and whether it is paused; `None` if it does not
    /// exist.
    #[must_use]
    pub fn fires(&self, deployment: &DeploymentName) -> Option<(bool, bool)> {
        let live = self.0.deployments.get(deployment)?;
        Some((live.plan.enabled, live.deployment.paused.is_some()))
    }

    pub(crate) fn resolve_schedule(
        &self,
        deployment: &DeploymentName,
        name: &ScheduleName,
    ) -> Result<(Arc<ActiveDeployment>, tidemill_core::schedule::Schedule), ControlError> {
        let live = self.0.deployments.require(deployment)?;
        let schedule = live.plan.schedule(name);
        let schedule = schedule.ok_or_else(|| ControlError::no_schedule(deployment, name))?;
        Ok((live, schedule))
    }
}

/// Refuses to compute the times of a schedule whose time zone is not known.
pub(crate) fn check_zone(schedule: &tidemill_core::schedule::Schedule) -> Result<(), ControlError> {
    let zone = &schedule.spec().time_zone;
    if zone.is_known() {
        return Ok(());
    }
    Err(ControlError::refused_with(
        Code::BadSchedule,
        format!("the zone data does not have the schedule's time zone `{}`", zone.name()),
        "Update the host's zone data, or deploy with another time zone.",
    ))
}

/// Returns `run` if it was created by triggering the schedule `name` by hand.
fn fired_by_hand(run: Run, name: &ScheduleName) -> Result<Run, ControlError> {
    let Trigger { kind, name: schedule, details, .. } = &run.trigger;
    let same = *kind == TriggerKind::Schedule
        && schedule.as_deref() == Some(name.as_str())
        && details.as_deref() == Some(BY_HAND);
    if same { Ok(run) } else { Err(StoreError::KeyMismatch { run: run.id }.into()) }
}
