//! Carries out the changes of alerts.

use tidemill_core::alerts::{
    Acknowledgement, Alert, AlertState, AlertStep, AlertTransition, Notification, NotificationState,
};
use tidemill_core::{AlertId, Code, NotificationId, Timestamp};

use super::{get, notifications, open_key};
use crate::embedded::tables::{ALERTS, OPEN_ALERTS, RESOLVED_ALERTS, time_key};
use crate::embedded::tx::{ReadTx, WriteTx};
use crate::error::{Result, StoreError};
use crate::records::{AlertCommand, AlertCommit, FeedEvent};

/// Carries out one change. Returns the alert in its present state; `None` if it does not exist.
pub(super) fn apply(commit: &mut WriteTx<'_, '_>, change: AlertCommit, now: Timestamp) -> Result<Option<Alert>> {
    let AlertCommit { change, random } = change;
    match change {
        AlertCommand::Fire { alert, announcement } => {
            if let Some(id) = commit.record::<AlertId>(OPEN_ALERTS, &open_key(&alert.key))? {
                return get(commit, id);
            }
            commit.put_record(OPEN_ALERTS, &open_key(&alert.key), &alert.id)?;
            announce(commit, &alert, "firing", now)?;
            match announcement.map(|step| alert.next(step)) {
                Some(Ok(transition)) => store(commit, transition, random, now).map(Some),
                _ => put(commit, *alert).map(Some),
            }
        }
        AlertCommand::Step { id, step } => {
            let Some(alert) = get(commit, id)? else { return Ok(None) };
            take(commit, alert, step, random, now).map(Some)
        }
    }
}

/// Takes a step, if the alert's state allows it.
fn take(commit: &mut WriteTx<'_, '_>, alert: Alert, step: AlertStep, random: u128, now: Timestamp) -> Result<Alert> {
    let change = match &step {
        AlertStep::Announce { .. } | AlertStep::Repeat { .. } => None,
        AlertStep::Raise { .. } => Some("raised"),
        AlertStep::Escalate { .. } => Some("escalated"),
        AlertStep::Acknowledge(_) => Some("acknowledged"),
        AlertStep::Resolve { .. } => Some("resolved"),
    };
    let Ok(transition) = alert.next(step) else { return Ok(alert) };
    if let Some(change) = change {
        announce(commit, &transition.alert, change, now)?;
    }
    store(commit, transition, random, now)
}

/// Records that a person has seen an alert.
pub(super) fn acknowledge(
    commit: &mut WriteTx<'_, '_>,
    id: AlertId,
    acknowledgement: Acknowledgement,
) -> Result<Alert> {
    let alert = get(commit, id)?;
    let alert = alert.ok_or_else(|| StoreError::NotFound { kind: "alert", name: id.to_string() })?;
    let now = acknowledgement.at;
    match alert.state {
        AlertState::Acknowledged(_) => Ok(alert),
        AlertState::Firing => take(commit, alert, AlertStep::Acknowledge(acknowledgement), 0, now),
        AlertState::Resolved { at, .. } => Err(StoreError::EffectImpossible {
            code: Code::AlertResolved,
            detail: format!("alert {id} is over since {at}"),
        }),
    }
}

/// Stores an alert after a step, and what the step sends.
fn store(commit: &mut WriteTx<'_, '_>, transition: AlertTransition, random: u128, now: Timestamp) -> Result<Alert> {
    let AlertTransition { alert, notice } = transition;
    for (number, channel) in notice.iter().flat_map(|notice| &notice.channels).enumerate() {
        let Some(kind) = notice.as_ref().map(|notice| notice.kind) else { break };
        let notification = Notification {
            id: NotificationId::new(now, random.wrapping_add(number as u128)),
            alert: alert.id,
            channel: channel.clone(),
            kind,
            key: alert.key.clone(),
            severity: alert.severity,
            labels: alert.labels.clone(),
            summary: alert.summary.clone(),
            fired_at: alert.fired_at,
            created_at: now,
            tries: 0,
            error: String::new(),
            state: NotificationState::Waiting,
        };
        notifications::add(commit, notification)?;
    }
    if let AlertState::Resolved { at, .. } = alert.state {
        commit.delete(OPEN_ALERTS, &open_key(&alert.key));
        commit.put(RESOLVED_ALERTS, &time_key(at, &alert.id.to_bytes()), &[]);
    }
    put(commit, alert)
}

fn put(commit: &mut WriteTx<'_, '_>, alert: Alert) -> Result<Alert> {
    commit.put_record(ALERTS, &alert.id.to_bytes(), &alert)?;
    Ok(alert)
}

fn announce(commit: &mut WriteTx<'_, '_>, alert: &Alert, change: &str, now: Timestamp) -> Result<()> {
    let event = FeedEvent::Alert {
        id: alert.id,
        rule: alert.key.rule.clone(),
        deployment: alert.key.deployment.clone(),
        subject: alert.key.subject.clone(),
        severity: alert.severity,
        change: change.to_owned(),
        summary: alert.summary.clone(),
    };
    commit.announce(now, &event)
}
