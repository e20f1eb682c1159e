//! Creates revisions of deployments, and pauses, resumes and deletes deployments.

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, StreamExt as _};
use tidemill_core::budget::{BudgetSpec, BudgetUnit};
use tidemill_core::manifest::{LedgerPolicy, Manifest, ManifestChange, Source};
use tidemill_core::money::Currencies;
use tidemill_core::run::Export;
use tidemill_core::schedule::{Schedule, ScheduleEnd, SchedulePreview};
use tidemill_core::topics::Subscription;
use tidemill_core::wire::InputProblem;
use tidemill_core::{Code, ComponentDigest, DeploymentName, Policy, Revision, ScheduleName, Timestamp};
use tidemill_store::StoreError;
use tidemill_store::records::{
    Component, Deployment, IncidentUpdate, NewBudget, OperatorCall, PageRequest, PutDeployment, RunFilter,
    ScheduleChange, SubscriptionChange,
};
use tidemill_webhook::Verifier;

use crate::deployment::active::{ActiveDeployment, ResolvedRevision, manifest_of};
use crate::deployment::exports;
use crate::error::ControlError;
use crate::healing::repair;
use crate::run_to_completion::run_to_completion;
use crate::schedule::firing::{PASSED_MAX, times, times_between};
use crate::state::ControlPlane;

/// Number of previewed firings per schedule.
const PREVIEW: usize = 20;
/// Number of runs in one page of the runs to cancel.
const PAGE: usize = 500;
/// Maximum number of concurrent cancel requests. They share disk syncs.
const CANCEL_AT_ONCE: usize = 64;
/// Time allowed for the runs of a deleted deployment to end. After half of it they are terminated.
const CANCEL_WITHIN: Duration = Duration::from_secs(60);

/// Why a deployment changes, as far as the commit of the change records it.
pub(crate) enum ChangeCause {
    /// A person changes it.
    Person,
    /// The host repairs it. The change of the incident is committed with it.
    Repair(Box<IncidentUpdate>),
    /// A run acts on it.
    Run(Box<OperatorCall>),
}

/// The result of deploying a manifest, or of a dry run of it.
#[derive(Debug, Clone)]
pub struct DeployResult {
    /// The deployment after the change.
    pub deployment: Deployment,
    /// Whether no deployment had this name before.
    pub created: bool,
    /// The differences from the previous revision; empty if there are none, or no previous
    /// revision.
    pub changes: Vec<ManifestChange>,
    /// Warnings for the author.
    pub warnings: Vec<String>,
    /// The next firings of each schedule, in the manifest's order.
    pub previews: Vec<Preview>,
}

/// When a schedule fires next.
#[derive(Debug, Clone)]
pub struct Preview {
    /// The schedule's name.
    pub name: ScheduleName,
    /// Its time zone, by its name in the IANA database.
    pub time_zone: String,
    /// The next 20 firings, fewer if its limit ends them, and those that daylight saving drops.
    pub ahead: SchedulePreview,
    /// The time before which it does not fire, because the clock was set back.
    pub silent_until: Option<Timestamp>,
}

impl ControlPlane {
    /// Creates a revision of the deployment that the manifest names. With `expected`, only if that
    /// is the present revision (`None` inside: only if the deployment does not exist). With
    /// `dry_run`, changes nothing and returns what would happen.
    ///
    /// # Errors
    /// Every problem of the manifest; `host/precondition-failed`.
    pub async fn deploy(
        &self,
        manifest: Manifest,
        expected: Option<Option<Revision>>,
        dry_run: bool,
    ) -> Result<DeployResult, ControlError> {
        self.0.shutdown.check_open()?;
        let host = self.clone();
        run_to_completion(async move { host.deploy_now(manifest, expected, dry_run).await }).await
    }

    async fn deploy_now(
        &self,
        manifest: Manifest,
        expected: Option<Option<Revision>>,
        dry_run: bool,
    ) -> Result<DeployResult, ControlError> {
        let Some(name) = manifest.name.clone() else {
            let problem = InputProblem::field("/name", "the deployment has no name", "Add `name` to the manifest.");
            return Err(ControlError::Problems { code: Code::BadManifest, problems: vec![problem] });
        };
        let component = self.component_of(&manifest.source).await?;
        self.deploy_component(name, manifest, component, expected, dry_run, None).await
    }

