//! Backfills: an operation that creates the runs of a schedule's past nominal times. One commit
//! creates a part of them together with the progress.
//!
//! A part waits while the deployment's queue is full, so a large backfill never drops a firing for
//! want of room.

use std::ops::Range;

use tidemill_core::run::{Trigger, TriggerKind};
use tidemill_core::schedule::{Overlap, Schedule};
use tidemill_core::{Code, DeploymentName, RunId, ScheduleName, Timestamp};
use tidemill_store::records::{BackfillPart, NewFiring, NominalRange, Operation, OperationState, Task};

use crate::deployment::active::ActiveDeployment;
use crate::error::ControlError;
use crate::operation::{same_task, start_once};
use crate::reconcile::NextTick;
use crate::schedule::firing::{before, request, times_between};
use crate::schedule::manage::check_zone;
use crate::state::ControlPlane;

/// Maximum number of nominal times of one backfill.
pub const BACKFILL_MAX: u64 = 100_000;
/// Maximum number of nominal times per commit.
const PART: usize = 200;
/// Interval between checks of a full queue, in milliseconds.
const FULL_INTERVAL: u64 = 500;
/// Interval between checks of an unknown time zone, in milliseconds.
const UNKNOWN_ZONE_INTERVAL: u64 = 60_000;

/// A request for a backfill.
#[derive(Debug, Clone)]
pub struct BackfillRequest {
    /// The deployment of the schedule.
    pub deployment: DeploymentName,
    /// The schedule.
    pub schedule: ScheduleName,
    /// The first instant of the range.
    pub start: Timestamp,
    /// The first instant after the range.
    pub end: Timestamp,
    /// The overlap policy of each firing; by default they queue.
    pub overlap: Option<Overlap>,
    /// Idempotency key: the same key returns the same operation.
    pub key: Option<String>,
}

impl ControlPlane {
    /// Returns the nominal times for which a backfill of the range would create runs; `None` if
    /// there are none.
    ///
    /// # Errors
    /// `host/deployment-not-found`, `host/schedule-not-found`; `host/bad-field` if the range is
    /// empty, is not over yet, or has more than [`BACKFILL_MAX`] nominal times.
    pub async fn backfill_span(&self, request: &BackfillRequest) -> Result<Option<NominalRange>, ControlError> {
        let (_, schedule) = self.resolve_schedule(&request.deployment, &request.schedule)?;
        check_zone(&schedule)?;
        let field = |detail: String| ControlError::refused(Code::BadField, detail);
        if request.start >= request.end {
            return Err(field("the range ends before it starts".to_owned()));
        }
        if request.end > self.0.clock.now() {
            return Err(field("the range is not over yet; the schedule fires future times itself".to_owned()));
        }
        let span = times_between(schedule, request.start, request.end, BACKFILL_MAX + 1).await?;
        match span.filter(|span| span.count > BACKFILL_MAX) {
            Some(_) => Err(field(format!("the range has more than {BACKFILL_MAX} firings; request it in parts"))),
            None => Ok(span),
        }
    }

    /// Starts a backfill of all nominal times in the range.
    ///
    /// # Errors
    /// As [`ControlPlane::backfill_span`], and if the range has no nominal time;
    /// `host/idempotency-mismatch` if the key was used for another range.
    pub async fn backfill(&self, request: BackfillRequest) -> Result<Operation, ControlError> {
        self.0.shutdown.check_open()?;
        let Some(span) = self.backfill_span(&request).await? else {
            return Err(ControlError::refused(Code::BadField, "the schedule has no firing in that range"));
        };
        let BackfillRequest { deployment, schedule, start, end, overlap, key } = request;
        let scope = format!("backfill\0{deployment}\0{schedule}");
        let overlap = overlap.unwrap_or(Overlap::QueueAll);
        let task = Task::Backfill { deployment, schedule, start, end, overlap };
        let operation = start_once(task.clone(), &scope, key.as_deref(), self.0.clock.now())?;
        let operation = self.begin(Operation { total: Some(span.count), ..operation }).await?;
        same_task(operation, &task)
    }

    /// Executes one part of a backfill.
    pub(crate) async fn backfill_part(
        &self,
        operation: Operation,
        (deployment, name): (&DeploymentName, &ScheduleName),
        range: Range<Timestamp>,
        now: Timestamp,
    ) -> Result<(Operation, NextTick), ControlError> {
        let Ok((live, schedule)) = self.resolve_schedule(deployment, name) else {
            // The schedule was deleted.
            return Ok((self.end_without_schedule(operation).await?, NextTick::Now));
        };
        if !schedule.spec().time_zone.is_known() {
            return Ok((operation, NextTick::At(now.plus_millis(UNKNOWN_ZONE_INTERVAL))));
        }
        let room = live.queue_max(self.0.config.queue_max).saturating_sub(self.0.store.queue_length(deployment).await?);
        let most = PART.min(usize::try_from(room).unwrap_or(PART));
        if most == 0 {
            return Ok((operation, NextTick::At(now.plus_millis(FULL_INTERVAL))));
        }
        let seen = operation.cursor.clone();
        let from = seen.as_deref().and_then(|cursor| cursor.first_chunk()).map(|bytes| u64::from_be_bytes(*bytes));
        let from = from.map_or(before(range.start), Timestamp::from_millis);
        let mut times = schedule.preview(from, most + 1);
        times.retain(|time| *time < range.end);
        let over = times.len() <= most;
        times.truncate(most);
        let begins = if seen.is_some() { from } else { range.start };
        let firings = firings(&live, &schedule, &operation.id, begins, &times, now)?;
        let mut next = operation;
        next.matched += times.len() as u64;
        next.cursor = times.last().map(|time| time.as_millis().to_be_bytes().to_vec());
        if over {
            next.cursor = None;
            next.state = OperationState::Done;
            next.ended_at = Some(now);
        }
        let part = BackfillPart { operation: next.clone(), seen, firings, queue: u64::MAX };
        match self.0.store.backfill(part, now).await? {
            Some((operation, fired)) => {
                self.0.effects.on_runs_created(&live, fired);
                Ok((operation, NextTick::Now))
            }
            None => Ok((next, NextTick::Now)),
        }
    }

    /// Ends a backfill whose schedule no longer exists. The rest counts as failed.
    async fn end_without_schedule(&self, mut operation: Operation) -> Result<Operation, ControlError> {
        let left = operation.total.unwrap_or_default().saturating_sub(operation.matched);
        operation.matched += left;
        operation.failed += left;
        self.page_done(operation, None).await
    }
}

fn firings(
    live: &ActiveDeployment,
    schedule: &Schedule,
    operation: &str,
    begins: Timestamp,
    times: &[Timestamp],
    now: Timestamp,
) -> Result<Vec<NewFiring>, ControlError> {
    let mut from = begins;
    let firing = |(nominal, id): (&Timestamp, RunId)| {
        let trigger = Trigger {
            kind: TriggerKind::Schedule,
            name: Some(schedule.name().to_string()),
            id: Some(operation.to_owned()),
            at: Some(*nominal),
            parent: None,
            details: Some(Trigger::BACKFILL.to_owned()),
        };
        // Each collection starts where the previous one ended.
        let run = request(live, schedule, id, trigger, Some(from), now)?;
        from = *nominal;
        Ok(NewFiring { run, late: false })
    };
    times.iter().zip(crate::random::run_ids(now, times.len())).map(firing).collect()
}
