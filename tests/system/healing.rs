//! Self-healing on the real binary: a bad revision is returned, also if the host is killed in the
//! middle of the repair, and the incident tells the story.

use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::host::Host;

fn manifest(health: &str) -> Value {
    json!({ "config": { "health": health }, "health": { "every": "1s" }, "retry": "never" })
}

impl Host {
    async fn incidents(&self) -> Vec<Value> {
        self.get("/v1/incidents?state=all").await["items"].as_array().unwrap().clone()
    }

    async fn wait_until_incident(&self, number: u64, holds: impl Fn(&Value) -> bool) -> Value {
        let path = format!("/v1/incidents/{number}");
        self.wait_until_path("/v1/incidents?state=all", |page| {
            page["items"].as_array().unwrap().iter().any(|incident| incident["number"] == number)
        })
        .await;
        self.wait_until_path(&path, holds).await;
        self.get(&path).await
    }

    /// Deploys a revision that works, and waits until that is known.
    async fn deploy_proven(&self, name: &str, turn: u64) {
        let mut good = manifest("healthy");
        good["labels"] = json!({ "turn": turn.to_string() });
        self.deploy_hostile(name, good).await;
        self.wait_until_path(&format!("/v1/health/deployments/{name}"), |health| {
            health["results"].as_array().unwrap().iter().take(5).filter(|result| result["status"] == "healthy").count()
                == 5
        })
        .await;
    }
}

fn ladder(incident: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    incident["repairs"].as_array().unwrap().iter().map(|it| (text(&it["step"]), text(&it["result"]))).collect()
}

fn count(incident: &Value, event: &str) -> usize {
    incident["timeline"].as_array().unwrap().iter().filter(|entry| entry["event"] == event).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_revision_is_returned_once_though_the_host_is_killed_in_the_middle() {
    let dir = tempfile::tempdir().unwrap();
    let mut host = Host::start(dir.path()).await;
    // The moments at which the host is killed: when the incident is open, when the step was taken,
    // and a little later.
    for (turn, moment) in (1u64..).zip(["detected", "repaired", "later"]) {
        let name = format!("shop-{turn}");
        host.deploy_proven(&name, turn).await;
        host.deploy_hostile(&name, manifest("trap")).await;
        host.wait_until_incident(turn, |incident| moment == "detected" || count(incident, "repaired") > 0).await;
        if moment == "later" {
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        host.kill();
        host.resume().await;
        let incident = host.wait_until_incident(turn, |incident| incident["phase"] == "resolved").await;
        assert_eq!(ladder(&incident), [("rollback".to_owned(), "effective".to_owned())], "{incident:#}");
        assert_eq!((count(&incident, "repaired"), count(&incident, "detected")), (1, 1), "{incident:#}");
        let deployment = host.get(&format!("/v1/deployments/{name}")).await;
        assert_eq!(
            (&deployment["revision"], &deployment["manifest"]["config"]["health"]),
            (&json!(3), &json!("healthy"))
        );
    }
    assert_eq!(host.incidents().await.len(), 3);
    let shown = Command::new(env!("CARGO_BIN_EXE_tidemill"))
        .args(["incidents", "show", "1"])
        .env("TIDEMILL_URL", host.url(""))
        .env_remove("TIDEMILL_TOKEN")
        .output()
        .unwrap();
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(shown.contains("revision 2 → 3, which is as 1"), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_revision_under_load_fails_few_runs_after_its_detection() {
    let dir = tempfile::tempdir().unwrap();
    let host = Host::start(dir.path()).await;
    host.deploy_proven("shop", 1).await;
    host.deploy_hostile("shop", json!({ "limits": { "fuel": 1_000 }, "health": { "every": "1s" }, "retry": "never" }))
        .await;
    // The load begins with the bad revision, and stays.
    let mut failed = Vec::new();
    for request in 0..400 {
        let (status, run) = host.try_invoke("shop", &json!({ "do": "spin", "count": 10_000 })).await;
        if status == 200 && run["state"] != "succeeded" {
            failed.push(request);
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let incident = host.wait_until_incident(1, |incident| incident["phase"] == "resolved").await;
    assert_eq!(ladder(&incident), [("rollback".to_owned(), "effective".to_owned())], "{incident:#}");
    assert!(failed.len() <= 20, "the breaker holds runs back and the rollback ends it: {failed:?}");
    assert!(*failed.last().unwrap() < 300, "{failed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn healthy_deployments_beside_a_hostile_one_are_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let host = Host::start(dir.path()).await;
    for number in 0..20 {
        host.deploy_hostile(&format!("good-{number}"), manifest("healthy")).await;
    }
    host.deploy_hostile("bad", manifest("trap")).await;
    host.wait_until_incident(1, |incident| count(incident, "repaired") > 0).await;
    for number in 0..20 {
        host.invoke(&format!("good-{number}"), &json!({ "do": "noop" })).await;
    }
    tokio::time::sleep(Duration::from_secs(3)).await;
    let incidents = host.incidents().await;
    assert!(incidents.iter().all(|incident| incident["deployment"] == "bad"), "{incidents:#?}");
}
