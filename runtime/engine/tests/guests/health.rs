//! Health checks read and do not write.

use serde_json::{Value, json};
use tidemill_core::run::Export;
use tidemill_engine::Outcome;

use crate::support::TestHost;

#[tokio::test]
async fn a_check_returns_its_status() {
    let host = TestHost::new();
    let mut job = host.hostile().await;
    job.export = Export::Health;
    for (config, expected) in [
        ("{}", json!({ "status": "healthy" })),
        (r#"{"health":"degraded"}"#, json!({ "status": "degraded", "reason": "as asked" })),
        (r#"{"health":"unhealthy"}"#, json!({ "status": "unhealthy", "reason": "as asked" })),
    ] {
        job.context.config = config.into();
        assert_eq!(job.output(json!(null)).await, expected);
    }
    job.context.config = r#"{"health":"trap"}"#.into();
    assert_eq!(job.code(json!(null)).await, "host/trap");
}

#[tokio::test]
async fn a_check_may_not_write() {
    let host = TestHost::new();
    let mut job = host.hostile().await;
    job.export = Export::Health;
    for config in [r#"{"health":"write"}"#, r#"{"health":"publish"}"#] {
        job.context.config = config.into();
        let ended = job.run(json!(null)).await;
        assert!(ended.all.effects.writes.is_empty() && ended.all.effects.events.is_empty());
        // The guest returns the failure in its answer, with its code.
        let text = match ended.outcome {
            Outcome::Output(output) => serde_json::from_slice::<Value>(&output).unwrap().to_string(),
            other => format!("{other:?}"),
        };
        assert!(text.contains("not-in-health-check") || text.contains("health check may not"), "{text}");
    }
}
