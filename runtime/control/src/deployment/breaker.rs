//! The circuit breaker of one deployment, in front of admission.
//!
//! The rules are in `tidemill_core::breaker`. Here a deployment's breaker is joined with the
//! decision of an operator, and each change is noted for the loop that announces it
//! (`reconcile/breakers.rs`). The state is in memory only: after a restart a breaker is closed,
//! unless an operator forced it open.
//!
//! An attempt takes the lock of its own deployment twice, when it is admitted and when it ends.
//! Deployments share no lock until a breaker opens, and a breaker that is off takes none.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use tidemill_core::breaker::{
    Breaker, BreakerAdmission, BreakerMode, BreakerPhase, BreakerPolicy, BreakerRefusal, BreakerStatus, CallCounts,
    CallOutcome, CallPurpose,
};
use tidemill_core::manifest::BreakerSettings;
use tidemill_core::wire::duration_text;
use tidemill_core::{DeploymentName, Revision, Timestamp};
use tidemill_store::records::BreakerDecision;
use tokio::sync::Notify;

/// Maximum number of transitions that wait to be announced, while the store cannot be written.
const UNANNOUNCED_MAX: usize = 16;

/// The breakers that the loop must look at.
#[derive(Debug, Default)]
pub(crate) struct BreakerSignal {
    /// Each with whether waiting runs may have become admissible.
    changed: Mutex<BTreeMap<DeploymentName, bool>>,
    /// Breakers that are not closed, and end their state by time.
    watched: Mutex<BTreeSet<DeploymentName>>,
    wake: Notify,
}

impl BreakerSignal {
    fn add(&self, name: &DeploymentName, admissible: bool) {
        *self.changed.lock().entry(name.clone()).or_default() |= admissible;
        self.wake.notify_one();
    }

    /// Returns the breakers to look at, each with whether waiting runs may have become admissible.
    pub(crate) fn take(&self) -> BTreeMap<DeploymentName, bool> {
        let mut changed = std::mem::take(&mut *self.changed.lock());
        for name in &*self.watched.lock() {
            changed.entry(name.clone()).or_default();
        }
        changed
    }

    /// Sets whether every tick looks at a breaker.
    pub(crate) fn watch(&self, name: &DeploymentName, watch: bool) {
        let mut watched = self.watched.lock();
        if watch {
            watched.insert(name.clone());
        } else {
            watched.remove(name);
        }
    }

    /// Waits until a breaker changes.
    pub(crate) async fn woken(&self) {
        self.wake.notified().await;
    }
}

/// What the end of an attempt tells about its deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AttemptEvidence {
    /// The module did its work: it returned a result, or a failure that is its answer.
    Worked,
    /// The deployment is at fault.
    Failed,
}

/// A change of a breaker's state that is not announced yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BreakerTransition {
    pub(crate) phase: BreakerPhase,
    pub(crate) at: Timestamp,
    pub(crate) until: Option<Timestamp>,
    pub(crate) reason: String,
}

/// The state of a deployment's breaker at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BreakerReport {
    /// Who decides about the state.
    pub mode: BreakerMode,
    /// What becomes of new runs.
    pub phase: BreakerPhase,
    /// When the state began. For a closed breaker this is at the latest when the host started.
    pub since: Timestamp,
    /// When the state ends by itself, if that is known.
    pub until: Option<Timestamp>,
    /// Why it is in this state, with figures, or the operator's note.
    pub reason: String,
    /// The judged attempts. Closed: the last ones. Open: those that opened it. Half-open: those
    /// that have ended.
    pub counts: CallCounts,
    /// The last decision of an operator, if there is one.
    pub decision: Option<BreakerDecision>,
}

impl BreakerReport {
    /// Returns the state's name in the API: that of the mode if an operator or the manifest
    /// decides, else that of the phase.
    #[must_use]
    pub const fn state(&self) -> &'static str {
        match self.mode {
            BreakerMode::Automatic => self.phase.as_str(),
            mode => mode.as_str(),
        }
    }
}

/// The admissions of several runs.
#[derive(Debug)]
pub(crate) struct RunAdmissions {
    /// One for each run that counts.
    pub(crate) each: Vec<BreakerAdmission>,
    /// Maximum number of unprivileged runs; `None` if the breaker is closed.
    pub(crate) most: Option<usize>,
}

