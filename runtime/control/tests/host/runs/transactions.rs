//! Transactions of a run: when effects are committed, what a failed attempt keeps, and what is
//! retried.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;
use tidemill_control::{RetryRequest, RunRequest};
use tidemill_core::RunId;
use tidemill_core::journal::PageStart;
use tidemill_core::money::{EntryCall, EntryContent, EntryKind, LedgerStream};
use tidemill_core::run::{Run, RunState, Wait};
use tidemill_engine::Cause;
use tidemill_store::records::{Evidence, LedgerLeg, NewEntry};
use tokio::sync::Semaphore;

use crate::fixture::guests::{ended, failed, output, wait};
use crate::fixture::{START, TestHost, name, value};

const LONG: Duration = Duration::from_secs(60);

#[tokio::test]
async fn effects_before_a_request_are_committed_before_it_leaves() {
    let world = TestHost::paused().await;
    world.deploy(json!({ "name": "a" })).await;
    world.act(|mut guest| async move {
        let store = Arc::clone(&guest.store);
        guest.count("before").await;
        let sent = guest
            .send(async {
                assert_eq!(value(&store, "before").await.as_deref(), Some("1"));
                "ok".to_owned()
            })
            .await;
        assert_eq!(sent.unwrap().as_ref(), b"ok");
        guest.count("after").await;
        assert_eq!(value(&store, "after").await, None);
        Ok(guest.succeed("1"))
    });
    let invoked = world.host.invoke(RunRequest::new(name("a"), "{}"), LONG).await.unwrap();
    assert_eq!(invoked.run.state, RunState::Succeeded);
    assert_eq!(invoked.run.journal_entries, 3);
    assert_eq!(value(&world.store, "after").await.as_deref(), Some("1"));
    let page = async |after, limit| {
        world.host.journal(invoked.run.id, PageStart::after(after), limit, 1 << 20).await.unwrap().entries
    };
    let entries = page(0, 10).await;
    assert_eq!(entries.iter().map(|entry| entry.kind).collect::<Vec<_>>(), ["state.get", "http.fetch", "state.get"]);
    assert_eq!(page(1, 1).await[0].result.as_ref(), b"ok");
}

#[tokio::test]
async fn only_the_conflicting_transaction_is_retried() {
    assert_eq!(counts_after_conflict(false).await, (2, 2));
    assert_eq!(counts_after_conflict(true).await, (1, 2));
}

/// Returns how often a run sent and counted, if another run conflicts with its first count.
async fn counts_after_conflict(at_the_end: bool) -> (usize, usize) {
    let world = TestHost::paused().await;
    world.deploy(json!({ "name": "a" })).await;
    let (sent, counted) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let counts = (Arc::clone(&sent), Arc::clone(&counted));
    let other = world.host.clone();
    world.act(move |mut guest| {
        let (sent, counted, other) = (Arc::clone(&counts.0), Arc::clone(&counts.1), other.clone());
        async move {
            if guest.job.input.as_ref() == b"[]" {
                guest.count("n").await;
                return Ok(guest.succeed("0"));
            }
            guest
                .send(async {
                    sent.fetch_add(1, Ordering::SeqCst);
                    "first".to_owned()
                })
                .await?;
            guest.count("n").await;
            if counted.fetch_add(1, Ordering::SeqCst) == 0 {
                // Another run of the deployment counts first.
                other.invoke(RunRequest::new(name("a"), "[]"), LONG).await.unwrap();
            }
            if at_the_end {
                return Ok(guest.succeed("1"));
            }
            guest
                .send(async {
                    sent.fetch_add(1, Ordering::SeqCst);
                    "second".to_owned()
                })
                .await?;
            Ok(guest.succeed("1"))
        }
    });
    let invoked = world.host.invoke(RunRequest::new(name("a"), "{}"), LONG).await.unwrap();
    assert_eq!(invoked.run.state, RunState::Succeeded, "{invoked:?}");
    assert_eq!(value(&world.store, "n").await.as_deref(), Some("2"));
    (sent.load(Ordering::SeqCst), counted.load(Ordering::SeqCst))
}

/// A sale under an external id.
fn sale(run: Option<RunId>, external_id: &str, cents: i64) -> NewEntry {
    let kind = EntryKind::Sale;
    let content = EntryContent {
        kind,
        minor_units: cents,
        currency: "EUR",
        occurred_at: START,
        of: None,
        call: EntryCall::Post,
        customer: None,
    };
    NewEntry {
        id: run.map(|run| format!("{run}-1-00000")).unwrap_or_default(),
        stream: LedgerStream::of(&name("a")),
        run,
        external_id: external_id.to_owned(),
        call: EntryCall::Post,
        kind: kind.as_str().to_owned(),
        minor_units: cents,
        currency: "EUR".to_owned(),
        exponent: Some(2),
        net_revenue: cents,
        occurred_at: START,
        customer: None,
        description: String::new(),
        metadata: "{}".to_owned(),
        of: None,
        legs: kind.legs(cents).unwrap().map(LedgerLeg::from).to_vec(),
        pending: Vec::new(),
        reservation: None,
        expires_at: None,
        evidence: Evidence::default(),
        paper: false,
        late_usage_millis: 0,
        customer_floor: None,
        content: content.hash(),
    }
}

