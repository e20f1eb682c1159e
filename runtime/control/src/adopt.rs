//! Taking a run from the store into hand: its plan, the place of its next log line, and then its work.

use std::sync::Arc;

use bytes::Bytes;
use tidemill_core::run::{Run, RunEvent};
use tidemill_core::{Code, Failure};
use tidemill_store::records::StretchCommit;
use tidemill_store::{Store, StoreError};

use crate::error::ControlError;
use crate::going::Handle;
use crate::host::Inner;
use crate::live::{Live, Plan};
use crate::slots::Permit;
use crate::work::{Finish, Work};

/// Works on a claimed run in the background. It can be cancelled from here on.
pub(crate) fn spawn(host: Arc<Inner>, live: Arc<Live>, run: Run, input: Bytes, permit: Permit) {
    let handle = Handle::new(run.deployment.clone());
    host.going.add(run.id, Arc::clone(&handle));
    tokio::spawn(async move {
        work(host, live, run, input, permit, handle).await;
    });
}

/// The same, to be awaited.
pub(crate) async fn work(
    host: Arc<Inner>,
    live: Arc<Live>,
    run: Run,
    input: Bytes,
    permit: Permit,
    handle: Arc<Handle>,
) -> Option<Finish> {
    let id = run.id;
    let mut failures = 0;
    let (plan, next_seq) = loop {
        match prepare(&host, &live, &run).await {
            Ok(prepared) => break prepared,
            Err(ControlError::Store(error)) if error.is_transient() && !host.is_closed() => {
                failures += 1;
                host.store_failed(&error);
                host.pause_after_failure(failures).await;
            }
            Err(error) => {
                host.going.remove(id);
                let failure = Code::Internal.failure(format!("the run's revision cannot be read: {error}"));
                set_aside(&host, run, failure).await;
                return None;
            }
        }
    };
    Some(Box::pin(Work::claimed(host, live, plan, permit, run, input, next_seq, handle).drive()).await)
}

async fn prepare(host: &Inner, live: &Live, run: &Run) -> Result<(Arc<Plan>, u64), ControlError> {
    let plan = live.plan_of(&*host.store, run.revision).await?;
    // A first attempt has no lines yet.
    let next_seq = if run.attempt > 1 || run.takeovers > 0 { next_seq(&*host.store, run).await? } else { 0 };
    Ok((plan, next_seq))
}

/// The place after the last log line that the store has: lines are numbered without gaps, so halving finds it.
async fn next_seq(store: &dyn Store, run: &Run) -> Result<u64, StoreError> {
    let has = async |seq: u64| Ok::<_, StoreError>(!store.logs(run.id, seq, 1).await?.is_empty());
    let mut beyond = 1u64;
    while has(beyond - 1).await? {
        beyond = beyond.saturating_mul(2);
    }
    // Everything before `low` is there, nothing at or after `high` is.
    let (mut low, mut high) = (beyond / 2, beyond - 1);
    while low < high {
        let middle = low + (high - low) / 2;
        if has(middle).await? { low = middle + 1 } else { high = middle }
    }
    Ok(low)
}

/// Parks a run that cannot be worked on here.
pub(crate) async fn set_aside(host: &Inner, mut run: Run, failure: Failure) {
    let id = run.id;
    match run.state.next(RunEvent::Parked(failure)) {
        Ok(state) => run.state = state,
        Err(error) => {
            tracing::error!(run = %id, %error, "the run's own state forbids to park it");
            return;
        }
    }
    let commit = StretchCommit::of(host.owner.clone(), run.clone(), host.clock.now());
    match host.store.commit_stretch(commit).await {
        Ok(_) => host.outcomes.settle(&run, None),
        Err(error) => {
            host.store_failed(&error);
            tracing::error!(run = %id, %error, "the run could not be parked; the next life takes it up");
        }
    }
}
