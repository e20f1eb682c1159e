//! A hot key: synchronous runs that each add one to the same key.

use serde_json::json;

use crate::host::Host;
use crate::oha::{self, Load};
use crate::table::Table;

/// Numbers of concurrent connections.
const CONNECTIONS: [u32; 2] = [16, 64];
/// Duration of each measurement, in seconds.
const SECONDS: u32 = 20;

pub async fn measure(table: &mut Table) {
    for connections in CONNECTIONS {
        let dir = tempfile::tempdir().unwrap();
        let host = Host::start(dir.path()).await;
        host.deploy_hostile("counter", json!({ "concurrency": 256, "health": { "enabled": false } })).await;
        let url = host.url("/v1/deployments/counter/runs");
        let input = json!({ "do": "counter", "key": "n" }).to_string();
        let redone = async || host.metric("tidemill_transaction_retries_total", "counter").await;
        let count = async || {
            let run = host.invoke("counter", &json!({ "do": "get", "key": "n" })).await;
            run["output"].as_f64().unwrap_or_default()
        };
        oha::post(url.clone(), &input, Load::Saturating { connections }, 3).await;
        let before = (redone().await, count().await);
        let seen = oha::post(url, &input, Load::Saturating { connections }, SECONDS).await;
        assert_eq!(seen.failed, 0);
        let (again, runs) = (redone().await - before.0, count().await - before.1);
        table.row(
            format!("runs that add one to the same key, {connections} connections"),
            format!(
                "{:.0}/s, p50 {:.2} ms, p99 {:.2} ms, {:.2} repetitions a run",
                seen.per_second,
                seen.p50,
                seen.p99,
                again / runs.max(1.0)
            ),
            "≥ 5,000/s",
        );
    }
}
