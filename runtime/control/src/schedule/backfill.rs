//! Backfills: the runs of a schedule's nominal times in the past, made as an operation, a part in one commit with how far it is then.
//!
//! A part waits while the deployment's queue is full; so a backfill of many never drops a firing for want of room.

use std::ops::Range;

use tidemill_core::run::{Trigger, TriggerKind};
use tidemill_core::schedule::{Overlap, Schedule};
use tidemill_core::{Code, DeploymentName, RunId, ScheduleName, Timestamp};
use tidemill_store::records::{BackfillPart, NewFiring, NominalRange, Operation, OperationState, Task};

use crate::control_plane::ControlPlane;
use crate::deployment::active::ActiveDeployment;
use crate::error::ControlError;
use crate::reconcile::NextTick;
use crate::reconcile::operations::{same_task, start_once};
use crate::reconcile::scheduler::{before, request};
use crate::schedule::manage::{check_zone, times_between};

/// The most nominal times of one backfill.
pub const BACKFILL_MAX: u64 = 100_000;
/// Those that one commit makes.
const PART: usize = 200;
/// How soon to look again where the queue was full, in milliseconds.
const FULL_AGAIN: u64 = 500;
/// How soon to look again if the time zone is not known, in milliseconds.
const UNKNOWN_ZONE_AGAIN: u64 = 60_000;

/// What is to be made up for.
#[derive(Debug, Clone)]
pub struct BackfillRequest {
    /// Of this deployment
    pub deployment: DeploymentName,
    /// and schedule,
    pub schedule: ScheduleName,
    /// from this instant
    pub start: Timestamp,
    /// up to, and without, this one.
    pub end: Timestamp,
    /// What each firing does while runs of the schedule have not ended; they queue where it is left out.
    pub overlap: Option<Overlap>,
    /// The same key again is the same operation.
    pub key: Option<String>,
}

impl ControlPlane {
    /// The nominal times that a backfill of the range would make runs of; none where there are none.
    ///
    /// # Errors
    /// `host/deployment-not-found`, `host/schedule-not-found`; `host/bad-field` where the range is empty, is not over yet, or has more
    /// than [`BACKFILL_MAX`].
    pub async fn backfill_span(&self, ask: &BackfillRequest) -> Result<Option<NominalRange>, ControlError> {
        let (_, schedule) = self.planned(&ask.deployment, &ask.schedule)?;
        check_zone(&schedule)?;
        let field = |detail: String| ControlError::refused(Code::BadField, detail);
        if ask.start >= ask.end {
            return Err(field("the range ends before it starts".to_owned()));
        }
        if ask.end > self.0.clock.now() {
            return Err(field("the range is not over yet: what is to come, the schedule fires by itself".to_owned()));
        }
        let span = times_between(schedule, ask.start, ask.end, BACKFILL_MAX + 1).await?;
        match span.filter(|span| span.count > BACKFILL_MAX) {
            Some(_) => Err(field(format!("the range has more than {BACKFILL_MAX} firings: ask for parts of it"))),
            None => Ok(span),
        }
    }

    /// Begins to make the runs of all nominal times in the range.
    ///
    /// # Errors
    /// As [`ControlPlane::backfill_span`], and where there is nothing in the range; `host/idempotency-mismatch` where the key was used for
    /// another range.
    pub async fn backfill(&self, ask: BackfillRequest) -> Result<Operation, ControlError> {
        self.0.check_open()?;
        let Some(span) = self.backfill_span(&ask).await? else {
            return Err(ControlError::refused(Code::BadField, "the schedule has no firing in that range"));
        };
        let BackfillRequest { deployment, schedule, start, end, overlap, key } = ask;
        let scope = format!("backfill\0{deployment}\0{schedule}");
        let overlap = overlap.unwrap_or(Overlap::QueueAll);
        let task = Task::Backfill { deployment, schedule, start, end, overlap };
        let asked = start_once(task.clone(), &scope, key.as_deref(), self.0.clock.now())?;
        let operation = self.begin(Operation { total: Some(span.count), ..asked }).await?;
        same_task(operation, &task)
    }

    /// One part of it.
    pub(crate) async fn backfill_part(
        &self,
        operation: Operation,
        (deployment, name): (&DeploymentName, &ScheduleName),
        range: Range<Timestamp>,
        now: Timestamp,
    ) -> Result<(Operation, NextTick), ControlError> {
        let Ok((live, schedule)) = self.planned(deployment, name) else {
            // It was taken away meanwhile.
            return Ok((self.cut_off(operation).await?, NextTick::Now));
        };
        if !schedule.spec().time_zone.is_known() {
            return Ok((operation, NextTick::At(now.plus_millis(UNKNOWN_ZONE_AGAIN))));
        }
        let room = live.queue_max(self.0.config.queue_max).saturating_sub(self.0.store.waiting(deployment).await?);
        let most = PART.min(usize::try_from(room).unwrap_or(PART));
        if most == 0 {
            return Ok((operation, NextTick::At(now.plus_millis(FULL_AGAIN))));
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
                self.0.made(&live, fired);
                Ok((operation, NextTick::Now))
            }
            None => Ok((next, NextTick::Now)),
        }
    }

    /// There is no such schedule any more: what is left is not done.
    async fn cut_off(&self, mut operation: Operation) -> Result<Operation, ControlError> {
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
        // Each collects from the one before it.
        let run = request(live, schedule, id, trigger, Some(from), now)?;
        from = *nominal;
        Ok(NewFiring { run, late: false })
    };
    times.iter().zip(crate::random::run_ids(now, times.len())?).map(firing).collect()
}
