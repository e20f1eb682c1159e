//! Decides what comes next in an incident of a deployment.

use crate::healing::{FailureCause, HealingMode, HealingPolicy, Incident, IncidentPhase, IncidentSeverity, RepairStep};
use crate::health::HealthStatus;
use crate::ids::{Revision, Timestamp};

/// Maximum number of repairs in one incident, besides the quarantine.
pub const REPAIRS_MAX: usize = 3;
/// Minimum time between two repairs, in milliseconds.
pub const REPAIR_INTERVAL_MILLIS: u64 = 60_000;
/// Trouble that returns within this time after its end is the same incident, in milliseconds.
pub const FLAP_MILLIS: u64 = 600_000;
/// A revision is new for this time after its deployment, in milliseconds. After that, another
/// revision is not expected to be better.
pub const NEW_REVISION_MILLIS: u64 = 3_600_000;
/// Maximum time that a runbook may take, in milliseconds.
pub const RUNBOOK_MILLIS: u64 = 300_000;
/// Minimum time for which an open circuit breaker holds runs back before a step lets them try, in
/// milliseconds.
const BREAKER_OPEN_MILLIS: u64 = 10_000;
/// Minimum time before a step is judged, in milliseconds.
const VERIFICATION_MIN_MILLIS: u64 = 5_000;

/// Returns how long a step has before it is judged, in milliseconds: two intervals of observation.
#[must_use]
pub const fn verification_millis(every_millis: u64) -> u64 {
    let two = every_millis.saturating_mul(2);
    if two > VERIFICATION_MIN_MILLIS { two } else { VERIFICATION_MIN_MILLIS }
}

/// What is known about a deployment with an open incident.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealingSituation {
    /// The deployment's health.
    pub status: HealthStatus,
    /// When it got this status.
    pub status_since: Option<Timestamp>,
    /// The time of the last observation that showed something.
    pub observed_at: Option<Timestamp>,
    /// Whether that observation showed a failure. A half-open breaker shows nothing yet.
    pub failing: bool,
    /// Interval between two observations, in milliseconds.
    pub every_millis: u64,
    /// Why nothing may act on the deployment: a person has paused it or decided about its breaker.
    pub held: Option<String>,
    /// The present revision, and when it was deployed.
    pub revision: (Revision, Timestamp),
    /// Whether the present revision has been healthy.
    pub proven: bool,
    /// The last revision before the present one that was healthy.
    pub healthy_before: Option<Revision>,
    /// What the failures have in common.
    pub cause: FailureCause,
    /// When its circuit breaker opened, if it is open.
    pub breaker_opened: Option<Timestamp>,
    /// Whether the standby deployment can take runs; `None` if there is none.
    pub standby_ready: Option<bool>,
    /// Whether the run of the pending runbook has ended.
    pub runbook_ended: bool,
    /// Why no deployment may be repaired now: the host itself is in trouble.
    pub host_trouble: Option<String>,
}

/// What comes next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HealingDecision {
    /// Nothing before the next observation, or before this time.
    Wait(Option<Timestamp>),
    /// The deployment works again.
    Resolve {
        /// How that is known.
        reason: String,
    },
    /// A warning has become critical.
    Worsen,
    /// A person is needed.
    Escalate {
        /// Why.
        reason: String,
    },
    /// A step is to be taken.
    Repair {
        /// The step.
        step: RepairStep,
        /// Its place in the ladder.
        rung: u32,
        /// Why this step, and which ones were skipped.
        reason: String,
    },
    /// As `Repair`, but the host only advises.
    Advise {
        /// The step.
        step: RepairStep,
        /// Why this step, and which ones were skipped.
        reason: String,
    },
    /// The effect of the last step must be applied (again), as it is committed.
    Apply,
    /// The last step did not help.
    Fail {
        /// How that is known.
        reason: String,
    },
}

