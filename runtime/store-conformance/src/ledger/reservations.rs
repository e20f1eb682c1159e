//! Claims about reservations.

use std::sync::Arc;

use tidemill_core::Timestamp;
use tidemill_core::ids::Owner;
use tidemill_core::money::{EntryCall, ReservationState};
use tidemill_store::Store;
use tidemill_store::records::{NewEntry, PageRequest, RunCommitResult};

use super::{end_of, reservation, stream};
use crate::fixture::{NOON, claimed_run, deploy, later, owner, success};

/// Commits entries of a new run of `a` at a time, and returns whether they took effect.
async fn commit(
    store: &Arc<dyn Store>,
    owner: &Owner,
    at: Timestamp,
    entries: impl FnOnce(&tidemill_core::run::Run) -> Vec<NewEntry>,
) -> bool {
    let run = claimed_run(store, owner, "a").await;
    let mut commit = success(owner, &run);
    (commit.postings, commit.now) = (entries(&run), at);
    let answer = store.commit_run(commit).await.expect("no error");
    matches!(answer, RunCommitResult::Done(_))
}

/// Returns posted and pending balance of `receivable` at a time.
async fn receivable(store: &Arc<dyn Store>, now: Timestamp) -> (i128, i128) {
    let accounts = store.account_totals(Some(&stream("a")), now).await.expect("accounts");
    assert_eq!(accounts.iter().map(|account| account.minor_units).sum::<i128>(), 0);
    assert_eq!(accounts.iter().map(|account| account.pending).sum::<i128>(), 0);
    let found = accounts.iter().find(|account| account.account == "receivable");
    found.map_or((0, 0), |account| (account.minor_units, account.pending))
}

async fn begin(store: &Arc<dyn Store>) -> Owner {
    deploy(store, "a").await;
    owner(store).await
}

async fn checked(store: &Arc<dyn Store>) {
    assert_eq!(store.check_ledger().await.expect("a check").problems, Vec::<String>::new());
}

pub(crate) async fn a_settlement_posts_a_part_and_returns_the_rest(store: Arc<dyn Store>) {
    let me = begin(&store).await;
    let mut held = None;
    let made = commit(&store, &me, NOON, |run| {
        held = Some(reservation(run, "h", 400, None));
        held.iter().cloned().collect()
    });
    assert!(made.await);
    let held = held.expect("made");
    assert_eq!(receivable(&store, NOON).await, (0, 400));
    assert_eq!(store.open_reservation_count().await, Ok(1));
    assert_eq!(store.stream_totals().await.expect("totals")[0].net_revenue, 0);
    let stored = store.reservation(&held.id).await.expect("a read").expect("the reservation");
    assert_eq!(stored.terms().state, ReservationState::Open);
    assert!(commit(&store, &me, later(9), |run| vec![end_of(run, &held, Some(250), later(9))]).await);
    assert_eq!(receivable(&store, NOON).await, (250, 0));
    assert_eq!(store.stream_totals().await.expect("totals")[0].net_revenue, 250);
    let stored = store.reservation(&held.id).await.expect("a read").expect("the reservation");
    assert_eq!(stored.terms().state, ReservationState::Settled { minor_units: 250 });
    assert_eq!(stored.closed.expect("an end").external_id, "h/settled");
    // A reservation ends once.
    assert!(!commit(&store, &me, later(10), |run| vec![end_of(run, &held, None, later(10))]).await);
    assert_eq!(store.open_reservations(PageRequest::first(9)).await.expect("a page").items, vec![]);
    assert_eq!(store.open_reservation_count().await, Ok(0));
    checked(&store).await;
}

pub(crate) async fn a_void_returns_all(store: Arc<dyn Store>) {
    let me = begin(&store).await;
    let both = commit(&store, &me, NOON, |run| {
        let held = reservation(run, "h", 400, Some(later(5)));
        let other = reservation(run, "i", 7, None);
        vec![held.clone(), end_of(run, &held, None, NOON), other.clone(), end_of(run, &other, Some(7), NOON)]
    });
    assert!(both.await, "a reservation ends in the transaction that makes it");
    assert_eq!(receivable(&store, NOON).await, (7, 0));
    let expired = store.expire_reservations(later(9), 10).await.expect("a tick");
    assert_eq!((expired.done, expired.next), (0, None));
    checked(&store).await;
}

pub(crate) async fn an_end_that_does_not_fit_its_reservation_is_refused(store: Arc<dyn Store>) {
    let me = begin(&store).await;
    let mut held = None;
    let made = commit(&store, &me, NOON, |run| {
        held = Some(reservation(run, "h", 400, None));
        held.iter().cloned().collect()
    });
    assert!(made.await);
    let held = held.expect("made");
    let run = claimed_run(&store, &me, "a").await;
    let end = end_of(&run, &held, Some(400), NOON);
    let mut other = end.clone();
    other.pending[0].minor_units += 1;
    other.pending[1].minor_units -= 1;
    for wrong in [
        end_of(&run, &held, Some(401), NOON),
        other,
        NewEntry { currency: "USD".into(), ..end.clone() },
        NewEntry { reservation: Some("another".into()), ..end.clone() },
        NewEntry { legs: vec![], ..end.clone() },
        NewEntry { call: EntryCall::Void, ..end.clone() },
    ] {
        let mut refused = success(&me, &run);
        refused.postings = vec![wrong];
        assert!(store.commit_run(refused).await.is_err());
    }
    assert_eq!(receivable(&store, NOON).await, (0, 400));
    checked(&store).await;
}

pub(crate) async fn a_reservation_is_over_from_its_very_millisecond_on(store: Arc<dyn Store>) {
    let me = begin(&store).await;
    let mut all = Vec::new();
    let made = commit(&store, &me, NOON, |run| {
        all = (0..5).map(|n| reservation(run, &n.to_string(), 100, Some(later(50 + n)))).collect();
        all.clone()
    });
    assert!(made.await);
    assert!(commit(&store, &me, later(49), |run| vec![end_of(run, &all[0], Some(1), later(49))]).await);
    // No answer depends on whether the timer has run.
    for timer in [false, true] {
        assert!(!commit(&store, &me, later(51), |run| vec![end_of(run, &all[1], Some(1), later(51))]).await);
        assert_eq!(receivable(&store, later(50)).await, (1, 400 - i128::from(timer) * 100));
        assert_eq!(receivable(&store, later(51)).await, (1, 300));
        assert_eq!(receivable(&store, later(54)).await, (1, 0));
        if !timer {
            let expired = store.expire_reservations(later(50), 10).await.expect("a tick");
            assert_eq!((expired.done, expired.next), (0, Some(later(51))));
            let expired = store.expire_reservations(later(51), 10).await.expect("a tick");
            assert_eq!((expired.done, expired.next), (1, Some(later(52))));
        }
    }
    let stored = store.reservation(&all[1].id).await.expect("a read").expect("the reservation");
    assert_eq!(stored.terms().state, ReservationState::Expired);
    let expiry = stored.closed.expect("an end");
    assert_eq!((expiry.external_id.as_str(), expiry.run, expiry.occurred_at), ("1/expired", None, later(51)));
    assert_eq!(expiry.reservation, Some(stored.entry.id));
    let expired = store.expire_reservations(later(99), 2).await.expect("a tick");
    assert_eq!((expired.done, expired.next), (2, Some(later(54))));
    let left = store.open_reservations(PageRequest::first(9)).await.expect("a page").items;
    assert_eq!(left.iter().map(|entry| entry.external_id.as_str()).collect::<Vec<_>>(), ["4"]);
    checked(&store).await;
}
