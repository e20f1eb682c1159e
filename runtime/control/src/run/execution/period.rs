//! Computes a guest's input: the period of a collection, the delivery to a hook, or the run's input
//! unchanged.

use bytes::Bytes;
use tidemill_core::Timestamp;
use tidemill_core::run::{Export, Run, TriggerKind};
use tidemill_store::StoreError;

use crate::deployment::active::ActiveDeployment;
use crate::hook::guest_input::{delivery_input, delivery_of};
use crate::run::collection::{CollectionRequest, period};
use crate::run::execution::Execution;
use crate::state::HostState;

impl Execution {
    /// Returns the input of this activation. A collection starts where the last successful one of
    /// its stream ended. That is read when the run starts, not when it was requested; the stream
    /// lock keeps it from moving.
    pub(crate) async fn guest_input(&mut self) -> Result<Bytes, StoreError> {
        if self.run.export != Export::RevenueStream {
            return stored_input(&self.host, &self.run, self.input.clone()).await;
        }
        let (start, end, joins) = collected(&self.host, &self.live, &self.run, &self.input).await?;
        let period = period(Some(start), end);
        // A collection that leaves a gap before it does not move the stream's watermark.
        self.collected_to = joins.then_some(end);
        self.collects = Some(period.clone());
        Ok(period)
    }
}

/// Returns the input that a run's guest last received, or would receive now.
pub(crate) async fn input_of(
    host: &HostState,
    live: &ActiveDeployment,
    run: &Run,
    input: Bytes,
) -> Result<Bytes, StoreError> {
    if run.export != Export::RevenueStream {
        return stored_input(host, run, input).await;
    }
    let (start, end, _) = collected(host, live, run, &input).await?;
    Ok(period(Some(start), end))
}

/// Returns the input of a run that is no collection: its own, or the delivery that started it.
async fn stored_input(host: &HostState, run: &Run, input: Bytes) -> Result<Bytes, StoreError> {
    match delivery_of(run, &input) {
        Some(id) => delivery_input(host, id).await,
        None => Ok(input),
    }
}

/// Returns the period of a collection, and whether it starts no later than the last successful one
/// ended.
async fn collected(
    host: &HostState,
    live: &ActiveDeployment,
    run: &Run,
    input: &Bytes,
) -> Result<(Timestamp, Timestamp, bool), StoreError> {
    let request = CollectionRequest::parse(input).unwrap_or_default();
    let watermark = host.store.watermark(&run.deployment).await?;
    let joint = watermark.unwrap_or(live.plan.since.unwrap_or(live.deployment.created_at));
    if let (CollectionRequest { start: Some(start), end: Some(end) }, 1..) = (request, run.journal_entries) {
        // Its first entries stored this period as its input when it started.
        return Ok((start, end, start <= joint));
    }
    let end = request.end.or(run.trigger.at).unwrap_or(run.created_at);
    let by_itself = run.trigger.kind == TriggerKind::Schedule && !run.trigger.is_backfill();
    let start = request.start.filter(|_| !by_itself).unwrap_or(joint).min(end);
    Ok((start, end, start <= joint))
}