/// The breaker of one deployment. It outlives revisions.
#[derive(Debug)]
pub(crate) struct DeploymentBreaker {
    name: DeploymentName,
    signal: Arc<BreakerSignal>,
    /// Whether it admits every run and counts none.
    off: AtomicBool,
    cell: Mutex<BreakerCell>,
}

#[derive(Debug)]
struct BreakerCell {
    breaker: Breaker,
    settings: BreakerSettings,
    decision: Option<BreakerDecision>,
    /// The number and the phase of the last noted state, and why it was entered.
    noted: u64,
    phase: BreakerPhase,
    reason: String,
    unannounced: Vec<BreakerTransition>,
}

impl DeploymentBreaker {
    /// Returns a breaker that is closed, unless an operator decided otherwise.
    pub(crate) fn new(
        name: DeploymentName,
        signal: Arc<BreakerSignal>,
        settings: BreakerSettings,
        decision: Option<BreakerDecision>,
        now: Timestamp,
    ) -> Self {
        let mut breaker = Breaker::new(settings.policy, now);
        let mode = mode_of(settings, decision.as_ref());
        let since = decision.as_ref().map_or(now, |decision| decision.since);
        breaker.set_mode(mode, if mode == BreakerMode::Automatic { now } else { since });
        let cell = BreakerCell {
            noted: breaker.number(),
            phase: breaker.phase(),
            breaker,
            settings,
            decision,
            reason: String::new(),
            unannounced: Vec::new(),
        };
        Self { name, signal, off: AtomicBool::new(mode == BreakerMode::Disabled), cell: Mutex::new(cell) }
    }

    /// Begins a new revision: what the attempts of the previous one showed does not count any more.
    /// The decision of an operator holds.
    pub(crate) fn renew(&self, settings: BreakerSettings, revision: Revision, now: Timestamp) {
        let mut cell = self.cell.lock();
        cell.settings = settings;
        cell.breaker.reset(settings.policy, now);
        let mode = mode_of(settings, cell.decision.as_ref());
        cell.breaker.set_mode(mode, now);
        self.off.store(mode == BreakerMode::Disabled, Ordering::Release);
        self.note(&mut cell, now, Some(format!("revision {revision} was deployed")));
    }

    /// Applies the decision of an operator, which the store has.
    pub(crate) fn decide(&self, decision: BreakerDecision) {
        let mut cell = self.cell.lock();
        let (mode, since) = (mode_of(cell.settings, Some(&decision)), decision.since);
        cell.decision = Some(decision);
        cell.breaker.set_mode(mode, since);
        self.off.store(mode == BreakerMode::Disabled, Ordering::Release);
        // The store has announced the decision.
        (cell.noted, cell.phase) = (cell.breaker.number(), cell.breaker.phase());
        cell.reason.clear();
        drop(cell);
        self.signal.add(&self.name, true);
    }

    /// Lets a few runs through at once if the breaker is open by itself.
    pub(crate) fn try_now(&self, now: Timestamp) {
        let mut cell = self.cell.lock();
        cell.breaker.try_now(now);
        self.note(&mut cell, now, None);
    }

    /// Returns what becomes of new runs at `now`.
    pub(crate) fn phase(&self, now: Timestamp) -> BreakerPhase {
        if self.off.load(Ordering::Acquire) {
            return BreakerPhase::Closed;
        }
        let mut cell = self.cell.lock();
        let status = cell.breaker.status(now);
        self.note(&mut cell, now, None);
        status.phase
    }

    /// Returns whether no run may start at all.
    pub(crate) fn is_open(&self, now: Timestamp) -> bool {
        self.phase(now) == BreakerPhase::Open
    }

    /// Checks whether a new run could start now.
    ///
    /// # Errors
    /// [`BreakerRefusal`] if it could not.
    pub(crate) fn check(&self, now: Timestamp) -> Result<(), BreakerRefusal> {
        if self.off.load(Ordering::Acquire) {
            return Ok(());
        }
        let mut cell = self.cell.lock();
        let checked = cell.breaker.check(now);
        self.note(&mut cell, now, None);
        checked
    }

