//! The dispatcher: admits waiting runs from the store, those of higher priority first.
//!
//! It looks only at deployments that may have due runs. A request, a firing or a retry adds its
//! deployment to the backlog, and a returned permit wakes the dispatcher if the backlog is not
//! empty. Within a deployment the store decides the order, and resumed runs come first. If permits
//! are scarce, the manifest's priority decides between deployments. A deployment that is passed
//! over ages, so that the lowest priority is never starved.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tidemill_core::ids::Owner;
use tidemill_core::policy::PolicyInForce;
use tidemill_core::{Clock, DeploymentName, Timestamp, failpoint};
use tidemill_store::Store;
use tidemill_store::records::{AdmissionLimits, AdmissionResult, ClaimedRun};

use crate::deployment::active::{ActiveDeployment, DeploymentRegistry};
use crate::deployment::breaker::RunAdmissions;
use crate::deployment::limiter::Permit;
use crate::error::ControlError;
use crate::metrics::Metrics;
use crate::reconcile::{NextTick, Reconciler, TickReport};
use crate::run::admission::Admission;
use crate::run::resume::RunLauncher;
use crate::state::HostState;

/// Maximum number of runs per claim, so that other deployments get a turn between two claims of
/// one.
const CLAIM: u32 = 64;
/// Maximum number of concurrent claims. They share commits.
const CLAIMS: usize = 256;
/// Maximum interval between queries of the store for deployments with waiting runs, in
/// milliseconds.
const LOOK_EVERY: u64 = 30_000;
/// Number of times that a deployment is passed over before it gains one step of priority.
const PASSED_A_STEP: u32 = 16;

/// The loop that admits waiting runs.
pub(crate) struct Dispatcher {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    owner: Owner,
    deployments: Arc<DeploymentRegistry>,
    admission: Arc<Admission>,
    metrics: Arc<Metrics>,
    launcher: RunLauncher,
    policy: PolicyInForce,
    /// When it last queried the store for deployments with waiting runs, in milliseconds.
    looked_at: AtomicU64,
}

/// A deployment with permits for some of its runs.
struct DeploymentTurn {
    live: Arc<ActiveDeployment>,
    permits: Vec<Permit>,
}

/// The result of a round.
#[derive(Default)]
struct RoundResult {
    found: usize,
    done: usize,
    failed: usize,
    /// Whether a claim used all its permits, so that there may be more to claim.
    more: bool,
}

impl Dispatcher {
    pub(crate) fn new(host: &Arc<HostState>) -> Self {
        Self {
            store: Arc::clone(&host.store),
            clock: Arc::clone(&host.clock),
            owner: host.owner.clone(),
            deployments: Arc::clone(&host.deployments),
            admission: Arc::clone(&host.admission),
            metrics: Arc::clone(&host.metrics),
            launcher: RunLauncher::new(host),
            policy: host.config.policy.clone(),
            looked_at: AtomicU64::new(0),
        }
    }

    /// Adds deployments to the backlog whose delayed runs have become due.
    async fn find_delayed(&self, now: Timestamp) -> Result<(), ControlError> {
        let known = self.looked_at.load(Ordering::Relaxed)..self.admission.delayed_until.load(Ordering::Acquire);
        // Every waiting run should be on the backlog. This query is cheap and repairs an omission
        // soon.
        if known.contains(&now.as_millis()) && now.as_millis() - known.start < LOOK_EVERY {
            return Ok(());
        }
        // A run that is delayed from here on lowers the value again.
        self.admission.delayed_until.store(u64::MAX, Ordering::Release);
        let found = async {
            let waiting = self.store.waiting_deployments(now).await?;
            Ok::<_, ControlError>((waiting, self.store.next_delayed(now).await?))
        };
        match found.await {
            Ok((waiting, next)) => {
                self.looked_at.store(now.as_millis(), Ordering::Relaxed);
                self.admission.note_due(&waiting);
                if let Some(next) = next {
                    self.admission.delayed_until.fetch_min(next.as_millis(), Ordering::AcqRel);
                }
                Ok(())
            }
            Err(error) => {
                self.admission.delayed_until.store(0, Ordering::Release);
                Err(error)
            }
        }
    }

