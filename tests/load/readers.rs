//! Commit latency with readers: at half the maximum rate, one client lists runs twenty times a
//! second and another follows the log of a run.

use std::time::Duration;

use serde_json::json;

use crate::histogram::Buckets;
use crate::host::Host;
use crate::oha::{self, Load};
use crate::table::Table;

const ROUNDS: usize = 5;
const SECONDS: u32 = 5;

pub async fn measure(table: &mut Table) {
    let dir = tempfile::tempdir().unwrap();
    let host = Host::start(dir.path()).await;
    host.upload("noop", tidemill_artifacts::noop()).await;
    host.deploy("noop", &json!({ "module": "noop@1.0.0", "concurrency": 256, "health": { "enabled": false } })).await;
    host.deploy_hostile(
        "talker",
        json!({ "limits": { "log": "64MiB", "active": "10m", "fuel": 1_000_000_000_000_u64 } }),
    )
    .await;
    let url = host.url("/v1/deployments/noop/runs");
    let highest = oha::post(url.clone(), "{}", Load::Saturating { connections: 64 }, SECONDS).await;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rate of requests")]
    let half = (highest.per_second / 2.0) as u32;
    let (mut alone, mut loaded) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        alone.push(round(&host, &url, half).await);
        let seen = tokio::select! {
            seen = round(&host, &url, half) => seen,
            () = list(&host) => unreachable!("it never ends"),
            () = follow(&host) => unreachable!("it never ends"),
        };
        loaded.push(seen);
    }
    let what =
        format!("{half} runs a second, half the maximum rate, with a client that lists runs and one that follows logs");
    compare(table, format!("{what}: commits"), &alone, &loaded, |round| round.commits, "p99 < 2 × and < 10 ms");
    compare(table, format!("{what}: the runs as `oha` sees them"), &alone, &loaded, |round| round.runs, "");
}

/// The 99th percentiles of a round, in milliseconds.
struct Round {
    /// Commits, from the histogram of the host.
    commits: f64,
    /// Runs, including the wait for a connection of the load generator.
    runs: f64,
}

async fn round(host: &Host, url: &str, per_second: u32) -> Round {
    let before = Buckets::read(host, "commit_seconds").await;
    let seen = oha::post(url.to_owned(), "{}", Load::Rate { per_second }, SECONDS).await;
    assert_eq!(seen.failed, 0);
    let commits = Buckets::read(host, "commit_seconds").await.since(&before);
    Round { commits: commits.quantile(0.99), runs: seen.p99 }
}

fn compare(
    table: &mut Table,
    what: String,
    alone: &[Round],
    loaded: &[Round],
    of: impl Fn(&Round) -> f64,
    goal: &'static str,
) {
    let median = |mut values: Vec<f64>| {
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    let ratios = alone.iter().zip(loaded).map(|(alone, loaded)| of(loaded) / of(alone)).collect();
    let figure = format!(
        "p99 {:.2} ms, {:.2} ms alone, {:.2} × (medians of {ROUNDS})",
        median(loaded.iter().map(&of).collect()),
        median(alone.iter().map(&of).collect()),
        median(ratios),
    );
    table.row(what, figure, goal);
}

/// Lists runs twenty times a second, without end.
async fn list(host: &Host) {
    let mut every = tokio::time::interval(Duration::from_millis(50));
    loop {
        every.tick().await;
        host.get("/v1/runs?limit=100").await;
    }
}

/// Follows the log of a run that writes lines, without end.
async fn follow(host: &Host) {
    loop {
        let talk = json!({ "do": "log", "bytes": 100, "total_bytes": 200_000 });
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        let key = format!("talk-{}", now.as_nanos());
        let id = host.request_surely("talker", &key, &talk).await;
        let path = host.url(&format!("/v1/runs/{id}/logs?follow=true"));
        let mut answer = host.http.get(path).send().await.unwrap();
        while let Ok(Some(_)) = answer.chunk().await {}
    }
}
