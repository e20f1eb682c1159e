//! The wire form of incidents.

use tidemill_api_types as shapes;
use tidemill_control::IncidentDetails;
use tidemill_core::healing::{Evidence, Incident, IncidentActor, RepairRecord, TimelineEntry};

pub fn incident(incident: &Incident) -> shapes::Incident<'_> {
    let acknowledged = incident.acknowledged.as_ref();
    shapes::Incident {
        number: incident.number,
        deployment: incident.deployment.as_ref().map(|name| name.as_str().into()),
        severity: incident.severity.as_str().into(),
        phase: incident.phase.as_str().into(),
        reason: incident.reason.as_str().into(),
        cause: incident.cause.as_str().into(),
        revision: incident.revision.map(|revision| revision.get()),
        began_at: incident.began_at.into(),
        detected_at: incident.detected_at.into(),
        ended_at: incident.ended_at.map(Into::into),
        returns: incident.returns,
        acknowledged_by: acknowledged.map(|(person, _)| person.as_str().into()),
        acknowledged_at: acknowledged.map(|(_, at)| (*at).into()),
        part_of: incident.part_of,
        repairs: incident.repairs.iter().map(repair).collect(),
    }
}

fn repair(repair: &RepairRecord) -> shapes::Repair<'_> {
    shapes::Repair {
        step: repair.step.to_string().into(),
        at: repair.at.into(),
        result: repair.result.as_str().into(),
        run: repair.run.map(|run| run.to_string()),
    }
}

pub fn details(details: &IncidentDetails) -> shapes::IncidentDetails<'_> {
    shapes::IncidentDetails {
        incident: incident(&details.incident),
        timeline: details.timeline.iter().map(entry).collect(),
    }
}

fn entry(entry: &TimelineEntry) -> shapes::TimelineEntry<'_> {
    let (actor, name) = match &entry.actor {
        IncidentActor::Host => ("host", None),
        IncidentActor::Runbook(run) => ("runbook", Some(run.to_string().into())),
        IncidentActor::Person(name) => ("person", Some(name.as_str().into())),
    };
    shapes::TimelineEntry {
        at: entry.at.into(),
        actor: actor.into(),
        name,
        event: entry.event.as_str().into(),
        text: entry.text.as_str().into(),
        change: entry.change.as_deref().map(Into::into),
        undone: entry.undone,
        evidence: evidence(&entry.evidence),
    }
}

fn evidence(evidence: &Evidence) -> shapes::IncidentEvidence<'_> {
    let figure = |figure: &'_ tidemill_core::healing::EvidenceFigure| shapes::EvidenceFigure {
        name: figure.name.clone().into(),
        value: figure.value,
        limit: figure.limit,
    };
    shapes::IncidentEvidence {
        figures: evidence.figures.iter().map(figure).collect(),
        runs: evidence
            .runs
            .iter()
            .map(|(run, code)| shapes::FailedRun { run: run.to_string(), code: code.as_str().into() })
            .collect(),
        log: evidence.lines.iter().map(|line| line.as_str().into()).collect(),
    }
}
