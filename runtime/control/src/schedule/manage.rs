//! Schedules as they are looked at and changed from outside: pause, resume, fire now, preview.

use std::sync::Arc;

use tidemill_core::run::{Run, Trigger, TriggerKind};
use tidemill_core::schedule::{ScheduleEnd, SchedulePreview};
use tidemill_core::{Code, DeploymentName, ScheduleName, Timestamp};
use tidemill_store::StoreError;
use tidemill_store::records::{NewRun, NominalRange, Pause, RunRequestResult, Schedule, ScheduleResume};

use crate::control_plane::{ControlPlane, run_to_completion};
use crate::deployment::active::ActiveDeployment;
use crate::deployment::deploy::checked_note;
use crate::error::ControlError;
use crate::reconcile::scheduler;
use crate::validate::check_key;

/// The most firings that one preview shows.
pub const PREVIEW_MAX: usize = 1_000;
/// The most nominal times that are counted of those that a pause let pass.
pub const PASSED_MAX: u64 = 100_000;

/// The details of a trigger that a person gave.
const BY_HAND: &str = r#"{"by_hand":true}"#;

impl ControlPlane {
    /// Lets no more of the schedule's times start a run.
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
        self.planned(deployment, name)?;
        let paused =
            self.0.store.pause_schedule(deployment, name, Pause { since: now, note: note.clone() }, now).await?;
        tracing::info!(%deployment, schedule = %name, ?note, "paused schedule");
        Ok(paused)
    }

    /// Goes on with the next time from now. What a pause let pass is listed with its first and last time, counted up to [`PASSED_MAX`],
    /// and not made up for; failures in a row are counted anew.
    ///
    /// # Errors
    /// `host/deployment-not-found`, `host/schedule-not-found`.
    pub async fn resume_schedule(
        &self,
        deployment: &DeploymentName,
        name: &ScheduleName,
    ) -> Result<Schedule, ControlError> {
        let _turn = self.0.changes.lock().await;
        // After the wait for the turn, in which nominal times may have passed.
        let now = self.0.clock.now();
        let (live, schedule) = self.planned(deployment, name)?;
        let stored = self.0.store.schedule(deployment, name).await?;
        let Some(stored) = stored.filter(|stored| stored.paused.is_some()) else {
            return Err(ControlError::refused_with(
                Code::RunState,
                "the schedule is not paused",
                "There is nothing to do: `tidemill schedules` says when it fires.",
            ));
        };
        check_zone(&schedule)?;
        let times = scheduler::times(schedule.clone(), deployment.clone(), live.plan.enabled);
        let passed = match stored.next.filter(|next| *next <= now) {
            Some(first) => times_between(schedule, first, now.plus_millis(1), PASSED_MAX).await?,
            None => None,
        };
        let resume = ScheduleResume { next: times.next_after(now), times, passed };
        let resumed = self.0.store.resume_schedule(deployment, name, resume, now).await?;
        tracing::info!(%deployment, schedule = %name, "resumed schedule");
        self.0.rescheduled.notify_one();
        Ok(resumed)
    }

    /// Starts a run of the schedule now, beside its times: with its export, input and name. Collections of a stream that go on
    /// are waited for; other overlaps are the caller's wish. The same `key` again is the same run; the second value is true then.
    ///
    /// # Errors
    /// `host/deployment-not-found`, `host/schedule-not-found`; `host/idempotency-mismatch` if the key made a run in another way;
    /// the store's own.
    pub async fn trigger(
        &self,
        deployment: &DeploymentName,
        name: &ScheduleName,
        key: Option<String>,
    ) -> Result<(Run, bool), ControlError> {
        self.0.check_open()?;
        key.as_deref().map_or(Ok(()), check_key)?;
        let now = self.0.clock.now();
        let (live, schedule) = self.planned(deployment, name)?;
        let trigger = Trigger {
            kind: TriggerKind::Schedule,
            name: Some(name.to_string()),
            at: Some(now),
            details: Some(BY_HAND.to_owned()),
            ..Trigger::default()
        };
        let new = scheduler::request(&live, &schedule, crate::random::run_id(now)?, trigger, None, now)?;
        // A key may belong to a run that is there, however many wait.
        let known = match &key {
            Some(key) => self.0.store.run_by_key(deployment, key).await?.is_some(),
            None => false,
        };
        if !known {
            self.0.check_queue(&live).await?;
        }
        let (host, name, new) = (Arc::clone(&self.0), name.clone(), NewRun { key, ..new });
        run_to_completion(async move {
            match host.store.trigger_schedule(&name, new).await {
                Ok(RunRequestResult::Created(run) | RunRequestResult::Joined(run)) => {
                    host.note_queued(&live, now);
                    Ok((run, false))
                }
                Ok(RunRequestResult::Existing(run)) => Ok((fired_by_hand(run, &name)?, true)),
                // The input of a collection is its period, which moves with the clock.
                Err(StoreError::KeyMismatch { run: id }) => {
                    let run = host.store.run(id).await?.ok_or(StoreError::KeyMismatch { run: id })?;
                    Ok((fired_by_hand(run, &name)?, true))
                }
                Err(error) => {
                    host.store_failed(&error);
                    Err(error.into())
                }
            }
        })
        .await
    }

    /// The next `n` firings after `from`, at most [`PREVIEW_MAX`], as far as the schedule's limit lets them come, and what daylight
    /// saving drops among them. Firings between now and a later `from` are taken from the limit, counted up to [`PASSED_MAX`]; those
    /// that an earlier `from` shows are not. After the clock was set back, times that were dealt with before are left out.
    ///
    /// # Errors
    /// `host/deployment-not-found`, `host/schedule-not-found`; the store's own.
    pub async fn preview(
        &self,
        deployment: &DeploymentName,
        name: &ScheduleName,
        n: usize,
        from: Timestamp,
    ) -> Result<SchedulePreview, ControlError> {
        let (_, schedule) = self.planned(deployment, name)?;
        if self.0.blocked.get(deployment, name).is_some() {
            return Ok(SchedulePreview { firings: Vec::new(), ends: Some(ScheduleEnd::Blocked) });
        }
        let (n, now) = (n.min(PREVIEW_MAX), self.0.clock.now());
        let (silent_until, left) = self.outlook(deployment, &schedule, now).await?;
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

    /// The time before which a schedule does not fire because the clock was set back, if it was; and how often it may still fire as
    /// it is worded here, none for ever. A limit that is not the stored one begins anew.
    pub(crate) async fn outlook(
        &self,
        deployment: &DeploymentName,
        schedule: &tidemill_core::schedule::Schedule,
        now: Timestamp,
    ) -> Result<(Option<Timestamp>, Option<u64>), ControlError> {
        let limit = schedule.spec().limit;
        let Some(stored) = self.0.store.schedule(deployment, schedule.name()).await? else { return Ok((None, limit)) };
        let silent_until = stored.dealt_with().filter(|through| *through > now);
        Ok((silent_until, if stored.limit == limit { stored.left } else { limit }))
    }

    /// Whether the deployment is enabled, and whether it is paused; none if there is none of that name.
    #[must_use]
    pub fn fires(&self, deployment: &DeploymentName) -> Option<(bool, bool)> {
        let live = self.0.lives.get(deployment)?;
        Some((live.plan.enabled, live.deployment.paused.is_some()))
    }

    pub(crate) fn planned(
        &self,
        deployment: &DeploymentName,
        name: &ScheduleName,
    ) -> Result<(Arc<ActiveDeployment>, tidemill_core::schedule::Schedule), ControlError> {
        let live = self.0.live(deployment)?;
        let schedule = live.plan.schedule(name);
        let schedule = schedule.ok_or_else(|| ControlError::no_schedule(deployment, name))?;
        Ok((live, schedule))
    }
}