    /// Creates a revision that runs `component`, whatever the manifest's source resolves to now.
    pub(crate) async fn deploy_component(
        &self,
        name: DeploymentName,
        manifest: Manifest,
        component: Component,
        expected: Option<Option<Revision>>,
        dry_run: bool,
        incident: Option<IncidentUpdate>,
    ) -> Result<DeployResult, ControlError> {
        let _turn = self.0.changes.lock().await;
        let cause = incident.map_or(ChangeCause::Person, |update| ChangeCause::Repair(Box::new(update)));
        self.deploy_in_turn(name, manifest, component, expected, dry_run, cause).await
    }

    /// Creates a revision like [`ControlPlane::deploy_component`]. The caller holds the lock of
    /// changes.
    pub(crate) async fn deploy_in_turn(
        &self,
        name: DeploymentName,
        manifest: Manifest,
        component: Component,
        expected: Option<Option<Revision>>,
        dry_run: bool,
        cause: ChangeCause,
    ) -> Result<DeployResult, ControlError> {
        let mut problems = exports::misfits(&manifest, &component.exports, component.schemas.as_deref());
        problems.extend(check_memory(&manifest, self.0.config.memory_max));
        problems.extend(manifest.unknown_zones());
        problems.extend(manifest.self_repairs(&name));
        problems.extend(manifest.ledger.floors.problems(&self.0.config.currencies));
        problems.extend(manifest.unusable_budgets(&self.0.config.currencies));
        problems.extend(manifest.long_jitters(self.0.clock.now()));
        if !problems.is_empty() {
            return Err(ControlError::Problems { code: Code::BadManifest, problems });
        }
        // The lock of changes is held, under which a new policy is applied too.
        let problems = check_fuel_budgets(&name, &manifest, &self.0.config.currencies, &self.0.config.policy.now());
        if !problems.is_empty() {
            return Err(ControlError::Problems { code: Code::BadManifest, problems });
        }
        let denied = self.0.config.policy.now().check(&name, &manifest, self.0.clock.now());
        if !denied.is_empty() {
            return Err(ControlError::Problems { code: Code::PolicyDenied, problems: denied });
        }
        self.0.changes.check_not_deleting(&name)?;
        self.check_paper(&name, manifest.ledger.paper).await?;
        let problems = repair::named_problems(&self.0, &name, &manifest.healing);
        if !problems.is_empty() {
            return Err(ControlError::Problems { code: Code::BadManifest, problems });
        }
        let now = self.0.clock.now();
        let before = self.0.deployments.get(&name);
        let present = before.as_ref().map(|live| live.deployment.revision);
        if expected.is_some_and(|expected| expected != present) {
            return Err(StoreError::RevisionChanged { present }.into());
        }
        let stored = self.0.store.deployment(&name).await?;
        let before_it = stored.as_ref().map(manifest_of).transpose()?;
        let changes = before_it.map(|before| manifest.changes_from(&before)).unwrap_or_default();
        let previews = self.previews(&name, &manifest, now).await?;
        let warnings = warnings(&manifest, &component, before.as_deref(), &previews);
        let json = manifest.to_json();
        let (incident, call) = match cause {
            ChangeCause::Person => (None, None),
            ChangeCause::Repair(update) => (Some(update), None),
            ChangeCause::Run(call) => (None, Some(call)),
        };
        let put = PutDeployment {
            name: name.clone(),
            expected,
            component: component.digest,
            manifest: json.to_string().into(),
            schedules: self.schedule_changes(&name, &manifest, &json, before.as_deref(), now).await?,
            subscriptions: subscription_changes(&manifest),
            budgets: budgets(&manifest, &self.0.config.currencies),
            incident,
            now,
        };
        let created = before.is_none();
        if dry_run {
            return Ok(DeployResult {
                deployment: preview_deployment(before.as_deref(), &put, changes.is_empty()),
                created,
                changes,
                warnings,
                previews,
            });
        }
        // Everything that can fail comes before the commit.
        let revision = Revision::new(present.map_or(1, |revision| revision.get() + 1));
        let mut plan = ResolvedRevision::new(revision, manifest, component.exports, component.schemas.as_deref());
        let stored = match call {
            None => self.0.store.put_deployment(put).await,
            Some(call) => self.put_for_call(*call, put).await,
        };
        let deployment = stored.inspect_err(|error| self.0.store_failures.record(error))?;
        plan.revision = deployment.revision;
        let live = self.0.deployments.put(&self.0.metrics, deployment.clone(), Arc::new(plan));
        self.0.schedules.blocked.forget(&name);
        self.0.schedules.rescheduled.notify_one();
        self.0.deliveries.note_changed(&name);
        self.retain_hooks(&name, &live.plan.hooks);
        self.0.admission.node.backlog.enqueue_deployment(&live.limiter);
        self.0.admission.deliveries.note_room();
        if before.is_some_and(|before| before.plan.budgets.is_some()) || live.plan.budgets.is_some() {
            self.0.finding_wake.notify_one();
        }
        if present != Some(deployment.revision) {
            let (revision, component) = (deployment.revision.get(), deployment.component);
            tracing::info!(deployment = %name, revision, %component, created, "deployed");
        }
        Ok(DeployResult { deployment, created, changes, warnings, previews })
    }

