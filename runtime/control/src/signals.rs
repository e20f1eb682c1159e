//! Signals from outside: to a run by its id, or by the idempotency key that made it.

use bytes::Bytes;
use tidemill_core::{Code, DeploymentName, RunId};
use tidemill_store::records::{SIGNAL_BYTES, SendSignal, Signalled};

use crate::error::ControlError;
use crate::host::{Host, to_its_end};
use crate::sent::{check_json, check_key};

/// The longest name of a signal, in bytes.
pub const SIGNAL_NAME_BYTES: usize = 255;

/// Which run gets a signal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignalTo {
    /// The one with this id.
    Run(RunId),
    /// The one that this key made.
    Key(DeploymentName, String),
}

/// What became of a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignalSent {
    /// Who got it.
    pub run: RunId,
    /// It had come before with the same idempotency key.
    pub duplicate: bool,
}

impl Host {
    /// Puts a signal into a run's inbox; a run that waits for it goes on.
    ///
    /// # Errors
    /// `host/run-not-found`; `host/run-state` where the run has ended; `host/limit-signals` where its inbox is full or the payload too
    /// long; `host/idempotency-mismatch` where the key sent another signal; `host/bad-json`; `host/bad-field`.
    pub async fn signal(
        &self,
        to: SignalTo,
        name: String,
        payload: Bytes,
        key: Option<String>,
    ) -> Result<SignalSent, ControlError> {
        self.0.check_open()?;
        let field = |detail: String| ControlError::refused(Code::BadField, detail);
        if name.is_empty() || name.len() > SIGNAL_NAME_BYTES {
            return Err(field(format!("a signal's name has 1 to {SIGNAL_NAME_BYTES} bytes")));
        }
        key.as_deref().map_or(Ok(()), check_key)?;
        let payload = if payload.is_empty() { Bytes::from_static(b"null") } else { payload };
        check_json("the payload", &payload, SIGNAL_BYTES, Code::LimitSignals)?;
        let run = match to {
            SignalTo::Run(run) => run,
            SignalTo::Key(deployment, key) => {
                let run = self.0.store.run_by_key(&deployment, &key).await?;
                run.map(|run| run.id).ok_or_else(|| {
                    let detail = format!("no run of `{deployment}` has the key `{key}`");
                    ControlError::refused(Code::RunNotFound, detail)
                })?
            }
        };
        let host = std::sync::Arc::clone(&self.0);
        to_its_end(async move {
            let signal = SendSignal { to: run, name, payload, key };
            match host.store.signal(signal, host.clock.now()).await? {
                Signalled::Accepted(caused) => {
                    host.caused(caused);
                    Ok(SignalSent { run, duplicate: false })
                }
                Signalled::Duplicate => Ok(SignalSent { run, duplicate: true }),
                Signalled::Ended => {
                    tracing::info!(%run, "a signal came after the end of its run and is dropped");
                    Err(ControlError::refused(Code::RunState, "the run has ended; nobody would get the signal"))
                }
            }
        })
        .await
    }
}
