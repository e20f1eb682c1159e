//! Drawing from a customer's credit, floors, and balances.

use serde_json::{Value, json};
use tidemill_core::RunId;
use tidemill_core::manifest::{Grants, LedgerFloors, LedgerPolicy};
use tidemill_core::money::EntryCall;
use tidemill_store::records::ReadCheck;

use crate::support::{Job, START, TestHost};

async fn stream(host: &TestHost) -> Job<'_> {
    host.hostile().await.grant(Grants { ledger: true, ..Grants::default() })
}

fn all(acts: &[Value]) -> Value {
    json!({ "do": "all", "acts": acts })
}

fn credit(id: &str, amount: i64) -> Value {
    json!({ "do": "post", "external_id": id, "amount": amount, "kind": "prepayment", "customer": "c" })
}

fn draw(id: &str, amount: i64) -> Value {
    json!({ "do": "draw", "external_id": id, "amount": amount, "customer": "c" })
}

fn up_to(id: &str, amount: i64) -> Value {
    json!({ "do": "draw", "external_id": id, "amount": amount, "customer": "c", "up_to": true })
}

fn hold(id: &str, amount: i64) -> Value {
    json!({ "do": "post", "external_id": id, "amount": amount, "kind": "drawdown", "customer": "c", "reserve": true })
}

fn balance() -> Value {
    json!({ "do": "balance", "customer": "c" })
}

#[tokio::test]
async fn a_draw_is_a_drawdown_with_a_check_of_the_account() {
    let host = TestHost::new();
    let mut job = stream(&host).await;
    let ended = job.run(credit("A", 1_000)).await;
    host.commit(&job, ended).await;
    job.context.id = RunId::new(START, 8);
    let ended = job.run(draw("d", 600)).await;
    let entry = ended.all.effects.postings[0].clone();
    assert_eq!((entry.call, entry.kind.as_str(), entry.net_revenue), (EntryCall::Draw, "drawdown", 600));
    let checks: Vec<_> = ended.all.effects.reads.iter().filter(|read| matches!(read, ReadCheck::Balance(_))).collect();
    let [ReadCheck::Balance(check)] = checks.as_slice() else { panic!("{checks:?}") };
    assert_eq!((check.after, check.covered, check.question.minor_units), (0, Some(600), 600));
    host.commit(&job, ended).await;
    job.context.id = RunId::new(START, 9);
    let again = json!({ "posting": { "id": entry.id, "duplicate": true }, "amount": 600 });
    assert_eq!(job.output(draw("d", 600)).await, again);
    assert_eq!(job.code(draw("d", 601)).await, "host/external-id-conflict");
    assert_eq!(job.output(balance()).await, json!([400, 0, 0, null]));
}

#[tokio::test]
async fn a_transaction_sees_its_own_entries_and_posts_nothing_below_the_floor() {
    let host = TestHost::new();
    let job = stream(&host).await;
    let acts = [credit("A", 100), draw("d", 30), hold("h", 20), balance()];
    assert_eq!(job.output(all(&acts)).await, json!([50, 20, 0, null]));
    let (failure, _) = job.failure(all(&[&acts[..], &[draw("e", 51)]].concat())).await;
    assert_eq!(failure.code, "host/insufficient-balance");
    assert_eq!(failure.message, "`e` needs 0.51 EUR, but 0.50 EUR is available, and the floor is 0.00 EUR");
    let details: Value = serde_json::from_str(&failure.details.unwrap()).unwrap();
    assert_eq!(details, json!({ "available": "50", "floor": "0", "needed": "51", "currency": "EUR" }));
    assert_eq!(job.code(all(&[&acts[..], &[hold("i", 51)]].concat())).await, "host/insufficient-balance");
    let rest = [&acts[..], &[up_to("e", 51)]].concat();
    let ended = job.run(all(&rest)).await;
    let last = ended.all.effects.postings.last().unwrap().clone();
    assert_eq!((last.external_id.as_str(), last.minor_units), ("e", 50));
    let nothing = [&rest[..], &[up_to("f", 5)]].concat();
    assert_eq!(job.output(all(&nothing)).await, json!({ "posting": null, "amount": 0 }));
    let void = [&rest[..], &[json!({ "do": "void" }), up_to("f", 50)]].concat();
    assert_eq!(job.output(all(&void)).await["amount"], 20);
}

#[tokio::test]
async fn a_floor_of_the_manifest_is_a_credit_line_or_binds_the_stream() {
    let host = TestHost::new();
    let mut job = stream(&host).await;
    let floors = LedgerFloors {
        customer: [("EUR".to_owned(), "-0.50".to_owned())].into(),
        receivable: [("EUR".to_owned(), "0.10".to_owned())].into(),
        ..LedgerFloors::default()
    };
    job.context.ledger = LedgerPolicy { floors, ..LedgerPolicy::default() };
    assert_eq!(job.output(all(&[draw("d", 50), balance()])).await, json!([-50, 0, -50, null]));
    assert_eq!(job.code(draw("d", 51)).await, "host/insufficient-balance");
    let sale = |amount: i64| json!({ "do": "post", "external_id": "s", "amount": amount });
    let payout =
        |amount: i64| json!({ "do": "post", "external_id": "p", "amount": amount, "kind": "payout", "reserve": true });
    assert_eq!(job.code(all(&[sale(100), payout(91)])).await, "host/insufficient-balance");
    assert_eq!(job.output(all(&[sale(100), payout(90)])).await["duplicate"], false);
    let posted = json!({ "do": "post", "external_id": "p", "amount": 500, "kind": "payout" });
    assert_eq!(job.output(all(&[sale(100), posted])).await["duplicate"], false, "`post` is never refused");
}

#[tokio::test]
async fn bad_draws_are_refused_by_name() {
    let host = TestHost::new();
    let job = stream(&host).await;
    for (act, code) in [
        (json!({ "do": "draw", "external_id": "d", "customer": "" }), "host/bad-entry"),
        (json!({ "do": "draw", "external_id": "d", "customer": "c", "amount": 0 }), "host/wrong-sign"),
        (json!({ "do": "draw", "external_id": "d", "customer": "c", "currency": "XXY" }), "host/unknown-currency"),
        (json!({ "do": "draw", "external_id": "d/settled", "customer": "c" }), "host/bad-entry"),
        (json!({ "do": "balance", "customer": "" }), "host/bad-argument"),
        (json!({ "do": "balance", "customer": "x".repeat(257) }), "host/bad-argument"),
        (json!({ "do": "balance", "customer": "c", "currency": "eur" }), "host/unknown-currency"),
    ] {
        assert_eq!(job.code(act.clone()).await, code, "{act}");
    }
    let other = host.hostile().await;
    for act in [draw("d", 1), balance()] {
        assert_eq!(other.code(act).await, "host/not-granted");
    }
}
