//! What persons do with incidents.

use tidemill_core::Code;
use tidemill_core::healing::{
    ENTRIES_MAX, Incident, IncidentActor, IncidentPhase, RepairResult, RepairStep, TimelineEntry, TimelineEvent,
};
use tidemill_store::StoreError;
use tidemill_store::records::IncidentUpdate;

use crate::error::ControlError;
use crate::run_to_completion::run_to_completion;
use crate::state::ControlPlane;

/// What a person does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IncidentAction {
    /// Takes it on.
    Acknowledge,
    /// Adds a note.
    Comment,
    /// Undoes the last step whose effect lasts.
    Undo,
    /// Ends it.
    Close,
}

impl ControlPlane {
    /// Acts on an incident in the name of a person, with a note.
    ///
    /// # Errors
    /// `host/incident-not-found`; `host/incident-state`; every reason why an earlier revision
    /// cannot be deployed today.
    pub async fn act_on_incident(
        &self,
        number: u64,
        action: IncidentAction,
        actor: String,
        note: String,
    ) -> Result<Incident, ControlError> {
        self.0.shutdown.check_open()?;
        let host = self.clone();
        run_to_completion(async move {
            let _turn = host.0.healing.turn().await;
            host.act_now(number, action, actor, note).await?;
            host.0.healing.wake();
            host.0.store.incident(number).await?.ok_or_else(|| no_incident(number))
        })
        .await
    }

    async fn act_now(
        &self,
        number: u64,
        action: IncidentAction,
        actor: String,
        note: String,
    ) -> Result<(), ControlError> {
        let host = &self.0;
        let incident = host.store.incident(number).await?.ok_or_else(|| no_incident(number))?;
        let refused =
            |detail: &str| Err(ControlError::refused(Code::IncidentState, format!("incident {number}: {detail}")));
        let is_open = incident.phase.is_open();
        let now = host.clock.now();
        let person = IncidentActor::Person(actor.clone());
        let entry = |event| TimelineEntry::new(now, person.clone(), event, note.clone());
        let update = match action {
            IncidentAction::Comment | IncidentAction::Acknowledge if incident.entries >= ENTRIES_MAX => {
                return refused("its timeline is full");
            }
            IncidentAction::Comment => IncidentUpdate::new(incident, entry(TimelineEvent::Comment)),
            IncidentAction::Acknowledge | IncidentAction::Close if !is_open => {
                return refused(&format!("it is {}", incident.phase.as_str()));
            }
            IncidentAction::Acknowledge => {
                let acknowledged = Some((actor, now));
                IncidentUpdate::new(Incident { acknowledged, ..incident }, entry(TimelineEvent::Acknowledged))
            }
            IncidentAction::Close => {
                let next = Incident { phase: IncidentPhase::Closed, ended_at: Some(now), ..incident };
                IncidentUpdate::new(next, entry(TimelineEvent::Closed))
            }
            IncidentAction::Undo => return self.undo_last(incident, entry(TimelineEvent::Undone)).await,
        };
        let is_last =
            host.healing.last_incident(update.incident.deployment.as_ref()).is_some_and(|it| it.number == number);
        if is_last {
            host.healing.update(&*host.store, &host.metrics, update).await?;
        } else {
            host.store.update_incident(update).await?;
        }
        Ok(())
    }

    /// Undoes the last step whose effect lasts. The host repairs nothing more in this incident.
    async fn undo_last(&self, incident: Incident, entry: TimelineEntry) -> Result<(), ControlError> {
        let (host, number) = (&self.0, incident.number);
        let refused = |detail: &str| ControlError::refused(Code::IncidentState, format!("incident {number}: {detail}"));
        let Some(name) = incident.deployment.clone() else {
            return Err(refused("an incident of the host has no steps"));
        };
        let is_last = host.healing.last_incident(Some(&name)).is_some_and(|last| last.number == number);
        let Some(repair) = incident.undoable().cloned().filter(|_| is_last) else {
            return Err(refused("it has no step that could be undone"));
        };
        let live = host.deployments.require(&name)?;
        let present = live.deployment.revision;
        let change = match (&repair.step, repair.revisions) {
            (RepairStep::Rollback, Some((_, after))) if after != present => {
                return Err(refused(&format!(
                    "`{name}` is at revision {present} now, so revision {after} cannot be undone"
                )));
            }
            (RepairStep::Rollback, Some((before, _))) => {
                format!("revision {present} → {}, which is as {before}", present.get() + 1)
            }
            (RepairStep::Standby, _) => format!("new runs → {name}"),
            _ if live.deployment.paused.as_ref().is_none_or(|pause| pause.since != repair.at) => {
                return Err(refused("its quarantine has ended already"));
            }
            _ => "paused → active".to_owned(),
        };
        let mut next = incident;
        if let Some(record) = next.repairs.iter_mut().find(|record| record.entry == repair.entry) {
            record.result = RepairResult::Undone;
        }
        if next.phase.is_open() {
            next.phase = IncidentPhase::Escalated;
        }
        let entry = TimelineEntry { change: Some(change), ..entry };
        let update = IncidentUpdate { undone: Some(repair.entry), ..IncidentUpdate::new(next, entry) };
        self.undo_step(&name, &repair, update).await?;
        tracing::info!(deployment = %name, number, step = %repair.step, "undid a step of a repair");
        Ok(())
    }
}

pub(super) fn no_incident(number: u64) -> ControlError {
    StoreError::NotFound { kind: "incident", name: number.to_string() }.into()
}
