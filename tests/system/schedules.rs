//! Many firings at one instant or in one backfill: each happens once, even if the host is killed.

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
async fn schedules_due_at_one_instant_fire_once_each_though_the_host_is_killed() {
    let dir = tempfile::tempdir().unwrap();
    let mut host = Host::start(dir.path()).await;
    let (status, answer) = host.upload("noop", tidemill_artifacts::noop()).await;
    assert_eq!(status, 201, "{answer}");
    // Enough time to create all deployments.
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

/// Nominal times of all runs, sorted.
async fn nominal_times(host: &Host) -> Vec<String> {
    let mut times = Vec::new();
    let mut path = "/v1/runs?limit=200".to_owned();
    loop {
        let page = host.get(&path).await;
        let runs = page["items"].as_array().unwrap();
        times.extend(runs.iter().map(|run| run["trigger"]["at"].as_str().unwrap().to_owned()));
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/v1/runs?limit=200&cursor={next}");
    }
    times.sort();
    times
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backfill_starts_each_nominal_time_once_though_the_host_is_killed_repeatedly() {
    const FIRINGS: usize = 2_000;
    let dir = tempfile::tempdir().unwrap();
    let mut host = Host::start(dir.path()).await;
    let (status, answer) = host.upload("noop", tidemill_artifacts::noop()).await;
    assert_eq!(status, 201, "{answer}");
    // The schedule ends in 2020, so only the backfill makes firings.
    let schedule = json!({ "name": "once", "every": "1m", "end": "2020-01-03T00:00:00Z" });
    let manifest = json!({ "module": "noop@1.0.0", "schedule": [schedule], "health": { "enabled": false } });
    host.deploy("clock", &manifest).await;
    let begins = UNIX_EPOCH + Duration::from_secs(1_577_836_800);
    let ends = begins + Duration::from_secs(60 * FIRINGS as u64);
    let body = json!({ "start": rfc3339(begins), "end": rfc3339(ends), "overlap": "allow" }).to_string();
    let asked = host.http.post(host.url("/v1/schedules/clock/once/backfill"));
    let asked = asked.header("content-type", "application/json").body(body).send().await.unwrap();
    assert_eq!(asked.status().as_u16(), 202);
    let location = asked.headers()["location"].to_str().unwrap().to_owned();
    let begun = SystemTime::now();
    let mut seen = 0;
    loop {
        let operation = host.get(&location).await;
        let matched = operation["matched"].as_u64().unwrap();
        if operation["state"] == "done" {
            assert_eq!((matched, operation["done"].as_u64().unwrap()), (FIRINGS as u64, FIRINGS as u64));
            break;
        }
        assert!(begun.elapsed().unwrap() < PATIENCE, "{operation}");
        if matched > seen {
            seen = matched;
            host.kill();
            host.resume().await;
        }
    }
    let times = nominal_times(&host).await;
    let wanted: Vec<_> = (0..FIRINGS as u64).map(|n| rfc3339(begins + Duration::from_secs(60 * n))).collect();
    let wanted: Vec<_> = wanted.iter().map(|time| time.replace('Z', ".000Z")).collect();
    assert_eq!(times, wanted);
    host.wait_until_none_is(&["queued", "running"], PATIENCE).await;
}
