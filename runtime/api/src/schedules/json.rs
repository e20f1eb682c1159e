//! The wire form of a schedule.

use tidemill_api_types as shapes;
use tidemill_control::ControlPlane;
use tidemill_store::records::{FiringEntry, NominalRange, Schedule};

use crate::wire::FromRecord;

impl<'a> FromRecord<(&'a Schedule, &ControlPlane)> for shapes::Schedule<'a> {
    fn of((schedule, host): (&'a Schedule, &ControlPlane)) -> Self {
        let (enabled, deployment_paused) = host.fires(&schedule.deployment).unwrap_or((true, false));
        let block = host.block_of(&schedule.deployment, &schedule.name);
        Self {
            deployment: schedule.deployment.as_str().into(),
            name: schedule.name.as_str().into(),
            revision: schedule.revision.get(),
            next: schedule.next.map(shapes::Time),
            paused: schedule.paused.as_ref().map(shapes::Pause::of),
            last: schedule.last.map(shapes::Time),
            last_run: schedule.last_run,
            state: match schedule {
                Schedule { left: Some(0), .. } => "ended",
                Schedule { paused: Some(_), .. } => "paused",
                _ if !enabled => "disabled",
                Schedule { next: None, .. } => "ended",
                _ if block.is_some() => "blocked",
                _ if deployment_paused => "deployment-paused",
                _ => "active",
            }
            .into(),
            blocked: block.map(|block| block.detail),
            silent_until: schedule.silent_until(host.clock().now()).map(shapes::Time),
            remaining: schedule.left,
            fired: schedule.fired,
            skipped: schedule.skipped,
            dropped: schedule.dropped,
            late: schedule.late,
            missed: schedule.missed,
            by_hand: schedule.by_hand,
            waiting: schedule.waiting,
            failures: schedule.failures,
        }
    }
}

impl<'a> FromRecord<&'a FiringEntry> for shapes::Firing<'a> {
    fn of(entry: &'a FiringEntry) -> Self {
        Self {
            what: entry.fate.as_str().into(),
            code: (&entry.code).into(),
            first: shapes::Time(entry.first),
            last: shapes::Time(entry.last),
            count: entry.count,
            more: entry.more,
            seen: shapes::Time(entry.seen),
            run: entry.run,
            operation: entry.operation.as_deref().map(Into::into),
        }
    }
}

impl FromRecord<Option<NominalRange>> for shapes::BackfillPlan {
    fn of(span: Option<NominalRange>) -> Self {
        Self {
            count: span.map_or(0, |span| span.count),
            first: span.map(|span| shapes::Time(span.first)),
            last: span.map(|span| shapes::Time(span.last)),
        }
    }
}