    /// Returns how the ledger treats the entries of a deployment; `None` if it does not exist.
    #[must_use]
    pub fn ledger_policy(&self, name: &DeploymentName) -> Option<LedgerPolicy> {
        self.0.deployments.get(name).map(|live| live.plan.ledger.clone())
    }

    /// Refuses a deployment whose entries would be on other accounts than its stream has already.
    async fn check_paper(&self, name: &DeploymentName, paper: bool) -> Result<(), ControlError> {
        let own = self.0.store.stream_of(name).await?;
        let Some((stream, is_on_paper)) = own.filter(|own| own.1 != paper) else { return Ok(()) };
        let (is, asked) = if is_on_paper { ("on paper", "paper = true") } else { ("not on paper", "paper = false") };
        let detail = format!("the entries of stream `{stream}` are {is}: write `{asked}` under `[ledger]`");
        Err(ControlError::refused(Code::PaperChanged, detail))
    }

    /// Deletes a deployment with its schedules, revisions and state. Its runs and ledger entries
    /// stay. With `cancel_runs`, unended runs are cancelled first.
    ///
    /// # Errors
    /// `host/deployment-not-found`; `host/deployment-in-use` if runs have not ended.
    pub async fn delete(&self, name: &DeploymentName, cancel_runs: bool) -> Result<(), ControlError> {
        let (host, name) = (self.clone(), name.clone());
        run_to_completion(async move { host.delete_now(&name, cancel_runs).await }).await
    }

    /// Deletes a deployment. Holds the lock of changes only at the start and at the end, so that
    /// other deployments can change while the runs of this one are cancelled.
    async fn delete_now(&self, name: &DeploymentName, cancel_runs: bool) -> Result<(), ControlError> {
        let (live, _mark) = {
            let _turn = self.0.changes.lock().await;
            let live = self.0.deployments.require(name)?;
            let mark = self.0.changes.begin_deletion(name)?;
            // From here on no run is admitted, whether queued or invoked.
            live.limiter.set(false, 0);
            (live, mark)
        };
        let ended = self.end_runs(&live, cancel_runs).await;
        let _turn = self.0.changes.lock().await;
        let deleted = match ended {
            Ok(()) => {
                let deleted = self.0.store.delete_deployment(name, self.0.clock.now()).await;
                deleted.map_err(ControlError::from)
            }
            Err(error) => Err(error),
        };
        match &deleted {
            Ok(()) => {
                self.0.deployments.remove(name);
                self.0.schedules.blocked.forget(name);
                self.0.admission.node.backlog.remove(name);
                self.0.deliveries.forget(name);
                self.retain_hooks(name, &[]);
                self.0.metrics.forget(name.as_str());
                self.0.healing.forget(name);
                self.0.schedules.rescheduled.notify_one();
                tracing::info!(deployment = %name, cancel_runs, "deleted deployment with its state");
            }
            Err(_) => {
                let live = self.0.deployments.put(&self.0.metrics, live.deployment.clone(), Arc::clone(&live.plan));
                self.0.admission.node.backlog.enqueue_deployment(&live.limiter);
            }
        }
        deleted
    }

