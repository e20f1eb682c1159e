//! Synchronous no-op runs with a durable outcome.

use serde_json::json;

use crate::disk::bare_append;
use crate::host::Host;
use crate::oha::{self, Load};
use crate::table::Table;

pub async fn measure(table: &mut Table) {
    let dir = tempfile::tempdir().unwrap();
    let host = Host::start(dir.path()).await;
    host.upload("noop", tidemill_artifacts::noop()).await;
    host.deploy("noop", &json!({ "module": "noop@1.0.0", "concurrency": 256, "health": { "enabled": false } })).await;
    let url = host.url("/v1/deployments/noop/runs");
    oha::post(url.clone(), "{}", Load::Saturating { connections: 32 }, 3).await;
    let bare = bare_append(dir.path()).as_secs_f64() * 1000.0;
    table.row("bare 4 KiB append + fdatasync, p50", format!("{bare:.3} ms"), "");
    for connections in [1, 32, 128] {
        let seen = oha::post(url.clone(), "{}", Load::Saturating { connections }, 10).await;
        assert_eq!(seen.failed, 0);
        let goal = match connections {
            1 => format!("p50 ≤ {:.3} ms, 4 × bare", bare * 4.0),
            128 => "≥ 10,000/s".to_owned(),
            _ => String::new(),
        };
        table.row(
            format!("no-op runs, {connections} connections"),
            format!("{:.0}/s, p50 {:.3} ms, p99 {:.3} ms", seen.per_second, seen.p50, seen.p99),
            goal,
        );
    }
}
