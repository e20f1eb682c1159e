//! When steps are retried: not before the server permits it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use serde_json::{Value, json};

use crate::durable::{host, once};
use crate::egress::{fetch, granted, near};
use crate::harness::Scenario;
use crate::server::{NEVER, Server, answer, ok};

fn get(url: &str) -> Value {
    json!({ "do": "fetch", "method": "GET", "url": url })
}

/// A server that fails its first ten requests, which opens the circuit, and then responds.
async fn ill_at_first() -> Server {
    Server::start(|_, nth| if nth < 10 { answer("500 Internal Server Error", "", "") } else { ok("well") }).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_refused_by_an_open_circuit_waits_and_uses_no_attempt() {
    let server = ill_at_first().await;
    let host = host();
    let mut acts = vec![get(&server.url("/")); 10];
    acts.push(json!({ "do": "now" }));
    let step =
        json!({ "do": "step", "name": "undo it", "attempts": 2, "acts": [get(&server.url("/")), { "do": "now" }] });
    acts.push(step.clone());
    let (observed, _) = once(&host, Some(&server.origin()), json!(acts), json!([]), Scenario::default()).await;
    let end = observed.end.unwrap();
    assert_eq!(end[11][0], json!({ "status": 200, "body": "well" }));
    let waited = end[11][1].as_u64().unwrap() - end[10].as_u64().unwrap();
    assert!((60_000..65_100).contains(&waited), "{waited}");
    assert_eq!(server.requests().len(), 11);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_without_retries_fails_at_once_if_the_circuit_is_open() {
    let server = ill_at_first().await;
    let host = host();
    let mut acts = vec![get(&server.url("/")); 10];
    acts.push(json!({ "do": "step", "name": "s", "attempts": 1, "acts": [get(&server.url("/"))], "caught": true }));
    let (observed, _) = once(&host, Some(&server.origin()), json!(acts), json!([]), Scenario::default()).await;
    assert_eq!(observed.end.unwrap()[10]["gave-up"], "host/http-circuit-open");
    assert_eq!(server.requests().len(), 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_respects_retry_after() {
    for (status, header, least) in [
        ("503 Service Unavailable", "retry-after: 30\r\n", 30_000),
        ("429 Too Many Requests", "retry-after: 7\r\n", 7_000),
        ("500 Internal Server Error", "retry-after: 30\r\n", 0),
    ] {
        let first = AtomicBool::new(true);
        let server =
            Server::start(move |_, _| if first.swap(false, SeqCst) { answer(status, header, "") } else { ok("") })
                .await;
        let host = Arc::new(host());
        let acts = json!([
            { "do": "now" },
            { "do": "step", "name": "s", "attempts": 2, "fail_until": 2, "acts": [get(&server.url("/")), { "do": "now" }] },
        ]);
        let (observed, _) = once(&host, Some(&server.origin()), acts, json!([]), Scenario::default()).await;
        let end = observed.end.unwrap();
        let waited = end[1][1].as_u64().unwrap() - end[0].as_u64().unwrap();
        assert!((least..least + 1_000).contains(&waited), "{status} {waited}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compensating_step_passes_a_half_open_circuit() {
    let server = Server::start(|request, _| match request.line.as_str() {
        "GET /bad HTTP/1.1" => answer("500 Internal Server Error", "", ""),
        "GET /never HTTP/1.1" => NEVER,
        _ => ok("undone"),
    })
    .await;
    let host = near();
    let job = granted(&host, &[&server.origin()]).await;
    for _ in 0..10 {
        job.output(fetch(&server.url("/bad"))).await;
    }
    host.clock.advance(60_000);
    let running = job.spawn(&json!({ "do": "fetch-all", "urls": vec![server.url("/never"); 10] }));
    while server.requests().len() < 20 {
        tokio::task::yield_now().await;
    }
    assert_eq!(job.code(fetch(&server.url("/"))).await, "host/http-circuit-open");

    let mut durable = job.clone();
    durable.module = host.module(tidemill_artifacts::durable()).await;
    let step = |name: &str| json!({ "acts": [{ "do": "step", "name": name, "attempts": 1, "acts": [get(&server.url("/"))] }] });
    assert_eq!(durable.code(step("it")).await, "host/http-circuit-open");
    assert_eq!(durable.output(step("undo it")).await, json!([[{ "status": 200, "body": "undone" }]]));
    job.cancel.terminate();
    running.await.unwrap();
}
