//! The rows of incidents, and the other rows that repairs write.

use tidemill_core::healing::{
    Evidence, EvidenceFigure, FailureCause, Incident, IncidentActor, IncidentPhase, IncidentSeverity, RepairRecord,
    RepairResult, RepairStep, TimelineEntry, TimelineEvent,
};
use tidemill_core::{DeploymentName, Revision, RunId};

use super::at;
use super::records::Rows;
use crate::embedded::EmbeddedStore;
use crate::embedded::tables::{HEALTHY_REVISIONS, INCIDENT_TIMELINES, INCIDENTS, ROUTES};
use crate::records::{FeedEvent, HealthyRevisions, IncidentUpdate, NewIncident, StandbyRoute};
use crate::traits::{HealthStore as _, IncidentStore as _};

/// Opens an incident and takes a step.
pub(super) async fn incident(store: &EmbeddedStore) {
    let shop: DeploymentName = "shop".parse().unwrap();
    store.record_healthy_revision(&shop, Revision::new(1)).await.unwrap();
    let evidence = Evidence {
        figures: vec![EvidenceFigure { name: "failure-rate".to_owned(), value: 0.5, limit: Some(0.1) }],
        runs: vec![(RunId::new(at(1), 1), "host/trap".to_owned())],
        lines: vec!["no answer".to_owned()],
    };
    let detected = TimelineEvent::Detected;
    let new = NewIncident {
        deployment: Some(shop.clone()),
        severity: IncidentSeverity::Critical,
        reason: "it fails".to_owned(),
        revision: Some(Revision::new(1)),
        began_at: at(96),
        cause: FailureCause::Module,
        entry: TimelineEntry { evidence, ..TimelineEntry::of_host(at(97), detected, "it is unhealthy") },
    };
    let mut incident = store.open_incident(new).await.unwrap();
    incident.repairs.push(RepairRecord {
        step: RepairStep::Standby,
        rung: 3,
        at: at(98),
        result: RepairResult::Pending,
        entry: 2,
        revisions: None,
        run: None,
    });
    (incident.phase, incident.acknowledged) = (IncidentPhase::Verifying, Some(("ann".to_owned(), at(98))));
    let change = Some("new runs → spare".to_owned());
    let entry =
        TimelineEntry { change, ..TimelineEntry::of_host(at(98), TimelineEvent::Repaired, "`spare` takes the runs") };
    let to = StandbyRoute { to: "spare".parse().unwrap(), incident: incident.number, since: at(98) };
    store.route_runs(IncidentUpdate::new(incident, entry), Some(to)).await.unwrap();
}

/// Adds a value of each type about incidents, with each variant of its enums.
pub(super) fn healing(rows: &mut Rows) {
    let steps = RepairStep::DEFAULT.into_iter().chain([RepairStep::Runbook("fix".parse().unwrap())]);
    let results = [RepairResult::Pending, RepairResult::Effective, RepairResult::Ineffective, RepairResult::Undone];
    let repairs = steps.enumerate().map(|(place, step)| RepairRecord {
        step,
        rung: u32::try_from(place).unwrap(),
        at: at(3),
        result: results[place % results.len()],
        entry: 2,
        revisions: (place == 2).then_some((Revision::new(7), Revision::new(8))),
        run: (place == 5).then_some(RunId::new(at(3), 1)),
    });
    let incident = Incident {
        number: 12,
        deployment: Some("shop".parse().unwrap()),
        severity: IncidentSeverity::Critical,
        phase: IncidentPhase::Verifying,
        reason: "it fails".to_owned(),
        revision: Some(Revision::new(7)),
        began_at: at(1),
        detected_at: at(2),
        ended_at: Some(at(4)),
        cause: FailureCause::Upstream,
        rung: 3,
        repairs: repairs.collect(),
        returns: 1,
        acknowledged: Some(("ann".to_owned(), at(3))),
        part_of: Some(11),
        entries: 5,
        version: 6,
    };
    rows.add(INCIDENTS, "incident", &incident);
    for phase in IncidentPhase::ALL {
        rows.add(INCIDENTS, phase.as_str(), &phase);
    }
    let causes = [FailureCause::Unknown, FailureCause::Module, FailureCause::Upstream];
    rows.add(INCIDENTS, "causes", &causes);
    rows.add(INCIDENTS, "severities", &[IncidentSeverity::Warning, IncidentSeverity::Critical]);
    let actors =
        [IncidentActor::Host, IncidentActor::Runbook(RunId::new(at(1), 1)), IncidentActor::Person("ann".to_owned())];
    for (actor, event) in actors.into_iter().cycle().zip(EVENTS) {
        let entry = TimelineEntry::new(at(2), actor, event, "what happened");
        rows.add(INCIDENT_TIMELINES, event.as_str(), &entry);
    }
    let revisions = HealthyRevisions { last: Revision::new(8), before: Some(Revision::new(6)) };
    rows.add(HEALTHY_REVISIONS, "healthy revisions", &revisions);
    rows.add(ROUTES, "route", &StandbyRoute { to: "spare".parse().unwrap(), incident: 12, since: at(3) });
}

const EVENTS: [TimelineEvent; 13] = [
    TimelineEvent::Detected,
    TimelineEvent::Worsened,
    TimelineEvent::Assessed,
    TimelineEvent::Repaired,
    TimelineEvent::Advised,
    TimelineEvent::Failed,
    TimelineEvent::Undone,
    TimelineEvent::Escalated,
    TimelineEvent::Resolved,
    TimelineEvent::Returned,
    TimelineEvent::Acknowledged,
    TimelineEvent::Comment,
    TimelineEvent::Closed,
];

pub(super) fn event() -> FeedEvent {
    FeedEvent::Incident {
        number: 12,
        deployment: Some("shop".parse().unwrap()),
        severity: IncidentSeverity::Critical,
        phase: IncidentPhase::Recovering,
        acknowledged: false,
        reason: "it fails".to_owned(),
    }
}
