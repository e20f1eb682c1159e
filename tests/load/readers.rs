//! Commits beside readers: at half the highest rate, one client lists runs twenty times a second and one follows the log of a run.

use std::time::Duration;

use serde_json::json;

use crate::host::Host;
use crate::oha::{self, Load, Report};
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
    let load = || oha::post(url.clone(), "{}", Load::Rate { per_second: half }, SECONDS);
    let (mut alone, mut beside, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let first = load().await;
        let second = tokio::select! {
            seen = load() => seen,
            () = list(&host) => unreachable!("it never ends"),
            () = follow(&host) => unreachable!("it never ends"),
        };
        for Report { failed, .. } in [&first, &second] {
            assert_eq!(*failed, 0);
        }
        ratios.push(second.p99 / first.p99);
        alone.push(first.p99);
        beside.push(second.p99);
    }
    for values in [&mut alone, &mut beside, &mut ratios] {
        values.sort_by(f64::total_cmp);
    }
    let middle = ROUNDS / 2;
    table.row(
        format!("{half} runs a second, half the highest rate, beside a lister and a follower of logs"),
        format!(
            "p99 {:.2} ms, {:.2} ms alone, {:.2} × (medians of {ROUNDS})",
            beside[middle], alone[middle], ratios[middle]
        ),
        "p99 < 2 × and < 10 ms",
    );
}

/// Lists runs twenty times a second, for ever.
async fn list(host: &Host) {
    let mut every = tokio::time::interval(Duration::from_millis(50));
    loop {
        every.tick().await;
        host.get("/v1/runs?limit=100").await;
    }
}

/// Follows the log of a run that talks, for ever.
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