/// Returns a run whose step has sent a request and posted a sale of 5, if another posts `other`
/// under the same id before it commits, and how often the run sent. With `commits`, the run reaches
/// another commit before its end.
async fn run_whose_id_is_taken(other: i64, commits: bool) -> (TestHost, Run, Arc<AtomicUsize>) {
    let world = TestHost::paused().await;
    world.deploy(json!({ "name": "a", "grants": { "ledger": true } })).await;
    let sent = Arc::new(AtomicUsize::new(0));
    let counts = Arc::clone(&sent);
    world.act(move |mut guest| {
        let counts = Arc::clone(&counts);
        async move {
            let store = Arc::clone(&guest.store);
            let send = async {
                counts.fetch_add(1, Ordering::SeqCst);
                store.append_entries(vec![sale(None, "charge", other)], START).await.unwrap();
                "paid".to_owned()
            };
            guest.send(send).await?;
            guest.save().await;
            guest.post(sale(Some(guest.job.run.id), "charge", 5));
            if commits {
                guest.sleep_until(START.plus_millis(1)).await?;
            }
            Ok(guest.succeed("1"))
        }
    });
    let invoked = world.host.invoke(RunRequest::new(name("a"), "{}"), LONG).await.unwrap();
    (world, invoked.run, sent)
}

#[tokio::test]
async fn a_run_whose_entry_can_never_be_posted_parks_and_keeps_the_answer_of_its_step() {
    for commits in [false, true] {
        let (world, run, sent) = run_whose_id_is_taken(7, commits).await;
        let RunState::Parked(failure) = &run.state else { panic!("{run:?}") };
        assert_eq!(failure.code, "host/external-id-conflict", "{failure:?}");
        assert!(world.guests.begun() <= 4, "{} executions", world.guests.begun());
        // A retry does not send again.
        world.host.retry(run.id, RetryRequest::default()).await.unwrap();
        world.tick().await;
        let again = world.until_settled(run.id).await;
        assert!(matches!(again.state, RunState::Parked(_)), "{again:?}");
        assert_eq!(sent.load(Ordering::SeqCst), 1);
    }
}

#[tokio::test]
async fn an_entry_of_a_step_whose_content_was_posted_before_it_commits_is_a_duplicate() {
    let (world, run, sent) = run_whose_id_is_taken(5, false).await;
    assert_eq!((run.state, sent.load(Ordering::SeqCst)), (RunState::Succeeded, 1));
    assert_eq!(world.store.ledger_head().await.unwrap().sequence, 1);
}

#[tokio::test]
async fn a_revoked_grant_applies_to_runs_in_memory() {
    let world = TestHost::paused().await;
    world.deploy(json!({ "name": "a", "grants": { "topics": ["news"] } })).await;
    let (begun, goes) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let gates = (Arc::clone(&begun), Arc::clone(&goes));
    world.guests.act(move |job| {
        let (begun, goes) = (Arc::clone(&gates.0), Arc::clone(&gates.1));
        async move {
            let may_publish = || job.channel.grants().unwrap().may_publish(&"news".parse().unwrap());
            let before = may_publish();
            begun.add_permits(1);
            goes.acquire().await.unwrap().forget();
            output(&format!("[{before},{}]", may_publish()))
        }
    });
    let host = world.host.clone();
    let run = tokio::spawn(async move { host.invoke(RunRequest::new(name("a"), "{}"), LONG).await.unwrap() });
    begun.acquire().await.unwrap().forget();
    world.deploy(json!({ "name": "a" })).await;
    goes.add_permits(1);
    let run = run.await.unwrap();
    assert_eq!(run.output.as_deref(), Some(&b"[true,false]"[..]));
}

