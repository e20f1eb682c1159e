//! Deployments: making revisions of them, pausing, removing.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use futures_util::stream::{self, StreamExt as _};
use tidemill_core::manifest::{Manifest, ManifestChange, Source};
use tidemill_core::run::Export;
use tidemill_core::schedule::{Schedule, ScheduleEnd, SchedulePreview};
use tidemill_core::topics::Subscription;
use tidemill_core::wire::InputProblem;
use tidemill_core::{Code, ComponentDigest, DeploymentName, Revision, ScheduleName, Timestamp};
use tidemill_store::StoreError;
use tidemill_store::records::{
    Component, Deployment, PageRequest, Pause, PutDeployment, RunFilter, ScheduleChange, SubscriptionChange,
};

use crate::control_plane::{ControlPlane, HostState, run_to_completion};
use crate::deployment::active::{ActiveDeployment, ResolvedRevision, manifest_of};
use crate::deployment::exports;
use crate::error::ControlError;
use crate::reconcile::scheduler::times;
use crate::schedule::manage::{PASSED_MAX, times_between};

/// Firings of each schedule that a deployment is answered with.
const PREVIEW: usize = 20;
/// Runs that one look takes of those that are cancelled.
const PAGE: usize = 500;
/// Runs that are asked to end at once: their commits share syncs of the disk.
const CANCEL_AT_ONCE: usize = 64;
/// The longest note of a pause, in bytes.
pub const NOTE_BYTES: usize = 1024;
/// Runs that are cancelled with their deployment have so long to be gone; after half of it they are stopped.
const CANCEL_WITHIN: Duration = Duration::from_secs(60);

/// What a manifest led to, or would lead to.
#[derive(Debug, Clone)]
pub struct DeployResult {
    /// The deployment as it stands then.
    pub deployment: Deployment,
    /// Whether there was none of this name.
    pub created: bool,
    /// What differs from the revision before; empty where nothing does, or there was none.
    pub changes: Vec<ManifestChange>,
    /// What its author should know.
    pub warnings: Vec<String>,
    /// The next firings of each schedule, in the manifest's order.
    pub previews: Vec<Preview>,
}

/// When a schedule fires next.
#[derive(Debug, Clone)]
pub struct Preview {
    /// Its name.
    pub name: ScheduleName,
    /// Its time zone, by the name in the IANA list.
    pub time_zone: String,
    /// The next 20 firings, as far as a limit lets them come, and what daylight saving drops among them.
    pub ahead: SchedulePreview,
    /// The time before which it does not fire, because the clock was set back.
    pub silent_until: Option<Timestamp>,
}

impl ControlPlane {
    /// Makes a revision of the deployment that the manifest names. With `expected`, only where that is the present
    /// revision (none: where there is no such deployment); with `dry_run`, says what would happen.
    ///
    /// # Errors
    /// Everything that is wrong with the manifest; `host/precondition-failed`.
    pub async fn deploy(
        &self,
        manifest: Manifest,
        expected: Option<Option<Revision>>,
        dry_run: bool,
    ) -> Result<DeployResult, ControlError> {
        self.0.check_open()?;
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
        self.deploy_component(name, manifest, component, expected, dry_run).await
    }

