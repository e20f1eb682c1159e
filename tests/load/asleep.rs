//! A hundred thousand sleeping runs: their memory, the wake-up latency of other runs, and the time
//! of a restart.

use std::time::{Duration, Instant};

use futures_util::stream::{self, StreamExt as _};
use serde_json::json;

use crate::histogram::Buckets;
use crate::host::{Host, PATIENCE};
use crate::oha::{self, Load};
use crate::table::Table;

const RUNS: u32 = 100_000;
/// Number of runs asleep at the first measurement of memory.
const BEFORE: u32 = 1_000;
/// Duration of the warm-up with no-op runs, in seconds.
const WORK: u32 = 20;
/// Maximum number of runs requested at a time, because the queue is bounded.
const PART: u32 = 5_000;
const NAPS: u64 = 300;
const WAKES: &str = "wake_lateness_seconds";

pub async fn measure(table: &mut Table) {
    let dir = tempfile::tempdir().unwrap();
    let mut host = Host::start(dir.path()).await;
    host.deploy_survivor("sleepers", 256).await;
    fall_asleep(&host, BEFORE).await;
    let early = naps(&host).await;
    let cold = resident(&host);
    // Any work fills the cache of the store up to its limit. Sleeping runs are measured on top of
    // it.
    host.upload("noop", tidemill_artifacts::noop()).await;
    host.deploy("noop", &json!({ "module": "noop@1.0.0", "concurrency": 256, "health": { "enabled": false } })).await;
    let seen = oha::post(host.url("/v1/deployments/noop/runs"), "{}", Load::Saturating { connections: 64 }, WORK).await;
    assert_eq!(seen.failed, 0);
    let before = resident(&host);
    let begun = Instant::now();
    fall_asleep(&host, RUNS - BEFORE).await;
    let took = begun.elapsed().as_secs_f64();
    // By then the host has released memory that it keeps for a limited time.
    tokio::time::sleep(Duration::from_secs(15)).await;
    let after = resident(&host);
    table.row(
        format!("{RUNS} runs asleep"),
        format!(
            "resident memory {after:.0} MiB, {:.0} MiB more than after {WORK} s of no-ops ({:.0} MiB more than at the start); \
             {took:.0} s to fall asleep",
            after - before,
            after - cold,
        ),
        "< 50 MB more",
    );
    let late = naps(&host).await;
    table.row(
        format!("a wake-up with {RUNS} runs asleep"),
        format!("late by {}; with {BEFORE} asleep by {}", shown(&late), shown(&early)),
        "p50 < 2 ms",
    );
    host.kill();
    let begun = Instant::now();
    host.resume().await;
    let ready = begun.elapsed().as_secs_f64();
    let late = naps(&host).await;
    table.row(
        format!("started again with {RUNS} asleep"),
        format!(
            "ready after {ready:.2} s, resident memory {:.0} MiB; wake-ups late by {}",
            resident(&host),
            shown(&late)
        ),
        "ready in < 5 s",
    );
}

fn shown(Late { seen, taken_up }: &Late) -> String {
    format!(
        "p50 {:.2} ms, p99 {:.2} ms up to the commit that resumes it (as the guest measures it, in whole milliseconds: {} and {})",
        taken_up.quantile(0.5),
        taken_up.quantile(0.99),
        seen[seen.len() / 2],
        seen[seen.len() * 99 / 100],
    )
}

async fn fall_asleep(host: &Host, runs: u32) {
    let nap = json!({ "do": "nap", "ms": 6 * 3_600_000 }).to_string();
    let url = host.url("/v1/deployments/sleepers/runs");
    let mut left = runs;
    while left > 0 {
        let requests = left.min(PART);
        let seen = oha::post(url.clone(), &nap, Load::Count { requests }, 0).await;
        assert_eq!(seen.failed, 0);
        host.wait_until_none_is(&["queued", "running"], PATIENCE).await;
        left -= requests;
    }
}

/// Latency of wake-ups.
struct Late {
    /// As measured by the guest, in whole milliseconds, sorted.
    seen: Vec<u64>,
    /// Up to the commit that resumes the run.
    taken_up: Buckets,
}

async fn naps(host: &Host) -> Late {
    let before = Buckets::read(host, WAKES).await;
    let naps = stream::iter(0..NAPS).map(|number| async move {
        tokio::time::sleep(Duration::from_millis(number * 10)).await;
        let run = host.invoke("sleepers", &json!({ "do": "nap", "ms": 500 + number % 7 * 100 })).await;
        run["output"].as_u64().unwrap_or_else(|| panic!("{run}"))
    });
    let mut seen: Vec<u64> = naps.buffer_unordered(NAPS as usize).collect().await;
    seen.sort_unstable();
    let taken_up = Buckets::read(host, WAKES).await.since(&before);
    assert_eq!(taken_up.count(), NAPS, "each is measured");
    Late { seen, taken_up }
}

/// Resident memory of the host, in MiB.
pub fn resident(host: &Host) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", host.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() / 1024.0
}
