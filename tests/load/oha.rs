//! The load generator: runs `oha` and parses its report.

use std::process::Command;

use serde_json::Value;

/// Arrival of requests.
pub enum Load {
    /// Each connection sends its next request after the answer; this measures the maximum rate.
    Saturating {
        /// Number of connections.
        connections: u32,
    },
    /// A fixed number of requests, as fast as they are answered. The caller does not wait for the
    /// end of the runs.
    Count {
        /// Number of requests.
        requests: u32,
    },
    /// A fixed rate that does not depend on the answers (open model). Latency counts from the time
    /// at which a request is due.
    Rate {
        /// Requests a second.
        per_second: u32,
    },
}

/// The measurement of `oha`.
pub struct Report {
    pub per_second: f64,
    /// Median latency in milliseconds.
    pub p50: f64,
    pub p99: f64,
    /// Number of requests without the expected answer.
    pub failed: u64,
}

/// Posts `body` to `url` for `seconds`, or as often as `load` counts.
pub async fn post(url: String, body: &str, load: Load, seconds: u32) -> Report {
    let mut command = Command::new(std::env::var("OHA").unwrap_or_else(|_| "oha".into()));
    command.args(["--no-tui", "--output-format", "json", "-m", "POST", "-T", "application/json", "-d", body]);
    if !matches!(load, Load::Count { .. }) {
        command.args(["-z".into(), format!("{seconds}s"), "-H".into(), "prefer: wait=30".into()]);
    }
    let good = if matches!(load, Load::Count { .. }) { "202" } else { "200" };
    match load {
        Load::Saturating { connections } => command.args(["-c".into(), connections.to_string()]),
        Load::Count { requests } => command.args(["-c".into(), "64".into(), "-n".into(), requests.to_string()]),
        Load::Rate { per_second } => {
            command.args(["-c".into(), "64".into(), "-q".into(), per_second.to_string(), "--latency-correction".into()])
        }
    };
    command.arg(url);
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap();
    let output = output.expect("`oha` runs; install it with `cargo install oha`");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let millis = |percentile: &str| report["latencyPercentiles"][percentile].as_f64().unwrap_or(f64::NAN) * 1000.0;
    let counts = |of: &str| report[of].as_object().cloned().unwrap_or_default();
    let answered = counts("statusCodeDistribution");
    // Requests that are cut off at the end of the measurement are not failures.
    let broken = counts("errorDistribution");
    let broken = broken.iter().filter(|(why, _)| !why.contains("deadline")).filter_map(|(_, count)| count.as_u64());
    let refused = answered.iter().filter(|(status, _)| *status != good).filter_map(|(_, count)| count.as_u64());
    Report {
        per_second: report["summary"]["requestsPerSec"].as_f64().unwrap_or(f64::NAN),
        p50: millis("p50"),
        p99: millis("p99"),
        failed: refused.sum::<u64>() + broken.sum::<u64>(),
    }
}
