//! Continues cancellations that did not fit into one commit.

use std::sync::Arc;

use async_trait::async_trait;
use tidemill_core::Timestamp;
use tidemill_store::Store;

use crate::error::ControlError;
use crate::reconcile::{NextTick, Reconciler, TickReport};
use crate::run::effects::EffectHandler;
use crate::state::HostState;

/// Maximum number of runs that one commit continues to cancel.
const CANCELS_PER_COMMIT: usize = 256;
/// Interval between two looks for such runs, in milliseconds. Finding none costs no commit.
const CANCEL_INTERVAL: u64 = 1_000;

/// The loop that continues cancellations.
pub(crate) struct CancellationReconciler {
    store: Arc<dyn Store>,
    effects: Arc<EffectHandler>,
}

impl CancellationReconciler {
    pub(crate) fn new(host: &HostState) -> Self {
        Self { store: Arc::clone(&host.store), effects: Arc::clone(&host.effects) }
    }
}

#[async_trait]
impl Reconciler for CancellationReconciler {
    fn name(&self) -> &'static str {
        "cancels"
    }

    async fn tick(&self, now: Timestamp) -> Result<TickReport, ControlError> {
        let (more, caused) = self.store.drain_cancels(CANCELS_PER_COMMIT, now).await?;
        let found = caused.cancelling.len() + caused.settled.len();
        self.effects.apply(caused);
        let next = if more { NextTick::Now } else { NextTick::At(now.plus_millis(CANCEL_INTERVAL)) };
        Ok(TickReport { found, done: found, failed: 0, next })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::fixture::{LoopFixture, START};

    #[tokio::test]
    async fn a_tick_without_open_cancellations_does_nothing_and_looks_again_after_the_interval() {
        let fixture = LoopFixture::with(json!({})).await;
        let run = fixture.queue().await;
        let report = CancellationReconciler::new(&fixture.host).tick(START).await.unwrap();
        let next = NextTick::At(START.plus_millis(CANCEL_INTERVAL));
        assert_eq!(report, TickReport { found: 0, done: 0, failed: 0, next });
        assert_eq!(fixture.runs().await, [run]);
    }
}
