//! Ending a host: asked to, it ends well and hands back what it had in hands.

use serde_json::json;

use crate::host::{Host, serve};

#[tokio::test(flavor = "multi_thread")]
async fn asked_to_end_it_ends_with_zero_and_the_run_in_hand_goes_on_after_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let mut host = Host::start(dir.path()).await;
    host.deploy_hostile("long", json!({ "limits": { "fuel": 1_000_000_000_000_u64, "active": "60s" } })).await;
    let input = json!({ "do": "spin-ms", "ms": 4_000 });
    let id = host.request_surely("long", "one", &input).await;
    while host.get(&format!("/v1/runs/{id}")).await["state"] != "running" {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    let status = host.stop();
    assert!(status.success(), "{status}:\n{}", host.said());
    host.resume().await;
    let run = host.settled(&id).await;
    assert_eq!(run["state"], "succeeded", "{run}");
    assert!(host.stop().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_host_on_the_same_folder_says_who_has_it() {
    let dir = tempfile::tempdir().unwrap();
    let host = Host::start(dir.path()).await;
    let second = serve(&dir.path().join("data")).output().unwrap();
    let said = String::from_utf8_lossy(&second.stderr);
    assert!(!second.status.success());
    assert!(said.contains("host/store-locked") && said.contains(&host.pid().to_string()), "{said}");
}
