//! The active deployments, readable without a lock, with everything that a run needs of its
//! deployment.
//!
//! A [`ResolvedRevision`] is one revision with its manifest parsed. An [`ActiveDeployment`] is the
//! present revision together with what outlives revisions: the limiter, the locks between runs, the
//! metrics.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use parking_lot::Mutex;
use tidemill_core::budget::{BudgetSpec, BudgetUnit};
use tidemill_core::flow::{Debounce, Flow};
use tidemill_core::healing::HealingPolicy;
use tidemill_core::lane::Lane;
use tidemill_core::limits::LOG_BYTES;
use tidemill_core::manifest::{
    BreakerSettings, CompactSchedules, Grants, HealthPolicy, LedgerPolicy, Manifest, ServiceLevel,
};
use tidemill_core::policy::PolicyInForce;
use tidemill_core::retry::RunRetry;
use tidemill_core::run::{Export, Trigger};
use tidemill_core::schedule::Schedule;
use tidemill_core::schema::{InputCheck, SignalChecks};
use tidemill_core::spawn::StartBucket;
use tidemill_core::topics::Subscription;
use tidemill_core::zones::Zone;
use tidemill_core::{Clock, DeploymentName, Limits, Policy, Revision, RunId, ScheduleName, Timestamp};
use tidemill_store::Store;
use tidemill_store::records::{AdmissionTerms, BreakerDecision, DebounceTerms, Deployment, NewRun, ParkedFilter};
use tidemill_webhook::Verifier;

use crate::deployment::breaker::{BreakerSignal, DeploymentBreaker};
use crate::deployment::contended_keys::ContendedKeys;
use crate::deployment::limiter::DeploymentLimiter;
use crate::error::ControlError;
use crate::metrics::{DeploymentMetrics, Metrics};

/// Maximum number of earlier revisions that a deployment keeps resolved, for runs that began with
/// them.
const EARLIER_PLANS: usize = 8;

/// One revision with its manifest parsed.
#[derive(Debug)]
pub(crate) struct ResolvedRevision {
    pub(crate) revision: Revision,
    pub(crate) exports: Vec<Export>,
    /// Checks a workflow's input against the component's schema.
    pub(crate) input: Option<InputCheck>,
    /// Checks signals against the component's schemas.
    pub(crate) signals: SignalChecks,
    pub(crate) config: Arc<str>,
    pub(crate) limits: Limits,
    pub(crate) breaker: BreakerSettings,
    pub(crate) health: HealthPolicy,
    pub(crate) healing: HealingPolicy,
    pub(crate) slo: ServiceLevel,
    pub(crate) grants: Arc<Grants>,
    pub(crate) ledger: LedgerPolicy,
    /// Its budgets; `None` if it has none.
    pub(crate) budgets: Option<Arc<[BudgetSpec]>>,
    pub(crate) retry: RunRetry,
    pub(crate) priority: u8,
    pub(crate) concurrency: u32,
    pub(crate) flow: Flow,
    pub(crate) enabled: bool,
    pub(crate) labels: Vec<(String, String)>,
    pub(crate) subscriptions: Vec<Arc<Subscription>>,
    pub(crate) hooks: Vec<Verifier>,
    pub(crate) since: Option<Timestamp>,
    /// The time zones of its schedules, each once.
    pub(crate) zones: Box<[String]>,
    schedules: CompactSchedules,
}

impl ResolvedRevision {
    /// Resolves a stored revision.
    ///
    /// # Errors
    /// As [`manifest_of`].
    pub(crate) async fn load(store: &dyn Store, deployment: &Deployment) -> Result<Self, ControlError> {
        let manifest = manifest_of(deployment)?;
        let component = store.component(&deployment.component).await?;
        let (exports, schemas) =
            component.map_or_else(Default::default, |component| (component.exports, component.schemas));
        Ok(Self::new(deployment.revision, manifest, exports, schemas.as_deref()))
    }