    /// Makes a revision that runs `component`, whatever the manifest's source names now.
    pub(crate) async fn deploy_component(
        &self,
        name: DeploymentName,
        manifest: Manifest,
        component: Component,
        expected: Option<Option<Revision>>,
        dry_run: bool,
    ) -> Result<DeployResult, ControlError> {
        let mut problems = exports::misfits(&manifest, &component.exports, component.schemas.as_deref());
        problems.extend(too_much_memory(&manifest, self.0.config.memory_max));
        problems.extend(manifest.unknown_zones());
        problems.extend(manifest.long_jitters(self.0.clock.now()));
        if !problems.is_empty() {
            return Err(ControlError::Problems { code: Code::BadManifest, problems });
        }
        let _turn = self.0.changes.lock().await;
        // In the turn of changes, in which another policy is applied too.
        let beyond = self.0.config.policy.now().check(&name, &manifest, self.0.clock.now());
        if !beyond.is_empty() {
            return Err(ControlError::Problems { code: Code::PolicyDenied, problems: beyond });
        }
        self.0.check_not_deleting(&name)?;
        let now = self.0.clock.now();
        let before = self.0.lives.get(&name);
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
        let put = PutDeployment {
            name: name.clone(),
            expected,
            component: component.digest,
            manifest: json.to_string().into(),
            schedules: self.schedule_changes(&name, &manifest, &json, before.as_deref(), now).await?,
            subscriptions: subscription_changes(&manifest),
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
        let deployment = self.0.store.put_deployment(put).await.inspect_err(|error| self.0.store_failed(error))?;
        plan.revision = deployment.revision;
        let live = self.0.lives.put(&self.0.metrics, deployment.clone(), Arc::new(plan));
        self.0.blocked.forget(&name);
        self.0.rescheduled.notify_one();
        self.0.deliveries.changed(&name);
        self.0.node.backlog.look_at(&live.gate);
        if present != Some(deployment.revision) {
            let (revision, component) = (deployment.revision.get(), deployment.component);
            tracing::info!(deployment = %name, revision, %component, created, "deployed");
        }
        Ok(DeployResult { deployment, created, changes, warnings, previews })
    }

    /// Admits and fires nothing more until it is resumed; what runs goes on, and requests wait.
    ///
    /// # Errors
    /// `host/deployment-not-found`.
    pub async fn pause(&self, name: &DeploymentName, note: String) -> Result<Deployment, ControlError> {
        let now = self.0.clock.now();
        self.set_pause(name, Some(Pause { since: now, note: checked_note(note)? }), now).await
    }

    /// Goes on after a pause. Firings that were missed meanwhile are made up for as the schedules' catch-up says.
    ///
    /// # Errors
    /// `host/deployment-not-found`.
    pub async fn resume(&self, name: &DeploymentName) -> Result<Deployment, ControlError> {
        self.set_pause(name, None, self.0.clock.now()).await
    }

    async fn set_pause(
        &self,
        name: &DeploymentName,
        pause: Option<Pause>,
        now: Timestamp,
    ) -> Result<Deployment, ControlError> {
        let (host, name) = (Arc::clone(&self.0), name.clone());
        run_to_completion(async move {
            let _turn = host.changes.lock().await;
            host.check_not_deleting(&name)?;
            let live = host.live(&name)?;
            let note = pause.as_ref().map(|pause| pause.note.clone());
            let deployment = host.store.pause_deployment(&name, pause, now).await?;
            match note {
                Some(note) => tracing::info!(deployment = %name, ?note, "paused deployment"),
                None => tracing::info!(deployment = %name, "resumed deployment"),
            }
            let live = host.lives.put(&host.metrics, deployment.clone(), Arc::clone(&live.plan));
            host.rescheduled.notify_one();
            host.deliveries.changed(&name);
            host.node.backlog.look_at(&live.gate);
            Ok(deployment)
        })
        .await
    }

    /// Removes a deployment with its schedules, revisions and state; its runs and ledger entries stay. With `cancel_runs`,
    /// runs that have not ended are cancelled first.
    ///
    /// # Errors
    /// `host/deployment-not-found`; `host/deployment-in-use` where runs have not ended.
    pub async fn delete(&self, name: &DeploymentName, cancel_runs: bool) -> Result<(), ControlError> {
        let (host, name) = (self.clone(), name.clone());
        run_to_completion(async move { host.delete_now(&name, cancel_runs).await }).await
    }

    /// Others change other deployments while the runs of this one are cancelled: the turn of changes is held at the
    /// beginning and at the end alone.
    async fn delete_now(&self, name: &DeploymentName, cancel_runs: bool) -> Result<(), ControlError> {
        let (live, _mark) = {
            let _turn = self.0.changes.lock().await;
            let live = self.0.live(name)?;
            let mark = DeletionGuard::begin(Arc::clone(&self.0), name)?;
            // From here on nothing new is admitted, be it queued or called.
            live.gate.set(false, 0);
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
                self.0.lives.remove(name);
                self.0.blocked.forget(name);
                self.0.node.backlog.remove(name);
                self.0.deliveries.forget(name);
                self.0.metrics.forget(name.as_str());
                self.0.rescheduled.notify_one();
                tracing::info!(deployment = %name, cancel_runs, "deleted deployment with its state");
            }
            Err(_) => {
                let live = self.0.lives.put(&self.0.metrics, live.deployment.clone(), Arc::clone(&live.plan));
                self.0.node.backlog.look_at(&live.gate);
            }
        }
        deleted
    }

    /// Ends every run of a deployment that admits none any more.
    async fn end_runs(&self, live: &ActiveDeployment, cancel_runs: bool) -> Result<(), ControlError> {
        let running = || usize::try_from(live.gate.running()).unwrap_or(usize::MAX);
        if !cancel_runs {
            return match running() {
                0 => Ok(()),
                unended => Err(StoreError::RunsGoing { unended }.into()),
            };
        }
        self.cancel_running(live, false).await?;
        self.end_waiting(live).await?;
        if tokio::time::timeout(CANCEL_WITHIN / 2, live.gate.empty()).await.is_err() {
            self.cancel_running(live, true).await?;
            if tokio::time::timeout(CANCEL_WITHIN / 2, live.gate.empty()).await.is_err() {
                return Err(StoreError::RunsGoing { unended: running() }.into());
            }
        }
        // What was about to wait then is suspended now, and no place is given to it any more.
        self.end_waiting(live).await
    }

