//! Shutdown of a host, and the lock of its folder.

use serde_json::json;

use crate::host::{Host, serve};

#[tokio::test(flavor = "multi_thread")]
async fn a_host_exits_with_zero_on_sigterm_and_its_active_run_resumes_after_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let mut host = Host::start(dir.path()).await;
    host.deploy_hostile("long", json!({ "limits": { "fuel": 1_000_000_000_000_u64, "active": "60s" } })).await;
    let input = json!({ "do": "spin-ms", "ms": 4_000 });
    let id = host.request_surely("long", "one", &input).await;
    while host.get(&format!("/v1/runs/{id}")).await["state"] != "running" {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    let status = host.stop();
    assert!(status.success(), "{status}:\n{}", host.output());
    host.resume().await;
    let run = host.settled(&id).await;
    assert_eq!(run["state"], "succeeded", "{run}");
    assert!(host.stop().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_host_on_the_same_folder_names_the_process_that_has_the_lock() {
    let dir = tempfile::tempdir().unwrap();
    let host = Host::start(dir.path()).await;
    let second = serve(&dir.path().join("data")).output().unwrap();
    let output = String::from_utf8_lossy(&second.stderr);
    assert!(!second.status.success());
    assert!(output.contains("host/store-locked") && output.contains(&host.pid().to_string()), "{output}");
}
