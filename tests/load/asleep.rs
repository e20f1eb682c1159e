//! A hundred thousand runs asleep: what they cost in memory, how late others wake beside them, and how long a restart takes.

use std::time::{Duration, Instant};

use futures_util::stream::{self, StreamExt as _};
use serde_json::json;

use crate::host::{Host, PATIENCE};
use crate::oha::{self, Load};
use crate::table::Table;

/// The cost of the first is that of the store's own memory and of the pool, which many more do not add to.
const BEFORE: u32 = 2_000;
const RUNS: u32 = 100_000;
const NAPS: u64 = 300;

pub async fn measure(table: &mut Table) {
    let dir = tempfile::tempdir().unwrap();
    let mut host = Host::start(dir.path()).await;
    host.deploy_survivor("sleepers", 256).await;
    fall_asleep(&host, BEFORE).await;
    let before = resident(&host);
    let begun = Instant::now();
    fall_asleep(&host, RUNS - BEFORE).await;
    let took = begun.elapsed().as_secs_f64();
    // What was kept in memory for a while is gone by then.
    tokio::time::sleep(Duration::from_secs(15)).await;
    let grown = (resident(&host) - before) / 1024.0;
    table.row(
        format!("{RUNS} runs asleep"),
        format!(
            "resident memory {:.0} MiB, {grown:.0} MiB more than with {BEFORE}; {took:.0} s to fall asleep",
            resident(&host) / 1024.0
        ),
        "< 50 MB more",
    );
    let late = naps(&host).await;
    table.row(
        format!("a wake-up beside {RUNS} asleep"),
        format!("p50 {} ms, p99 {} ms late", late[late.len() / 2], late[late.len() * 99 / 100]),
        "p50 < 2 ms",
    );
    host.kill();
    let begun = Instant::now();
    host.resume().await;
    let ready = begun.elapsed().as_secs_f64();
    let late = naps(&host).await;
    table.row(
        format!("started again with {RUNS} asleep"),
        format!("ready after {ready:.2} s; wake-ups then p50 {} ms late", late[late.len() / 2]),
        "ready in < 5 s",
    );
}

async fn fall_asleep(host: &Host, runs: u32) {
    let nap = json!({ "do": "nap", "ms": 6 * 3_600_000 }).to_string();
    let seen = oha::post(host.url("/v1/deployments/sleepers/runs"), &nap, Load::Count { requests: runs }, 0).await;
    assert_eq!(seen.failed, 0);
    host.none_are(&["queued", "running"], PATIENCE * 5).await;
}

/// How late naps end, in milliseconds, sorted.
async fn naps(host: &Host) -> Vec<u64> {
    let naps = stream::iter(0..NAPS).map(|number| async move {
        tokio::time::sleep(Duration::from_millis(number * 10)).await;
        let run = host.invoke("sleepers", &json!({ "do": "nap", "ms": 500 + number % 7 * 100 })).await;
        run["output"].as_u64().unwrap_or_else(|| panic!("{run}"))
    });
    let mut late: Vec<u64> = naps.buffer_unordered(NAPS as usize).collect().await;
    late.sort_unstable();
    late
}

/// Resident memory of the host, in KiB.
fn resident(host: &Host) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", host.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
