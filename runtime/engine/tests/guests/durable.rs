//! Durable execution: a run ends the same from wherever it is resumed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use serde_json::{Value, json};
use tidemill_core::run::{Export, RunEvent, Seed, Trigger};
use tidemill_core::{Clock as _, RunId};
use tidemill_engine::{Cause, EgressPolicy};
use tidemill_store::records::{AdmissionTerms, NewRun, RunCommit, StateWrite};

use crate::harness::{Death, Event, RunInternals, RunObservation, Scenario, run_scenario};
use crate::server::{Server, answer, ok};
use crate::support::{Job, START, TestHost, everything};

/// A host that saves each entry as soon as it can.
pub fn host() -> TestHost {
    TestHost::with(|config| {
        config.egress = EgressPolicy { allow_private: true, ..EgressPolicy::default() };
        config.save_entries = 1;
    })
}

/// A job with its own deployment and run id.
async fn fresh<'a>(host: &'a TestHost, origin: Option<&str>) -> Job<'a> {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let nth = NEXT.fetch_add(1, SeqCst);
    let module = host.module(tidemill_artifacts::durable()).await;
    let mut job = host.job(module).grant(everything(origin));
    job.context.id = RunId::new(START, u128::from(nth));
    job.context.deployment = format!("d{nth}").parse().unwrap();
    job
}

pub async fn once(
    host: &TestHost,
    origin: Option<&str>,
    acts: Value,
    undo: Value,
    how: Scenario,
) -> (RunObservation, RunInternals) {
    run_scenario(&fresh(host, origin).await, &json!({ "acts": acts, "undo": undo }), how).await
}

async fn simply(host: &TestHost, acts: Value) -> RunObservation {
    once(host, None, acts, json!([]), Scenario::default()).await.0
}

/// Plays the acts undisturbed; then with a host that dies before and after each commit and save, in
/// memory and suspended; then with each commit refused once. The end is always the same. Returns
/// the undisturbed result.
pub async fn check_every_interruption(
    host: &TestHost,
    origin: Option<&str>,
    acts: Value,
    undo: Value,
    how: Scenario,
) -> RunObservation {
    let (observed, internals) = once(host, origin, acts.clone(), undo.clone(), how.clone()).await;
    // A skipped step costs the guest a different amount of fuel than an executed one.
    let has_steps = acts.to_string().contains("step") || undo.to_string().contains("step");
    for evict_immediately in [false, true] {
        for at in 0..=internals.calls {
            for after in [false, true] {
                let death = Death { at, after };
                let again = Scenario { death, evict_immediately, ..how.clone() };
                let (other, _) = once(host, origin, acts.clone(), undo.clone(), again).await;
                let other = RunObservation { fuel: if has_steps { observed.fuel } else { other.fuel }, ..other };
                assert_eq!(other, observed, "{death:?}, evicted {evict_immediately}");
            }
        }
    }
    for conflict in 1..=internals.calls {
        let again = Scenario { conflict, ..how.clone() };
        let (other, redone) = once(host, origin, acts.clone(), undo.clone(), again).await;
        // Lines logged before the refusal remain, and wasted work is counted.
        assert!(other.fuel >= observed.fuel || has_steps);
        let other = RunObservation { lines: observed.lines.clone(), fuel: observed.fuel, ..other };
        assert_eq!(other, observed, "commit {conflict} refused, {} redone", redone.redone);
    }
    observed
}

