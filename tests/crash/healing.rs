//! A repair survives the end of the host at each of its failpoints: the step is taken once, and the
//! incident has one entry about it.

use serde_json::{Value, json};

use crate::host::Host;

/// The failpoints of a repair, in the order in which it passes them.
const FAILPOINTS: [&str; 5] = ["healing/open", "healing/opened", "healing/decided", "healing/taken", "healing/applied"];

fn manifest(health: &str, ladder: &str) -> Value {
    json!({
        "config": { "health": health },
        "health": { "every": "1s" },
        "healing": { "ladder": [ladder] },
        "retry": "never",
    })
}

/// Deploys a revision that works, and waits until that is known.
async fn deploy_proven(host: &Host, name: &str, ladder: &str) {
    host.deploy_hostile(name, manifest("healthy", ladder)).await;
    host.wait_until_path(&format!("/v1/health/deployments/{name}"), |health| {
        health["results"].as_array().unwrap().iter().filter(|result| result["status"] == "healthy").count() >= 5
    })
    .await;
}

/// Starts the host on its folder, and waits until it dies at a failpoint.
async fn run_until_it_dies(host: &mut Host, failpoint: &str) {
    host.set_env(vec![("TIDEMILL_CRASH_AT", format!("{failpoint}:1"))]);
    // It may die before it is ready.
    if host.try_resume().await.is_ok() {
        while !host.has_died() {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }
    host.set_env(Vec::new());
}

fn count(incident: &Value, event: &str) -> usize {
    incident["timeline"].as_array().unwrap().iter().filter(|entry| entry["event"] == event).count()
}

/// Plays a bad revision of a deployment for each failpoint, with a host that dies there. Returns
/// the failpoints with the incidents and the deployments at the end.
async fn play(ladder: &str, phase: &str) -> Vec<(&'static str, Value, Value)> {
    let dir = tempfile::tempdir().unwrap();
    let mut host = Host::start(dir.path()).await;
    let mut played = Vec::new();
    for (number, failpoint) in (1..).zip(FAILPOINTS) {
        let name = format!("shop-{number}");
        deploy_proven(&host, &name, ladder).await;
        host.deploy_hostile(&name, manifest("trap", ladder)).await;
        assert!(host.stop().success(), "{}", host.output());
        run_until_it_dies(&mut host, failpoint).await;
        host.resume().await;
        let path = format!("/v1/incidents?state=all&deployment={name}");
        host.wait_until_path(&path, |page| page["items"][0]["phase"] == phase).await;
        let page = host.get(&path).await;
        assert_eq!(page["items"].as_array().unwrap().len(), 1, "{failpoint}: {page:#}");
        let incident = host.get(&format!("/v1/incidents/{number}")).await;
        let (repaired, detected) = (count(&incident, "repaired"), count(&incident, "detected"));
        assert_eq!((repaired, detected), (1, 1), "{failpoint}: {incident:#}");
        let path = format!("/v1/deployments/{name}");
        played.push((failpoint, incident, host.get(&path).await));
        // Deployments that are unhealthy together would be one incident of the host.
        let deleted = host.http.delete(host.url(&path)).send().await.unwrap();
        assert!(deleted.status().is_success(), "{failpoint}");
    }
    played
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_is_made_once_whatever_failpoint_the_host_dies_at() {
    for (failpoint, incident, deployment) in play("rollback", "resolved").await {
        assert_eq!(incident["repairs"][0]["result"], "effective", "{failpoint}: {incident:#}");
        let health = &deployment["manifest"]["config"]["health"];
        assert_eq!((&deployment["revision"], health), (&json!(3), &json!("healthy")), "{failpoint}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quarantine_is_made_once_whatever_failpoint_the_host_dies_at() {
    for (failpoint, incident, deployment) in play("quarantine", "escalated").await {
        assert_eq!(count(&incident, "escalated"), 1, "{failpoint}: {incident:#}");
        assert_eq!((&deployment["revision"], deployment["paused"].is_object()), (&json!(2), true), "{failpoint}");
    }
}
