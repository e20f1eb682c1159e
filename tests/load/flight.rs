//! `kill -9` with ten thousand runs in flight. All are due when the host has restarted.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::host::{Host, PATIENCE};
use crate::oha::{self, Load};
use crate::table::Table;

const RUNS: u32 = 10_000;
/// Duration of the sleep of a run. All runs are asleep when the host is killed.
const ASLEEP: Duration = Duration::from_secs(20);

pub async fn measure(table: &mut Table) {
    let dir = tempfile::tempdir().unwrap();
    let mut host = Host::start(dir.path()).await;
    host.deploy_survivor("flights", 256).await;
    let fly = json!({ "do": "fly", "ms": ASLEEP.as_millis() }).to_string();
    let begun = Instant::now();
    let url = host.url("/v1/deployments/flights/runs");
    let seen = oha::post(url, &fly, Load::Count { requests: RUNS }, 0).await;
    assert_eq!(seen.failed, 0);
    host.wait_until_none_is(&["queued", "running"], PATIENCE).await;
    let took = begun.elapsed().as_secs_f64();
    table.row(format!("{RUNS} runs requested and asleep after a step"), format!("{took:.1} s"), "");
    host.kill();
    tokio::time::sleep(ASLEEP).await;
    let begun = Instant::now();
    host.resume().await;
    let ready = begun.elapsed().as_secs_f64();
    host.wait_until_none_is(&["queued", "running", "suspended"], PATIENCE * 3).await;
    let ended = begun.elapsed().as_secs_f64();
    let flown = host.invoke("flights", &json!({ "do": "flown" })).await;
    assert_eq!(flown["output"], json!({ "flights": RUNS, "least": 2, "most": 2 }), "none is lost and none doubled");
    table.row(
        format!("killed with {RUNS} in flight, started again"),
        format!("ready after {ready:.2} s, all ended after {ended:.1} s"),
        "all resumed within 10 s",
    );
}
