//! Hostile guests: each ends with its own error code, and concurrent healthy runs do not fail.

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::host::Host;

/// Input of a guest, limits of its deployment, and the expected error code.
fn hostile() -> Vec<(Value, Value, &'static str)> {
    let small = json!({ "active": "2s" });
    vec![
        (json!({ "do": "loop" }), json!({}), "host/limit-fuel"),
        (json!({ "do": "loop" }), json!({ "fuel": 1_000_000_000_000_u64, "active": "1s" }), "host/limit-active"),
        (json!({ "do": "loop-calls" }), json!({}), "host/limit-fuel"),
        (json!({ "do": "allocate" }), small.clone(), "host/limit-memory"),
        (json!({ "do": "recurse" }), small.clone(), "host/stack-overflow"),
        (json!({ "do": "trap" }), small.clone(), "host/trap"),
        (json!({ "do": "out-of-bounds" }), small.clone(), "host/trap"),
        (json!({ "do": "exit" }), small.clone(), "host/exited"),
        (json!({ "do": "big-state" }), small.clone(), "host/limit-state-value"),
        (json!({ "do": "huge-state" }), json!({ "memory": "256MiB", "active": "5s" }), "host/limit-host-call"),
        (json!({ "do": "long-key" }), small.clone(), "host/limit-state-key"),
        (json!({ "do": "big-output" }), small.clone(), "host/limit-output"),
        (json!({ "do": "big-random" }), small, "host/limit-random"),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hostile_guest_ends_with_its_code_and_concurrent_healthy_runs_do_not_fail() {
    let dir = tempfile::tempdir().unwrap();
    let host = Host::start(dir.path()).await;
    host.deploy_hostile("healthy", json!({})).await;
    for (number, (act, limits, code)) in hostile().into_iter().enumerate() {
        let name = format!("hostile-{number}");
        host.deploy_hostile(&name, json!({ "limits": limits, "retry": { "attempts": 1, "then": "fail" } })).await;
        let healthy = json!({ "do": "echo", "value": number });
        let neighbours = join_all((0..20).map(|_| host.invoke("healthy", &healthy)));
        let (ended, neighbours) = tokio::join!(host.invoke(&name, &act), neighbours);
        assert_eq!(ended["failure"]["code"], code, "{act}: {ended}");
        for run in neighbours {
            assert_eq!((&run["state"], &run["output"]), (&json!("succeeded"), &json!(number)), "next to {act}: {run}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_logs_gigabytes_keeps_at_most_its_log_limit() {
    let dir = tempfile::tempdir().unwrap();
    let host = Host::start(dir.path()).await;
    for (number, act) in ["log", "print"].into_iter().enumerate() {
        let name = format!("logger-{number}");
        host.deploy_hostile(&name, json!({ "limits": { "log": "64KiB" }, "retry": { "attempts": 1, "then": "fail" } }))
            .await;
        let run = host.invoke(&name, &json!({ "do": act })).await;
        assert!(["failed", "succeeded"].contains(&run["state"].as_str().unwrap()), "{run}");
        let logs = host.http.get(host.url(&format!("/v1/runs/{}/logs", run["id"].as_str().unwrap())));
        let kept = logs.send().await.unwrap().text().await.unwrap();
        assert!(kept.len() < 512 * 1024, "{act}: {} bytes were kept", kept.len());
        assert!(kept.len() > 1024, "{act}: too little was kept: {kept}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_component_is_refused_with_a_code() {
    let dir = tempfile::tempdir().unwrap();
    let host = Host::start(dir.path()).await;
    let noise: Vec<u8> = (0..200_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let module = b"\0asm\x01\0\0\0".to_vec();
    for (name, bytes) in [("noise", noise), ("empty", vec![]), ("core-module", module)] {
        let (status, problem) = host.upload_bytes(name, bytes).await;
        assert!((400..500).contains(&status), "{name}: {status} {problem}");
        assert!(problem["code"].as_str().unwrap().starts_with("host/"), "{problem}");
        assert!(!problem["fix"].as_str().unwrap().is_empty(), "{problem}");
    }
}