#[tokio::test(flavor = "multi_thread")]
async fn state_time_and_randomness_survive_every_interruption() {
    let host = host();
    let acts = json!([
        { "do": "now" }, { "do": "random" }, { "do": "attempt" },
        { "do": "add", "key": "n" }, { "do": "log", "message": "one" }, { "do": "add", "key": "n" },
        { "do": "set", "key": "a", "value": "1" }, { "do": "print", "message": "two" }, { "do": "get", "key": "a" },
        { "do": "cas", "key": "a", "expected": "1", "value": "2" }, { "do": "delete", "key": "b" },
        { "do": "post", "external_id": "x" }, { "do": "post", "external_id": "x" }, { "do": "revenue" },
        { "do": "scan", "prefix": "" }, { "do": "random" }, { "do": "now" }, { "do": "spin", "turns": 1000 },
        { "do": "sleep", "ms": 10 }, { "do": "add", "key": "n" }, { "do": "sign", "secret": "none" },
    ]);
    // The last act is refused, and the refusal is observed.
    let observed = check_every_interruption(&host, None, acts, json!([]), Scenario::default()).await;
    assert_eq!(observed.end, Err(("host/secret-not-granted".to_owned(), Cause::Guest)));
    assert_eq!(observed.lines, ["one", "two"]);
    assert_eq!(observed.state[0], ("a".to_owned(), "2".to_owned()), "what was before the sleep took hold");
    assert_eq!(observed.state[1], ("n".to_owned(), "2".to_owned()), "what came after it did not");
    assert_eq!(observed.postings, ["RUN-1-00000"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_of_a_redone_transaction_are_marked_until_it_commits() {
    let host = host();
    let log = |message: &str| json!({ "do": "log", "message": message });
    let acts = json!([log("one"), { "do": "add", "key": "n" }, log("two"), { "do": "sleep", "ms": 10 }, log("three")]);
    let refused = Scenario { conflict: 1, ..Scenario::default() };
    let (observed, internals) = once(&host, None, acts, json!([]), refused).await;
    assert_eq!(internals.redone, 1);
    assert_eq!(observed.lines, ["one", "two", "one (transaction-retries 1)", "two (transaction-retries 1)", "three"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_of_a_retried_step_carry_its_attempt() {
    let host = host();
    let log = |message: &str| json!({ "do": "log", "message": message });
    let step = |name: &str, fail_until: u32, acts: Value| json!({ "do": "step", "name": name, "attempts": 3, "fail_until": fail_until, "acts": acts });
    let inner = step("inner", 2, json!([log("in")]));
    let acts = json!([log("before"), step("outer", 2, json!([log("out"), inner])), log("after")]);
    let observed = simply(&host, acts).await;
    let expected = [
        "before",
        "out",
        "in",
        "in (step-attempt 2)",
        "out (step-attempt 2)",
        "in (step-attempt 2)",
        "in (step-attempt 2)",
        "after",
    ];
    assert_eq!(observed.lines, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn steps_survive_every_interruption() {
    let host = host();
    let acts = json!([
        { "do": "step", "name": "a", "acts": [{ "do": "add", "key": "n" }, { "do": "random" }] },
        { "do": "step", "name": "a", "acts": [{ "do": "add", "key": "n" }, { "do": "post", "external_id": "y" }] },
        { "do": "step", "name": "twice", "attempts": 3, "fail_until": 3, "acts": [
            { "do": "random" }, { "do": "add", "key": "n" },
            { "do": "step", "name": "inner", "acts": [{ "do": "add", "key": "m" }, { "do": "attempt" }] },
        ] },
        { "do": "step", "name": "long", "attempts": 2, "delay_ms": 60_000, "fail_until": 2, "acts": [{ "do": "add", "key": "l" }] },
        { "do": "step", "name": "lost", "attempts": 2, "fail_until": 9, "caught": true, "acts": [{ "do": "add", "key": "lost" }] },
        { "do": "add", "key": "n" }, { "do": "random" }, { "do": "sleep", "ms": 5 }, { "do": "scan", "prefix": "" },
    ]);
    let observed = check_every_interruption(&host, None, acts, json!([]), Scenario::default()).await;
    let output = observed.end.unwrap();
    assert_eq!(output[4], json!({ "gave-up": "not-yet", "retryable": false }));
    assert_eq!(output[8], json!([["l", "1"], ["m", "1"], ["n", "4"]]), "a failed attempt leaves nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_published_once_despite_every_interruption() {
    let host = host();
    let publish = |topic: &str, payload: u32| json!({ "do": "publish", "topic": topic, "payload": payload });
    let acts = json!([
        publish("granted.a", 1),
        { "do": "step", "name": "twice", "attempts": 2, "fail_until": 2, "acts": [
            publish("granted.a", 2),
            { "do": "step", "name": "inner", "acts": [publish("granted.b", 3)] },
        ] },
        { "do": "step", "name": "lost", "attempts": 2, "fail_until": 9, "caught": true, "acts": [publish("granted.a", 4)] },
        { "do": "sleep", "ms": 5 }, publish("granted.a", 1), { "do": "add", "key": "n" },
    ]);
    let hidden = |observed: RunObservation| -> Vec<(String, String)> {
        observed.events.into_iter().map(|(topic, _, payload)| (topic, payload)).collect()
    };
    let of = |topic: &str, payload: &str| (topic.to_owned(), payload.to_owned());
    let expected = [of("granted.a", "1"), of("granted.a", "2"), of("granted.a", "1"), of("granted.b", "3")];
    let (observed, internals) = once(&host, None, acts.clone(), json!([]), Scenario::default()).await;
    assert_eq!(hidden(observed), expected);
    for evict_immediately in [false, true] {
        for at in 0..=internals.calls {
            for after in [false, true] {
                let how = Scenario { death: Death { at, after }, evict_immediately, ..Scenario::default() };
                let (observed, _) = once(&host, None, acts.clone(), json!([]), how).await;
                assert_eq!(hidden(observed), expected, "died at {at}, after {after}, evicted {evict_immediately}");
            }
        }
    }
    // A run that fails has published only what was committed before.
    let acts = json!([publish("granted.a", 1), { "do": "sleep", "ms": 5 }, publish("granted.a", 2), { "do": "fail", "code": "x" }]);
    assert_eq!(hidden(simply(&host, acts).await), [of("granted.a", "1")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn samples_count_once_despite_every_interruption() {
    let host = host();
    let count = |name: &str| json!({ "do": "count", "name": name });
    let acts = json!([
        count("begun"), { "do": "add", "key": "n" }, count("begun"),
        { "do": "step", "name": "twice", "attempts": 2, "fail_until": 2, "acts": [
            count("in_step"), { "do": "get", "key": "other" }, count("in_step"),
            { "do": "step", "name": "inner", "acts": [count("inner")] },
            count("in_step"),
        ] },
        { "do": "step", "name": "lost", "attempts": 2, "fail_until": 9, "caught": true, "acts": [count("lost")] },
        count("waits"), { "do": "sleep", "ms": 5 }, count("waited"), { "do": "now" }, count("ended"),
    ]);
    let of = |name: &str, count: u64| (name.to_owned(), count);
    let expected = BTreeMap::from([
        of("begun", 2),
        of("in_step", 3),
        of("inner", 1),
        of("waits", 1),
        of("waited", 1),
        of("ended", 1),
    ]);
    let (observed, internals) = once(&host, None, acts.clone(), json!([]), Scenario::default()).await;
    assert_eq!(observed.sampled, expected);
    for evict_immediately in [false, true] {
        for at in 0..=internals.calls {
            for after in [false, true] {
                let how = Scenario { death: Death { at, after }, evict_immediately, ..Scenario::default() };
                let (observed, _) = once(&host, None, acts.clone(), json!([]), how).await;
                assert_eq!(observed.sampled, expected, "died at {at}, after {after}, evicted {evict_immediately}");
            }
        }
    }
    for conflict in 1..4 {
        let how = Scenario { conflict, ..Scenario::default() };
        let (observed, _) = once(&host, None, acts.clone(), json!([]), how).await;
        assert_eq!(observed.sampled, expected, "refused at {conflict}");
    }
    // A run that fails has counted only what was committed before.
    let acts = json!([count("a"), { "do": "sleep", "ms": 5 }, count("b"), { "do": "fail", "code": "x" }]);
    assert_eq!(simply(&host, acts).await.sampled, BTreeMap::from([of("a", 1)]));
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_or_ungranted_events_are_refused() {
    let host = TestHost::new();
    let long = "x".repeat(70_000);
    for (topic, payload, code) in [
        ("other", json!(1), "host/not-granted"),
        ("granted.a.b", json!(1), "host/not-granted"),
        ("granted.*", json!(1), "host/bad-argument"),
        ("", json!(1), "host/bad-argument"),
        ("granted.a", json!(long), "host/bad-argument"),
    ] {
        let acts = json!([{ "do": "publish", "topic": topic, "payload": payload }]);
        let observed = simply(&host, acts).await;
        assert_eq!(observed.end.unwrap_err().0, code, "{topic}");
        assert!(observed.events.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_survive_every_interruption_under_one_key() {
    let server = Server::start(|request, _| match request.line.as_str() {
        line if line.contains("/no") => answer("409 Conflict", "", "no"),
        line => ok(line.split(' ').nth(1).unwrap_or_default()),
    })
    .await;
    let host = host();
    let post = |path: &str| json!({ "do": "fetch", "method": "POST", "url": server.url(path), "body": "b" });
    let acts = json!([
        { "do": "fetch", "method": "GET", "url": server.url("/get") }, { "do": "add", "key": "n" }, post("/a"), post("/a"),
        { "do": "step", "name": "pay", "acts": [
            { "do": "add", "key": "n" }, { "do": "post", "external_id": "z" }, post("/b"), { "do": "get", "key": "other" },
            { "do": "add", "key": "n" },
        ] },
        { "do": "step", "name": "again", "attempts": 2, "fail_until": 2, "acts": [{ "do": "add", "key": "m" }, post("/c")] },
        { "do": "fetch-all", "requests": [
            ["POST", server.url("/d")], ["GET", server.url("/e")], ["POST", server.url("/no")], ["POST", server.url("/d")], ["POST", "nonsense"],
        ] },
        { "do": "add", "key": "n" }, post("/no"), { "do": "scan", "prefix": "" },
    ]);
    let (undisturbed, _) = once(&host, Some(&server.origin()), acts.clone(), json!([]), Scenario::default()).await;
    let keys: BTreeSet<_> =
        server.requests().iter().filter_map(|request| request.headers.get("idempotency-key").cloned()).collect();
    assert_eq!(keys.len(), 8, "two of /a, /b, one of /c in two attempts, two of /d, /no twice");
    let observed = check_every_interruption(&host, Some(&server.origin()), acts, json!([]), Scenario::default()).await;
    assert_eq!(observed, undisturbed);
    assert_eq!(observed.end.unwrap()[9], json!([["m", "1"], ["n", "4"]]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sleep_is_a_commit_point_although_it_is_over_at_once() {
    let server = Server::start(|request, _| ok(&request.line)).await;
    let host = host();
    host.clock.advance_after_each_reading(10);
    let acts = json!([
        { "do": "fetch", "method": "GET", "url": server.url("/price"), "body": "" },
        { "do": "sleep", "ms": 5 },
        { "do": "post", "external_id": "one" },
    ]);
    let (observed, _) = once(&host, Some(&server.origin()), acts, json!([]), Scenario::default()).await;
    // The response belongs to the transaction before the sleep.
    assert_eq!(observed.evidence, ["post one 0"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn reservations_and_their_evidence_survive_every_interruption() {
    let server = Server::start(|request, _| ok(&request.line)).await;
    let host = host();
    let fetch =
        |method: &str, path: &str| json!({ "do": "fetch", "method": method, "url": server.url(path), "body": "" });
    let reserve = |id: &str| json!({ "do": "post", "external_id": id, "reserve": true });
    let settle = |amount: i64| json!({ "do": "settle", "amount": amount });
    let acts = json!([
        fetch("GET", "/price"), reserve("one"), { "do": "sleep", "ms": 10 }, fetch("GET", "/cost"), fetch("GET", "/more"), settle(70),
        { "do": "sleep", "ms": 10 }, settle(70), { "do": "try", "act": settle(71) },
        reserve("two"), { "do": "step", "name": "charge", "acts": [fetch("POST", "/charge"), settle(100)] },
        { "do": "step", "name": "again", "attempts": 2, "fail_until": 2, "acts": [reserve("three"), settle(1)] },
    ]);
    let (undisturbed, _) = once(&host, Some(&server.origin()), acts.clone(), json!([]), Scenario::default()).await;
    assert_eq!(undisturbed.end.as_ref().unwrap()[8], json!({ "code": "host/reservation-settled" }));
    let mut evidence = undisturbed.evidence.clone();
    evidence.sort();
    // The answer to the charge belongs to the transaction of all that follows it.
    let expected = [
        "reserve one 1",
        "reserve three 1",
        "reserve two 0",
        "settle one/settled 2",
        "settle three/settled 1",
        "settle two/settled 1",
    ];
    assert_eq!(evidence, expected);
    let observed = check_every_interruption(&host, Some(&server.origin()), acts, json!([]), Scenario::default()).await;
    assert_eq!(observed, undisturbed);
}

#[tokio::test(flavor = "multi_thread")]
async fn waits_survive_every_interruption() {
    let host = host();
    let acts = json!([
        { "do": "now" }, { "do": "add", "key": "n" }, { "do": "sleep", "ms": 3_600_000 }, { "do": "now" },
        { "do": "sleep-std", "ms": 50 }, { "do": "await-first", "any_of": ["go", "stop"], "timeout": null },
        { "do": "add", "key": "n" }, { "do": "await-first", "any_of": ["go"], "timeout": 500 }, { "do": "now" },
        { "do": "signal", "to": "self", "name": "own", "payload": 7 }, { "do": "await-first", "any_of": ["own"], "timeout": 500 },
    ]);
    let events = vec![Event::Time, Event::Time, Event::Signal("stop", "1"), Event::Time];
    let how = Scenario { events, ..Scenario::default() };
    let observed = check_every_interruption(&host, None, acts, json!([]), how).await;
    let output = observed.end.unwrap();
    let began = output[0].as_u64().unwrap();
    assert_eq!(output[3], began + 3_600_000);
    assert_eq!(output[5], json!({ "index": 1, "signal": "1" }));
    assert_eq!(output[7], "timeout");
    assert_eq!(output[10], json!({ "index": 0, "signal": "7" }));
}

#[tokio::test(flavor = "multi_thread")]
async fn children_survive_every_interruption() {
    let host = host();
    let acts = json!([
        { "do": "start", "deployment": "child", "input": 1 }, { "do": "start", "deployment": "child", "input": 1 },
        { "do": "start", "deployment": "child", "input": 2 },
        { "do": "await-first", "any_of": [0, 1], "timeout": null }, { "do": "add", "key": "n" },
        { "do": "await-all", "runs": [0, 1, 2], "timeout": null },
        { "do": "try", "act": { "do": "start", "deployment": "other", "input": 1 } },
    ]);
    let events = vec![Event::End(&[(1, Err("broken"))]), Event::End(&[(0, Ok("10")), (2, Ok("30"))])];
    let observed =
        check_every_interruption(&host, None, acts, json!([]), Scenario { events, ..Scenario::default() }).await;
    let output = observed.end.unwrap();
    assert_eq!(output[3], json!({ "index": 1, "ended": { "failed": "broken", "retryable": false } }));
    assert_eq!(
        output[5],
        json!([{ "succeeded": "10" }, { "failed": "broken", "retryable": false }, { "succeeded": "30" }])
    );
    assert_eq!(output[6], json!({ "code": "host/not-granted" }));
    assert_eq!(observed.children.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn compensation_of_a_cancelled_run_survives_every_interruption() {
    let host = host();
    let acts = json!([{ "do": "add", "key": "n" }, { "do": "sleep", "ms": 1_000 }, { "do": "add", "key": "never" }]);
    let undo = json!([
        { "do": "add", "key": "undone" }, { "do": "sleep", "ms": 10 }, { "do": "now" },
        { "do": "step", "name": "back", "acts": [{ "do": "delete", "key": "n" }] },
        { "do": "try", "act": { "do": "start", "deployment": "child", "input": 1 } },
        { "do": "try", "act": { "do": "continue-as-new", "input": 1 } },
    ]);
    let events = vec![Event::Cancel, Event::Time];
    let observed = check_every_interruption(&host, None, acts, undo, Scenario { events, ..Scenario::default() }).await;
    assert_eq!(observed.end, Err(("host/cancelled".to_owned(), Cause::Guest)));
    assert!(observed.cancelled && observed.children.is_empty());
    assert_eq!(observed.state, [("undone".to_owned(), "1".to_owned())]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compensating_step_keeps_its_retry_policy() {
    let host = host();
    let acts = json!([{ "do": "sleep", "ms": 1_000 }]);
    let back = |delay: u64| {
        let acts = json!([{ "do": "add", "key": "undone" }]);
        json!({ "do": "step", "name": "back", "attempts": 5, "delay_ms": delay, "fail_until": 4, "caught": true, "acts": acts })
    };
    let how = Scenario { events: vec![Event::Cancel], ..Scenario::default() };
    let undo = json!([back(60_000), { "do": "add", "key": "after" }]);
    let observed = check_every_interruption(&host, None, acts.clone(), undo, how.clone()).await;
    let state = ["after", "undone"].map(|key| (key.to_owned(), "1".to_owned()));
    assert_eq!((observed.cancelled, observed.state.as_slice()), (true, state.as_slice()));
    // The third attempt would be later than the grace period allows.
    let undo = json!([back(2_000_000), { "do": "add", "key": "after" }]);
    let observed = once(&host, None, acts, undo, how).await.0;
    assert_eq!((observed.cancelled, observed.state.as_slice()), (true, &state[..1]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_continues_as_new_has_an_empty_journal() {
    let host = host();
    let last = json!({ "acts": [{ "do": "add", "key": "n" }, { "do": "random" }, { "do": "attempt" }] });
    let acts = json!([
        { "do": "add", "key": "n" }, { "do": "random" }, { "do": "sleep", "ms": 5 }, { "do": "continue-as-new", "input": last },
    ]);
    let observed = check_every_interruption(&host, None, acts, json!([]), Scenario::default()).await;
    assert_eq!(observed.end.unwrap()[0], 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_keeps_finished_steps_and_answered_requests() {
    let server = Server::start(|_, _| ok("paid")).await;
    let host = host();
    let acts = json!([
        { "do": "add", "key": "before" }, { "do": "attempt" },
        { "do": "step", "name": "done", "acts": [{ "do": "add", "key": "step" }] },
        { "do": "fetch", "method": "POST", "url": server.url("/pay") }, { "do": "add", "key": "after" },
        { "do": "fail-until", "attempt": 3 },
    ]);
    let how = Scenario { attempts: 3, ..Scenario::default() };
    let observed = check_every_interruption(&host, Some(&server.origin()), acts.clone(), json!([]), how.clone()).await;
    assert_eq!(observed.end.unwrap(), json!([1, 1, [1], { "status": 200, "body": "paid" }, 1, 3]));
    let before = server.requests().len();
    once(&host, Some(&server.origin()), acts, json!([]), how).await;
    assert_eq!(server.requests().len(), before + 1, "one request in three attempts");
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_forbidden_in_a_step_have_their_own_code() {
    let server = Server::start(|_, _| ok("")).await;
    let host = host();
    let origin = server.origin();
    let inside = |act: Value| json!([{ "do": "step", "name": "s", "acts": [{ "do": "try", "act": act }] }]);
    for act in [
        json!({ "do": "sleep", "ms": 1 }),
        json!({ "do": "await-first", "any_of": ["x"], "timeout": 1 }),
        json!({ "do": "await-all", "runs": [], "timeout": 1 }),
        json!({ "do": "start", "deployment": "child", "input": 1 }),
        json!({ "do": "continue-as-new", "input": 1 }),
    ] {
        let observed = simply(&host, inside(act)).await;
        assert_eq!(observed.end.unwrap(), json!([[{ "code": "host/wait-in-step" }]]));
    }
    let acts = json!([{ "do": "step", "name": "s", "acts": [
        { "do": "cas", "key": "k", "expected": null, "value": "mine" },
        { "do": "try", "act": { "do": "fetch", "method": "POST", "url": server.url("/") } },
        { "do": "sleep-std", "ms": 3 },
    ] }]);
    let observed = check_every_interruption(&host, Some(&origin), acts, json!([]), Scenario::default()).await;
    assert_eq!(observed.end.unwrap(), json!([[true, { "code": "host/claim-in-step" }, null]]));
    assert!(server.requests().is_empty());
    let observed = simply(&host, json!([{ "do": "try", "act": { "do": "end-other" } }])).await;
    assert_eq!(observed.end.unwrap(), json!([{ "code": "host/step-order" }]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_finds_a_program_that_differs_from_the_journal() {
    let host = host();
    let acts = json!([{ "do": "now" }, { "do": "add", "key": "n" }, { "do": "sleep", "ms": 5 }, { "do": "now" }]);
    let job = fresh(&host, None).await;
    let (_, internals) = run_scenario(&job, &json!({ "acts": acts }), Scenario::default()).await;
    let dry = async |acts: Value| {
        let mut activation = job.activation(&json!({ "acts": acts }));
        activation.journal = internals.journal.clone();
        host.engine.dry_run(Arc::clone(&job.module), activation).await
    };
    assert_eq!(dry(acts).await, tidemill_engine::DryRun::Continues);
    let more = json!([
        { "do": "now" }, { "do": "add", "key": "n" }, { "do": "sleep", "ms": 5 }, { "do": "now" }, { "do": "add", "key": "m" },
    ]);
    assert_eq!(dry(more).await, tidemill_engine::DryRun::Continues);
    for other in [
        json!([{ "do": "now" }, { "do": "add", "key": "m" }]),
        json!([{ "do": "now" }]),
        json!([{ "do": "step", "name": "s", "acts": [] }]),
    ] {
        let tidemill_engine::DryRun::Mismatch(failure) = dry(other).await else { panic!("it continues") };
        assert_eq!(failure.code, "host/journal-mismatch");
        assert!(failure.details.unwrap().contains("recorded"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_of_a_step_before_its_request_are_checked_again() {
    let host = Arc::new(host());
    let job = fresh(&host, None).await;
    let (store, name) = (Arc::clone(&host.store), job.context.deployment.clone());
    let (clock, component) = (Arc::clone(&host.clock), job.module.digest());
    // Another run writes the key while the first request is in progress.
    let server = Server::start(move |_, before| {
        if before == 0 {
            let (store, name, now) = (Arc::clone(&store), name.clone(), clock.now());
            let write = other_write(store, name, component, now);
            std::thread::spawn(move || tokio::runtime::Runtime::new().unwrap().block_on(write)).join().unwrap();
        }
        ok("")
    })
    .await;
    let job = Job { context: job.context.clone(), ..job.clone() }.grant(everything(Some(&server.origin())));
    let acts = json!([{ "do": "step", "name": "s", "attempts": 3, "acts": [
        { "do": "add", "key": "k" }, { "do": "fetch", "method": "POST", "url": server.url("/") },
    ] }]);
    let (observed, _) = run_scenario(&job, &json!({ "acts": acts }), Scenario::default()).await;
    assert_eq!(observed.end.unwrap()[0][0], 11, "the second attempt read what the other had written");
    assert_eq!(observed.state, [("k".to_owned(), "11".to_owned())]);
    assert_eq!(server.requests().len(), 2);
    let keys: BTreeSet<_> =
        server.requests().iter().map(|request| request.headers["idempotency-key"].clone()).collect();
    assert_eq!(keys.len(), 1, "the same request in both attempts");
}

/// Another run of the deployment writes 10 under `k`.
async fn other_write(
    store: Arc<dyn tidemill_store::Store>,
    deployment: tidemill_core::DeploymentName,
    component: tidemill_core::ComponentDigest,
    now: tidemill_core::Timestamp,
) {
    let node: tidemill_core::NodeId = "other".parse().unwrap();
    let owner = tidemill_core::ids::Owner { epoch: store.begin_epoch(&node).await.unwrap(), node };
    let new = NewRun {
        id: RunId::new(START, 1 << 70),
        deployment: deployment.clone(),
        revision: tidemill_core::Revision::new(1),
        component,
        export: Export::Workflow,
        trigger: Trigger::default(),
        input: "null".into(),
        key: None,
        labels: Vec::new(),
        priority: 5,
        now,
        not_before: now,
        seed: Seed([1; 32]),
        detached: false,
        lanes: Vec::new(),
        terms: AdmissionTerms::default(),
    };
    store.request_run(new).await.unwrap();
    let mut run = store.claim(&owner, &deployment, 1, now).await.unwrap().remove(0).run;
    run.state = run.state.next(RunEvent::Succeeded).unwrap();
    let writes = vec![StateWrite { key: "k".to_owned(), value: Some("10".into()) }];
    let commit = RunCommit { writes, ..RunCommit::of(owner, run, now) };
    store.commit_run(commit).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_inaccessible_run_does_not_reveal_its_deployment() {
    let host = host();
    let job = fresh(&host, None).await;
    let foreign: tidemill_core::DeploymentName = "foreign".parse().unwrap();
    host.deploy(&foreign, job.module.digest()).await;
    other_write(Arc::clone(&host.store), foreign, job.module.digest(), START).await;
    let run = RunId::new(START, 1 << 70).to_string();
    let acts = json!({ "acts": [{ "do": "signal", "to": run, "name": "x", "payload": 1 }] });
    let (failure, _) = job.failure(acts).await;
    assert_eq!(failure.code, "host/not-granted");
    assert!(!failure.message.contains("foreign"), "{}", failure.message);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retried_step_with_a_different_request_logs_a_warning() {
    let server = Server::start(|_, _| ok("")).await;
    let host = host();
    let acts = json!([{ "do": "step", "name": "s", "attempts": 2, "fail_until": 2, "acts": [
        { "do": "fetch-changing", "url": server.url("/") },
    ] }]);
    let (observed, _) = once(&host, Some(&server.origin()), acts, json!([]), Scenario::default()).await;
    assert!(observed.lines[0].contains("a different Idempotency-Key"), "{:?}", observed.lines);
    assert_ne!(server.requests()[0].headers["idempotency-key"], server.requests()[1].headers["idempotency-key"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_notified_inside_a_step_is_not_notified_again() {
    let host = host();
    // The step waits for its next attempt when the run is cancelled, and gives up.
    let acts = json!([
        { "do": "step", "name": "s", "attempts": 9, "delay_ms": 60_000, "fail_until": 9, "caught": true, "acts": [{ "do": "add", "key": "n" }] },
        { "do": "try", "act": { "do": "start", "deployment": "child", "input": 1 } },
        { "do": "try", "act": { "do": "continue-as-new", "input": 1 } }, { "do": "add", "key": "m" }, { "do": "sleep", "ms": 5 },
        { "do": "add", "key": "m" },
    ]);
    let how = Scenario { cancel_at_back_off: true, ..Scenario::default() };
    let observed = check_every_interruption(&host, None, acts, json!([]), how).await;
    let refused = json!({ "code": "host/cancelled" });
    let gave_up = json!({ "gave-up": "host/cancelled", "retryable": false });
    assert_eq!(observed.end.unwrap(), json!([gave_up, refused, refused, 1, null, 2]));
}
