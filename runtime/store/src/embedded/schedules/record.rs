//! The records of schedules, and the list of their due times.

use tidemill_core::{DeploymentName, ScheduleName};

use crate::embedded::tables::{DUE, SCHEDULES, name_key, time_key};
use crate::embedded::tx::{ReadTx, WriteTx};
use crate::error::{Result, StoreError};
use crate::records::{Deployment, NextFiring, Schedule};

pub(crate) fn key(deployment: &DeploymentName, name: &ScheduleName) -> Vec<u8> {
    name_key(deployment.as_str(), name.as_str().as_bytes())
}

pub(crate) fn unknown(deployment: &DeploymentName, name: &ScheduleName) -> StoreError {
    StoreError::NotFound { kind: "schedule", name: format!("{deployment}/{name}") }
}

pub(crate) fn get(store: &impl ReadTx, deployment: &DeploymentName, name: &ScheduleName) -> Result<Option<Schedule>> {
    store.record(SCHEDULES, &key(deployment, name))
}

pub(crate) fn of(store: &impl ReadTx, deployment: &DeploymentName) -> Result<Vec<Schedule>> {
    store.records(SCHEDULES, &name_key(deployment.as_str(), &[]))
}

pub(crate) fn with_next(schedule: Schedule, next: Option<NextFiring>) -> Schedule {
    Schedule { next: next.map(|next| next.at), due: next.map(|next| next.due), ..schedule }
}

/// Adds a schedule to the list of due times, or removes it if it or its deployment is paused.
pub(crate) fn place(commit: &mut WriteTx<'_, '_>, deployment: &Deployment, schedule: &Schedule) {
    let Some(next) = schedule.upcoming() else { return };
    let place = time_key(next.due, &key(&schedule.deployment, &schedule.name));
    if schedule.paused.is_some() || deployment.paused.is_some() {
        commit.delete(DUE, &place);
    } else if next.due == next.at {
        commit.put(DUE, &place, &[]);
    } else {
        commit.put(DUE, &place, &next.at.as_millis().to_be_bytes());
    }
}

pub(crate) fn unplace(commit: &mut WriteTx<'_, '_>, schedule: &Schedule) {
    if let Some(next) = schedule.upcoming() {
        commit.delete(DUE, &time_key(next.due, &key(&schedule.deployment, &schedule.name)));
    }
}