    /// Resolves a revision. `schemas` is the component's; the upload has validated it. If this
    /// version of the host cannot read it, inputs are not checked.
    pub(crate) fn new(revision: Revision, manifest: Manifest, exports: Vec<Export>, schemas: Option<&str>) -> Self {
        Self {
            revision,
            exports,
            input: schemas.and_then(|schemas| InputCheck::of_section(schemas).ok().flatten()),
            signals: schemas.and_then(|schemas| SignalChecks::of_section(schemas).ok()).unwrap_or_default(),
            config: manifest.config.into(),
            // An earlier release accepted a larger limit.
            limits: Limits { log: manifest.limits.log.min(LOG_BYTES), ..manifest.limits },
            breaker: manifest.breaker,
            health: manifest.health,
            healing: manifest.healing,
            slo: manifest.slo,
            grants: Arc::new(manifest.grants),
            ledger: manifest.ledger,
            budgets: (!manifest.budgets.is_empty()).then(|| manifest.budgets.into()),
            retry: manifest.retry,
            priority: manifest.priority,
            concurrency: manifest.concurrency,
            flow: manifest.flow,
            enabled: manifest.enabled,
            labels: manifest.labels.into_iter().collect(),
            subscriptions: manifest.subscriptions.into_iter().map(Arc::new).collect(),
            hooks: manifest.hooks.into_iter().map(|hook| Verifier::new(Arc::new(hook))).collect(),
            since: manifest.since,
            zones: zones_of(&manifest.schedules),
            schedules: CompactSchedules::of(&manifest.schedules),
        }
    }

    /// Whether its `health` export is called.
    pub(crate) fn checks_health(&self) -> bool {
        self.health.enabled && self.exports.contains(&Export::Health)
    }

    /// Whether a run must be queued in the store before it may start.
    pub(crate) fn is_kept(&self) -> bool {
        self.flow.is_kept() || self.has_fuel_budget()
    }

    /// Whether it has a budget of fuel, so that runs must hold fuel in the store before they start.
    pub(crate) fn has_fuel_budget(&self) -> bool {
        self.budgets.iter().flat_map(|budgets| budgets.iter()).any(|budget| budget.unit == BudgetUnit::Fuel)
    }

    /// Returns the customer of a run with that input, if the deployment has a budget of fuel.
    pub(crate) fn fuel_customer(&self, input: &[u8]) -> Option<String> {
        self.has_fuel_budget().then(|| self.flow.customer_of(input))
    }

    /// Merges the labels `own` of a run with the deployment's. A run's own label wins.
    pub(crate) fn labels_with(&self, own: Vec<(String, String)>) -> Vec<(String, String)> {
        let others = self.labels.iter().filter(|(name, _)| !own.iter().any(|(taken, _)| taken == name));
        let mut labels: Vec<_> = others.cloned().collect();
        labels.extend(own);
        labels
    }

    /// Returns the names of its schedules.
    pub(crate) fn schedule_names(&self) -> impl Iterator<Item = &ScheduleName> {
        self.schedules.names()
    }

    /// Returns those of its time zones that this process does not know.
    pub(crate) fn unknown_zones(&self) -> impl Iterator<Item = &String> {
        self.zones.iter().filter(|name| name.parse::<Zone>().is_err())
    }

    /// Parses one of its schedules from its text, which takes some microseconds.
    pub(crate) fn schedule(&self, name: &ScheduleName) -> Option<Schedule> {
        self.schedules.get(name)
    }
}

/// Returns the time zones that decide when these schedules fire. UTC never changes and is left out.
fn zones_of(schedules: &[Schedule]) -> Box<[String]> {
    let names = schedules.iter().map(|schedule| schedule.spec().time_zone.name()).filter(|name| *name != "UTC");
    names.collect::<BTreeSet<_>>().into_iter().map(str::to_owned).collect()
}

/// Parses the manifest of a stored revision.
///
/// # Errors
/// If it is not a manifest: the store is damaged.
pub(crate) fn manifest_of(deployment: &Deployment) -> Result<Manifest, ControlError> {
    Manifest::parse_json(deployment.manifest.as_bytes()).map_err(|problems| {
        let why = problems.first().map_or_else(String::new, |problem| problem.message.clone());
        let what = format!("the manifest of {} revision {}: {why}", deployment.name, deployment.revision);
        ControlError::Store(tidemill_store::StoreError::Damaged { what })
    })
}