    /// Admits one new run; `None` if it does not count.
    ///
    /// # Errors
    /// [`BreakerRefusal`] if it may not start.
    pub(crate) fn admit(&self, now: Timestamp) -> Result<Option<BreakerAdmission>, BreakerRefusal> {
        if self.off.load(Ordering::Acquire) {
            return Ok(None);
        }
        let mut cell = self.cell.lock();
        let admission = cell.breaker.admit(CallPurpose::Ordinary, now);
        self.note_admissions(&mut cell, now);
        admission.map(Some)
    }

    /// Admits at most `count` runs.
    ///
    /// # Errors
    /// [`BreakerRefusal`] if no run may start, not even a privileged one.
    pub(crate) fn admit_up_to(&self, count: usize, now: Timestamp) -> Result<RunAdmissions, BreakerRefusal> {
        let mut admissions = RunAdmissions { each: Vec::new(), most: None };
        if self.off.load(Ordering::Acquire) {
            return Ok(admissions);
        }
        let mut cell = self.cell.lock();
        while admissions.each.len() < count {
            match cell.breaker.admit(CallPurpose::Ordinary, now) {
                Ok(admission) => admissions.each.push(admission),
                Err(refusal) if cell.breaker.phase() == BreakerPhase::Open => {
                    self.note(&mut cell, now, None);
                    return Err(refusal);
                }
                Err(_) => break,
            }
        }
        self.note_admissions(&mut cell, now);
        admissions.most = (cell.breaker.phase() == BreakerPhase::HalfOpen).then_some(admissions.each.len());
        Ok(admissions)
    }

    /// Notes a change of the state by admissions.
    fn note_admissions(&self, cell: &mut BreakerCell, now: Timestamp) {
        self.note(cell, now, None);
        if cell.breaker.phase() == BreakerPhase::HalfOpen {
            // The time of half-open runs from its first attempt.
            self.signal.add(&self.name, false);
        }
    }

    /// Returns admissions that no run took.
    pub(crate) fn give_back(&self, admissions: impl IntoIterator<Item = BreakerAdmission>) {
        let mut cell = self.cell.lock();
        admissions.into_iter().for_each(|admission| cell.breaker.abandon(admission));
    }

    /// Records the end of an attempt that lasted `millis`. `first` is whether it was the first
    /// attempt of its run.
    pub(crate) fn record(
        &self,
        admission: BreakerAdmission,
        evidence: AttemptEvidence,
        first: bool,
        millis: u64,
        now: Timestamp,
    ) {
        let outcome = match evidence {
            AttemptEvidence::Worked => CallOutcome::Ended { failed: false, millis },
            AttemptEvidence::Failed if first => CallOutcome::Ended { failed: true, millis },
            AttemptEvidence::Failed => CallOutcome::FailedAgain { millis },
        };
        let mut cell = self.cell.lock();
        cell.breaker.record(admission, outcome, now);
        self.note(&mut cell, now, None);
    }

    /// Records that an attempt ended without evidence about the deployment.
    pub(crate) fn abandon(&self, admission: BreakerAdmission) {
        let mut cell = self.cell.lock();
        let half_open = cell.breaker.phase() == BreakerPhase::HalfOpen;
        cell.breaker.abandon(admission);
        drop(cell);
        if half_open {
            self.signal.add(&self.name, true);
        }
    }

    /// Returns the state at `now`.
    pub(crate) fn report(&self, now: Timestamp) -> BreakerReport {
        let mut cell = self.cell.lock();
        let BreakerStatus { mode, phase, since, until, counts, .. } = cell.breaker.status(now);
        self.note(&mut cell, now, None);
        let note = || cell.decision.as_ref().map_or_else(String::new, |decision| decision.note.clone());
        let disabled_by_operator = cell.decision.as_ref().is_some_and(|it| it.mode == BreakerMode::Disabled);
        let reason = match (mode, phase) {
            (BreakerMode::ForcedOpen | BreakerMode::ForcedClosed, _) => note(),
            (BreakerMode::Disabled, _) if disabled_by_operator => note(),
            (BreakerMode::Disabled, _) => "`enabled` under `[breaker]` in its manifest is false".to_owned(),
            (_, BreakerPhase::Closed) => failed_of(counts, "the last", "attempts"),
            (_, BreakerPhase::HalfOpen) => failed_of(counts, "the", "trial attempts"),
            (_, BreakerPhase::Open) => cell.reason.clone(),
        };
        BreakerReport { mode, phase, since, until, reason, counts, decision: cell.decision.clone() }
    }

