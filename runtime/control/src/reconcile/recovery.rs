//! Taking up what a dead life left running, at the start and from time to time.
//!
//! A run that was in hand each of the last times the host died, and got no further between, is suspected of killing it. Suspects are
//! tried one after another, beside normal work: at most one of them is in hand, so that its crash is no other suspect's. The host is
//! ready before the first of them begins, and those that wait their turn stay as the dead life left them, so that no takeover of them is
//! counted. If the host dies again, the one that was tried is parked (`host/crash-suspect`).

use std::sync::Arc;
use std::time::Duration;

use tidemill_core::{Code, Timestamp, failpoint};
use tidemill_store::records::{ClaimedRun, RecoveryFilter};

use crate::control_plane::HostState;
use crate::error::ControlError;
use crate::reconcile::{NextTick, Reconciler, TickReport};
use crate::run::registry::RunHandle;
use crate::run::resume;

/// Runs that one commit takes over at most.
const BATCH: usize = 256;
/// How often to look, in milliseconds.
const EVERY: u64 = 10_000;
/// Recovered runs that a log line names.
const NAMED: usize = 20;
/// The next suspect waits for the one before it for this long. One that has not killed the host by then goes on as any run.
const ALONE: Duration = Duration::from_secs(30);
/// A run that was there so often when the host died is a suspect.
const SUSPECT: u32 = 3;

/// The loop that takes over.
pub(crate) struct RecoveryReconciler {
    host: Arc<HostState>,
}

impl RecoveryReconciler {
    pub(crate) fn new(host: Arc<HostState>) -> Self {
        Self { host }
    }

    /// Takes up all that is under no suspicion, and parks what killed the host when it was tried.
    async fn take_plain(&self, now: Timestamp) -> Result<usize, ControlError> {
        let host = &self.host;
        let (mut plain, mut parked) = (Vec::new(), 0);
        loop {
            let taken = host.store.take_over(&host.owner, RecoveryFilter::Except(SUSPECT), BATCH, now).await?;
            let last = taken.len() < BATCH;
            for claimed in taken {
                host.metrics.taken_over.inc();
                if claimed.run.takeovers > SUSPECT {
                    parked += 1;
                    let crashes = claimed.run.takeovers;
                    let failure =
                        Code::CrashSuspect.failure(format!("the host died {crashes} times with this run in hand"));
                    resume::set_aside(host, claimed.run, failure).await;
                } else {
                    plain.push(claimed);
                }
            }
            if last {
                break;
            }
        }
        let found = plain.len() + parked;
        if found > 0 {
            let runs = named(plain.iter());
            tracing::info!(found, parked, runs, "recovered runs of a previous process");
        }
        failpoint::hit("run/taken-over");
        for claimed in plain {
            match host.lives.get(&claimed.run.deployment) {
                Some(live) => {
                    let permit = host.node.admit_beyond(&live.gate);
                    resume::spawn(Arc::clone(host), live, claimed, permit);
                }
                None => self.without_deployment(claimed).await,
            }
        }
        Ok(found)
    }

    async fn without_deployment(&self, claimed: ClaimedRun) {
        let failure = Code::DeploymentNotFound.failure("the run's deployment is no more");
        resume::set_aside(&self.host, claimed.run, failure).await;
    }

    /// Tries the next suspect, until it ends, waits, or has been active for long enough. Says whether there was one.
    async fn try_suspect(&self, now: Timestamp) -> Result<bool, ControlError> {
        let host = &self.host;
        let mut taken = host.store.take_over(&host.owner, RecoveryFilter::Only(SUSPECT), 1, now).await?;
        let Some(claimed) = taken.pop() else { return Ok(false) };
        host.metrics.taken_over.inc();
        let run = &claimed.run;
        let Some(live) = host.lives.get(&run.deployment) else {
            self.without_deployment(claimed).await;
            return Ok(true);
        };
        tracing::warn!(run = %run.id, deployment = %run.deployment, "a run that was there at three crashes is tried");
        let mut permit = host.node.admit_beyond(&live.gate);
        let place = permit.watch();
        let handle = RunHandle::new();
        host.going.add(run.id, Arc::clone(&handle));
        let task = tokio::spawn(resume::work(Arc::clone(host), live, claimed, permit, handle));
        // One that waits has given its place back, and has not killed the host.
        let over = async {
            tokio::select! {
                _ = task => {}
                () = place.released() => {}
                () = host.closing() => {}
            }
        };
        if tokio::time::timeout(ALONE, over).await.is_err() {
            tracing::info!("a crash suspect goes on beside the next");
        }
        Ok(true)
    }
}

impl Reconciler for RecoveryReconciler {
    const NAME: &'static str = "take-over";

    async fn tick(&self, now: Timestamp) -> Result<TickReport, ControlError> {
        let found = self.take_plain(now).await?;
        self.host.recovered();
        let tried = !self.host.is_closed() && self.try_suspect(now).await?;
        let found = found + usize::from(tried);
        let rest = if tried { NextTick::Now } else { NextTick::At(now.plus_millis(EVERY)) };
        Ok(TickReport { found, done: found, failed: 0, rest })
    }

    async fn woken(&self) {
        std::future::pending().await
    }
}

/// The ids of the first runs, with commas between.
fn named<'a>(claimed: impl Iterator<Item = &'a ClaimedRun>) -> String {
    let ids: Vec<_> = claimed.take(NAMED).map(|claimed| claimed.run.id.to_string()).collect();
    ids.join(",")
}