/// Refuses what computes the times of a schedule whose time zone is not known.
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

/// `run`, if the schedule of that name was fired by hand for it.
fn fired_by_hand(run: Run, name: &ScheduleName) -> Result<Run, ControlError> {
    let Trigger { kind, name: schedule, details, .. } = &run.trigger;
    let same = *kind == TriggerKind::Schedule
        && schedule.as_deref() == Some(name.as_str())
        && details.as_deref() == Some(BY_HAND);
    if same { Ok(run) } else { Err(StoreError::KeyMismatch { run: run.id }.into()) }
}

/// The nominal times from `start` up to but without `end`, counted up to `most`; none where there are none. The last is the last of all,
/// counted or not.
///
/// # Errors
/// Where the host has no thread for it.
pub(crate) async fn times_between(
    schedule: tidemill_core::schedule::Schedule,
    start: Timestamp,
    end: Timestamp,
    most: u64,
) -> Result<Option<NominalRange>, ControlError> {
    // A cron expression takes some microseconds a time.
    let counted = tokio::task::spawn_blocking(move || {
        let mut span: Option<NominalRange> = None;
        let mut from = scheduler::before(start);
        while let Some(time) = schedule.next_after(from).filter(|time| *time < end) {
            let (first, count) = span.map_or((time, 0), |span| (span.first, span.count));
            if count == most {
                let last = schedule.last_up_to(from, scheduler::before(end)).unwrap_or(time);
                return span.map(|span| NominalRange { last, more: true, ..span });
            }
            (span, from) = (Some(NominalRange { first, last: time, count: count + 1, more: false }), time);
        }
        span
    });
    counted.await.map_err(|error| ControlError::refused(Code::Internal, format!("the count was cut off: {error}")))
}
