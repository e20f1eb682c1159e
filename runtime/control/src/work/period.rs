//! What a guest is given: for a collection the period, for everything else the run's input as it is.

use bytes::Bytes;
use tidemill_core::Timestamp;
use tidemill_core::run::{Export, TriggerKind};
use tidemill_store::StoreError;

use super::Work;
use crate::collection::Asked;

impl Work {
    /// The input of this activation. A collection begins where the last successful one of its stream ended, so that is
    /// looked up when it begins and not when it was asked for; nobody moves it while the stream is this run's.
    pub(super) async fn guest_input(&mut self) -> Result<Bytes, StoreError> {
        if self.run.export != Export::RevenueStream {
            return Ok(self.input.clone());
        }
        let asked = Asked::parse(&self.input).unwrap_or_default();
        let watermark = self.host.store.watermark(&self.run.deployment).await?;
        let end = asked.end.or(self.run.trigger.at).unwrap_or(self.run.created_at);
        let first = self.live.plan.since.unwrap_or(self.live.deployment.created_at);
        let start = match (self.run.trigger.kind, asked.start) {
            (TriggerKind::Schedule, _) | (_, None) => watermark.unwrap_or(first),
            (_, Some(start)) => start,
        };
        self.collected_to = Some(end);
        Ok(period(start.min(end), end))
    }
}

fn period(start: Timestamp, end: Timestamp) -> Bytes {
    Bytes::from(format!(r#"{{"start":{},"end":{}}}"#, start.as_millis(), end.as_millis()))
}