    /// Returns the transitions to announce, and the state after them.
    pub(crate) fn take_transitions(&self, now: Timestamp) -> (Vec<BreakerTransition>, BreakerStatus) {
        let mut cell = self.cell.lock();
        let status = cell.breaker.status(now);
        self.note(&mut cell, now, None);
        (std::mem::take(&mut cell.unannounced), status)
    }

    /// Returns transitions that could not be announced.
    pub(crate) fn keep_transitions(&self, mut transitions: Vec<BreakerTransition>) {
        let mut cell = self.cell.lock();
        transitions.append(&mut cell.unannounced);
        transitions.truncate(UNANNOUNCED_MAX);
        cell.unannounced = transitions;
        drop(cell);
        self.signal.add(&self.name, false);
    }

    /// Notes a change of the state since the last call. `reason` replaces the reason that follows
    /// from the state.
    fn note(&self, cell: &mut BreakerCell, now: Timestamp, reason: Option<String>) {
        if cell.breaker.number() == cell.noted {
            return;
        }
        let BreakerStatus { mode, phase, until, counts, number, .. } = cell.breaker.status(now);
        let before = std::mem::replace(&mut cell.phase, phase);
        cell.noted = number;
        let policy = cell.settings.policy;
        cell.reason = reason.unwrap_or_else(|| match phase {
            BreakerPhase::Open if before == BreakerPhase::Closed => bad_of(&policy, counts, "the last", "attempts"),
            BreakerPhase::Open => bad_of(&policy, counts, "the", "trial attempts"),
            BreakerPhase::HalfOpen => {
                format!("up to {} attempts show whether the deployment works again", policy.half_open_calls)
            }
            BreakerPhase::Closed => "the trial attempts show that the deployment works again".to_owned(),
        });
        // Only an open breaker can have been half-open in between. What an operator keeps open, and
        // what was closed before, stays as it was.
        let entered = before != phase || (mode == BreakerMode::Automatic && phase == BreakerPhase::Open);
        if entered && cell.unannounced.len() < UNANNOUNCED_MAX {
            cell.unannounced.push(BreakerTransition { phase, at: now, until, reason: cell.reason.clone() });
        }
        self.signal.add(&self.name, phase != BreakerPhase::Open);
    }
}

/// Returns who decides: the operator, or the manifest if they leave it to the attempts.
fn mode_of(settings: BreakerSettings, decision: Option<&BreakerDecision>) -> BreakerMode {
    match decision.map_or(BreakerMode::Automatic, |decision| decision.mode) {
        BreakerMode::Automatic if !settings.enabled => BreakerMode::Disabled,
        mode => mode,
    }
}

/// Describes how many attempts failed.
fn failed_of(counts: CallCounts, which: &str, what: &str) -> String {
    let CallCounts { calls, failed, .. } = counts;
    match calls {
        0 => "no attempt has ended since then".to_owned(),
        _ => format!("{failed} of {which} {calls} {what} failed"),
    }
}