    /// Forgets what the host remembers of a deployment's hooks that do not exist any more.
    fn retain_hooks(&self, name: &DeploymentName, hooks: &[Verifier]) {
        for gone in self.0.hooks.retain(name, |hook| hooks.iter().any(|one| one.hook().name == *hook)) {
            self.0.metrics.hooks.forget(name, &gone);
        }
    }

    /// Ends every run of a deployment that admits no more runs, and the deliveries that wait for
    /// one.
    async fn end_runs(&self, live: &ActiveDeployment, cancel_runs: bool) -> Result<(), ControlError> {
        let running = || usize::try_from(live.limiter.running()).unwrap_or(usize::MAX);
        if !cancel_runs {
            return match running() {
                0 => Ok(()),
                unended => Err(StoreError::UnendedRuns { unended }.into()),
            };
        }
        while self.0.store.drop_backlog(&live.deployment.name, self.0.clock.now()).await? {}
        self.cancel_running(live, false).await?;
        self.end_waiting(live).await?;
        if tokio::time::timeout(CANCEL_WITHIN / 2, live.limiter.wait_until_idle()).await.is_err() {
            self.cancel_running(live, true).await?;
            if tokio::time::timeout(CANCEL_WITHIN / 2, live.limiter.wait_until_idle()).await.is_err() {
                return Err(StoreError::UnendedRuns { unended: running() }.into());
            }
        }
        // A run that was about to wait is suspended now, and no run is admitted any more.
        self.end_waiting(live).await
    }