    /// Returns the deployments that get permits now, except those in `served`.
    fn turns(&self, served: &mut HashSet<DeploymentName>, now: Timestamp) -> Vec<DeploymentTurn> {
        let backlog = &self.admission.node.backlog;
        let mut candidates = Vec::new();
        for (name, passed) in backlog.candidates(served) {
            match self.deployments.get(&name) {
                Some(live) if live.limiter.is_open() && !live.limiter.breaker.is_open(now) => {
                    candidates.push(((rank(live.plan.priority, passed), passed), live))
                }
                // Resuming or enabling the deployment adds it again, and so does the loop of the
                // breakers once the breaker is half-open. It may do so while this runs.
                Some(live) => {
                    backlog.remove(&name);
                    if live.limiter.is_open() && !live.limiter.breaker.is_open(self.clock.now()) {
                        backlog.enqueue_deployment(&live.limiter);
                    }
                }
                None => backlog.remove(&name),
            }
        }
        candidates.sort_by(|(one, _), (other, _)| other.cmp(one));
        let mut turns: Vec<DeploymentTurn> = Vec::new();
        // Give each deployment one permit first, so that none takes all of them. The rest is given
        // out in order.
        for (_, live) in candidates {
            if let Some(permit) = self.admission.node.admit(&live.limiter) {
                served.insert(live.deployment.name.clone());
                turns.push(DeploymentTurn { live, permits: vec![permit] });
            }
        }
        for DeploymentTurn { live, permits } in &mut turns {
            let wanted = live.limiter.free().min(CLAIM - 1);
            permits.extend((0..wanted).map_while(|_| self.admission.node.admit(&live.limiter)));
        }
        turns
    }

    /// Runs one round, in which each deployment on the backlog has one turn. A deployment that is
    /// added during the round has its turn at once and does not wait for the commits of the others.
    async fn round(&self, now: Timestamp) -> RoundResult {
        let backlog = &self.admission.node.backlog;
        let (mut round, mut served, mut woken) = (RoundResult::default(), HashSet::new(), false);
        let first = self.turns(&mut served, now).into_iter().map(|turn| (turn, now));
        let mut turns: VecDeque<(DeploymentTurn, Timestamp)> = first.collect();
        let mut claims = FuturesUnordered::new();
        loop {
            while claims.len() < CLAIMS
                && let Some((turn, now)) = turns.pop_front()
            {
                round.found += 1;
                claims.push(self.claim(turn, now));
            }
            tokio::select! {
                biased;
                claimed = claims.next() => match claimed {
                    Some(Ok((claimed, full))) => {
                        round.done += claimed;
                        round.more |= full;
                    }
                    Some(Err(error)) => {
                        round.failed += 1;
                        tracing::warn!(%error, "could not claim runs");
                    }
                    None => break,
                },
                () = backlog.woken(), if backlog.len() < CLAIMS => {
                    woken = true;
                    let now = self.clock.now();
                    turns.extend(self.turns(&mut served, now).into_iter().map(|turn| (turn, now)));
                }
            }
        }
        // The wake-up may have been for a deployment that already had its turn.
        if woken && !backlog.is_empty() {
            backlog.wake();
        }
        round
    }

    /// Records how late runs resume whose wait ended by time.
    fn record_wake_lateness(&self, claimed: &[ClaimedRun]) {
        let clock = &self.clock;
        let now = clock.now();
        for until in claimed.iter().filter_map(|claimed| claimed.run.waiting_for.as_ref()?.until) {
            if until <= now {
                self.metrics.wakes.observe(clock.since(until).as_secs_f64());
            }
        }
    }

    /// Claims runs for the permits of one turn. Returns their number, and whether there may be
    /// more.
    async fn claim(&self, turn: DeploymentTurn, now: Timestamp) -> Result<(usize, bool), ControlError> {
        let DeploymentTurn { live, mut permits } = turn;
        let backlog = &self.admission.node.backlog;
        let name = &live.deployment.name;
        // Remove the deployment before the claim: a run that is queued later adds it again, so none
        // is forgotten.
        backlog.remove(name);
        let breaker = &live.limiter.breaker;
        // Runs that a breaker holds back stay in the store. The loop of the breakers adds the
        // deployment again.
        let Ok(RunAdmissions { each: mut admissions, most }) = breaker.admit_up_to(permits.len(), now) else {
            return Ok((0, false));
        };
        let fuel = live.fuel_of_run(&self.policy);
        let limits = AdmissionLimits { rate: live.plan.flow.rate, fuel, unprivileged: most };
        let claimed = match self.store.admit(&self.owner, name, permits.len(), limits, now).await {
            Ok(AdmissionResult { claimed, next }) => {
                if let Some(next) = next {
                    self.admission.note_delayed(next);
                }
                claimed
            }
            Err(error) => {
                breaker.give_back(admissions);
                backlog.add(&live.limiter);
                return Err(error.into());
            }
        };
        failpoint::hit("run/claimed");
        self.record_wake_lateness(&claimed);
        let count = claimed.len();
        let full = count == permits.len();
        let held_back = most.is_some_and(|most| count_unprivileged(&claimed) >= most);
        if full {
            backlog.add(&live.limiter);
        } else if !held_back {
            live.limiter.has_backlog.store(false, Ordering::Release);
        }
        // Resumed runs were not counted among the queued ones.
        let queued = claimed.iter().filter(|claimed| claimed.run.waiting_for.is_none()).count();
        live.limiter.add_queued(-i64::try_from(queued).unwrap_or(0));
        if queued > 0 {
            self.admission.deliveries.note_room();
        }
        // A half-open breaker has as many admissions as unprivileged runs may start. What these
        // leave is for privileged runs.
        let mut spare = admissions.len().saturating_sub(count_unprivileged(&claimed));
        for claimed in claimed {
            if let Some(mut permit) = permits.pop() {
                let counts = !claimed.run.is_privileged() || spare > 0;
                spare = spare.saturating_sub(usize::from(claimed.run.is_privileged()));
                permit.begin_attempt(if counts { admissions.pop() } else { None });
                self.launcher.spawn(Arc::clone(&live), claimed, permit);
            }
        }
        live.limiter.breaker.give_back(admissions);
        Ok((count, full))
    }
}

