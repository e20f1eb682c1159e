//! Secrets of the real host: the master key, its rotation under `kill -9`, and overlaps.

use std::time::{Duration, Instant};

use futures_util::stream::{self, StreamExt as _};
use serde_json::{Value, json};

use crate::host::{Host, PATIENCE};

const KEY_1: &str = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";
const KEY_2: &str = "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=";

fn keys(current: &str, old: Option<&str>) -> Vec<(&'static str, String)> {
    let mut env = vec![("TIDEMILL_MASTER_KEY", current.to_owned())];
    env.extend(old.map(|old| ("TIDEMILL_MASTER_KEY_OLD", old.to_owned())));
    env
}

async fn put(host: &Host, name: &str, query: &str, body: String) -> (u16, Value) {
    let request = host.http.put(host.url(&format!("/v1/secrets/{name}{query}")));
    let answer = request.header("content-type", "application/json").body(body).send().await.unwrap();
    (answer.status().as_u16(), serde_json::from_str(&answer.text().await.unwrap()).unwrap())
}

async fn set(host: &Host, name: &str, query: &str, value: &str) -> Value {
    let (status, answer) = put(host, name, query, json!({ "value": value }).to_string()).await;
    assert!(status == 200 || status == 201, "{answer}");
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_right_master_key_opens_a_folder() {
    let dir = tempfile::tempdir().unwrap();
    let mut host = Host::start(dir.path()).await;
    let (status, refused) = put(&host, "api-key", "", json!({ "value": "long enough" }).to_string()).await;
    assert_eq!((status, refused["code"].as_str()), (503, Some("host/master-key")));
    assert!(refused["detail"].as_str().unwrap().contains("TIDEMILL_MASTER_KEY"), "{refused}");
    host.stop();
    host.set_env(keys(KEY_1, None));
    host.resume().await;
    set(&host, "api-key", "", "long enough").await;
    host.stop();
    // Without a key the host runs and warns; with another one it does not start.
    host.set_env(Vec::new());
    host.resume().await;
    let health = host.get("/v1/health").await;
    assert!(health["warnings"].to_string().contains("no master key"), "{health}");
    host.stop();
    for env in [keys(KEY_2, None), keys("AQ==", None)] {
        host.set_env(env);
        assert!(host.try_resume().await.is_err());
        assert!(host.output().contains("host/master-key"), "{}", host.output());
    }
    host.set_env(keys(KEY_1, None));
    host.resume().await;
    assert_eq!(host.get("/v1/secrets/api-key").await["version"], 1);
}

const RECORDS: usize = 10_000;
/// The number of records that one commit of a rotation visits.
const BATCH: usize = 256;

/// Starts the host, which ends at a failpoint, before or after it is ready.
async fn ends_at(host: &mut Host, failpoint: &str) {
    let mut env = keys(KEY_2, Some(KEY_1));
    env.push(("TIDEMILL_CRASH_AT", format!("{failpoint}:1")));
    host.set_env(env);
    if host.try_resume().await.is_ok() {
        let begun = Instant::now();
        while !host.has_died() {
            assert!(begun.elapsed() < PATIENCE, "{failpoint} was not passed:\n{}", host.output());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_resumes_after_a_kill_at_each_of_its_commits() {
    let dir = tempfile::tempdir().unwrap();
    let mut host = Host::not_started(dir.path());
    host.set_env(keys(KEY_1, None));
    host.resume().await;
    let made = stream::iter(0..RECORDS).map(|number| {
        let host = &host;
        async move { set(host, &format!("secret-{number}"), "", &format!("value number {number}")).await }
    });
    assert_eq!(made.buffer_unordered(64).collect::<Vec<_>>().await.len(), RECORDS);
    host.stop();

    ends_at(&mut host, "master-key/added").await;
    // Each process ends after one commit, and the next one continues there.
    for _ in 0..RECORDS.div_ceil(BATCH) {
        ends_at(&mut host, "master-key/rewrapped").await;
    }
    host.set_env(keys(KEY_2, None));
    assert!(host.try_resume().await.is_err(), "the rotation is not complete, so the old key is needed");
    ends_at(&mut host, "master-key/rotated").await;

    host.set_env(keys(KEY_2, None));
    host.resume().await;
    let key = host.get("/v1/master-key").await;
    let rotation = &key["rotation"];
    let counts = [&rotation["total"], &rotation["visited"], &rotation["wrapped"]].map(|count| count.as_u64().unwrap());
    assert_eq!((&rotation["state"], counts), (&json!("done"), [RECORDS as u64; 3]), "{key}");
    assert_eq!((key["needed"].as_array().unwrap().len(), key.get("old")), (1, None), "{key}");
    // Setting the stored value makes no new version, so each one opens with the new key.
    for number in 0..RECORDS {
        let secret = set(&host, &format!("secret-{number}"), "", &format!("value number {number}")).await;
        assert_eq!(secret["version"], 1, "{secret}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_overlap_ends_to_the_second() {
    let dir = tempfile::tempdir().unwrap();
    let mut host = Host::not_started(dir.path());
    host.set_env(keys(KEY_1, None));
    host.resume().await;
    set(&host, "key", "", "the first value").await;
    let second = set(&host, "key", "?overlap=3s", "the second value").await;
    let end = second["older"][0]["ends_at"].as_str().unwrap();
    host.wait_until_path("/v1/secrets/key", |secret| secret["older"] == json!([])).await;
    let now = host.get("/v1/health").await["now"].as_str().unwrap().to_owned();
    assert!(now.as_str() >= end, "{now} {end}: it ended too early");
    let millis = |time: &str| chrono::DateTime::parse_from_rfc3339(time).unwrap().timestamp_millis();
    assert!(millis(&now) - millis(end) < 1_000, "{now} {end}: it ended too late");
    assert_eq!(millis(end) - millis(second["set_at"].as_str().unwrap()), 3_000);
    // An end that passes while no host runs is effective at the next start.
    set(&host, "key", "?overlap=1s", "the third value").await;
    host.stop();
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    host.resume().await;
    host.wait_until_path("/v1/secrets/key", |secret| secret["older"] == json!([])).await;
}
