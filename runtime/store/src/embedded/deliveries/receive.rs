//! Stores a delivery together with its request for a run.

use tidemill_core::delivery::DeliveryOutcome;
use tidemill_core::run::Run;
use tidemill_core::{Code, DeliveryId};

use crate::embedded::deliveries::duplicates::{self, Precedent};
use crate::embedded::deliveries::{backlog, body, keys, progress};
use crate::embedded::deployments;
use crate::embedded::tables::{DELIVERIES, DELIVERIES_BY_OBJECT, DEPLOYMENTS};
use crate::embedded::tx::{ReadTx, WriteTx};
use crate::embedded::usage;
use crate::error::{Result, StoreError};
use crate::records::{
    DeliveryAdmission, DeliveryProgress, DeliveryReceipt, HookDelivery, NewDelivery, NewRun, RunRequestResult,
};

pub(crate) fn receive(commit: &mut WriteTx<'_, '_>, new: &NewDelivery) -> Result<DeliveryReceipt> {
    let delivery = &new.delivery;
    let HookDelivery { id, deployment, received_at: now, .. } = delivery;
    match duplicates::find(commit, new)? {
        Precedent::New => {}
        Precedent::Duplicate(first) => {
            count_duplicate(commit, delivery, first)?;
            return Ok(DeliveryReceipt::Duplicate(first));
        }
        Precedent::Forged(known) => {
            let kept = duplicates::count_evidence(commit, delivery, known)?;
            if kept {
                check_room(commit, delivery)?;
                store(commit, new, DeliveryOutcome::Refused)?;
            }
            return Ok(DeliveryReceipt::Refused { first: known.delivery, kept });
        }
    }
    check_room(commit, delivery)?;
    duplicates::remember(commit, new)?;
    match &new.admission {
        DeliveryAdmission::NoRun(outcome) => {
            store(commit, new, *outcome)?;
            Ok(DeliveryReceipt::NoRun)
        }
        DeliveryAdmission::Run(run) if backlog::has_room(commit, deployment, run)? => {
            let mut progress = store(commit, new, DeliveryOutcome::Stored)?;
            let run = request(commit, *id, run)?;
            progress::note_run(commit, deployment, *id, &mut progress, run.id, *now)?;
            progress::put(commit, deployment, *id, &progress)?;
            Ok(DeliveryReceipt::Queued(Box::new(run)))
        }
        DeliveryAdmission::Run(_) | DeliveryAdmission::Wait => {
            store(commit, new, DeliveryOutcome::Stored)?;
            backlog::add(commit, deployment, *id)?;
            Ok(DeliveryReceipt::Waiting)
        }
    }
}

/// Requests the run of a delivery, whose trigger names the delivery.
pub(crate) fn request(commit: &mut WriteTx<'_, '_>, id: DeliveryId, new: &NewRun) -> Result<Run> {
    if new.trigger.id.as_ref().is_none_or(|named| *named != id.to_string()) {
        return Err(StoreError::IllegalTransition(format!("run {} names another delivery as its trigger", new.id)));
    }
    let (RunRequestResult::Created(run) | RunRequestResult::Existing(run) | RunRequestResult::Joined(run)) =
        crate::embedded::runs::request(commit, new)?;
    Ok(run)
}

/// Writes a delivery and its body, and returns its progress.
fn store(commit: &mut WriteTx<'_, '_>, new: &NewDelivery, outcome: DeliveryOutcome) -> Result<DeliveryProgress> {
    let delivery = &new.delivery;
    let HookDelivery { id, deployment, received_at: now, .. } = delivery;
    if commit.bytes(DELIVERIES, &id.to_bytes())?.is_some() {
        return Err(StoreError::IllegalTransition(format!("delivery {id} already exists")));
    }
    commit.put_record(DELIVERIES, &id.to_bytes(), delivery)?;
    body::put(commit, deployment, *id, &new.body)?;
    if let Some(object) = &delivery.object {
        commit.put(DELIVERIES_BY_OBJECT, &keys::by_object(deployment, object, *id), &[]);
    }
    let mut progress = DeliveryProgress {
        hook: delivery.hook.clone(),
        outcome,
        first_run: None,
        last_run: None,
        runs: 0,
        duplicates: 0,
        last_duplicate_at: None,
        settled_at: None,
    };
    if outcome.is_open() {
        progress::announce(commit, deployment, *id, &progress, outcome.as_str(), *now)?;
    } else {
        progress::settle(commit, deployment, *id, &mut progress, outcome, *now)?;
    }
    progress::put(commit, deployment, *id, &progress)?;
    Ok(progress)
}

/// Counts a duplicate in the first delivery.
fn count_duplicate(commit: &mut WriteTx<'_, '_>, delivery: &HookDelivery, first: DeliveryId) -> Result<()> {
    let Some(mut progress) = progress::get(commit, &delivery.deployment, first)? else { return Ok(()) };
    progress.duplicates = progress.duplicates.saturating_add(1);
    progress.last_duplicate_at = Some(delivery.received_at);
    progress::put(commit, &delivery.deployment, first, &progress)
}

/// Refuses a delivery to a deployment that does not exist, or that has used up its payloads. The
/// number of runs and of log lines only delays the run.
fn check_room(commit: &WriteTx<'_, '_>, delivery: &HookDelivery) -> Result<()> {
    let name = &delivery.deployment;
    if commit.bytes(DEPLOYMENTS, name.as_str().as_bytes())?.is_none() {
        return Err(deployments::no_deployment(name));
    }
    match usage::check_new_run(commit, name) {
        Err(error @ StoreError::OverBound { code: Code::QuotaPayloads, .. }) => Err(error),
        _ => Ok(()),
    }
}
