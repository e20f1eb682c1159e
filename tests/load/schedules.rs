//! A thousand deployments due in the same second, and the cost of an idle host.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::host::Host;
use crate::table::Table;

const DEPLOYMENTS: usize = 1_000;

pub async fn measure(table: &mut Table) {
    let dir = tempfile::tempdir().unwrap();
    let host = Host::start(dir.path()).await;
    host.upload("noop", tidemill_artifacts::noop()).await;
    // The first full minute that leaves enough time to create all deployments.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let due = (now / 60 + 2) * 60;
    let at = DateTime::<Utc>::from_timestamp(i64::try_from(due).unwrap(), 0).unwrap();
    let cron = at.format("0 %M %H * * *").to_string();
    let manifest = json!({
        "module": "noop@1.0.0",
        "schedule": [{ "name": "daily", "cron": cron }],
        "health": { "enabled": false },
    });
    for number in 0..DEPLOYMENTS {
        host.deploy(&format!("clock-{number}"), &manifest).await;
    }
    let until = UNIX_EPOCH + Duration::from_secs(due + 5);
    tokio::time::sleep(until.duration_since(SystemTime::now()).expect("deploying took less than a minute")).await;
    let mut late = Vec::new();
    let mut path = "/v1/runs?limit=200".to_owned();
    loop {
        let page = host.get(&path).await;
        for run in page["items"].as_array().unwrap() {
            assert_eq!(run["state"], "succeeded", "{run}");
            late.push(millis(&run["ended_at"]) - at.timestamp_millis());
        }
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/v1/runs?limit=200&cursor={next}");
    }
    assert_eq!(late.len(), DEPLOYMENTS, "each fired once");
    late.sort_unstable();
    table.row(
        "1,000 schedules due at one instant: from that instant to the commit of the end of the run",
        format!("p50 {} ms, last {} ms", late[DEPLOYMENTS / 2], late[DEPLOYMENTS - 1]),
        "all within 1 s",
    );
    tokio::time::sleep(Duration::from_secs(60)).await;
    let (before, resident) = usage(host.pid());
    tokio::time::sleep(Duration::from_secs(10)).await;
    let (after, _) = usage(host.pid());
    table.row("idle with them, 60 s later: CPU", format!("{:.2} %", (after - before) / 10.0 * 100.0), "< 1 %");
    table.row("idle with them, 60 s later: resident memory", format!("{resident} MB"), "< 150 MB");
}

fn millis(time: &Value) -> i64 {
    DateTime::parse_from_rfc3339(time.as_str().unwrap()).unwrap().timestamp_millis()
}

/// CPU time so far in seconds, and resident memory in MB.
pub fn usage(pid: u32) -> (f64, u64) {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: f64 = fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap();
    let pages: u64 = fields[21].parse().unwrap();
    (ticks / rustix::param::clock_ticks_per_second() as f64, pages * rustix::param::page_size() as u64 / 1_000_000)
}
