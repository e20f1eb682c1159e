//! Opens and closes findings about the ledger whose time has come: an invoice that streams have not
//! cleared after a day, a reservation that is open after 30 days, an entry of a time that was in
//! the future, a budget that has changed. All other findings are opened and explained in the
//! commits of entries. If a budget of fuel has changed, it also wakes the runs that wait for it.

use std::sync::Arc;

use async_trait::async_trait;
use tidemill_core::Timestamp;

use crate::error::ControlError;
use crate::reconcile::{Reconciler, TickReport, due};
use crate::state::HostState;

/// Maximum time between two ticks, in milliseconds. The commit of an entry does not wake the loop.
const INTERVAL: u64 = 60_000;

/// The loop of findings whose time has come.
pub(crate) struct FindingReconciler {
    host: Arc<HostState>,
}

impl FindingReconciler {
    pub(crate) fn new(host: &Arc<HostState>) -> Self {
        Self { host: Arc::clone(host) }
    }
}

#[async_trait]
impl Reconciler for FindingReconciler {
    fn name(&self) -> &'static str {
        "findings"
    }

    async fn tick(&self, now: Timestamp) -> Result<TickReport, ControlError> {
        let host = &self.host;
        let update = |limit| async move {
            let (batch, effects) = host.store.update_due_findings(now, limit).await?;
            host.effects.apply(effects);
            Ok(batch)
        };
        due::tick(now, INTERVAL, &host.shutdown.closing, update).await
    }

    async fn woken(&self) {
        self.host.finding_wake.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tidemill_core::money::{EntryCall, EntryKind};
    use tidemill_store::records::{FindingFilter, NewEntry, PageRequest};

    use super::*;
    use crate::fixture::{LoopFixture, START, ledger_entry};
    use crate::reconcile::NextTick;

    const DAY: u64 = 24 * 60 * 60 * 1_000;

    fn entry(number: u64, kind: EntryKind, reserves: bool, occurred_at: Timestamp) -> NewEntry {
        let posted = ledger_entry(kind, &format!("id-{number}"));
        let metadata = r#"{"invoice":"in_1"}"#.to_owned();
        let entry = NewEntry { id: format!("entry-of-{number}"), occurred_at, metadata, ..posted };
        if !reserves {
            return entry;
        }
        NewEntry { call: EntryCall::Reserve, pending: entry.legs.clone(), legs: vec![], ..entry }
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
