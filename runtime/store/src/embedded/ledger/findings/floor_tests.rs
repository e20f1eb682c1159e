//! The finding `below-floor` agrees with a plain model of one account at any time.

use proptest::prelude::*;
use tidemill_core::Timestamp;
use tidemill_core::money::{EntryCall, EntryKind};

use crate::embedded::fixture::{customer_account, customer_entry};
use crate::embedded::store::EmbeddedStore;
use crate::records::{
    CustomerFloor, Finding, FindingClosure, FindingFilter, LedgerEntry, NewEntry, OwnEntries, PageRequest,
};
use crate::traits::{BalanceStore as _, FindingStore as _, LedgerStore as _};

const START: u64 = 1_000_000;

/// What happens to the account.
#[derive(Debug, Clone)]
enum AccountEvent {
    /// A grant, which begins and ends so much later.
    Grant { cents: i64, starts: u64, lives: Option<u64> },
    /// Usage is posted, without asking, under a manifest with this floor.
    Post { cents: i64, floor: i64 },
    /// Usage is reserved, and returns by itself later.
    Hold { cents: i64, lives: u64 },
    /// The customer gets a floor, or loses it.
    Floor(Option<i64>),
    /// Time passes, in milliseconds.
    Wait(u64),
}

fn events() -> impl Strategy<Value = Vec<AccountEvent>> {
    let event = prop_oneof![
        3 => (1i64..9, prop_oneof![3 => Just(0), 1 => 1u64..6], prop::option::of(1u64..9))
            .prop_map(|(cents, starts, lives)| AccountEvent::Grant { cents, starts, lives }),
        4 => (1i64..9, prop_oneof![3 => Just(0), 1 => -5i64..0]).prop_map(|(cents, floor)| AccountEvent::Post { cents, floor }),
        1 => (1i64..9, 1u64..6).prop_map(|(cents, lives)| AccountEvent::Hold { cents, lives }),
        1 => prop::option::of(-9i64..3).prop_map(AccountEvent::Floor),
        3 => (1u64..7).prop_map(AccountEvent::Wait),
    ];
    prop::collection::vec(event, 1..20)
}

fn entry(id: &str, kind: EntryKind, cents: i64, now: u64) -> NewEntry {
    customer_entry(id, kind, cents, Timestamp::from_millis(now))
}

async fn append(store: &EmbeddedStore, entry: NewEntry, now: u64) -> LedgerEntry {
    let external_id = entry.external_id.clone();
    store.append_entries(vec![entry], Timestamp::from_millis(now)).await.unwrap();
    store.ledger_entry_of(&customer_account().stream, &external_id).await.unwrap().unwrap()
}

async fn found(store: &EmbeddedStore, closed: bool) -> Vec<Finding> {
    let filter = FindingFilter { closed, ..FindingFilter::default() };
    let page = store.findings(filter, PageRequest::first(100)).await.unwrap();
    page.items.into_iter().filter(|finding| finding.kind == "below-floor").collect()
}

/// The account as the test sees it.
struct Model {
    own_floor: Option<i64>,
    /// The manifest's floor at the last posted usage.
    floor: i64,
    is_open: bool,
}

impl Model {
    /// Compares the finding after something happened. `posts` is whether usage was posted.
    async fn check(&mut self, store: &EmbeddedStore, now: u64, posts: bool, moves: bool) -> Result<(), TestCaseError> {
        let (balance, own) =
            store.balance(&customer_account(), &mut OwnEntries::default(), Timestamp::from_millis(now)).await.unwrap();
        prop_assert_eq!(own, self.own_floor);
        let missing = i128::from(own.unwrap_or(self.floor)) - balance.available;
        self.is_open = missing > 0 && (self.is_open || posts);
        let found = found(store, false).await;
        prop_assert_eq!(found.len(), usize::from(self.is_open), "{} is missing, {:?}", missing, found);
        prop_assert_eq!(store.open_finding_count().await.unwrap() as usize, found.len());
        if let ([finding], true) = (&found[..], moves) {
            prop_assert_eq!(finding.minor_units, Some(missing));
            prop_assert_eq!(finding.subject.as_str(), "c");
        }
        Ok(())
    }

