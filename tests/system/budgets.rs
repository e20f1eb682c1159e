//! Budgets of fuel under kills: no budget is exceeded, no run is lost, and what is counted is what
//! the runs used.

use std::time::Duration;

use serde_json::{Value, json};

use crate::host::{Host, pseudo_random};

/// What a generation may use.
const FUEL: u64 = 20_000_000;
/// What it holds: its limit, and the grace of a cancellation.
const HOLD: u64 = FUEL + FUEL / 10;
/// The limit of a customer: enough for some of its runs.
const LIMIT: u64 = 3 * HOLD;
/// A limit that is enough for all of its runs.
const ENOUGH: u64 = 1_000 * HOLD;
const CUSTOMERS: [&str; 3] = ["ada", "bob", "eve"];
const RUNS: usize = 72;

fn manifest(limit: u64) -> Value {
    let budget = json!({
        "name": "work", "unit": "fuel", "limit": limit.to_string(), "per": "customer", "period": "month",
    });
    json!({
        "module": "durable@1.0.0",
        "concurrency": 16,
        "limits": { "fuel": FUEL },
        "retry": { "attempts": 3, "initial": "20ms", "then": "fail" },
        "health": { "enabled": false },
        "customer_key": "/customer",
        "budgets": [budget],
    })
}

/// A run that ends, is retried, waits, continues as new, or fails.
fn input(number: usize) -> Value {
    let spin = json!({ "do": "spin", "turns": 150_000 });
    let customer = CUSTOMERS[number % CUSTOMERS.len()];
    let acts = match number / CUSTOMERS.len() % 5 {
        0 => json!([spin]),
        1 => json!([spin, { "do": "fail-until", "attempt": 2 }, spin]),
        2 => json!([spin, { "do": "sleep", "ms": 150 }, spin]),
        3 => {
            let next = json!({ "customer": customer, "acts": [spin, { "do": "sleep", "ms": 20 }] });
            json!([spin, { "do": "continue-as-new", "input": next }])
        }
        _ => json!([spin, { "do": "fail", "code": "shop/refused" }]),
    };
    json!({ "customer": customer, "acts": acts })
}

fn number(amount: &Value) -> u64 {
    amount["minor_units"].as_u64().unwrap_or_else(|| panic!("{amount}"))
}

/// What a customer used, and what their runs hold. It never exceeds the limit.
async fn counted(host: &Host, customer: &str) -> (u64, u64) {
    let line = host.get(&format!("/v1/budgets/shop/work/{customer}")).await;
    let (used, held, limit) = (number(&line["used"]), number(&line["held"]), number(&line["limit"]));
    assert!(used + held <= limit, "{line}");
    (used, held)
}

/// The fuel of a customer's runs, which have all ended or not begun.
async fn used_by_runs(host: &Host, ids: &[String], customer: usize) -> u64 {
    let mut used = 0;
    for id in ids.iter().skip(customer).step_by(CUSTOMERS.len()) {
        let run = host.get(&format!("/v1/runs/{id}")).await;
        used += run["fuel"].as_u64().unwrap();
    }
    used
}

#[tokio::test(flavor = "multi_thread")]
async fn no_run_exceeds_a_budget_of_fuel_and_none_is_lost_though_the_host_is_killed() {
    let dir = tempfile::tempdir().unwrap();
    let mut host = Host::start(dir.path()).await;
    let (status, answer) = host.upload("durable", tidemill_artifacts::durable()).await;
    assert!(status == 200 || status == 201, "{answer}");
    host.deploy("shop", &manifest(LIMIT)).await;
    let mut random = pseudo_random(15);
    let mut ids = Vec::new();
    for run in 0..RUNS {
        ids.push(host.request_surely("shop", &run.to_string(), &input(run)).await);
        if run % 12 == 11 {
            tokio::time::sleep(Duration::from_millis(random(120))).await;
            host.kill();
            host.resume().await;
        }
        counted(&host, CUSTOMERS[run % CUSTOMERS.len()]).await;
    }
    // As many runs begin as the limit has room for. The others wait.
    for (place, customer) in CUSTOMERS.into_iter().enumerate() {
        let path = format!("/v1/budgets/shop/work/{customer}");
        host.wait_until_path(&path, |line| {
            number(&line["held"]) == 0 && line["left"]["minor_units"].as_u64().is_some_and(|left| left < HOLD)
        })
        .await;
        let (used, _) = counted(&host, customer).await;
        assert_eq!(used, used_by_runs(&host, &ids, place).await, "of {customer}");
    }
    assert_ne!(host.get("/v1/runs?state=queued&limit=1").await["items"], json!([]));
    // One customer gets more, and then everyone. The host is killed while their runs begin.
    let raised = host.http.put(host.url("/v1/budgets/shop/work/ada")).header("content-type", "application/json");
    let answer = raised.body(json!({ "limit": ENOUGH.to_string() }).to_string()).send().await.unwrap();
    assert!(answer.status().is_success());
    host.kill();
    host.resume().await;
    host.deploy("shop", &manifest(ENOUGH)).await;
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_millis(random(150))).await;
        host.kill();
        host.resume().await;
    }
    for (run, id) in ids.iter().enumerate() {
        let ended = host.settled(id).await;
        let expected = if run / CUSTOMERS.len() % 5 == 4 { "failed" } else { "succeeded" };
        assert_eq!(ended["state"], expected, "run {run}: {ended}");
    }
    for (place, customer) in CUSTOMERS.into_iter().enumerate() {
        assert_eq!(counted(&host, customer).await, (used_by_runs(&host, &ids, place).await, 0), "of {customer}");
    }
    let check = host.check_ledger().await;
    assert_eq!(check["problems"], json!([]), "{check}");
}