/// Decides what comes next in an incident. `mode` is the more cautious of the policy's and the
/// host's.
#[must_use]
pub fn decide(
    incident: &Incident,
    policy: &HealingPolicy,
    mode: HealingMode,
    situation: &HealingSituation,
    now: Timestamp,
) -> HealingDecision {
    if !incident.phase.is_open() {
        return HealingDecision::Wait(None);
    }
    let works = match incident.severity {
        IncidentSeverity::Critical => matches!(situation.status, HealthStatus::Healthy | HealthStatus::Degraded),
        IncidentSeverity::Warning => situation.status == HealthStatus::Healthy,
    };
    let acted_at = incident.repairs.last().map(|repair| repair.at);
    if works && is_after(situation.status_since.max(situation.observed_at), acted_at) {
        return HealingDecision::Resolve { reason: format!("the deployment is {}", situation.status.as_str()) };
    }
    if incident.severity == IncidentSeverity::Warning {
        return match situation.status {
            HealthStatus::Unhealthy => HealingDecision::Worsen,
            _ => HealingDecision::Wait(None),
        };
    }
    if incident.phase == IncidentPhase::Escalated {
        return HealingDecision::Wait(None);
    }
    if incident.phase == IncidentPhase::Recovering {
        return HealingDecision::Apply;
    }
    if let Some(reason) = &situation.held {
        return HealingDecision::Escalate { reason: reason.clone() };
    }
    if situation.host_trouble.is_some() {
        return HealingDecision::Wait(None);
    }
    match incident.pending() {
        Some(pending) if incident.phase == IncidentPhase::Verifying => {
            let is_runbook = matches!(pending.step, RepairStep::Runbook(_));
            judge(pending.at, is_runbook, situation, now)
        }
        _ => next_step(incident, policy, mode, situation, now),
    }
}

/// Whether something happened after a repair.
fn is_after(at: Option<Timestamp>, repaired: Option<Timestamp>) -> bool {
    repaired.is_none_or(|repaired| at.is_some_and(|at| at > repaired))
}

/// Judges a step that was taken at `at`.
fn judge(at: Timestamp, is_runbook: bool, situation: &HealingSituation, now: Timestamp) -> HealingDecision {
    if is_runbook && !situation.runbook_ended {
        let end = at.plus_millis(RUNBOOK_MILLIS);
        return if now < end {
            HealingDecision::Wait(Some(end))
        } else {
            HealingDecision::Fail { reason: format!("the runbook did not end within {} s", RUNBOOK_MILLIS / 1_000) }
        };
    }
    let end = at.plus_millis(verification_millis(situation.every_millis));
    if now < end {
        return HealingDecision::Wait(Some(end));
    }
    // Without an observation that shows something, there is nothing to judge by.
    if situation.failing && situation.observed_at.is_some_and(|observed| observed > at) {
        HealingDecision::Fail { reason: "the deployment still fails".to_owned() }
    } else {
        HealingDecision::Wait(None)
    }
}

/// Chooses the next step of the ladder.
fn next_step(
    incident: &Incident,
    policy: &HealingPolicy,
    mode: HealingMode,
    situation: &HealingSituation,
    now: Timestamp,
) -> HealingDecision {
    if mode == HealingMode::Off {
        return HealingDecision::Escalate { reason: "healing is off for this deployment".to_owned() };
    }
    let start = usize::try_from(incident.rung).unwrap_or(usize::MAX);
    let rungs = || policy.ladder.iter().enumerate().skip(start);
    let mut reasons = Vec::new();
    let mut chosen = None;
    // Before anything else, a revision that has never worked gives way to one that did.
    if !situation.proven
        && let Some((rung, step)) = rungs().find(|(_, step)| **step == RepairStep::Rollback)
        && obstacle(step, incident, situation).is_none()
    {
        reasons.push(format!("revision {} has never been healthy", situation.revision.0));
        chosen = Some((rung, step));
    } else {
        for (rung, step) in rungs() {
            match obstacle(step, incident, situation) {
                None => {
                    chosen = Some((rung, step));
                    break;
                }
                Some(reason) => reasons.push(format!("{step} is skipped: {reason}")),
            }
        }
    }
    let Some((rung, step)) = chosen else {
        reasons.push("no step of the ladder is left".to_owned());
        return HealingDecision::Escalate { reason: reasons.join("; ") };
    };
    if mode == HealingMode::Advise {
        return HealingDecision::Advise { step: step.clone(), reason: reasons.join("; ") };
    }
    let after_last = incident.repairs.last().map(|last| last.at.plus_millis(REPAIR_INTERVAL_MILLIS));
    // Whatever fails gets some relief before it is tried again.
    let tries = matches!(step, RepairStep::Retry | RepairStep::Recycle);
    let relieved = situation.breaker_opened.filter(|_| tries).map(|at| at.plus_millis(BREAKER_OPEN_MILLIS));
    if let Some(earliest) = after_last.max(relieved).filter(|earliest| now < *earliest) {
        return HealingDecision::Wait(Some(earliest));
    }
    let rung = u32::try_from(rung).unwrap_or(u32::MAX);
    HealingDecision::Repair { step: step.clone(), rung, reason: reasons.join("; ") }
}

