//! The circuit breaker of a deployment: a module that traps is held back, its runs survive
//! `kill -9` while they wait, and they succeed once it works again.

use serde_json::{Value, json};

use crate::host::Host;

const BREAKER: &str = "/v1/deployments/fragile/breaker";

/// Lets runs trap until the breaker opens, which takes ten of them at most.
async fn open(host: &Host) {
    let mut trapped = 0;
    while host.get(BREAKER).await["state"] != "open" {
        let run = host.invoke("fragile", &json!({ "do": "trap" })).await;
        assert_eq!(run["failure"]["code"], "host/trap", "{run}");
        trapped += 1;
        assert!(trapped <= 10, "{}", host.get(BREAKER).await);
    }
    let breaker = host.get(BREAKER).await;
    assert!(breaker["reason"].as_str().unwrap().ends_with("of the last 10 attempts failed"), "{breaker}");
}

/// Requests runs that succeed if they begin.
async fn wait_in_line(host: &Host, key: &str) -> Vec<String> {
    let mut ids = Vec::new();
    for number in 0..5 {
        let input = json!({ "do": "echo", "value": number });
        ids.push(host.request_surely("fragile", &format!("{key}-{number}"), &input).await);
    }
    ids
}

async fn all_succeed(host: &Host, ids: &[String]) {
    for id in ids {
        let run = host.settled(id).await;
        assert_eq!((&run["state"], &run["attempt"]), (&json!("succeeded"), &json!(1)), "{run}");
    }
}

async fn decide(host: &Host, mode: &str, note: &str) -> Value {
    let request = host.http.put(host.url(BREAKER)).header("content-type", "application/json");
    let answer = request.body(json!({ "mode": mode, "note": note }).to_string()).send().await.unwrap();
    assert!(answer.status().is_success());
    serde_json::from_str(&answer.text().await.unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_module_that_traps_is_held_back_until_it_works_again_and_loses_no_run() {
    let dir = tempfile::tempdir().unwrap();
    let mut host = Host::start(dir.path()).await;
    let manifest = |priority: u64| json!({ "priority": priority, "retry": { "attempts": 1, "then": "fail" }, "breaker": { "open": "1h" }, "healing": "off" });
    host.deploy_hostile("fragile", manifest(5)).await;
    host.deploy_hostile("healthy", json!({})).await;

    // While it is open, requests are accepted and wait, and callers that wait are refused.
    open(&host).await;
    let first = wait_in_line(&host, "first").await;
    let (status, problem) = host.try_invoke("fragile", &json!({ "do": "noop" })).await;
    assert_eq!((status, &problem["code"]), (503, &json!("host/circuit-open")), "{problem}");
    assert_eq!(host.invoke("healthy", &json!({ "do": "noop" })).await["state"], "succeeded");
    let explanation = host.get(&format!("/v1/runs/{}/explain", first[4])).await;
    let waits = explanation["stages"].as_array().unwrap().iter().find(|stage| stage["verdict"] == "waits");
    assert_eq!(waits.unwrap()["stage"], "breaker", "{explanation}");
    assert_eq!(host.metric("tidemill_breaker_state", "fragile").await, 2.0);

    // What an operator decides survives kill -9.
    let forced = decide(&host, "forced-open", "the provider is down").await;
    assert_eq!(forced["state"], "forced-open", "{forced}");
    host.kill();
    host.resume().await;
    let kept = host.get(BREAKER).await;
    assert_eq!((&kept["state"], &kept["reason"]), (&json!("forced-open"), &json!("the provider is down")), "{kept}");
    assert_eq!(host.get(&format!("/v1/runs/{}", first[0])).await["state"], "queued");
    decide(&host, "automatic", "the provider is back").await;
    all_succeed(&host, &first).await;

    // A breaker that opened by itself is closed after a restart.
    open(&host).await;
    let second = wait_in_line(&host, "second").await;
    host.kill();
    host.resume().await;
    all_succeed(&host, &second).await;
    assert_eq!(host.get(BREAKER).await["state"], "closed");

    // A new revision deserves its own judgement.
    open(&host).await;
    let third = wait_in_line(&host, "third").await;
    host.deploy_hostile("fragile", manifest(6)).await;
    all_succeed(&host, &third).await;
    assert_eq!(host.get(BREAKER).await["state"], "closed");
}
