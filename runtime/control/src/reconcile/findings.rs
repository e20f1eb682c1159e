//! Opens and closes findings about the ledger whose time has come: an invoice that streams have not
//! cleared after a day, a reservation that is open after 30 days, an entry of a time that was in
//! the future. All other findings are opened and explained in the commits of entries.

use std::sync::Arc;

use async_trait::async_trait;
use tidemill_core::Timestamp;
use tidemill_store::Store;
use tokio_util::sync::CancellationToken;

use crate::error::ControlError;
use crate::reconcile::{NextTick, Reconciler, TickReport};
use crate::state::HostState;

/// Maximum number of findings that one commit opens or closes.
const FINDINGS_PER_COMMIT: usize = 500;
/// Maximum number of commits per tick.
const COMMITS_PER_TICK: usize = 10;
/// Maximum time between two ticks, in milliseconds. A commit does not wake the loop.
const INTERVAL: u64 = 60_000;

/// The loop of findings whose time has come.
pub(crate) struct FindingReconciler {
    store: Arc<dyn Store>,
    closing: CancellationToken,
}

impl FindingReconciler {
    pub(crate) fn new(host: &HostState) -> Self {
        Self { store: Arc::clone(&host.store), closing: host.shutdown.closing.clone() }
    }
}

#[async_trait]
impl Reconciler for FindingReconciler {
    fn name(&self) -> &'static str {
        "findings"
    }

    async fn tick(&self, now: Timestamp) -> Result<TickReport, ControlError> {
        let (mut done, mut next) = (0, None);
        for _ in 0..COMMITS_PER_TICK {
            let due = self.store.update_due_findings(now, FINDINGS_PER_COMMIT).await?;
            done += due.changed;
            next = due.next;
            if next.is_none_or(|next| next > now) || self.closing.is_cancelled() {
                break;
            }
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
    use tidemill_core::money::{EntryCall, EntryKind};
    use tidemill_store::records::{Evidence, FindingFilter, LedgerLeg, NewEntry, PageRequest};

    use super::*;
    use crate::fixture::{LoopFixture, START};

    const DAY: u64 = 24 * 60 * 60 * 1_000;

    fn entry(number: u64, kind: EntryKind, reserves: bool, occurred_at: Timestamp) -> NewEntry {
        let legs = kind.legs(5).unwrap().map(LedgerLeg::from).to_vec();
        let (legs, pending) = if reserves { (vec![], legs) } else { (legs, vec![]) };
        NewEntry {
            id: format!("entry-of-{number}"),
            stream: "shop".parse().unwrap(),
            run: None,
            external_id: format!("id-{number}"),
            call: if reserves { EntryCall::Reserve } else { EntryCall::Post },
            kind: kind.as_str().to_owned(),
            minor_units: 5,
            currency: "EUR".to_owned(),
            exponent: Some(2),
            net_revenue: 0,
            occurred_at,
            customer: None,
            description: String::new(),
            metadata: r#"{"invoice":"in_1"}"#.to_owned(),
            of: None,
            legs,
            pending,
            reservation: None,
            expires_at: None,
            evidence: Evidence::default(),
            paper: false,
            late_usage_millis: 0,
            content: <_>::default(),
        }
    }

    #[tokio::test]
    async fn a_tick_opens_and_closes_what_is_due_and_names_the_next_time() {
        let fixture = LoopFixture::with(json!({})).await;
        let reconciler = FindingReconciler::new(&fixture.host);
        let store = &fixture.host.store;
        let at = |millis| START.plus_millis(millis);
        assert_eq!(reconciler.tick(START).await.unwrap().next, NextTick::At(at(INTERVAL)));
        let entries = vec![
            entry(1, EntryKind::Received, false, START),
            entry(2, EntryKind::Sale, true, START),
            entry(3, EntryKind::Sale, false, at(DAY - 1_000)),
        ];
        store.append_entries(entries, START).await.unwrap();
        let kinds = async || {
            let page = store.findings(FindingFilter::default(), PageRequest::first(10)).await.unwrap();
            page.items.into_iter().map(|finding| finding.kind).collect::<Vec<_>>()
        };
        assert_eq!(kinds().await, ["future-dated"]);
        let report = reconciler.tick(at(DAY - 1_000)).await.unwrap();
        assert_eq!((report.done, report.next), (1, NextTick::At(at(DAY))));
        assert_eq!(kinds().await, Vec::<String>::new());
        assert_eq!(reconciler.tick(at(DAY)).await.unwrap().done, 1);
        assert_eq!(kinds().await, ["clearing-open"]);
        let report = reconciler.tick(at(30 * DAY - 5)).await.unwrap();
        assert_eq!((report.done, report.next), (0, NextTick::At(at(30 * DAY))));
        assert_eq!(reconciler.tick(at(30 * DAY)).await.unwrap().done, 1);
        assert_eq!(kinds().await, ["reservation-old", "clearing-open"]);
    }
}