#[async_trait]
impl Reconciler for Dispatcher {
    fn name(&self) -> &'static str {
        "dispatcher"
    }

    async fn tick(&self, now: Timestamp) -> Result<TickReport, ControlError> {
        if self.admission.is_recovering() {
            return Ok(TickReport { found: 0, done: 0, failed: 0, next: NextTick::OnWake });
        }
        self.find_delayed(now).await?;
        let RoundResult { found, done, failed, more } = self.round(now).await;
        let delayed = Timestamp::from_millis(self.admission.delayed_until.load(Ordering::Acquire));
        let next = if more && self.admission.node.free() > 0 {
            NextTick::Now
        } else {
            NextTick::At(delayed.min(now.plus_millis(LOOK_EVERY)))
        };
        Ok(TickReport { found, done, failed, next })
    }

    async fn woken(&self) {
        self.admission.node.backlog.woken().await;
    }
}

/// Returns how many runs are not privileged.
fn count_unprivileged(claimed: &[ClaimedRun]) -> usize {
    claimed.iter().filter(|claimed| !claimed.run.is_privileged()).count()
}

/// Returns the rank of a deployment. The higher one goes first; among equals the one that was
/// passed over more often.
fn rank(priority: u8, passed: u32) -> u32 {
    u32::from(priority).saturating_add(passed / PASSED_A_STEP)
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tidemill_core::run::RunState;

    use super::*;
    use crate::fixture::{LoopFixture, START};

    #[tokio::test]
    async fn a_tick_admits_waiting_runs_once_recovery_has_ended() {
        let fixture = LoopFixture::with(json!({})).await;
        let (first, second) = (fixture.queue().await, fixture.queue().await);
        let dispatcher = Dispatcher::new(&fixture.host);
        let closed = TickReport { found: 0, done: 0, failed: 0, next: NextTick::OnWake };
        assert_eq!(dispatcher.tick(START).await.unwrap(), closed);
        fixture.end_recovery();
        let report = dispatcher.tick(START).await.unwrap();
        assert_eq!((report.done, report.failed), (2, 0));
        for run in [first, second] {
            assert_eq!(fixture.settled(run.id).await.state, RunState::Succeeded);
        }
        let next = NextTick::At(START.plus_millis(LOOK_EVERY));
        assert_eq!(dispatcher.tick(START).await.unwrap(), TickReport { found: 0, done: 0, failed: 0, next });
    }

    #[tokio::test]
    async fn a_tick_returns_when_the_next_delayed_run_is_due() {
        let fixture = LoopFixture::with(json!({})).await;
        fixture.end_recovery();
        let due = START.plus_millis(5_000);
        let run = fixture.queue_delayed(5_000).await;
        let dispatcher = Dispatcher::new(&fixture.host);
        let report = dispatcher.tick(START).await.unwrap();
        assert_eq!((report.done, report.next), (0, NextTick::At(due)));
        fixture.clock.set(due);
        assert_eq!(dispatcher.tick(due).await.unwrap().done, 1);
        assert_eq!(fixture.settled(run.id).await.state, RunState::Succeeded);
    }

    #[tokio::test]
    async fn a_tick_returns_when_the_period_ends_of_a_budget_without_room() {
        let budget = json!({ "name": "work", "unit": "fuel", "limit": "1100", "per": "deployment", "period": "day" });
        let fixture = LoopFixture::with(json!({ "limits": { "fuel": 1_000 }, "budgets": [budget] })).await;
        fixture.end_recovery();
        let tomorrow = START.plus_millis(24 * 3_600_000);
        fixture.clock.set(Timestamp::from_millis(tomorrow.as_millis() - 5_000));
        fixture.queue().await;
        let waiting = fixture.queue().await;
        let dispatcher = Dispatcher::new(&fixture.host);
        let report = dispatcher.tick(fixture.clock.now()).await.unwrap();
        assert_eq!((report.done, report.next), (1, NextTick::At(tomorrow)));
        fixture.clock.set(tomorrow);
        dispatcher.tick(tomorrow).await.unwrap();
        assert_eq!(fixture.settled(waiting.id).await.state, RunState::Succeeded);
    }

    #[test]
    fn the_lowest_priority_overtakes_the_highest_once_it_has_aged() {
        assert!(rank(9, 0) > rank(1, 0));
        assert!(rank(9, 0) < rank(1, 9 * PASSED_A_STEP));
    }
}
