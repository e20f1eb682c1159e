//! Many schedules at one moment: all fire, none twice, and a kill changes nothing of that.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::json;

use crate::host::{Host, PATIENCE};

const DEPLOYMENTS: usize = 100;

fn rfc3339(at: SystemTime) -> String {
    let seconds = i64::try_from(at.duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap();
    chrono::DateTime::from_timestamp(seconds, 0).unwrap().to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
}

async fn ended(host: &Host) -> Vec<String> {
    let mut of = Vec::new();
    let mut path = "/v1/runs?state=succeeded&limit=100".to_owned();
    loop {
        let page = host.get(&path).await;
        for run in page["items"].as_array().unwrap() {
            assert_eq!(run["trigger"]["kind"], "schedule", "{run}");
            of.push(run["deployment"].as_str().unwrap().to_owned());
        }
        let Some(next) = page["next"].as_str() else { return of };
        path = format!("/v1/runs?state=succeeded&limit=100&cursor={next}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_due_at_one_instant_fire_once_each_though_the_host_is_killed_then() {
    let dir = tempfile::tempdir().unwrap();
    let mut host = Host::start(dir.path()).await;
    let (status, answer) = host.upload("noop", tidemill_artifacts::noop()).await;
    assert_eq!(status, 201, "{answer}");
    // Time enough to deploy them all.
    let at = SystemTime::now() + Duration::from_secs(12);
    let manifest = json!({
        "module": "noop@1.0.0",
        "schedule": [{ "name": "once", "at": rfc3339(at) }],
        "health": { "enabled": false },
    });
    for number in 0..DEPLOYMENTS {
        host.deploy(&format!("clock-{number}"), &manifest).await;
    }
    assert!(SystemTime::now() < at, "deploying took too long for this test");
    while SystemTime::now() < at {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    host.kill();
    host.resume().await;
    let begun = SystemTime::now();
    let mut fired = ended(&host).await;
    while fired.len() < DEPLOYMENTS {
        assert!(begun.elapsed().unwrap() < PATIENCE, "{} fired", fired.len());
        tokio::time::sleep(Duration::from_millis(50)).await;
        fired = ended(&host).await;
    }
    fired.sort();
    fired.dedup();
    assert_eq!(fired.len(), DEPLOYMENTS, "each fired once");
}