#[tokio::test]
async fn a_failed_attempt_commits_what_a_retry_keeps() {
    let world = TestHost::paused().await;
    world.deploy(json!({ "name": "a", "retry": { "initial": "1s", "jitter": 0.0 } })).await;
    let sent = Arc::new(AtomicUsize::new(0));
    let counts = Arc::clone(&sent);
    world.act(move |mut guest| {
        let sent = Arc::clone(&counts);
        async move {
            guest.count("kept").await;
            guest.keep();
            guest.count("dropped").await;
            if guest.job.run.attempt == 1 {
                return Ok(guest.fail(true));
            }
            guest
                .send(async {
                    sent.fetch_add(1, Ordering::SeqCst);
                    "ok".to_owned()
                })
                .await?;
            Ok(guest.succeed("1"))
        }
    });
    let run = world.request("a").await;
    world.tick().await;
    let again = world.until(run.id, |run| run.attempt == 2).await;
    assert_eq!((again.state.name(), again.journal_entries), ("queued", 1));
    assert_eq!(value(&world.store, "kept").await.as_deref(), Some("1"));
    assert_eq!(value(&world.store, "dropped").await, None);
    world.host.idle().await;
    world.clock.advance(1_000);
    world.tick().await;
    assert_eq!(world.until_settled(run.id).await.state, RunState::Succeeded);
    // The kept call was replayed, not executed again.
    assert_eq!(value(&world.store, "kept").await.as_deref(), Some("1"));
    assert_eq!(value(&world.store, "dropped").await.as_deref(), Some("1"));
    assert_eq!(sent.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_retry_that_would_repeat_the_failure_is_not_made() {
    let world = TestHost::paused().await;
    world.deploy(json!({ "name": "a" })).await;
    world.act(|mut guest| async move {
        guest.send(async { "declined".to_owned() }).await?;
        Ok(guest.fail(true))
    });
    let run = world.request("a").await;
    world.tick().await;
    let parked = world.until_settled(run.id).await;
    assert_eq!((parked.state.name(), parked.attempt), ("parked", 1));
    assert_eq!(parked.state.failure().unwrap().code, "no-luck");
    // A failure of the host is different.
    world.guests.act(|_| async { ended(failed(true, Cause::Host)) });
    let run = world.request("a").await;
    world.tick().await;
    world.until(run.id, |run| run.attempt == 2).await;
}

#[tokio::test]
async fn a_crashed_run_resumes_at_its_last_save() {
    let mut world = TestHost::paused().await;
    world.deploy(json!({ "name": "a" })).await;
    let gate = Arc::new(Semaphore::new(0));
    let (held, asked) = (Arc::clone(&gate), Arc::new(AtomicUsize::new(0)));
    let counts = Arc::clone(&asked);
    world.act(move |mut guest| {
        let (gate, asked) = (Arc::clone(&held), Arc::clone(&counts));
        async move {
            if !guest.is_live() {
                assert_eq!(guest.call("never").as_ref(), b"once");
                return Ok(guest.succeed("1"));
            }
            asked.fetch_add(1, Ordering::SeqCst);
            guest.call("once");
            assert!(guest.save().await);
            Ok(wait(&gate, &guest.job).await.unwrap_or_else(|| output("2")))
        }
    });
    let run = world.request("a").await;
    world.tick().await;
    world.until(run.id, |run| run.journal_entries == 1).await;
    let dead = world.next_epoch().await;
    world.tick().await;
    let ended = world.until_settled(run.id).await;
    assert_eq!((ended.state, ended.takeovers), (RunState::Succeeded, 0));
    assert_eq!(world.store.output(run.id).await.unwrap().unwrap().as_ref(), b"1");
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    gate.add_permits(1);
    dead.idle().await;
}

#[tokio::test]
async fn a_run_that_continues_as_new_keeps_its_id_and_uses_the_present_revision() {
    let world = TestHost::paused().await;
    world.deploy(json!({ "name": "a", "config": { "n": 1 } })).await;
    world.act(|mut guest| async move {
        assert!(guest.is_live());
        guest.call("once");
        Ok(match guest.job.run.generation {
            3 => guest.succeed(std::str::from_utf8(&guest.job.input.clone()).unwrap()),
            generation => guest.as_new(&format!("[{generation}]")),
        })
    });
    let host = world.host.clone();
    let call = tokio::spawn(async move { host.invoke(RunRequest::new(name("a"), "[0]"), LONG).await.unwrap() });
    let second = world.first_in("queued").await;
    assert_eq!((second.generation, second.attempt, second.journal_entries), (2, 1, 0));
    assert_eq!(world.store.input(second.id).await.unwrap().as_deref(), Some(b"[1]".as_slice()));
    world.deploy(json!({ "name": "a", "config": { "n": 2 } })).await;
    world.tick().await;
    let third = world.until(second.id, |run| run.generation == 3).await;
    assert_eq!((third.id, third.revision.get()), (second.id, 2));
    world.host.idle().await;
    world.tick().await;
    let invoked = call.await.unwrap();
    assert_eq!(invoked.output.as_deref(), Some(b"[2]".as_slice()));
    assert_eq!(world.store.input(invoked.run.id).await.unwrap().as_deref(), Some(b"[2]".as_slice()));
    assert_eq!(invoked.run.fuel.get(), 300);
}

#[tokio::test]
async fn a_step_that_backs_off_holds_no_permit_and_commits_no_effects() {
    let world = TestHost::paused().await;
    world.deploy(json!({ "name": "a", "concurrency": 1 })).await;
    world.act(|mut guest| async move {
        guest.count("n").await;
        guest.back_off(START.plus_millis(5_000)).await?;
        Ok(guest.succeed("1"))
    });
    let run = world.request("a").await;
    world.tick().await;
    let waits = world.until(run.id, |run| run.state == RunState::Suspended).await;
    assert_eq!(waits.waiting_for, Some(Wait::until(START.plus_millis(5_000))));
    world.host.idle().await;
    assert_eq!(value(&world.store, "n").await, None);
    world.clock.advance(5_000);
    world.tick().await;
    assert_eq!(world.until_settled(run.id).await.state, RunState::Succeeded);
    assert_eq!(value(&world.store, "n").await.as_deref(), Some("1"));
}