    /// Requests every executing run of a deployment to end.
    async fn cancel_running(&self, live: &ActiveDeployment, terminate: bool) -> Result<(), ControlError> {
        let states = vec!["running".to_owned()];
        let filter = RunFilter { deployment: Some(live.deployment.name.clone()), states, ..RunFilter::default() };
        let mut page = PageRequest::first(PAGE);
        loop {
            let found = self.0.store.runs(filter.clone(), page).await?;
            let cancelled = stream::iter(found.items)
                .map(|run| async move { self.0.store.request_cancel(run.id, terminate, self.0.clock.now()).await })
                .buffer_unordered(CANCEL_AT_ONCE);
            tokio::pin!(cancelled);
            while let Some(cancelled) = cancelled.next().await {
                match cancelled {
                    Ok((run, caused)) => {
                        self.0.effects.apply(caused);
                        if run.state.has_ended() {
                            self.0.runs.on_settled_elsewhere(&run);
                        }
                    }
                    // The run has ended already.
                    Err(StoreError::IllegalTransition(_) | StoreError::NotFound { .. }) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            match found.next {
                Some(cursor) => page = PageRequest { cursor: Some(cursor), limit: PAGE },
                None => return Ok(()),
            }
        }
    }

    /// Ends every run of a deployment that is not executing, one batch per commit.
    async fn end_waiting(&self, live: &ActiveDeployment) -> Result<(), ControlError> {
        let mut after = None;
        loop {
            let (last, caused) = self.0.store.end_waiting(&live.deployment.name, after, self.0.clock.now()).await?;
            self.0.effects.apply(caused);
            match last {
                Some(last) => after = Some(last),
                None => return Ok(()),
            }
        }
    }

    /// Returns when each schedule of the manifest would fire if it were deployed now.
    async fn previews(
        &self,
        deployment: &DeploymentName,
        manifest: &Manifest,
        now: Timestamp,
    ) -> Result<Vec<Preview>, ControlError> {
        let mut previews = Vec::with_capacity(manifest.schedules.len());
        for schedule in &manifest.schedules {
            let (silent_until, left) = self.remaining_firings(deployment, schedule, now).await?;
            previews.push(Preview {
                name: schedule.name().clone(),
                time_zone: schedule.spec().time_zone.name().to_owned(),
                ahead: schedule.ahead(silent_until.unwrap_or(now), PREVIEW, left),
                silent_until,
            });
        }
        Ok(previews)
    }

    /// Returns the schedules to store, each with the due times of its previous version that the
    /// scheduler has not processed yet.
    async fn schedule_changes(
        &self,
        name: &DeploymentName,
        manifest: &Manifest,
        json: &serde_json::Value,
        before: Option<&ActiveDeployment>,
        now: Timestamp,
    ) -> Result<Vec<ScheduleChange>, ControlError> {
        let mut changes = schedule_changes(name, manifest, json, now);
        let Some(before) = before else { return Ok(changes) };
        for (change, new) in changes.iter_mut().zip(&manifest.schedules) {
            let Some(old) = before.plan.schedule(&change.name) else { continue };
            if old == *new && before.plan.enabled == manifest.enabled {
                continue;
            }
            let stored = self.0.store.schedule(&before.deployment.name, &change.name).await?;
            if let Some(first) = stored.and_then(|stored| stored.next).filter(|next| *next <= now) {
                change.missed = times_between(old, first, now.plus_millis(1), PASSED_MAX).await?;
            }
        }
        Ok(changes)
    }

    /// Returns the component that a manifest names.
    async fn component_of(&self, source: &Source) -> Result<Component, ControlError> {
        let digest: ComponentDigest = match source {
            Source::Component(digest) => *digest,
            Source::Module(module) => {
                let versions = self.0.store.versions(&module.name).await?;
                let found = versions.iter().find(|known| known.version == module.version.as_str());
                let Some(version) = found else {
                    let detail = match versions.last() {
                        Some(last) => format!("there is no {module}; the last version is {}", last.version),
                        None => format!("there is no module `{}`", module.name),
                    };
                    return Err(ControlError::refused(Code::ModuleNotFound, detail));
                };
                version.digest
            }
        };
        let component = self.0.store.component(&digest).await?;
        component
            .ok_or_else(|| ControlError::refused(Code::ComponentNotFound, format!("there is no component {digest}")))
    }
}

/// Refuses a memory limit above the host's maximum.
fn check_memory(manifest: &Manifest, most: u64) -> Option<InputProblem> {
    let requested = manifest.limits.memory;
    (requested > most).then(|| {
        InputProblem::field(
            "/limits/memory",
            format!("{requested} bytes of memory exceed this host's maximum of {most} bytes per run"),
            "Lower `memory` under `[limits]`, or have the operator raise `--memory-max`.",
        )
    })
}

/// Refuses budgets of fuel in which no run could ever begin.
fn check_fuel_budgets(
    name: &DeploymentName,
    manifest: &Manifest,
    currencies: &Currencies,
    policy: &Policy,
) -> Vec<InputProblem> {
    let needed = policy.bounded(name.as_str(), &manifest.limits).fuel_of_generation();
    let too_small = |(index, budget): (usize, &BudgetSpec)| {
        let limit = budget.limit_in(currencies).ok().filter(|_| budget.unit == BudgetUnit::Fuel)?;
        let message = format!("a run holds {needed} units of fuel, so none could begin with a limit of {limit}");
        let fix = "Raise the limit of the budget, or lower `fuel` under `[limits]`.";
        (i128::from(limit) < i128::from(needed))
            .then(|| InputProblem::field(format!("/budgets/{index}/limit"), message, fix))
    };
    manifest.budgets.iter().enumerate().filter_map(too_small).collect()
}

fn warnings(
    manifest: &Manifest,
    component: &Component,
    before: Option<&ActiveDeployment>,
    previews: &[Preview],
) -> Vec<String> {
    let mut warnings = component.warnings.clone();
    let over = previews.iter().filter(|preview| preview.ahead.firings.iter().all(|planned| planned.dropped));
    warnings.extend(over.map(|Preview { name, ahead, .. }| match ahead.ends {
        Some(ScheduleEnd::Limit) => format!("schedule `{name}` has reached its limit of firings"),
        _ => format!("schedule `{name}` will never fire again"),
    }));
    let silent = previews.iter().filter_map(|preview| Some((&preview.name, preview.silent_until?)));
    warnings.extend(silent.map(|(name, until)| {
        let until = until.to_rfc3339();
        format!(
            "schedule `{name}` does not fire before {until}: the clock was set back, and earlier times were processed; \
             `tidemill schedules resync` makes it follow the clock"
        )
    }));
    for schedule in &manifest.schedules {
        warnings.extend(schedule.warnings().map(|warning| format!("schedule `{}`: {warning}", schedule.name())));
    }
    if before.is_some_and(|live| live.deployment.paused.is_some()) {
        warnings.push("the deployment is paused".to_owned());
    }
    if !manifest.enabled {
        warnings.push("the deployment is not enabled: requests wait, and nothing fires".to_owned());
    }
    let posts = component.imports.iter().any(|import| import.contains("/ledger@"));
    if component.exports.contains(&Export::RevenueStream) && posts && !manifest.grants.ledger {
        warnings.push("the stream cannot post to the ledger: `[grants]` lacks `ledger = true`".to_owned());
    }
    warnings
}

/// Returns the schedules to store. A schedule with the same text and the same `enabled` keeps its
/// next time.
fn schedule_changes(
    deployment: &DeploymentName,
    manifest: &Manifest,
    json: &serde_json::Value,
    now: Timestamp,
) -> Vec<ScheduleChange> {
    let worded =
        |index: usize| json.pointer(&format!("/schedules/{index}")).map(ToString::to_string).unwrap_or_default();
    let change = |(index, schedule): (usize, &Schedule)| {
        let text = format!("{}{}", manifest.enabled, worded(index));
        let hash = ComponentDigest::of(text.as_bytes());
        let spec = hash.as_bytes().first_chunk::<8>().map_or(0, |bytes| u64::from_le_bytes(*bytes));
        let times = times(schedule.clone(), deployment.clone(), manifest.enabled);
        let pause_after_failures = schedule.spec().pause_after_failures;
        let (name, limit) = (schedule.name().clone(), schedule.spec().limit);
        ScheduleChange { name, spec, next: times.next_after(now), times, limit, pause_after_failures, missed: None }
    };
    manifest.schedules.iter().enumerate().map(change).collect()
}

/// Returns the subscriptions to store.
fn subscription_changes(manifest: &Manifest) -> Vec<SubscriptionChange> {
    let change = |subscription: &Subscription| SubscriptionChange {
        name: subscription.name.clone(),
        topic: subscription.topic.clone(),
        begin: subscription.from,
    };
    manifest.subscriptions.iter().map(change).collect()
}

/// Returns the budgets of a manifest whose limits these currencies can express.
fn budgets(manifest: &Manifest, currencies: &Currencies) -> Vec<NewBudget> {
    let budget = |spec: &BudgetSpec| {
        Some(NewBudget {
            name: spec.name.clone(),
            unit: spec.unit.clone(),
            limit: spec.limit_in(currencies).ok()?,
            scope: spec.scope,
            period: spec.period,
            time_zone: spec.time_zone.name().to_owned(),
            over: spec.over,
        })
    };
    manifest.budgets.iter().filter_map(budget).collect()
}

/// Returns the deployment that the store would return.
fn preview_deployment(before: Option<&ActiveDeployment>, put: &PutDeployment, unchanged: bool) -> Deployment {
    let present = before.map(|live| &live.deployment);
    if let Some(present) = present
        && present.component == put.component
        && unchanged
    {
        return Deployment { manifest: Arc::clone(&put.manifest), ..present.clone() };
    }
    Deployment {
        name: put.name.clone(),
        revision: Revision::new(present.map_or(1, |present| present.revision.get() + 1)),
        component: put.component,
        manifest: Arc::clone(&put.manifest),
        paused: present.and_then(|present| present.paused.clone()),
        created_at: present.map_or(put.now, |present| present.created_at),
        updated_at: put.now,
    }
}
