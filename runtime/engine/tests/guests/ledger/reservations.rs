//! Posting to the ledger, and reservations.

use serde_json::json;
use tidemill_core::RunId;
use tidemill_core::manifest::{Grants, LedgerPolicy};
use tidemill_core::money::EntryCall;

use crate::support::{Job, START, TestHost};

async fn stream(host: &TestHost) -> Job<'_> {
    host.hostile().await.grant(Grants { ledger: true, ..Grants::default() })
}

#[tokio::test]
async fn a_posting_waits_for_the_commit_with_its_two_legs() {
    let host = TestHost::new();
    let job = stream(&host).await;
    let act = json!({ "do": "post", "external_id": "a", "amount": 1999, "kind": "usage" });
    let ended = job.run(act).await;
    let [posting] = ended.all.effects.postings.as_slice() else { panic!("{:?}", ended.outcome) };
    let entry = posting;
    assert_eq!((entry.minor_units, entry.net_revenue, entry.currency.as_str()), (1999, 1999, "EUR"));
    assert_eq!(entry.legs.iter().map(|leg| leg.minor_units).sum::<i64>(), 0);
    assert!(entry.id.starts_with(&job.context.id.to_string()));
    assert_eq!(ended.all.effects.reads.len(), 1);
}

#[tokio::test]
async fn a_repeated_id_is_a_duplicate_and_with_other_content_an_error() {
    let host = TestHost::new();
    let job = stream(&host).await;
    let post = |amount: i64| json!({ "do": "post", "external_id": "a", "amount": amount });
    let twice = job.run(json!({ "do": "all", "acts": [post(1), post(1)] })).await;
    assert_eq!(twice.all.effects.postings.len(), 1);
    assert_eq!(job.output(json!({ "do": "all", "acts": [post(1), post(1)] })).await["duplicate"], json!(true));
    assert_eq!(job.code(json!({ "do": "all", "acts": [post(1), post(2)] })).await, "host/external-id-conflict");
}

#[tokio::test]
async fn a_committed_posting_is_a_duplicate_for_the_next_run_and_counts_as_revenue() {
    let host = TestHost::new();
    let mut job = stream(&host).await;
    let post = json!({ "do": "post", "external_id": "a", "amount": 1999 });
    let ended = job.run(post.clone()).await;
    let first = ended.all.effects.postings[0].id.clone();
    host.commit(&job, ended).await;
    job.context.id = RunId::new(START, 8);
    assert_eq!(job.output(post).await, json!({ "id": first, "duplicate": true }));
    assert!(job.output(json!({ "do": "revenue" })).await.to_string().contains("1999"));
    assert_eq!(job.code(json!({ "do": "post", "external_id": "a", "amount": 5 })).await, "host/external-id-conflict");
}

#[tokio::test]
async fn invalid_entries_are_refused_with_their_code() {
    let host = TestHost::new();
    let job = stream(&host).await;
    for (entry, code) in [
        (json!({ "do": "post", "external_id": "a", "kind": "gift" }), "host/bad-kind"),
        (json!({ "do": "post", "external_id": "a", "currency": "XXY" }), "host/unknown-currency"),
        (json!({ "do": "post", "external_id": "a", "amount": -1 }), "host/wrong-sign"),
        (json!({ "do": "post", "external_id": "" }), "host/bad-entry"),
    ] {
        assert_eq!(job.code(entry).await, code);
    }
}

#[tokio::test]
async fn a_missing_grant_shows_the_line_to_add() {
    let host = TestHost::new();
    let job = host.hostile().await;
    let (failure, _) = job.failure(json!({ "do": "post", "external_id": "a" })).await;
    assert_eq!(failure.code, "host/not-granted");
    assert!(failure.message.contains("ledger = true"));
}

fn reserve(external_id: &str, amount: i64) -> serde_json::Value {
    json!({ "do": "post", "external_id": external_id, "amount": amount, "kind": "usage", "reserve": true,
        "customer": "cus_1", "metadata": { "of": "order" } })
}

fn all(acts: &[serde_json::Value]) -> serde_json::Value {
    json!({ "do": "all", "acts": acts })
}

#[tokio::test]
async fn a_reservation_is_pending_until_its_settlement_posts_a_part_of_it() {
    let host = TestHost::new();
    let mut job = stream(&host).await;
    let ended = job.run(reserve("job", 500)).await;
    let reserved = ended.all.effects.postings[0].clone();
    assert_eq!((reserved.call, reserved.net_revenue, reserved.legs.len()), (EntryCall::Reserve, 0, 0));
    assert_eq!(reserved.pending.iter().map(|leg| leg.minor_units).collect::<Vec<_>>(), [-500, 500]);
    host.commit(&job, ended).await;
    // Another run of the stream settles it.
    job.context.id = RunId::new(START, 8);
    let settle = |amount: i64| json!({ "do": "settle", "posting": reserved.id, "amount": amount });
    let ended = job.run(settle(420)).await;
    let settled = ended.all.effects.postings[0].clone();
    assert_eq!((settled.external_id.as_str(), settled.call), ("job/settled", EntryCall::Settle));
    assert_eq!((settled.minor_units, settled.net_revenue, settled.occurred_at), (420, 420, START));
    assert_eq!((settled.reservation.as_ref(), settled.of.as_deref()), (Some(&reserved.id), Some("order")));
    assert_eq!(settled.customer.as_deref(), Some("cus_1"));
    let units = |legs: &[tidemill_store::records::LedgerLeg]| -> Vec<_> {
        legs.iter().map(|leg| (leg.account.clone(), leg.minor_units)).collect()
    };
    assert_eq!(units(&settled.legs), [("usage".to_owned(), -420), ("receivable".to_owned(), 420)]);
    assert_eq!(units(&settled.pending), [("usage".to_owned(), 500), ("receivable".to_owned(), -500)]);
    host.commit(&job, ended).await;
    job.context.id = RunId::new(START, 9);
    assert_eq!(job.output(settle(420)).await, json!({ "id": settled.id, "duplicate": true }));
    assert_eq!(job.code(settle(421)).await, "host/reservation-settled");
    assert_eq!(job.code(json!({ "do": "void", "posting": reserved.id })).await, "host/reservation-settled");
    assert!(job.output(json!({ "do": "revenue" })).await.to_string().contains("420"));
}

