//! Requests for runs, and how callers cancel and inspect them. Retries are in `retry`.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tidemill_core::journal::{JournalPage, PageStart};
use tidemill_core::run::{Export, Run, RunState, Trigger};
use tidemill_core::{Code, DeploymentName, RunId, Timestamp, limits};
use tidemill_store::StoreError;
use tidemill_store::records::{NewRun, Page, PageRequest, RunRequestResult};

use crate::deployment::active::ActiveDeployment;
use crate::deployment::exports;
use crate::error::ControlError;
use crate::run::collection::CollectionRequest;
use crate::run::journal;
use crate::run_to_completion::run_to_completion;
use crate::state::ControlPlane;
use crate::validate::{check_json, check_key};

/// Maximum number of labels of a run, including those of its deployment.
pub const RUN_LABELS: usize = 64;
/// Maximum length of a label's name or value, in bytes.
pub const LABEL_BYTES: usize = 255;
/// Maximum delay of a request: 366 days.
pub const DELAY_MAX: Duration = Duration::from_secs(366 * 24 * 3600);

/// A request for a run.
#[derive(Debug, Clone)]
pub struct RunRequest {
    /// The deployment to run.
    pub deployment: DeploymentName,
    /// The export to call; required if more than one fits.
    pub export: Option<Export>,
    /// The input as JSON text; empty means `{}`.
    pub input: Bytes,
    /// Idempotency key: the same key returns the same run.
    pub key: Option<String>,
    /// Names and values, in addition to those of the deployment.
    pub labels: Vec<(String, String)>,
    /// Priority from 1 to 9; by default that of the deployment.
    pub priority: Option<u8>,
    /// Minimum delay before the run starts.
    pub delay: Option<Duration>,
    /// What requests the run.
    pub trigger: Trigger,
}

impl RunRequest {
    /// Returns a request for a run of `deployment` with that input and every default.
    #[must_use]
    pub fn new(deployment: DeploymentName, input: impl Into<Bytes>) -> Self {
        Self {
            deployment,
            export: None,
            input: input.into(),
            key: None,
            labels: Vec::new(),
            priority: None,
            delay: None,
            trigger: Trigger::default(),
        }
    }
}

impl ControlPlane {
    /// Requests a run. It is stored when this returns, and starts when the dispatcher admits it.
    ///
    /// # Errors
    /// Problems of the request, or errors of the store.
    pub async fn request(&self, request: RunRequest) -> Result<RunRequestResult, ControlError> {
        self.0.shutdown.check_open()?;
        let live = self.target_of(&request).await?;
        let new = self.new_run(&live, request)?;
        self.enqueue(&live, new).await
    }

    /// Returns the deployment that takes a request: the one that it names, or its standby while the
    /// host sends new runs there. A key that belongs to a run of the named deployment keeps it
    /// there, so that no key makes two runs.
    ///
    /// # Errors
    /// `host/deployment-not-found`; errors of the store.
    pub(crate) async fn target_of(&self, request: &RunRequest) -> Result<Arc<ActiveDeployment>, ControlError> {
        let name = &request.deployment;
        let live = self.0.deployments.require(name)?;
        let Some(standby) = self.0.healing.route_of(name) else { return Ok(live) };
        if let Some(key) = &request.key
            && self.has_key(name, key).await?
        {
            return Ok(live);
        }
        // Without the standby, the deployment does what it can.
        Ok(self.0.deployments.get(&standby).unwrap_or(live))
    }

    /// Returns whether a key belongs to a run, though the record of the run may be removed.
    pub(crate) async fn has_key(&self, deployment: &DeploymentName, key: &str) -> Result<bool, StoreError> {
        let store = &self.0.store;
        Ok(store.run_by_key(deployment, key).await?.is_some()
            || store.key_outlives(deployment, key, self.0.clock.now()).await?.is_some())
    }

    /// Returns a run as it is stored.
    ///
    /// # Errors
    /// `host/run-not-found`; errors of the store.
    pub(crate) async fn stored_run(&self, id: RunId) -> Result<Run, ControlError> {
        self.0.store.run(id).await?.ok_or_else(|| ControlError::no_run(id))
    }

    pub(crate) async fn enqueue(
        &self,
        live: &Arc<ActiveDeployment>,
        new: NewRun,
    ) -> Result<RunRequestResult, ControlError> {
        let most = new.terms.queue_max;
        // A request with a key or a debounce may match an existing run, which only the store knows.
        if new.key.is_none() && new.terms.debounce.is_none() {
            self.check_queue(live).await?;
        }
        let host = Arc::clone(&self.0);
        let done = {
            let live = Arc::clone(live);
            run_to_completion(async move {
                let not_before = new.not_before;
                let requested =
                    host.store.request_run(new).await.inspect_err(|error| host.store_failures.record(error))?;
                match &requested {
                    RunRequestResult::Created(run) => host.admission.note_queued(&live, due(run).unwrap_or(not_before)),
                    RunRequestResult::Joined(run) => host.admission.note_delayed(due(run).unwrap_or(not_before)),
                    RunRequestResult::Existing(_) => {}
                }
                Ok(requested)
            })
        };
        done.await.map_err(|error| match error {
            ControlError::Store(StoreError::QueueFull { queued }) => {
                ControlError::queue_full(&live.deployment.name, queued, most)
            }
            error => error,
        })
    }

