//! What a guest is given: for a collection the period, for everything else the run's input as it is.

use bytes::Bytes;
use tidemill_core::Timestamp;
use tidemill_core::run::{Export, Run, TriggerKind};
use tidemill_store::StoreError;

use crate::control_plane::HostState;
use crate::deployment::active::ActiveDeployment;
use crate::run::execution::Execution;
use crate::run::execution::collection::CollectionRequest;

impl Execution {
    /// The input of this activation. A collection begins where the last successful one of its stream ended, so that is
    /// looked up when it begins and not when it was asked for; nobody moves it while the stream is this run's.
    pub(crate) async fn guest_input(&mut self) -> Result<Bytes, StoreError> {
        if self.run.export != Export::RevenueStream {
            return Ok(self.input.clone());
        }
        let (start, end, joins) = collected(&self.host, &self.live, &self.run, &self.input).await?;
        let period = period(start, end);
        // One that leaves out what comes before it collects its own period and nothing else.
        self.collected_to = joins.then_some(end);
        self.collects = Some(period.clone());
        Ok(period)
    }
}

/// The input that a run's guest was last given, or would be given now.
pub(crate) async fn input_of(
    host: &HostState,
    live: &ActiveDeployment,
    run: &Run,
    input: Bytes,
) -> Result<Bytes, StoreError> {
    if run.export != Export::RevenueStream {
        return Ok(input);
    }
    let (start, end, _) = collected(host, live, run, &input).await?;
    Ok(period(start, end))
}

/// The period of a collection, and whether it begins no later than the last successful one ended.
async fn collected(
    host: &HostState,
    live: &ActiveDeployment,
    run: &Run,
    input: &Bytes,
) -> Result<(Timestamp, Timestamp, bool), StoreError> {
    let asked = CollectionRequest::parse(input).unwrap_or_default();
    let watermark = host.store.watermark(&run.deployment).await?;
    let joint = watermark.unwrap_or(live.plan.since.unwrap_or(live.deployment.created_at));
    if let (CollectionRequest { start: Some(start), end: Some(end) }, 1..) = (asked, run.journal_entries) {
        // What it was given when it began: its input became that with its first entries.
        return Ok((start, end, start <= joint));
    }
    let end = asked.end.or(run.trigger.at).unwrap_or(run.created_at);
    let by_itself = run.trigger.kind == TriggerKind::Schedule && !run.trigger.is_backfill();
    let start = asked.start.filter(|_| !by_itself).unwrap_or(joint).min(end);
    Ok((start, end, start <= joint))
}

fn period(start: Timestamp, end: Timestamp) -> Bytes {
    Bytes::from(format!(r#"{{"start":{},"end":{}}}"#, start.as_millis(), end.as_millis()))
}