    /// Asks every run of a deployment that runs to end.
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
                        self.0.apply_effects(caused);
                        if run.state.has_ended() {
                            self.0.on_settled_elsewhere(&run);
                        }
                    }
                    // It has ended meanwhile.
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

    /// Ends every run of a deployment that is not running, a piece a commit.
    async fn end_waiting(&self, live: &ActiveDeployment) -> Result<(), ControlError> {
        let mut after = None;
        loop {
            let (last, caused) = self.0.store.end_waiting(&live.deployment.name, after, self.0.clock.now()).await?;
            self.0.apply_effects(caused);
            match last {
                Some(last) => after = Some(last),
                None => return Ok(()),
            }
        }
    }

    /// When each schedule of the manifest will fire, were it deployed now.
    async fn previews(
        &self,
        deployment: &DeploymentName,
        manifest: &Manifest,
        now: Timestamp,
    ) -> Result<Vec<Preview>, ControlError> {
        let mut previews = Vec::with_capacity(manifest.schedules.len());
        for schedule in &manifest.schedules {
            let (silent_until, left) = self.outlook(deployment, schedule, now).await?;
            previews.push(Preview {
                name: schedule.name().clone(),
                time_zone: schedule.spec().time_zone.name().to_owned(),
                ahead: schedule.ahead(silent_until.unwrap_or(now), PREVIEW, left),
                silent_until,
            });
        }
        Ok(previews)
    }

    /// The schedules as the store is to have them, with those times that the old words asked for and nobody has looked at yet.
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

    /// The component that a manifest names.
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

/// Marks a deployment as being deleted for as long as it lives.
struct DeletionGuard {
    host: Arc<HostState>,
    name: DeploymentName,
}

impl DeletionGuard {
    fn begin(host: Arc<HostState>, name: &DeploymentName) -> Result<Self, ControlError> {
        host.check_not_deleting(name)?;
        host.deleting.lock().unwrap_or_else(PoisonError::into_inner).insert(name.clone());
        Ok(Self { host, name: name.clone() })
    }
}

impl Drop for DeletionGuard {
    fn drop(&mut self) {
        self.host.deleting.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.name);
    }
}

impl HostState {
    /// Refuses to change a deployment that is being deleted. The caller holds the turn of changes.
    fn check_not_deleting(&self, name: &DeploymentName) -> Result<(), ControlError> {
        if self.deleting.lock().unwrap_or_else(PoisonError::into_inner).contains(name) {
            let detail = format!("deployment `{name}` is being deleted");
            return Err(ControlError::refused_with(
                Code::DeploymentInUse,
                detail,
                "Send the request again once it is deleted.",
            ));
        }
        Ok(())
    }
}

pub(crate) fn checked_note(note: String) -> Result<String, ControlError> {
    if note.len() > NOTE_BYTES {
        return Err(ControlError::refused(Code::BadField, format!("a note has at most {NOTE_BYTES} bytes")));
    }
    Ok(note)
}

/// Refuses more memory than the host gives any run.
fn too_much_memory(manifest: &Manifest, most: u64) -> Option<InputProblem> {
    let asked = manifest.limits.memory;
    (asked > most).then(|| {
        InputProblem::field(
            "/limits/memory",
            format!("{asked} bytes of memory are more than the {most} that this host gives a run"),
            "Lower `memory` under `[limits]`, or have the operator raise `--memory-max`.",
        )
    })
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
        Some(ScheduleEnd::Limit) => format!("schedule `{name}` has fired as often as its limit lets it"),
        _ => format!("schedule `{name}` has no time to come"),
    }));
    let silent = previews.iter().filter_map(|preview| Some((&preview.name, preview.silent_until?)));
    warnings.extend(silent.map(|(name, until)| {
        let until = until.to_rfc3339();
        format!(
            "schedule `{name}` does not fire before {until}: the clock was set back, and earlier times were dealt with; \
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
        warnings.push("the stream may not post: `[grants]` lacks `ledger = true`".to_owned());
    }
    warnings
}

/// The schedules as the store is to have them. One that is worded as before, and is as enabled, keeps its next time.
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

/// The subscriptions as the store is to have them.
fn subscription_changes(manifest: &Manifest) -> Vec<SubscriptionChange> {
    let change = |subscription: &Subscription| SubscriptionChange {
        name: subscription.name.clone(),
        topic: subscription.topic.clone(),
        begin: subscription.from,
    };
    manifest.subscriptions.iter().map(change).collect()
}

/// What the store would answer.
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