    async fn apply(
        &mut self,
        store: &EmbeddedStore,
        number: usize,
        event: &AccountEvent,
        now: &mut u64,
    ) -> Result<(), TestCaseError> {
        let id = format!("e{number}");
        match *event {
            AccountEvent::Grant { cents, starts, lives } => {
                let starts = *now + starts;
                let end = lives.map(|lives| format!(",\"expires_at\":{}", starts + lives)).unwrap_or_default();
                let metadata = format!("{{\"grant\":{{\"starts_at\":{starts}{end}}}}}");
                append(store, NewEntry { metadata, ..entry(&id, EntryKind::Promotion, cents, *now) }, *now).await;
                self.check(store, *now, false, true).await
            }
            AccountEvent::Post { cents, floor } => {
                let usage = entry(&id, EntryKind::Drawdown, cents, *now);
                append(store, NewEntry { customer_floor: Some(floor), ..usage }, *now).await;
                self.floor = floor;
                self.check(store, *now, true, true).await
            }
            AccountEvent::Hold { cents, lives } => {
                let usage = entry(&id, EntryKind::Drawdown, cents, *now);
                let expires_at = Some(Timestamp::from_millis(*now + lives));
                let (legs, pending) = (Vec::new(), usage.legs.clone());
                let held = NewEntry { id, call: EntryCall::Reserve, legs, pending, expires_at, ..usage };
                append(store, held, *now).await;
                self.check(store, *now, false, true).await
            }
            AccountEvent::Floor(own) => {
                let now = Timestamp::from_millis(*now);
                let floor = own.map(|minor_units| CustomerFloor { minor_units, set_at: now });
                store.set_customer_floor(customer_account(), floor, now).await.unwrap();
                self.own_floor = own;
                self.check(store, now.as_millis(), false, true).await
            }
            AccountEvent::Wait(millis) => {
                for _ in 0..millis {
                    *now += 1;
                    let at = Timestamp::from_millis(*now);
                    store.expire_reservations(at, 99).await.unwrap();
                    store.lapse_grants(at, 99).await.unwrap();
                    store.update_due_findings(at, 99).await.unwrap();
                    self.check(store, *now, false, false).await?;
                }
                Ok(())
            }
        }
    }
}

fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
    #[test]
    fn an_account_that_was_posted_below_its_floor_is_a_finding_until_it_is_back(events in events()) {
        run(async {
            let folder = tempfile::tempdir().unwrap();
            let (store, _) = EmbeddedStore::open(EmbeddedStore::config(folder.path())).unwrap();
            let (mut model, mut now) = (Model { own_floor: None, floor: 0, is_open: false }, START);
            for (number, event) in events.iter().enumerate() {
                model.apply(&store, number, event, &mut now).await?;
            }
            let checked = store.check_ledger().await.unwrap();
            prop_assert_eq!(checked.problems, Vec::<String>::new());
            prop_assert_eq!(checked.findings.iter().map(|count| count.open).sum::<u64>(), u64::from(model.is_open));
            Ok(())
        })?;
    }
}

#[test]
fn a_draw_opens_no_finding_and_a_closed_one_opens_with_another_amount() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let (store, _) = EmbeddedStore::open(EmbeddedStore::config(folder.path())).unwrap();
        let usage =
            |id: &str, cents| NewEntry { customer_floor: Some(0), ..entry(id, EntryKind::Drawdown, cents, START) };
        append(&store, NewEntry { call: EntryCall::Draw, ..usage("d", 5) }, START).await;
        assert_eq!(found(&store, false).await, []);
        append(&store, usage("p", 2), START).await;
        let [open] = &found(&store, false).await[..] else { panic!("one finding") };
        assert_eq!(
            (open.number, open.minor_units, open.sequence, open.currency.as_deref()),
            (1, Some(7), 2, Some("EUR"))
        );
        let closure =
            FindingClosure { at: Timestamp::from_millis(START), actor: "ann".into(), reason: "a credit".into() };
        store.close_finding(1, closure).await.unwrap();
        append(&store, entry("g", EntryKind::Promotion, 3, START), START).await;
        assert_eq!(found(&store, false).await[0].minor_units, Some(4), "it is open again");
        append(&store, entry("h", EntryKind::Promotion, 4, START), START).await;
        assert_eq!((found(&store, false).await, found(&store, true).await), (vec![], vec![]));
    });
}