#[tokio::test]
async fn a_transaction_sees_its_own_reservations_and_their_ends() {
    let host = TestHost::new();
    let job = stream(&host).await;
    let settle = |amount: i64| json!({ "do": "settle", "amount": amount });
    let ended = job.run(all(&[reserve("job", 500), settle(500), reserve("other", 7), json!({ "do": "void" })])).await;
    let calls: Vec<_> = ended.all.effects.postings.iter().map(|entry| entry.call.as_str()).collect();
    assert_eq!(calls, ["reserve", "settle", "reserve", "void"]);
    let pending: i64 =
        ended.all.effects.postings.iter().flat_map(|entry| &entry.pending).map(|leg| leg.minor_units).sum();
    assert_eq!(pending, 0);
    for (acts, code) in [
        (vec![reserve("job", 500), settle(500), settle(499)], "host/reservation-settled"),
        (vec![reserve("job", 500), settle(501)], "host/settle-amount"),
        (vec![reserve("job", 500), json!({ "do": "settle", "amount": 1, "currency": "USD" })], "host/settle-amount"),
        (vec![reserve("job", 500), settle(0)], "host/wrong-sign"),
        (vec![reserve("job", 500), json!({ "do": "void" }), settle(1)], "host/reservation-voided"),
        (vec![reserve("job", 0)], "host/wrong-sign"),
        (vec![reserve("job", 1), reserve("job", 2)], "host/external-id-conflict"),
        (vec![reserve("job/settled", 1)], "host/bad-entry"),
        (
            vec![json!({ "do": "post", "external_id": "p" }), json!({ "do": "settle", "posting": "p" })],
            "host/reservation-not-found",
        ),
        (vec![json!({ "do": "void", "posting": "x".repeat(100_000) })], "host/reservation-not-found"),
        (vec![json!({ "do": "void", "posting": "" })], "host/reservation-not-found"),
    ] {
        assert_eq!(job.code(all(&acts)).await, code, "{acts:?}");
    }
    let twice = job.output(all(&[reserve("job", 500), settle(500), settle(500)])).await;
    assert_eq!(twice["duplicate"], json!(true));
}

#[tokio::test]
async fn a_reservation_of_another_stream_is_not_found() {
    let host = TestHost::new();
    let mut job = stream(&host).await;
    let ended = job.run(reserve("job", 500)).await;
    let id = ended.all.effects.postings[0].id.clone();
    host.commit(&job, ended).await;
    job.context.deployment = "other".parse().unwrap();
    job.context.id = RunId::new(START, 8);
    assert_eq!(job.code(json!({ "do": "settle", "posting": id })).await, "host/reservation-not-found");
}

#[tokio::test]
async fn a_reservation_expires_in_its_very_millisecond() {
    let host = TestHost::new();
    let mut job = stream(&host).await;
    let at = START.plus_millis(1_000);
    let own =
        json!({ "do": "post", "external_id": "own", "reserve": true, "metadata": { "expires_at": at.as_millis() } });
    job.context.ledger =
        LedgerPolicy { reservations_expire_millis: Some(2_000), paper: true, ..LedgerPolicy::default() };
    let ended = job.run(all(&[own, reserve("policy", 1)])).await;
    assert!(ended.all.effects.postings.iter().all(|entry| entry.paper), "the policy decides");
    let ids: Vec<_> = ended.all.effects.postings.iter().map(|entry| (entry.id.clone(), entry.expires_at)).collect();
    assert_eq!(ids.iter().map(|(_, end)| *end).collect::<Vec<_>>(), [Some(at), Some(START.plus_millis(2_000))]);
    host.commit(&job, ended).await;
    job.context.id = RunId::new(START, 8);
    let settle = |id: &str| json!({ "do": "settle", "posting": id });
    for (id, end) in &ids {
        let end = end.unwrap();
        host.clock.set(tidemill_core::Timestamp::from_millis(end.as_millis() - 1));
        assert_eq!(job.output(settle(id)).await["duplicate"], json!(false));
        host.clock.set(end);
        assert_eq!(job.code(settle(id)).await, "host/reservation-expired");
        assert_eq!(job.code(json!({ "do": "void", "posting": id })).await, "host/reservation-expired");
    }
}

#[tokio::test]
async fn reservations_need_the_grant() {
    let host = TestHost::new();
    let job = host.hostile().await;
    for act in [reserve("a", 1), json!({ "do": "settle", "posting": "a" }), json!({ "do": "void", "posting": "a" })] {
        assert_eq!(job.code(act).await, "host/not-granted");
    }
}
