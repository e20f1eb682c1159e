//! The records of incidents within a commit.

use tidemill_core::healing::{Incident, IncidentPhase, TimelineEntry, TimelineEvent};
use tidemill_core::{DeploymentName, Timestamp};

use crate::embedded::deployments;
use crate::embedded::tables::{INCIDENT_TIMELINES, INCIDENTS, INCIDENTS_BY_DEPLOYMENT, META, ROUTES, name_key};
use crate::embedded::tx::{ReadTx, WriteTx, prefix_range};
use crate::error::{Result, StoreError};
use crate::records::{FeedEvent, IncidentUpdate, NewIncident};

/// The key of the number of the last incident.
const LAST: &[u8] = b"incidents";
/// Maximum number of incidents that are kept.
const INCIDENTS_MAX: u64 = 10_000;
/// Maximum number of old incidents that one commit removes.
const REMOVED_MAX: usize = 4;

/// Returns an incident.
pub(super) fn get(store: &impl ReadTx, number: u64) -> Result<Option<Incident>> {
    store.record(INCIDENTS, &number.to_be_bytes())
}

/// Returns the last incident of a deployment, or of the host.
pub(super) fn last(store: &impl ReadTx, deployment: Option<&DeploymentName>) -> Result<Option<Incident>> {
    let prefix = scope(deployment, &[]);
    let found = store.range(INCIDENTS_BY_DEPLOYMENT, prefix_range(&prefix), true, 1)?;
    match found.first().and_then(|(key, _)| number_at_end(key)) {
        Some(number) => get(store, number),
        None => Ok(None),
    }
}

/// Builds the key of an incident under its deployment. The host has no name.
pub(super) fn scope(deployment: Option<&DeploymentName>, rest: &[u8]) -> Vec<u8> {
    name_key(deployment.map_or("", DeploymentName::as_str), rest)
}

/// Reads the number at the end of a key.
pub(super) fn number_at_end(key: &[u8]) -> Option<u64> {
    key.last_chunk::<8>().map(|bytes| u64::from_be_bytes(*bytes))
}

fn entry_key(number: u64, entry: u32) -> Vec<u8> {
    [&number.to_be_bytes()[..], &entry.to_be_bytes()].concat()
}

/// Returns the timeline of an incident.
pub(super) fn timeline(store: &impl ReadTx, number: u64) -> Result<Vec<TimelineEntry>> {
    store.records(INCIDENT_TIMELINES, &number.to_be_bytes())
}

/// Opens an incident, unless its scope has an open one.
pub(super) fn open(commit: &mut WriteTx<'_, '_>, new: &NewIncident) -> Result<Incident> {
    if let Some(open) = last(commit, new.deployment.as_ref())?.filter(|incident| incident.phase.is_open()) {
        return Ok(open);
    }
    if let Some(name) = &new.deployment {
        deployments::get(commit, name)?.ok_or_else(|| deployments::no_deployment(name))?;
    }
    let number = commit.record::<u64>(META, LAST)?.unwrap_or_default() + 1;
    let incident = Incident {
        number,
        deployment: new.deployment.clone(),
        severity: new.severity,
        phase: IncidentPhase::Detected,
        reason: new.reason.clone(),
        revision: new.revision,
        began_at: new.began_at,
        detected_at: new.entry.at,
        ended_at: None,
        cause: new.cause,
        rung: 0,
        repairs: Vec::new(),
        returns: 0,
        acknowledged: None,
        part_of: None,
        entries: 1,
        version: 1,
    };
    commit.put_record(META, LAST, &number)?;
    commit.put_record(INCIDENTS, &number.to_be_bytes(), &incident)?;
    commit.put(INCIDENTS_BY_DEPLOYMENT, &scope(new.deployment.as_ref(), &number.to_be_bytes()), &[]);
    commit.put_record(INCIDENT_TIMELINES, &entry_key(number, 1), &new.entry)?;
    announce(commit, &incident, new.entry.at)?;
    remove_old(commit, number)?;
    Ok(incident)
}

/// Removes incidents that have ended, beyond the maximum number.
fn remove_old(commit: &mut WriteTx<'_, '_>, newest: u64) -> Result<()> {
    let end = newest.saturating_sub(INCIDENTS_MAX);
    for (key, _) in commit.range(INCIDENTS, vec![0]..end.to_be_bytes().to_vec(), false, REMOVED_MAX)? {
        let Some(number) = number_at_end(&key) else { continue };
        let Some(incident) = get(commit, number)?.filter(|incident| !incident.phase.is_open()) else { continue };
        for (entry, _) in commit.scan_prefix(INCIDENT_TIMELINES, &key, usize::MAX)? {
            commit.delete(INCIDENT_TIMELINES, &entry);
        }
        commit.delete(INCIDENTS_BY_DEPLOYMENT, &scope(incident.deployment.as_ref(), &key));
        commit.delete(INCIDENTS, &key);
    }
    Ok(())
}

/// Changes an incident.
pub(crate) fn update(commit: &mut WriteTx<'_, '_>, update: &IncidentUpdate) -> Result<Incident> {
    let number = update.incident.number;
    let stored = get(commit, number)?.ok_or_else(|| no_incident(number))?;
    if (stored.version, stored.entries) != (update.incident.version, update.incident.entries) {
        return Err(StoreError::IncidentChanged { number });
    }
    let mut incident = update.incident.clone();
    for entry in &update.entries {
        incident.entries += 1;
        commit.put_record(INCIDENT_TIMELINES, &entry_key(number, incident.entries), entry)?;
    }
    if let Some(undone) = update.undone {
        let key = entry_key(number, undone);
        if let Some(entry) = commit.record::<TimelineEntry>(INCIDENT_TIMELINES, &key)? {
            commit.put_record(INCIDENT_TIMELINES, &key, &TimelineEntry { undone: true, ..entry })?;
        }
    }
    incident.version += 1;
    commit.put_record(INCIDENTS, &number.to_be_bytes(), &incident)?;
    let seen = |incident: &Incident| (incident.phase, incident.severity, incident.acknowledged.is_some());
    if seen(&stored) != seen(&incident) {
        announce(commit, &incident, update.now)?;
    }
    Ok(incident)
}

/// Closes the open incident of a deployment that is deleted, and forgets where its runs go.
pub(crate) fn on_deletion(commit: &mut WriteTx<'_, '_>, deployment: &DeploymentName, now: Timestamp) -> Result<()> {
    commit.delete(ROUTES, deployment.as_str().as_bytes());
    if let Some(open) = last(commit, Some(deployment))?.filter(|incident| incident.phase.is_open()) {
        let incident = Incident { phase: IncidentPhase::Closed, ended_at: Some(now), ..open };
        let entry = TimelineEntry::of_host(now, TimelineEvent::Closed, "the deployment was deleted");
        update(commit, &IncidentUpdate::new(incident, entry))?;
    }
    Ok(())
}

fn announce(commit: &mut WriteTx<'_, '_>, incident: &Incident, at: Timestamp) -> Result<()> {
    commit.announce(
        at,
        &FeedEvent::Incident {
            number: incident.number,
            deployment: incident.deployment.clone(),
            severity: incident.severity,
            phase: incident.phase,
            acknowledged: incident.acknowledged.is_some(),
            reason: incident.reason.clone(),
        },
    )
}

pub(super) fn no_incident(number: u64) -> StoreError {
    StoreError::NotFound { kind: "incident", name: number.to_string() }
}
