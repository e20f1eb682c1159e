//! Self-healing: what happens to a deployment that does not work.
//!
//! Trouble is an [`Incident`]. While it is open, [`decide`] returns what comes next: a step of
//! the deployment's ladder, a verdict about the last step, or a call for a person. The decision is
//! pure. The host commits it together with its entry in the timeline and then carries it out, so
//! that a crash continues a repair or repeats nothing.
//!
//! *The ladder.* The steps are tried in order, one at a time, from the one that changes least. A
//! step that cannot help is skipped, with the reason. A step that did not help is undone if it can
//! be. A revision that has never worked is returned to the last one that did before anything else
//! is tried, because no other step can help.
//!
//! *Bounds.* There are at most [`REPAIRS_MAX`] repairs in an incident, [`REPAIR_INTERVAL_MILLIS`]
//! apart. Trouble that returns within [`FLAP_MILLIS`] after its end is the same incident, and
//! continues with the next step.

mod incident;
mod ladder;
mod policy;

pub use incident::{
    ACTOR_BYTES, ENTRIES_MAX, Evidence, EvidenceFigure, FailureCause, Incident, IncidentActor, IncidentPhase,
    IncidentSeverity, NOTE_BYTES, RepairRecord, RepairResult, TimelineEntry, TimelineEvent, UnknownIncidentPhase,
};
pub use ladder::{
    FLAP_MILLIS, HealingDecision, HealingSituation, NEW_REVISION_MILLIS, REPAIR_INTERVAL_MILLIS, REPAIRS_MAX,
    RUNBOOK_MILLIS, decide, verification_millis,
};
pub use policy::{HealingMode, HealingPolicy, LADDER_MAX, RepairStep, UnknownHealingMode};
