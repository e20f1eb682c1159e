//! Taking up what a dead life left running, at the start and from time to time.
//!
//! A run that was in hand each of the last times the host died, and got no further between, is suspected of killing it. It is tried once more with
//! nothing beside it, so that a crash condemns no other; if the host dies again, it is parked (`host/crash-suspect`).

use std::sync::Arc;
use std::time::Duration;

use tidemill_core::{Code, Timestamp, gate};
use tidemill_store::records::Claimed;

use crate::adopt;
use crate::error::ControlError;
use crate::going::Handle;
use crate::host::Inner;
use crate::looping::{Loop, Progress, Rest};

/// Runs that one commit takes over at most.
const BATCH: usize = 256;
/// How often to look, in milliseconds.
const EVERY: u64 = 10_000;
/// Recovered runs that a log line names.
const NAMED: usize = 20;
/// A suspect is alone for so long; whoever has not killed the host by then is let go on beside others.
const ALONE: Duration = Duration::from_secs(30);
/// A run that was there so often when the host died is tried alone;
const SUSPECT: u32 = 3;

/// The loop that takes over.
pub(crate) struct TakeOver {
    host: Arc<Inner>,
}

#[derive(Debug, PartialEq, Eq)]
enum Treatment {
    Plain,
    Alone,
    Park,
}

const fn treatment(takeovers: u32) -> Treatment {
    match takeovers {
        0..SUSPECT => Treatment::Plain,
        SUSPECT => Treatment::Alone,
        _ => Treatment::Park,
    }
}

impl TakeOver {
    pub(crate) fn new(host: Arc<Inner>) -> Self {
        Self { host }
    }

    async fn alone(&self, suspects: Vec<Claimed>) {
        let node = &self.host.node;
        node.set_open(false);
        for claimed in suspects {
            let run = &claimed.run;
            if tokio::time::timeout(ALONE, node.empty()).await.is_err() || self.host.is_closed() {
                tracing::info!(run = %run.id, "a crash suspect starts beside others");
            }
            let Some(live) = self.host.lives.get(&run.deployment) else { continue };
            tracing::warn!(run = %run.id, deployment = %run.deployment, "a run that was there at three crashes is tried alone");
            let permit = node.admit_beyond(&live.gate);
            let handle = Handle::new();
            self.host.going.add(run.id, Arc::clone(&handle));
            let task = tokio::spawn(adopt::work(Arc::clone(&self.host), live, claimed, permit, handle));
            // One that waits has given its place back, and has not killed the host.
            let over = async {
                tokio::select! {
                    _ = task => {}
                    () = node.empty() => {}
                }
            };
            if tokio::time::timeout(ALONE, over).await.is_err() {
                tracing::info!("a crash suspect goes on beside others");
            }
        }
        if !self.host.is_closed() && !self.host.is_recovering() {
            node.set_open(true);
        }
    }
}

impl Loop for TakeOver {
    const NAME: &'static str = "take-over";

    async fn tick(&self, now: Timestamp) -> Result<Progress, ControlError> {
        let (mut plain, mut suspects, mut parked) = (Vec::new(), Vec::new(), 0);
        loop {
            let taken = self.host.store.take_over(&self.host.owner, BATCH, now).await?;
            let last = taken.len() < BATCH;
            for claimed in taken {
                self.host.metrics.taken_over.inc();
                match treatment(claimed.run.takeovers) {
                    Treatment::Plain => plain.push(claimed),
                    Treatment::Alone => suspects.push(claimed),
                    Treatment::Park => {
                        parked += 1;
                        let failure = Code::CrashSuspect
                            .failure(format!("the host died {} times with this run in hand", claimed.run.takeovers));
                        adopt::set_aside(&self.host, claimed.run, failure).await;
                    }
                }
            }
            if last {
                break;
            }
        }
        let found = plain.len() + suspects.len() + parked;
        if found > 0 {
            let runs = named(plain.iter().chain(&suspects));
            tracing::info!(found, suspects = suspects.len(), parked, runs, "recovered runs of a previous process");
        }
        gate::pass("run/taken-over");
        if !suspects.is_empty() {
            self.alone(suspects).await;
        }
        for claimed in plain {
            match self.host.lives.get(&claimed.run.deployment) {
                Some(live) => {
                    let permit = self.host.node.admit_beyond(&live.gate);
                    adopt::spawn(Arc::clone(&self.host), live, claimed, permit);
                }
                None => {
                    let failure = Code::DeploymentNotFound.failure("the run's deployment is no more");
                    adopt::set_aside(&self.host, claimed.run, failure).await;
                }
            }
        }
        self.host.recovered();
        Ok(Progress { found, done: found, failed: 0, rest: Rest::Until(now.plus_millis(EVERY)) })
    }

    async fn knocked(&self) {
        std::future::pending().await
    }
}

/// The ids of the first runs, with commas between.
fn named<'a>(claimed: impl Iterator<Item = &'a Claimed>) -> String {
    let ids: Vec<_> = claimed.take(NAMED).map(|claimed| claimed.run.id.to_string()).collect();
    ids.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_crashes_make_a_suspect_and_four_a_convict() {
        let treatments: Vec<_> = (1..=5).map(treatment).collect();
        use Treatment::{Alone, Park, Plain};
        assert_eq!(treatments, [Plain, Plain, Alone, Park, Park]);
    }
}
