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
use crate::reconcile::{NextTick, Reconciler, TickReport};
use crate::state::HostState;

/// Maximum number of grants whose rest one commit posts.
const GRANTS_PER_COMMIT: usize = 500;
/// Maximum number of commits per tick.
const COMMITS_PER_TICK: usize = 10;
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
        let (mut done, mut next) = (0, None);
        for _ in 0..COMMITS_PER_TICK {
            let tick = self.store.lapse_grants(now, GRANTS_PER_COMMIT).await?;
            done += tick.lapsed;
            next = tick.next;
            if next.is_none_or(|next| next > now) || self.closing.is_cancelled() {
                break;
            }
        }
        if done > 0 {
            self.metrics.ledger.grants_lapsed.inc_by(u64::try_from(done).unwrap_or(u64::MAX));
            tracing::info!(done, "posted the rests of expired grants");
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
    use tidemill_store::records::{Evidence, LedgerLeg, NewEntry, PageRequest};

    use super::*;
    use crate::fixture::{LoopFixture, START};

    fn grant(number: u64, end: u64) -> NewEntry {
        let leg = |account: &str, minor_units| LedgerLeg { account: account.to_owned(), minor_units };
        NewEntry {
            id: String::new(),
            stream: "shop".parse().unwrap(),
            run: None,
            external_id: format!("gift-{number}"),
            call: EntryCall::Post,
            kind: "promotion".to_owned(),
            minor_units: 5,
            currency: "EUR".to_owned(),
            exponent: Some(2),
            net_revenue: -5,
            occurred_at: START,
            customer: Some(format!("cus-{}", number % 7)),
            description: String::new(),
            metadata: format!("{{\"grant\":{{\"expires_at\":{}}}}}", START.plus_millis(end).as_millis()),
            of: None,
            legs: vec![leg("deferred", -5), leg("promotions", 5)],
            pending: vec![],
            reservation: None,
            expires_at: None,
            evidence: Evidence::default(),
            paper: false,
            late_usage_millis: 0,
            content: <_>::default(),
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