/// Returns why a step cannot help.
fn obstacle(step: &RepairStep, incident: &Incident, situation: &HealingSituation) -> Option<String> {
    if *step != RepairStep::Quarantine && incident.repairs.len() >= REPAIRS_MAX {
        return Some(format!("{REPAIRS_MAX} repairs did not help"));
    }
    match step {
        RepairStep::Retry | RepairStep::Runbook(_) => None,
        RepairStep::Recycle if situation.cause == FailureCause::Upstream => {
            Some("the failures come from a server that the module calls".to_owned())
        }
        RepairStep::Quarantine if situation.cause == FailureCause::Upstream => {
            Some("a pause does not help a server that the module calls, and the circuit breaker holds runs".to_owned())
        }
        RepairStep::Recycle | RepairStep::Quarantine => None,
        RepairStep::Rollback => rollback_obstacle(incident, situation),
        RepairStep::Standby => match situation.standby_ready {
            None => Some("there is no standby deployment".to_owned()),
            Some(false) => Some("the standby deployment cannot take runs".to_owned()),
            Some(true) => None,
        },
    }
}

fn rollback_obstacle(incident: &Incident, situation: &HealingSituation) -> Option<String> {
    let (revision, deployed_at) = situation.revision;
    if situation.healthy_before.is_none() {
        Some("no earlier revision is known to have been healthy".to_owned())
    } else if incident.began_at < deployed_at {
        Some(format!("the trouble began before revision {revision} was deployed"))
    } else if incident.began_at.millis_since(deployed_at) > NEW_REVISION_MILLIS {
        Some(format!("revision {revision} had worked for over an hour"))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::healing::{RepairRecord, RepairResult};

    const EVERY: u64 = 15_000;

    fn at(second: u64) -> Timestamp {
        Timestamp::from_millis(second * 1_000)
    }

    fn incident() -> Incident {
        Incident {
            number: 1,
            deployment: Some("shop".parse().unwrap()),
            severity: IncidentSeverity::Critical,
            phase: IncidentPhase::Detected,
            reason: "it fails".to_owned(),
            revision: Some(Revision::new(7)),
            began_at: at(100),
            detected_at: at(110),
            ended_at: None,
            cause: FailureCause::Module,
            rung: 0,
            repairs: Vec::new(),
            returns: 0,
            acknowledged: None,
            part_of: None,
            entries: 1,
            version: 1,
        }
    }

    /// An unhealthy deployment whose revision is old and has worked.
    fn situation() -> HealingSituation {
        HealingSituation {
            status: HealthStatus::Unhealthy,
            status_since: Some(at(110)),
            observed_at: Some(at(110)),
            failing: true,
            every_millis: EVERY,
            held: None,
            revision: (Revision::new(7), at(0)),
            proven: true,
            healthy_before: None,
            cause: FailureCause::Module,
            breaker_opened: None,
            standby_ready: None,
            runbook_ended: false,
            host_trouble: None,
        }
    }

    fn chosen(decision: &HealingDecision) -> Option<(RepairStep, u32)> {
        match decision {
            HealingDecision::Repair { step, rung, .. } => Some((step.clone(), *rung)),
            _ => None,
        }
    }

    fn after_repair(step: RepairStep, rung: u32, second: u64) -> Incident {
        let (at, result) = (at(second), RepairResult::Pending);
        let repair = RepairRecord { step, rung, at, result, entry: 2, revisions: None, run: None };
        Incident { phase: IncidentPhase::Verifying, rung: rung + 1, repairs: vec![repair], ..incident() }
    }

    fn act(incident: &Incident, situation: &HealingSituation, second: u64) -> HealingDecision {
        decide(incident, &HealingPolicy::default(), HealingMode::Act, situation, at(second))
    }

    #[test]
    fn the_smallest_step_comes_first() {
        assert_eq!(chosen(&act(&incident(), &situation(), 111)), Some((RepairStep::Retry, 0)));
    }

    #[test]
    fn a_revision_that_never_worked_is_returned_at_once() {
        let bad = HealingSituation {
            proven: false,
            healthy_before: Some(Revision::new(6)),
            revision: (Revision::new(7), at(99)),
            ..situation()
        };
        let decision = act(&incident(), &bad, 111);
        assert_eq!(chosen(&decision), Some((RepairStep::Rollback, 2)));
        assert!(matches!(decision, HealingDecision::Repair { reason, .. } if reason.contains("never been healthy")));
        // Without an earlier revision that worked, the ladder begins at its start.
        let first = HealingSituation { healthy_before: None, ..bad.clone() };
        assert_eq!(chosen(&act(&incident(), &first, 111)), Some((RepairStep::Retry, 0)));
        // So it does if the trouble is older than the revision.
        let older = HealingSituation { revision: (Revision::new(7), at(101)), ..bad };
        assert_eq!(chosen(&act(&incident(), &older, 111)), Some((RepairStep::Retry, 0)));
    }

    #[test]
    fn a_step_is_judged_after_two_intervals_and_by_a_later_observation() {
        let taken = after_repair(RepairStep::Retry, 0, 111);
        assert_eq!(act(&taken, &situation(), 120), HealingDecision::Wait(Some(at(141))));
        // The last observation was before the step.
        assert_eq!(act(&taken, &situation(), 200), HealingDecision::Wait(None));
        let observed = HealingSituation { observed_at: Some(at(130)), ..situation() };
        assert_eq!(act(&taken, &observed, 140), HealingDecision::Wait(Some(at(141))));
        assert!(matches!(act(&taken, &observed, 141), HealingDecision::Fail { .. }));
        let undecided = HealingSituation { failing: false, ..observed.clone() };
        assert_eq!(act(&taken, &undecided, 141), HealingDecision::Wait(None));
        let works = HealingSituation { status: HealthStatus::Healthy, status_since: Some(at(130)), ..observed };
        assert!(matches!(act(&taken, &works, 130), HealingDecision::Resolve { .. }));
    }

    #[test]
    fn the_next_step_comes_a_minute_later() {
        let mut failed = after_repair(RepairStep::Retry, 0, 111);
        failed.phase = IncidentPhase::Assessing;
        failed.repairs[0].result = RepairResult::Ineffective;
        assert_eq!(act(&failed, &situation(), 150), HealingDecision::Wait(Some(at(171))));
        assert_eq!(chosen(&act(&failed, &situation(), 171)), Some((RepairStep::Recycle, 1)));
        let upstream = HealingSituation { cause: FailureCause::Upstream, ..situation() };
        let decision = act(&failed, &upstream, 171);
        assert!(matches!(decision, HealingDecision::Escalate { reason } if reason.contains("recycle is skipped")));
    }

    #[test]
    fn an_open_breaker_gives_relief_before_runs_try_again() {
        let open = HealingSituation { breaker_opened: Some(at(110)), ..situation() };
        assert_eq!(act(&incident(), &open, 112), HealingDecision::Wait(Some(at(120))));
        assert_eq!(chosen(&act(&incident(), &open, 120)), Some((RepairStep::Retry, 0)));
        let bad = HealingSituation {
            proven: false,
            healthy_before: Some(Revision::new(6)),
            revision: (Revision::new(7), at(99)),
            ..open
        };
        assert_eq!(chosen(&act(&incident(), &bad, 112)), Some((RepairStep::Rollback, 2)), "it tries other code");
    }

    #[test]
    fn nothing_acts_against_a_person_or_while_the_host_is_in_trouble() {
        let held = HealingSituation { held: Some("ann has paused it".to_owned()), ..situation() };
        assert_eq!(act(&incident(), &held, 111), HealingDecision::Escalate { reason: "ann has paused it".to_owned() });
        let trouble = HealingSituation { host_trouble: Some("the disk is full".to_owned()), ..situation() };
        assert_eq!(act(&incident(), &trouble, 111), HealingDecision::Wait(None));
        let off = decide(&incident(), &HealingPolicy::default(), HealingMode::Off, &situation(), at(111));
        assert!(matches!(off, HealingDecision::Escalate { .. }));
        let advice = decide(&incident(), &HealingPolicy::default(), HealingMode::Advise, &situation(), at(111));
        assert!(matches!(advice, HealingDecision::Advise { step: RepairStep::Retry, .. }));
    }

    #[test]
    fn a_runbook_has_five_minutes() {
        let runbook = RepairStep::Runbook("fix-shop".parse().unwrap());
        let taken = after_repair(runbook, 0, 111);
        let observed = HealingSituation { observed_at: Some(at(300)), ..situation() };
        assert_eq!(act(&taken, &observed, 300), HealingDecision::Wait(Some(at(411))));
        assert!(matches!(act(&taken, &observed, 411), HealingDecision::Fail { .. }));
        let ended = HealingSituation { runbook_ended: true, ..observed };
        assert!(matches!(act(&taken, &ended, 300), HealingDecision::Fail { .. }));
    }

    #[test]
    fn a_warning_is_never_repaired() {
        let warning = Incident { severity: IncidentSeverity::Warning, ..incident() };
        let degraded = HealingSituation { status: HealthStatus::Degraded, ..situation() };
        assert_eq!(act(&warning, &degraded, 500), HealingDecision::Wait(None));
        assert_eq!(act(&warning, &situation(), 500), HealingDecision::Worsen);
        // A deployment that works again ends a critical incident, though it is degraded.
        assert!(matches!(act(&incident(), &degraded, 500), HealingDecision::Resolve { .. }));
    }

    fn steps() -> impl Strategy<Value = Vec<RepairStep>> {
        let step = prop_oneof![
            prop::sample::select(RepairStep::DEFAULT.to_vec()),
            Just(RepairStep::Runbook("fix".parse().unwrap())),
        ];
        prop::collection::vec(step, 0..8)
    }

    proptest! {
        /// Whatever happens, an incident of a deployment that never works ends with a person, after
        /// a bounded number of repairs with time between them.
        #[test]
        fn repairs_are_bounded_and_apart(
            ladder in steps(), proven in any::<bool>(), earlier in any::<bool>(), standby in any::<Option<bool>>(),
            upstream in any::<bool>(), every in 1_000u64..60_000,
        ) {
            let policy = HealingPolicy { ladder, ..HealingPolicy::default() };
            let mut incident = incident();
            let mut now = at(111);
            let mut taken: Vec<(Timestamp, u32)> = Vec::new();
            for _ in 0..5_000 {
                let situation = HealingSituation {
                    observed_at: Some(now),
                    every_millis: every,
                    proven,
                    healthy_before: earlier.then_some(Revision::new(6)),
                    revision: (Revision::new(7), at(99)),
                    cause: if upstream { FailureCause::Upstream } else { FailureCause::Module },
                    standby_ready: standby,
                    ..situation()
                };
                match decide(&incident, &policy, HealingMode::Act, &situation, now) {
                    HealingDecision::Wait(until) => {
                        prop_assert!(until.is_none_or(|until| until > now));
                        now = now.plus_millis(1_000);
                    }
                    HealingDecision::Repair { step, rung, .. } => {
                        prop_assert!(rung >= incident.rung);
                        if let Some((last, _)) = taken.last() {
                            prop_assert!(now.millis_since(*last) >= REPAIR_INTERVAL_MILLIS);
                        }
                        if taken.len() >= REPAIRS_MAX {
                            prop_assert_eq!(&step, &RepairStep::Quarantine);
                        }
                        taken.push((now, rung));
                        let result = RepairResult::Pending;
                        let repair = RepairRecord { step, rung, at: now, result, entry: 1, revisions: None, run: None };
                        incident.repairs.push(repair);
                        (incident.rung, incident.phase) = (rung + 1, IncidentPhase::Recovering);
                    }
                    HealingDecision::Apply => incident.phase = IncidentPhase::Verifying,
                    HealingDecision::Fail { .. } => {
                        incident.repairs.last_mut().unwrap().result = RepairResult::Ineffective;
                        incident.phase = IncidentPhase::Assessing;
                    }
                    HealingDecision::Escalate { .. } => {
                        incident.phase = IncidentPhase::Escalated;
                        break;
                    }
                    other => prop_assert!(false, "{other:?}"),
                }
            }
            prop_assert_eq!(incident.phase, IncidentPhase::Escalated);
            prop_assert!(taken.is_sorted_by(|before, after| before.1 < after.1));
        }
    }
}
