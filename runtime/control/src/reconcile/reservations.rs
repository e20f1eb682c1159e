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
use crate::reconcile::{NextTick, Reconciler, TickReport};
use crate::state::HostState;

/// Maximum number of reservations that one commit returns.
const RESERVATIONS_PER_COMMIT: usize = 500;
/// Maximum number of commits per tick.
const COMMITS_PER_TICK: usize = 10;
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
        let (mut done, mut next) = (0, None);
        for _ in 0..COMMITS_PER_TICK {
            let expired = self.store.expire_reservations(now, RESERVATIONS_PER_COMMIT).await?;
            done += expired.expired;
            next = expired.next;
            if next.is_none_or(|next| next > now) || self.closing.is_cancelled() {
                break;
            }
        }
        if done > 0 {
            self.metrics.ledger.reservations_expired.inc_by(u64::try_from(done).unwrap_or(u64::MAX));
            tracing::info!(done, "returned the amounts of expired reservations");
        }
        let latest = now.plus_millis(INTERVAL);
        let next = match next {
            Some(next) if next <= now => NextTick::Now,
            next => NextTick::At(next.map_or(latest, |next| next.min(latest))),
        };
        Ok(TickReport { found: done, done, failed: 0, next })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tidemill_core::money::EntryCall;
    use tidemill_store::records::{Evidence, LedgerLeg, NewEntry};

    use super::*;
    use crate::fixture::{LoopFixture, START};

    fn reservation(number: u64, end: u64) -> NewEntry {
        let leg = |account: &str, minor_units| LedgerLeg { account: account.to_owned(), minor_units };
        NewEntry {
            id: format!("hold-{number}"),
            stream: "shop".parse().unwrap(),
            run: None,
            external_id: format!("hold-{number}"),
            call: EntryCall::Reserve,
            kind: "sale".to_owned(),
            minor_units: 5,
            currency: "EUR".to_owned(),
            exponent: Some(2),
            net_revenue: 0,
            occurred_at: START,
            customer: None,
            description: String::new(),
            metadata: "{}".to_owned(),
            of: None,
            legs: vec![],
            pending: vec![leg("sales", -5), leg("receivable", 5)],
            reservation: None,
            expires_at: Some(START.plus_millis(end)),
            evidence: Evidence::default(),
            paper: false,
            late_usage_millis: 0,
            content: <_>::default(),
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
