//! Returns the amounts of reservations whose time is over.
//!
//! No answer depends on this loop: a reservation cannot be settled from the millisecond of its end
//! on, and no balance counts it as pending. The loop writes the entry that returns the amount.

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

/// The loop that returns expired reservations.
pub(crate) struct ReservationReconciler {
    store: Arc<dyn Store>,
    metrics: Arc<Metrics>,
    closing: CancellationToken,
}

impl ReservationReconciler {
    pub(crate) fn new(host: &HostState) -> Self {
        Self {
            store: Arc::clone(&host.store),
            metrics: Arc::clone(&host.metrics),
            closing: host.shutdown.closing.clone(),
        }
    }
}

#[async_trait]
impl Reconciler for ReservationReconciler {
    fn name(&self) -> &'static str {
        "reservations"
    }

    async fn tick(&self, now: Timestamp) -> Result<TickReport, ControlError> {
        let report =
            due::tick(now, INTERVAL, &self.closing, |limit| self.store.expire_reservations(now, limit)).await?;
        if report.done > 0 {
            self.metrics.ledger.reservations_expired.inc_by(u64::try_from(report.done).unwrap_or(u64::MAX));
            tracing::info!(done = report.done, "returned the amounts of expired reservations");
        }
        Ok(report)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tidemill_core::money::{EntryCall, EntryKind};
    use tidemill_store::records::NewEntry;

    use super::*;
    use crate::fixture::{LoopFixture, START, ledger_entry};
    use crate::reconcile::NextTick;

    fn reservation(number: u64, end: u64) -> NewEntry {
        let posted = ledger_entry(EntryKind::Sale, &format!("hold-{number}"));
        NewEntry {
            id: posted.external_id.clone(),
            call: EntryCall::Reserve,
            legs: vec![],
            pending: posted.legs.clone(),
            expires_at: Some(START.plus_millis(end)),
            ..posted
        }
    }

    #[tokio::test]
    async fn a_tick_returns_what_is_over_and_names_the_next_end() {
        let fixture = LoopFixture::with(json!({})).await;
        let reconciler = ReservationReconciler::new(&fixture.host);
        let next = |millis| NextTick::At(START.plus_millis(millis));
        assert_eq!(reconciler.tick(START).await.unwrap().next, next(INTERVAL));
        let store = &fixture.host.store;
        let ends = (0..600).map(|number| reservation(number, 10 + number / 599 * 20)).collect();
        store.append_entries(ends, START).await.unwrap();
        let report = reconciler.tick(START).await.unwrap();
        assert_eq!((report.done, report.next), (0, next(10)));
        let report = reconciler.tick(START.plus_millis(10)).await.unwrap();
        assert_eq!((report.done, report.next), (599, next(30)));
        assert_eq!(store.open_reservation_count().await.unwrap(), 1);
        assert_eq!(store.check_ledger().await.unwrap().problems, Vec::<String>::new());
    }
}
