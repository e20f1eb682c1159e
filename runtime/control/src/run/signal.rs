//! Signals from outside: to a run by its id, or by the idempotency key that created it.

use bytes::Bytes;
use tidemill_core::run::Export;
use tidemill_core::{Code, DeploymentName, Revision, RunId};
use tidemill_store::records::{InboxSignal, NewSignal, Page, PageRequest, SIGNAL_BYTES, SignalReceipt};

use crate::error::ControlError;
use crate::run_to_completion::run_to_completion;
use crate::state::{ControlPlane, HostState};
use crate::validate::{check_json, check_key};

/// Maximum length of a signal's name, in bytes.
pub const SIGNAL_NAME_BYTES: usize = 255;

/// The run that receives a signal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignalTarget {
    /// The run with this id.
    Run(RunId),
    /// The run that this key created.
    Key(DeploymentName, String),
}

/// The result of sending a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignalResult {
    /// The run that received it.
    pub run: RunId,
    /// Whether it was sent before with the same idempotency key.
    pub duplicate: bool,
}

impl ControlPlane {
    /// Puts a signal into a run's inbox. A run that waits for it resumes.
    ///
    /// # Errors
    /// `host/run-not-found`; `host/run-state` if the run has ended; `host/limit-signals` if its
    /// inbox is full or the payload too long; `host/input-invalid` if the payload does not match
    /// the component's schema; `host/idempotency-mismatch` if the key sent another signal;
    /// `host/bad-json`; `host/bad-field`.
    pub async fn signal(
        &self,
        to: SignalTarget,
        name: String,
        payload: Bytes,
        key: Option<String>,
    ) -> Result<SignalResult, ControlError> {
        self.0.shutdown.check_open()?;
        let field = |detail: String| ControlError::refused(Code::BadField, detail);
        if name.is_empty() || name.len() > SIGNAL_NAME_BYTES {
            return Err(field(format!("a signal's name has 1 to {SIGNAL_NAME_BYTES} bytes")));
        }
        key.as_deref().map_or(Ok(()), check_key)?;
        let payload = if payload.is_empty() { Bytes::from_static(b"null") } else { payload };
        check_json("the payload", &payload, SIGNAL_BYTES, Code::LimitSignals)?;
        let run = match to {
            SignalTarget::Run(run) => run,
            SignalTarget::Key(deployment, key) => {
                let run = self.0.store.run_by_key(&deployment, &key).await?;
                run.map(|run| run.id).ok_or_else(|| {
                    let detail = format!("no run of `{deployment}` has the key `{key}`");
                    ControlError::refused(Code::RunNotFound, detail)
                })?
            }
        };
        // The store refuses a signal to a run that does not exist or has ended.
        if let Some(found) = self.0.store.run(run).await?.filter(|run| run.export == Export::Workflow) {
            check(&self.0, &found.deployment, found.revision, &name, &payload).await?;
        }
        let host = std::sync::Arc::clone(&self.0);
        run_to_completion(async move {
            let signal = NewSignal { to: run, name, payload, key };
            match host.store.signal(signal, host.clock.now()).await? {
                SignalReceipt::Accepted(caused) => {
                    host.effects.apply(caused);
                    Ok(SignalResult { run, duplicate: false })
                }
                SignalReceipt::Duplicate => Ok(SignalResult { run, duplicate: true }),
                SignalReceipt::Ended => {
                    tracing::info!(%run, "dropped a signal to a run that had ended");
                    Err(ControlError::refused(Code::RunState, "the run has ended and cannot receive signals"))
                }
            }
        })
        .await
    }

    /// Returns the signals in a run's inbox, in the order of arrival.
    ///
    /// # Errors
    /// `host/run-not-found`.
    pub async fn inbox(&self, run: RunId, page: PageRequest) -> Result<Page<InboxSignal>, ControlError> {
        self.stored_run(run).await?;
        Ok(self.0.store.signals(run, page).await?)
    }

    /// Removes the signal at a position of a run's inbox, as if it had never arrived.
    ///
    /// # Errors
    /// `host/run-not-found`; `host/signal-not-found` if there is no signal at that position.
    pub async fn drop_signal(&self, run: RunId, place: u64) -> Result<(), ControlError> {
        self.0.shutdown.check_open()?;
        self.stored_run(run).await?;
        let host = std::sync::Arc::clone(&self.0);
        run_to_completion(async move {
            if !host.store.drop_signal(run, place).await? {
                let detail = format!("no signal waits at place {place} of the inbox of run {run}");
                return Err(ControlError::refused(Code::SignalNotFound, detail));
            }
            tracing::info!(%run, place, "removed a signal from the inbox of a run");
            Ok(())
        })
        .await
    }
}

/// Refuses a signal whose payload does not match the schema of the component of that revision.
///
/// # Errors
/// `host/input-invalid`; errors of the store.
pub(crate) async fn check(
    host: &HostState,
    deployment: &DeploymentName,
    revision: Revision,
    name: &str,
    payload: &[u8],
) -> Result<(), ControlError> {
    let Some(live) = host.deployments.get(deployment) else { return Ok(()) };
    let plan = live.resolve_revision(&*host.store, revision).await?;
    let problems = plan.signals.problems(name, payload);
    if problems.is_empty() { Ok(()) } else { Err(ControlError::Problems { code: Code::InputInvalid, problems }) }
}
