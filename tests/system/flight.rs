//! `kill -9` with a thousand runs in flight: queued, running and asleep. None is lost, and none has
//! an effect twice.

use std::time::{Duration, Instant};

use futures_util::stream::{self, StreamExt as _};
use serde_json::json;

use crate::host::{Host, PATIENCE};

const RUNS: usize = 1_000;

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_runs_in_flight_end_once_though_the_host_is_killed() {
    let dir = tempfile::tempdir().unwrap();
    let mut host = Host::start(dir.path()).await;
    host.deploy_survivor("flights", 64).await;
    let fly = json!({ "do": "fly", "ms": 1_500 });
    let requests = stream::iter(0..RUNS).map(|number| {
        let (host, fly) = (&host, &fly);
        async move { host.request_surely("flights", &format!("flight-{number}"), fly).await }
    });
    let ids: Vec<String> = requests.buffered(32).collect().await;
    // At each kill some runs are active, some are asleep and some are queued.
    for pause in [50, 400, 900] {
        tokio::time::sleep(Duration::from_millis(pause)).await;
        host.kill();
        host.resume().await;
    }
    let begun = Instant::now();
    host.wait_until_none_is(&["queued", "running", "suspended"], PATIENCE).await;
    let took = begun.elapsed();
    for id in &ids {
        let run = host.settled(id).await;
        assert_eq!(run["state"], "succeeded", "{run}");
    }
    let flown = host.invoke("flights", &json!({ "do": "flown" })).await;
    assert_eq!(
        flown["output"],
        json!({ "flights": RUNS, "least": 2, "most": 2 }),
        "all landed {took:?} after the last kill"
    );
}