    /// Refuses a request if the deployment's queue is full.
    pub(crate) async fn check_queue(&self, live: &ActiveDeployment) -> Result<(), ControlError> {
        let (most, name) = (live.queue_max(self.0.config.queue_max), &live.deployment.name);
        let queued = self.0.store.queue_length(name).await?;
        if queued >= most { Err(ControlError::queue_full(name, queued, most)) } else { Ok(()) }
    }

    /// Validates a request and converts it for the store.
    pub(crate) fn new_run(&self, live: &ActiveDeployment, request: RunRequest) -> Result<NewRun, ControlError> {
        let field = |detail: String| ControlError::refused(Code::BadField, detail);
        let export = exports::of_call(&live.plan.exports, request.export)?;
        let input = if request.input.is_empty() { Bytes::from_static(b"{}") } else { request.input };
        check_json("the input", &input, limits::INPUT_BYTES, Code::LimitInput)?;
        if export == Export::RevenueStream {
            CollectionRequest::parse(&input)?;
        }
        if export == Export::Workflow
            && let Some(check) = &live.plan.input
        {
            let problems = check.problems(&input);
            if !problems.is_empty() {
                return Err(ControlError::Problems { code: Code::InputInvalid, problems });
            }
        }
        request.key.as_deref().map_or(Ok(()), check_key)?;
        if request.priority.is_some_and(|priority| !(1..=9).contains(&priority)) {
            return Err(field("a priority is 1 (last) to 9 (first)".to_owned()));
        }
        if request.delay.is_some_and(|delay| delay > DELAY_MAX) {
            return Err(field("a delay is at most 366 days".to_owned()));
        }
        let labels = live.plan.labels_with(request.labels);
        let long =
            |(name, value): &(String, String)| name.is_empty() || name.len() > LABEL_BYTES || value.len() > LABEL_BYTES;
        if labels.len() > RUN_LABELS || labels.iter().any(long) {
            return Err(field(format!("at most {RUN_LABELS} labels, of names and values up to {LABEL_BYTES} bytes")));
        }
        let now = self.0.clock.now();
        let delay = u64::try_from(request.delay.unwrap_or_default().as_millis()).unwrap_or(u64::MAX);
        let terms = live.terms(export, &input, self.0.config.queue_max, &self.0.config.policy);
        let new = live.new_run(crate::random::run_id(now), export, request.trigger, input, now);
        let (priority, not_before) = (request.priority.unwrap_or(new.priority), now.plus_millis(delay));
        Ok(NewRun { key: request.key, labels, priority, not_before, terms, ..new })
    }

    /// Requests a run to end. Its children end first. Then a run that has begun is notified and has
    /// its grace period; a run that is parked, or queued without recorded work, ends at once. With
    /// `terminate`, or on a second request, it ends at once. A run that is already cancelled stays
    /// so, and no longer waits for a person. Returns the run in its present state.
    ///
    /// # Errors
    /// `host/run-not-found`; `host/run-state` if it has ended otherwise.
    pub async fn cancel(&self, id: RunId, terminate: bool) -> Result<Run, ControlError> {
        let run = self.stored_run(id).await?;
        if run.state == RunState::Cancelled {
            // A repeated request succeeds. It also means that an operator has seen the run's
            // failure.
            let host = Arc::clone(&self.0);
            return run_to_completion(async move { Ok(host.store.dismiss(id).await.map(|_| run)?) }).await;
        }
        if run.state.has_ended() {
            let detail = format!("the run is {} already", run.state.name());
            return Err(ControlError::refused(Code::RunState, detail));
        }
        let terminate = terminate || run.cancel.is_some();
        let host = Arc::clone(&self.0);
        run_to_completion(async move {
            let (run, caused) = host.store.request_cancel(id, terminate, host.clock.now()).await?;
            let ended = run.state.has_ended();
            host.effects.apply(caused);
            if ended {
                host.runs.on_settled_elsewhere(&run);
            }
            Ok(run)
        })
        .await
    }

    /// Returns a page of a run's journal with at most `limit` entries. A page also ends with the
    /// entry whose result brings it to `bytes` bytes. The journal is read in parts, so that its
    /// length does not matter for memory. If the journal was truncated since `start` was created,
    /// the page continues after the same number of entries.
    ///
    /// The journal of a run that retention has removed is there as long as it is evidence of
    /// entries of the ledger.
    ///
    /// # Errors
    /// `host/run-not-found`; `host/store-damaged` if the stored data is not a journal.
    pub async fn journal(
        &self,
        id: RunId,
        start: PageStart,
        limit: usize,
        bytes: usize,
    ) -> Result<JournalPage, ControlError> {
        let page = journal::page(&*self.0.store, id, start, limit, bytes).await?;
        if page.entries.is_empty() {
            self.stored_run(id).await?;
        }
        Ok(page)
    }

    /// Returns the runs that a run started, oldest first.
    ///
    /// # Errors
    /// `host/run-not-found`.
    pub async fn children(&self, id: RunId, page: PageRequest) -> Result<Page<Run>, ControlError> {
        self.stored_run(id).await?;
        Ok(self.0.store.children(id, page).await?)
    }
}

/// Returns when a queued run may start.
const fn due(run: &Run) -> Option<Timestamp> {
    match run.state {
        RunState::Queued { not_before } => Some(not_before),
        _ => None,
    }
}