/// Every deployment by its name, at one moment.
pub(crate) type DeploymentMap = Arc<HashMap<DeploymentName, Arc<ActiveDeployment>>>;

/// A deployment in its present state.
#[derive(Debug)]
pub(crate) struct ActiveDeployment {
    /// The deployment without the text of its manifest; `plan` has what runs need of it.
    pub(crate) deployment: Deployment,
    pub(crate) plan: Arc<ResolvedRevision>,
    pub(crate) limiter: Arc<DeploymentLimiter>,
    pub(crate) metrics: DeploymentMetrics,
    /// Held shared by runs that commit writes, and exclusively by a run whose commits conflicted
    /// repeatedly.
    pub(crate) contention: Arc<tokio::sync::RwLock<()>>,
    /// The turns of its runs on contended state keys.
    pub(crate) turns: Arc<ContendedKeys>,
    /// Locked while a collection is unfinished.
    pub(crate) collecting: Arc<tokio::sync::Mutex<()>>,
    /// Maximum number of its runs that may wait, by the policy.
    queue_ceiling: Option<u64>,
    /// The rate at which its runs start other runs.
    starts: Arc<Mutex<StartBucket>>,
    earlier: Arc<Mutex<Vec<Arc<ResolvedRevision>>>>,
}

impl ActiveDeployment {
    /// Takes one start of a run by a run, and returns how long that run must wait for the rate.
    pub(crate) fn start_delay(&self, now: Duration) -> Duration {
        self.starts.lock().take(now)
    }

    /// Returns whether new runs are admitted.
    pub(crate) fn is_open(deployment: &Deployment, plan: &ResolvedRevision) -> bool {
        plan.enabled && deployment.paused.is_none()
    }

    /// Returns the lanes of a run with that input.
    pub(crate) fn lanes(&self, input: &[u8]) -> Vec<Lane> {
        self.plan.flow.lane(input).into_iter().collect()
    }

    /// Returns the maximum number of its runs that may wait, if the host's maximum per deployment
    /// is `most`.
    pub(crate) fn queue_max(&self, most: u64) -> u64 {
        self.plan.flow.queue.into_iter().chain(self.queue_ceiling).fold(most, u64::min)
    }

    /// Returns the terms of a request from outside. `most` is as for
    /// [`ActiveDeployment::queue_max`].
    pub(crate) fn terms(&self, export: Export, input: &[u8], most: u64, policy: &PolicyInForce) -> AdmissionTerms {
        let debounced = |debounce: &Debounce| DebounceTerms {
            key: debounce.key_of(export.as_str(), input),
            wait_millis: debounce.wait_millis,
            max_wait_millis: debounce.max_wait_millis,
        };
        AdmissionTerms {
            key_millis: self.plan.flow.key_millis,
            queue_max: self.queue_max(most),
            debounce: self.plan.flow.debounce.as_ref().map(debounced),
            customer: self.plan.fuel_customer(input),
            fuel: self.fuel_of_run(policy),
        }
    }

    /// Returns the terms of a run that no caller requests: it waits if a budget has no room.
    pub(crate) fn own_terms(&self, input: &[u8], most: u64) -> AdmissionTerms {
        let (queue_max, customer) = (self.queue_max(most), self.plan.fuel_customer(input));
        AdmissionTerms { queue_max, customer, ..AdmissionTerms::default() }
    }

    /// Returns what a run holds of each budget of fuel; `None` if the deployment has none.
    pub(crate) fn fuel_of_run(&self, policy: &PolicyInForce) -> Option<u64> {
        let limits = || policy.now().bounded(self.deployment.name.as_str(), &self.plan.limits);
        self.plan.has_fuel_budget().then(|| limits().fuel_of_generation())
    }

