//! The incident of the host: what is wrong with all deployments at once is not repaired in any of
//! them.

use tidemill_core::Timestamp;
use tidemill_core::healing::{
    Evidence, EvidenceFigure, FailureCause, Incident, IncidentPhase, IncidentSeverity, TimelineEntry, TimelineEvent,
};
use tidemill_store::StoreError;
use tidemill_store::records::{IncidentUpdate, NewIncident};

use crate::health::Vital;
use crate::state::HostState;

/// Share of the deployments that are unhealthy together, in per cent, from which it is the host.
const SHARE_PERCENT: usize = 30;
/// Minimum number of them.
const UNHEALTHY_MIN: usize = 3;
/// Number of readings in a row at which a vital that may recover by itself is trouble.
const READINGS_MIN: u32 = 2;
/// Incidents of deployments that were opened within this time before the host's incident are a part
/// of it, in milliseconds.
const TOGETHER_MILLIS: u64 = 60_000;

/// The trouble of the host.
struct HostTrouble {
    reason: String,
    figures: Vec<EvidenceFigure>,
}

/// Opens the incident of the host, or resolves it. Returns when it must be looked at again.
///
/// # Errors
/// Errors of the store.
pub(super) async fn step(host: &HostState, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
    let open = host.healing.open_incident(None);
    let trouble = trouble_of(host, open.is_some(), now);
    match (open, trouble) {
        (None, Some(trouble)) => self::open(host, trouble, now).await?,
        (Some(incident), None) => {
            let number = incident.number;
            let incident = Incident { phase: IncidentPhase::Resolved, ended_at: Some(now), ..incident };
            let entry = TimelineEntry::of_host(now, TimelineEvent::Resolved, "nothing is wrong with the host any more");
            host.healing.update(&*host.store, &host.metrics, IncidentUpdate::new(incident, entry)).await?;
            tracing::info!(number, "resolved an incident of the host");
        }
        (None, None) | (Some(_), Some(_)) => {}
    }
    Ok(None)
}

fn trouble_of(host: &HostState, is_open: bool, now: Timestamp) -> Option<HostTrouble> {
    let vitals = host.health.vitals.last();
    let abnormal: Vec<_> = vitals.iter().filter(|vital| vital.problem.is_some() && is_cause(vital)).collect();
    if let Some(first) = abnormal.first() {
        let figure =
            |vital: &&Vital| EvidenceFigure { name: vital.name.to_owned(), value: vital.value, limit: vital.limit };
        let reason = first.problem.clone().unwrap_or_default();
        return Some(HostTrouble { reason, figures: abnormal.iter().map(figure).collect() });
    }
    let share = host.health.share(now);
    // Once open, it lasts until most of the deployments work again.
    let count = if is_open { share.unhealthy } else { share.recent };
    (count >= UNHEALTHY_MIN && count * 100 > share.all * SHARE_PERCENT).then(|| HostTrouble {
        reason: format!("{count} of {} deployments became unhealthy together", share.all),
        figures: Vec::new(),
    })
}

/// Whether a vital can be the cause of failures. A full host is slow, and its runs wait.
fn is_cause(vital: &Vital) -> bool {
    match vital.name {
        "run-slots" => false,
        "free-disk" | "store-damage" => true,
        _ => vital.readings >= READINGS_MIN,
    }
}

async fn open(host: &HostState, trouble: HostTrouble, now: Timestamp) -> Result<(), StoreError> {
    let HostTrouble { reason, figures } = trouble;
    let text = format!("{reason}; no deployment is repaired until this is over");
    let evidence = Evidence { figures, ..Evidence::default() };
    let new = NewIncident {
        deployment: None,
        severity: IncidentSeverity::Critical,
        reason,
        revision: None,
        began_at: now,
        cause: FailureCause::Unknown,
        entry: TimelineEntry { evidence, ..TimelineEntry::of_host(now, TimelineEvent::Detected, text) },
    };
    let opened = host.store.open_incident(new).await?;
    host.metrics.healing.count_opening(&opened);
    tracing::warn!(number = opened.number, reason = opened.reason, "opened an incident of the host");
    host.healing.keep(opened.clone(), &host.metrics);
    // What has just begun in a deployment is a part of it.
    for name in host.healing.with_open_incidents() {
        let Some(incident) = host.healing.open_incident(Some(&name)) else { continue };
        if now.millis_since(incident.detected_at) > TOGETHER_MILLIS || !incident.repairs.is_empty() {
            continue;
        }
        let text = format!("this is a part of incident {} of the host", opened.number);
        let incident =
            Incident { phase: IncidentPhase::Closed, ended_at: Some(now), part_of: Some(opened.number), ..incident };
        let entry = TimelineEntry::of_host(now, TimelineEvent::Closed, text);
        host.healing.update(&*host.store, &host.metrics, IncidentUpdate::new(incident, entry)).await?;
    }
    Ok(())
}
