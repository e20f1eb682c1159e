//! Posting to the ledger.

use serde_json::json;
use tidemill_core::RunId;
use tidemill_core::manifest::Grants;

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