    /// Returns a request for a run that starts at once, with the labels, priority and lanes of its
    /// deployment and without terms.
    pub(crate) fn new_run(&self, id: RunId, export: Export, trigger: Trigger, input: Bytes, now: Timestamp) -> NewRun {
        NewRun {
            id,
            deployment: self.deployment.name.clone(),
            revision: self.deployment.revision,
            component: self.deployment.component,
            export,
            trigger,
            key: None,
            labels: self.plan.labels.clone(),
            priority: self.plan.priority,
            now,
            not_before: now,
            seed: crate::random::seed(),
            detached: false,
            lanes: self.lanes(&input),
            terms: AdmissionTerms { customer: self.plan.fuel_customer(&input), ..AdmissionTerms::default() },
            input,
        }
    }

    /// Returns the revision that a run began with.
    pub(crate) async fn resolve_revision(
        &self,
        store: &dyn Store,
        revision: Revision,
    ) -> Result<Arc<ResolvedRevision>, ControlError> {
        if self.plan.revision == revision {
            return Ok(Arc::clone(&self.plan));
        }
        let known = |plans: &Vec<Arc<ResolvedRevision>>| plans.iter().find(|plan| plan.revision == revision).cloned();
        if let Some(plan) = known(&self.earlier.lock()) {
            return Ok(plan);
        }
        let Some(deployment) = store.revision(&self.deployment.name, revision).await? else {
            return Err(ControlError::Store(tidemill_store::StoreError::NotFound {
                kind: "revision",
                name: format!("{} {revision}", self.deployment.name),
            }));
        };
        let plan = Arc::new(ResolvedRevision::load(store, &deployment).await?);
        let mut plans = self.earlier.lock();
        if plans.len() >= EARLIER_PLANS {
            plans.remove(0);
        }
        plans.push(Arc::clone(&plan));
        Ok(plan)
    }
}

/// All deployments, by name.
pub(crate) struct DeploymentRegistry {
    all: ArcSwap<HashMap<DeploymentName, Arc<ActiveDeployment>>>,
    policy: PolicyInForce,
    clock: Arc<dyn Clock>,
    pub(crate) breakers: Arc<BreakerSignal>,
}

impl DeploymentRegistry {
    /// Returns an empty registry. `policy` bounds every deployment that is put into it.
    pub(crate) fn new(policy: PolicyInForce, clock: Arc<dyn Clock>) -> Self {
        Self { all: ArcSwap::default(), policy, clock, breakers: Arc::default() }
    }

    pub(crate) fn get(&self, name: &DeploymentName) -> Option<Arc<ActiveDeployment>> {
        self.all.load().get(name).cloned()
    }

    /// Returns the deployment `name`.
    ///
    /// # Errors
    /// `host/deployment-not-found`.
    pub(crate) fn require(&self, name: &DeploymentName) -> Result<Arc<ActiveDeployment>, ControlError> {
        self.get(name).ok_or_else(|| ControlError::no_deployment(name))
    }

    pub(crate) fn all(&self) -> DeploymentMap {
        self.all.load_full()
    }

    /// Recounts the waiting and parked runs. Cancelled and debounced runs leave the queue without
    /// changing the counter in memory.
    ///
    /// # Errors
    /// Errors of the store.
    pub(crate) async fn recount(&self, store: &dyn Store, metrics: &Metrics) -> Result<(), ControlError> {
        for live in self.all().values() {
            let queued = store.queue_length(&live.deployment.name).await?;
            live.limiter.set_queued(i64::try_from(queued).unwrap_or(i64::MAX));
        }
        let parked = match store.run_counts().parked {
            0 => Vec::new(),
            _ => store.parked_groups(ParkedFilter::default()).await?,
        };
        metrics.set_parked(&parked);
        Ok(())
    }

    /// Puts many deployments at once, as at the start, each with the decision about its breaker.
    pub(crate) fn put_all(
        &self,
        metrics: &Metrics,
        found: Vec<(Deployment, ResolvedRevision)>,
        decisions: &HashMap<DeploymentName, BreakerDecision>,
    ) {
        let (mut all, policy) = (HashMap::clone(&self.all.load()), self.policy.now());
        for (deployment, plan) in found {
            let decision = decisions.get(&deployment.name).cloned();
            let live = self.live(metrics, &policy, all.get(&deployment.name), deployment, Arc::new(plan), decision);
            all.insert(live.deployment.name.clone(), live);
        }
        self.all.store(Arc::new(all));
    }

