//! Runs as they are asked for, ended and looked at from outside. Trying them again is in `retry`.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tidemill_core::journal::{JournalPage, PageStart};
use tidemill_core::run::{Export, Run, RunState, Trigger};
use tidemill_core::{Code, DeploymentName, RunId, Timestamp, limits};
use tidemill_store::StoreError;
use tidemill_store::records::{NewRun, Page, PageRequest, RunRequestResult};

use crate::control_plane::{ControlPlane, HostState, run_to_completion};
use crate::deployment::active::ActiveDeployment;
use crate::deployment::exports;
use crate::error::ControlError;
use crate::run::execution::collection::CollectionRequest;
use crate::run::journal;
use crate::validate::{check_json, check_key};

/// The most labels of a run, those of its deployment included.
pub const RUN_LABELS: usize = 64;
/// The longest name or value of a label, in bytes.
pub const LABEL_BYTES: usize = 255;
/// The longest delay of a request: 366 days.
pub const DELAY_MAX: Duration = Duration::from_secs(366 * 24 * 3600);

/// What a run is asked for with.
#[derive(Debug, Clone)]
pub struct RunRequest {
    /// Of which deployment.
    pub deployment: DeploymentName,
    /// Which export; needed where more than one fits.
    pub export: Option<Export>,
    /// JSON text; empty means `{}`.
    pub input: Bytes,
    /// The same key again answers the same run.
    pub key: Option<String>,
    /// Names and values, beside those of the deployment.
    pub labels: Vec<(String, String)>,
    /// 1 to 9; the deployment's own by default.
    pub priority: Option<u8>,
    /// Not to begin earlier than so much later.
    pub delay: Option<Duration>,
    /// What asks.
    pub trigger: Trigger,
}

impl RunRequest {
    /// A run of `deployment` with that input, and every default.
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

impl HostState {
    /// Refuses where as many runs of the deployment are queued as may be.
    pub(crate) async fn check_queue(&self, live: &ActiveDeployment) -> Result<(), ControlError> {
        let (most, name) = (live.queue_max(self.config.queue_max), &live.deployment.name);
        let queued = self.store.waiting(name).await?;
        if queued >= most { Err(ControlError::queue_full(name, queued, most)) } else { Ok(()) }
    }
}

impl ControlPlane {
    /// Asks for a run; it is in the store when this returns, and begins when the dispatcher admits it.
    ///
    /// # Errors
    /// What is wrong with the request, or the store's own.
    pub async fn request(&self, ask: RunRequest) -> Result<RunRequestResult, ControlError> {
        self.0.check_open()?;
        let live = self.0.live(&ask.deployment)?;
        let new = self.new_run(&live, ask)?;
        self.enqueue(&live, new).await
    }

    pub(crate) async fn enqueue(
        &self,
        live: &Arc<ActiveDeployment>,
        new: NewRun,
    ) -> Result<RunRequestResult, ControlError> {
        let most = new.terms.queue_max;
        // Who comes with a key, or becomes one with others, may be answered all the same: the store knows.
        if new.key.is_none() && new.terms.debounce.is_none() {
            self.0.check_queue(live).await?;
        }
        let host = Arc::clone(&self.0);
        let done = {
            let live = Arc::clone(live);
            run_to_completion(async move {
                let not_before = new.not_before;
                let requested = host.store.request_run(new).await.inspect_err(|error| host.store_failed(error))?;
                match &requested {
                    RunRequestResult::Created(run) => host.note_queued(&live, due(run).unwrap_or(not_before)),
                    RunRequestResult::Joined(run) => host.delayed(due(run).unwrap_or(not_before)),
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

    /// Checks a request and turns it into what the store takes.
    pub(crate) fn new_run(&self, live: &ActiveDeployment, ask: RunRequest) -> Result<NewRun, ControlError> {
        let field = |detail: String| ControlError::refused(Code::BadField, detail);
        let export = exports::of_call(&live.plan.exports, ask.export)?;
        let input = if ask.input.is_empty() { Bytes::from_static(b"{}") } else { ask.input };
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
        ask.key.as_deref().map_or(Ok(()), check_key)?;
        if ask.priority.is_some_and(|priority| !(1..=9).contains(&priority)) {
            return Err(field("a priority is 1 (last) to 9 (first)".to_owned()));
        }
        if ask.delay.is_some_and(|delay| delay > DELAY_MAX) {
            return Err(field("a delay is at most 366 days".to_owned()));
        }
        let labels = live.plan.labels_with(ask.labels);
        let long =
            |(name, value): &(String, String)| name.is_empty() || name.len() > LABEL_BYTES || value.len() > LABEL_BYTES;
        if labels.len() > RUN_LABELS || labels.iter().any(long) {
            return Err(field(format!("at most {RUN_LABELS} labels, of names and values up to {LABEL_BYTES} bytes")));
        }
        let now = self.0.clock.now();
        let delay = u64::try_from(ask.delay.unwrap_or_default().as_millis()).unwrap_or(u64::MAX);
        let terms = live.terms(export, &input, self.0.config.queue_max);
        let new = live.new_run(crate::random::run_id(now)?, export, ask.trigger, input, now)?;
        let (priority, not_before) = (ask.priority.unwrap_or(new.priority), now.plus_millis(delay));
        Ok(NewRun { key: ask.key, labels, priority, not_before, terms, ..new })
    }

    /// Asks a run to end. Its children end first; then one that has begun is told and has its grace period, and one that is
    /// parked, or queued with nothing behind it, ends untold. Where `terminate` says so, or it was asked before, it ends at
    /// once. One that is cancelled already stays so, and waits for no person any more. Answers the run as it stands now.
    ///
    /// # Errors
    /// `host/run-not-found`; `host/run-state` where it has ended otherwise.
    pub async fn cancel(&self, id: RunId, terminate: bool) -> Result<Run, ControlError> {
        let run = self.0.store.run(id).await?.ok_or_else(|| ControlError::no_run(id))?;
        if run.state == RunState::Cancelled {
            // Asked again: what was asked for is so. Whoever had to look at its failure has done so.
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
            host.apply_effects(caused);
            if ended {
                host.on_settled_elsewhere(&run);
            }
            Ok(run)
        })
        .await
    }

    /// What a run has recorded, entry after entry: a page of at most `limit` of them, which ends with the one that brings their results to `bytes`
    /// bytes, too. It is read a part at a time, so that a journal of any length costs the memory of a page. Where the journal was cut since
    /// `start` was made, it goes on behind the same number of entries.
    ///
    /// # Errors
    /// `host/run-not-found`; `host/store-damaged` where what is stored is no journal.
    pub async fn journal(
        &self,
        id: RunId,
        start: PageStart,
        limit: usize,
        bytes: usize,
    ) -> Result<JournalPage, ControlError> {
        if self.0.store.run(id).await?.is_none() {
            return Err(ControlError::no_run(id));
        }
        journal::page(&*self.0.store, id, start, limit, bytes).await
    }

    /// The runs that a run started, oldest first.
    ///
    /// # Errors
    /// `host/run-not-found`.
    pub async fn children(&self, id: RunId, page: PageRequest) -> Result<Page<Run>, ControlError> {
        if self.0.store.run(id).await?.is_none() {
            return Err(ControlError::no_run(id));
        }
        Ok(self.0.store.children(id, page).await?)
    }
}

/// When a queued run may begin.
const fn due(run: &Run) -> Option<Timestamp> {
    match run.state {
        RunState::Queued { not_before } => Some(not_before),
        _ => None,
    }
}
