//! Posts what grants have left after their expiry.
//!
//! No answer about a customer's credit depends on this loop: a grant covers nothing from the
//! millisecond on at which it closes. The loop writes the entry that moves the rest out of
//! `deferred`.

use std::sync::Arc;

use async_trait::async_trait;
use tidemill_core::Timestamp;
use tidemill_store::Store;
use tokio_util::sync::CancellationToken;

use crate::error::ControlError;
use crate::metrics::Metrics;
use crate::reconcile::{Reconciler, TickReport, due};
use crate::state::HostState;

/// Maximum time between two ticks, in milliseconds. A commit does not wake the loop.
const INTERVAL: u64 = 1_000;

/// The loop that posts the rests of expired grants.
pub(crate) struct GrantReconciler {
    store: Arc<dyn Store>,
    metrics: Arc<Metrics>,
    closing: CancellationToken,
}

impl GrantReconciler {
    pub(crate) fn new(host: &HostState) -> Self {
        Self {
            store: Arc::clone(&host.store),
            metrics: Arc::clone(&host.metrics),
            closing: host.shutdown.closing.clone(),
        }
    }
}

#[async_trait]
impl Reconciler for GrantReconciler {
    fn name(&self) -> &'static str {
        "grants"
    }

    async fn tick(&self, now: Timestamp) -> Result<TickReport, ControlError> {
        let report = due::tick(now, INTERVAL, &self.closing, |limit| self.store.lapse_grants(now, limit)).await?;
        if report.done > 0 {
            self.metrics.ledger.grants_lapsed.inc_by(u64::try_from(report.done).unwrap_or(u64::MAX));
            tracing::info!(done = report.done, "posted the rests of expired grants");
        }
        Ok(report)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tidemill_core::money::EntryKind;
    use tidemill_store::records::{NewEntry, PageRequest};

    use super::*;
    use crate::fixture::{LoopFixture, START, ledger_entry};
    use crate::reconcile::NextTick;

    fn grant(number: u64, end: u64) -> NewEntry {
        NewEntry {
            net_revenue: -5,
            customer: Some(format!("cus-{}", number % 7)),
            metadata: format!("{{\"grant\":{{\"expires_at\":{}}}}}", START.plus_millis(end).as_millis()),
            ..ledger_entry(EntryKind::Promotion, &format!("gift-{number}"))
        }
    }

    #[tokio::test]
    async fn a_tick_posts_what_has_lapsed_and_names_the_next_end() {
        let fixture = LoopFixture::with(json!({})).await;
        let reconciler = GrantReconciler::new(&fixture.host);
        let next = |millis| NextTick::At(START.plus_millis(millis));
        assert_eq!(reconciler.tick(START).await.unwrap().next, next(INTERVAL));
        let store = &fixture.host.store;
        let grants = (0..600).map(|number| grant(number, 10 + number / 599 * 20)).collect();
        store.append_entries(grants, START).await.unwrap();
        let report = reconciler.tick(START).await.unwrap();
        assert_eq!((report.done, report.next), (0, next(10)));
        let report = reconciler.tick(START.plus_millis(10)).await.unwrap();
        assert_eq!((report.done, report.next), (599, next(30)));
        let last = store.ledger_entries(None, PageRequest::first(1)).await.unwrap().items.remove(0);
        assert_eq!((last.kind.as_str(), last.minor_units), ("promotion-reversal", 5));
        assert_eq!(store.check_ledger().await.unwrap().problems, Vec::<String>::new());
    }
}