    /// Puts a deployment that was committed. The caller keeps the order of the commits.
    pub(crate) fn put(
        &self,
        metrics: &Metrics,
        deployment: Deployment,
        plan: Arc<ResolvedRevision>,
    ) -> Arc<ActiveDeployment> {
        let before = self.get(&deployment.name);
        let live = self.live(metrics, &self.policy.now(), before.as_ref(), deployment, plan, None);
        self.all.rcu(|all| {
            let mut all = HashMap::clone(all);
            all.insert(live.deployment.name.clone(), Arc::clone(&live));
            all
        });
        live
    }

    /// Applies the policy in force to all deployments, except those that are being deleted. The
    /// caller holds the lock of changes.
    pub(crate) fn apply_policy_to_all(&self, metrics: &Metrics, except: &BTreeSet<DeploymentName>) {
        let (policy, before) = (self.policy.now(), self.all.load_full());
        let renewed = before.iter().map(|(name, old)| {
            let live = if except.contains(name) {
                Arc::clone(old)
            } else {
                self.live(metrics, &policy, Some(old), old.deployment.clone(), Arc::clone(&old.plan), None)
            };
            (name.clone(), live)
        });
        self.all.store(Arc::new(renewed.collect()));
    }

    pub(crate) fn remove(&self, name: &DeploymentName) {
        self.all.rcu(|all| {
            let mut all = HashMap::clone(all);
            all.remove(name);
            all
        });
    }

    /// Returns a deployment with what outlives its revisions. `decision` is used only if it is new
    /// here.
    fn live(
        &self,
        metrics: &Metrics,
        policy: &Policy,
        before: Option<&Arc<ActiveDeployment>>,
        deployment: Deployment,
        plan: Arc<ResolvedRevision>,
        decision: Option<BreakerDecision>,
    ) -> Arc<ActiveDeployment> {
        // The plan has what runs need of the manifest. Its text can be read from the store.
        let deployment = Deployment { manifest: Arc::from(""), ..deployment };
        let limiter = match before {
            Some(live) => Arc::clone(&live.limiter),
            None => {
                let (name, signal) = (deployment.name.clone(), Arc::clone(&self.breakers));
                let breaker = DeploymentBreaker::new(name.clone(), signal, plan.breaker, decision, self.clock.now());
                DeploymentLimiter::new(name, breaker)
            }
        };
        if before.is_some_and(|live| live.plan.revision != plan.revision) {
            limiter.breaker.renew(plan.breaker, plan.revision, self.clock.now());
        }
        // Collections of one stream never overlap. A second one would only wait while it holds a
        // permit.
        let most = if plan.exports == [Export::RevenueStream] {
            1
        } else {
            policy.bounded_concurrency(deployment.name.as_str(), plan.concurrency)
        };
        limiter.set(ActiveDeployment::is_open(&deployment, &plan), most);
        let queue_ceiling = policy.queue_max(deployment.name.as_str());
        Arc::new(match before {
            Some(live) => ActiveDeployment {
                limiter,
                metrics: live.metrics.clone(),
                contention: Arc::clone(&live.contention),
                turns: Arc::clone(&live.turns),
                collecting: Arc::clone(&live.collecting),
                queue_ceiling,
                starts: Arc::clone(&live.starts),
                earlier: Arc::clone(&live.earlier),
                deployment,
                plan,
            },
            None => ActiveDeployment {
                limiter,
                metrics: metrics.of(deployment.name.as_str()),
                contention: Arc::default(),
                turns: Arc::default(),
                collecting: Arc::default(),
                queue_ceiling,
                starts: Arc::new(Mutex::new(StartBucket::new(Duration::ZERO))),
                earlier: Arc::default(),
                deployment,
                plan,
            },
        })
    }
}