/// Describes why attempts opened a breaker: because they failed, or because they were slow.
fn bad_of(policy: &BreakerPolicy, counts: CallCounts, which: &str, what: &str) -> String {
    let CallCounts { calls, failed, slow } = counts;
    if failed * 100 >= policy.failure_percent * calls {
        return failed_of(counts, which, what);
    }
    format!("{slow} of {which} {calls} {what} took longer than {}", duration_text(policy.slow_millis))
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(1_000_000 + millis)
    }

    fn breaker(settings: BreakerSettings) -> DeploymentBreaker {
        DeploymentBreaker::new("a".parse().unwrap(), Arc::default(), settings, None, at(0))
    }

    fn attempt(breaker: &DeploymentBreaker, evidence: AttemptEvidence, now: Timestamp) {
        if let Some(admission) = breaker.admit(now).unwrap() {
            breaker.record(admission, evidence, true, 1, now);
        }
    }

    fn opened() -> DeploymentBreaker {
        let breaker = breaker(BreakerSettings::default());
        (0..4).for_each(|_| attempt(&breaker, AttemptEvidence::Worked, at(0)));
        (0..6).for_each(|_| attempt(&breaker, AttemptEvidence::Failed, at(0)));
        breaker
    }

    fn forced(mode: BreakerMode, since: Timestamp) -> BreakerDecision {
        BreakerDecision { mode, since, note: "moving".to_owned() }
    }

    #[test]
    fn each_transition_is_noted_once_with_its_figures() {
        let breaker = opened();
        let (noted, status) = breaker.take_transitions(at(1));
        let reason = "6 of the last 10 attempts failed".to_owned();
        let open = BreakerTransition { phase: BreakerPhase::Open, at: at(0), until: Some(at(60_000)), reason };
        assert_eq!((noted, status.phase), (vec![open], BreakerPhase::Open));
        assert_eq!(breaker.take_transitions(at(2)).0, []);
        let report = breaker.report(at(3));
        assert_eq!((report.state(), report.since, report.until), ("open", at(0), Some(at(60_000))));
        assert_eq!(report.reason, "6 of the last 10 attempts failed");
        assert!(breaker.is_open(at(59_999)) && !breaker.is_open(at(60_000)));
        (0..10).for_each(|_| attempt(&breaker, AttemptEvidence::Worked, at(60_000)));
        let phases: Vec<_> = breaker.take_transitions(at(60_001)).0.iter().map(|it| it.phase).collect();
        assert_eq!(phases, [BreakerPhase::HalfOpen, BreakerPhase::Closed]);
        assert_eq!(breaker.report(at(60_001)).reason, "no attempt has ended since then");
    }

    #[test]
    fn half_open_hands_out_its_places_and_takes_them_back() {
        let breaker = opened();
        let RunAdmissions { each, most } = breaker.admit_up_to(64, at(60_000)).unwrap();
        assert_eq!((each.len(), most), (10, Some(10)));
        assert!(breaker.admit(at(60_000)).is_err());
        let none = breaker.admit_up_to(64, at(60_000)).unwrap();
        assert_eq!((none.each.len(), none.most), (0, Some(0)), "privileged runs may start all the same");
        breaker.give_back(each);
        assert!(breaker.admit(at(60_000)).unwrap().is_some());
    }

    #[test]
    fn a_new_revision_closes_the_breaker_and_keeps_a_decision() {
        let breaker = opened();
        let late = DeploymentBreaker::admit(&breaker, at(60_000)).unwrap().unwrap();
        breaker.renew(BreakerSettings::default(), Revision::new(2), at(60_001));
        breaker.record(late, AttemptEvidence::Failed, true, 1, at(60_002));
        let report = breaker.report(at(60_002));
        assert_eq!((report.state(), report.since, report.counts), ("closed", at(60_001), CallCounts::default()));
        let last = breaker.take_transitions(at(60_002)).0.pop().unwrap();
        assert_eq!((last.phase, last.reason.as_str()), (BreakerPhase::Closed, "revision 2 was deployed"));
        breaker.decide(forced(BreakerMode::ForcedOpen, at(70_000)));
        breaker.renew(BreakerSettings::default(), Revision::new(3), at(80_000));
        let report = breaker.report(at(90_000));
        assert_eq!((report.state(), report.since, report.reason.as_str()), ("forced-open", at(70_000), "moving"));
        assert_eq!(breaker.check(at(90_000)), Err(BreakerRefusal { since: at(70_000), until: None }));
    }

    #[test]
    fn a_breaker_that_is_off_counts_nothing_and_can_be_forced_open() {
        let breaker = breaker(BreakerSettings { enabled: false, ..BreakerSettings::default() });
        (0..100).for_each(|_| attempt(&breaker, AttemptEvidence::Failed, at(0)));
        let report = breaker.report(at(0));
        assert_eq!((report.state(), report.counts), ("disabled", CallCounts::default()));
        breaker.decide(forced(BreakerMode::ForcedOpen, at(1)));
        assert!(breaker.is_open(at(2)));
        breaker.decide(forced(BreakerMode::Automatic, at(3)));
        assert_eq!(breaker.report(at(4)).state(), "disabled");
    }

    #[test]
    fn a_slow_deployment_is_described_as_slow() {
        let policy = BreakerPolicy { slow_millis: 2_000, ..BreakerSettings::default().policy };
        let breaker = breaker(BreakerSettings { enabled: true, policy });
        for _ in 0..10 {
            let admission = breaker.admit(at(0)).unwrap().unwrap();
            breaker.record(admission, AttemptEvidence::Worked, true, 2_001, at(0));
        }
        assert_eq!(breaker.report(at(0)).reason, "10 of the last 10 attempts took longer than 2s");
    }
}
