//! Health, metrics and the pages for browsers.

mod alerts;
mod incidents;

use serde_json::json;
use tidemill_core::Code;
use tidemill_core::money::EntryKind;
use tidemill_store::records::NewEntry;

use super::ledger::reports::{at, entry};
use super::world::World;

#[tokio::test]
async fn a_healthy_host_reports_ok() {
    let world = World::with_hello().await;
    assert_eq!(&world.get("/healthz").await.is(200).bytes[..], b"ok\n");
    world.get("/readyz").await.is(200);
    let health = world.get("/v1/health").await.is(200).json();
    assert_eq!((&health["status"], &health["ready"], &health["node"]), (&json!("ok"), &json!(true), &json!("node-1")));
    assert_eq!(health["store"]["status"], "good");
    assert!(health["zones"]["release"].is_string() && health["warnings"].is_array(), "{health}");
    assert!(health.get("clock_set_back").is_none());
    world.run(json!({})).await.is(200);
    let metrics = world.get("/metrics").await.is(200);
    assert!(metrics.header("content-type").starts_with("application/openmetrics-text"));
    let text = String::from_utf8(metrics.bytes.to_vec()).unwrap();
    assert!(text.contains("tidemill_attempts_total{deployment=\"hello\",state=\"succeeded\"} 1"), "{text}");
    assert!(text.ends_with("# EOF\n"));
}

#[tokio::test]
async fn findings_degrade_health_if_the_operator_wants_it() {
    for degrades in [false, true] {
        let world = World::with_host(|config| config.findings_degrade_health = degrades).await;
        let status = async || world.get("/v1/health").await.is(200).json()["status"].clone();
        assert_eq!(status().await, "ok");
        let time = "2020-10-15T12:00:00Z";
        let payout = entry("p-1", EntryKind::Payout, 5, "EUR", time);
        let trial = NewEntry { stream: "trial".parse().unwrap(), paper: true, ..payout.clone() };
        let store = world.host.store();
        store.append_entries(vec![trial], at(time)).await.unwrap();
        assert_eq!(status().await, "ok");
        store.append_entries(vec![payout], at(time)).await.unwrap();
        assert_eq!(status().await, if degrades { "degraded" } else { "ok" });
        world.get("/readyz").await.is(200);
    }
}

#[tokio::test]
async fn a_host_that_shuts_down_is_alive_but_not_ready() {
    let world = World::with_hello().await;
    world.host.shutdown(std::time::Duration::from_secs(1)).await;
    world.get("/healthz").await.is(200);
    let refused = world.get("/readyz").await;
    assert!(refused.headers.contains_key("retry-after"));
    refused.is(503);
    let refused = world.run(json!({})).await;
    assert!(refused.headers.contains_key("retry-after"));
    refused.refused(503, "host/shutting-down");
}

#[tokio::test]
async fn every_code_has_its_page() {
    let world = World::new().await;
    for code in Code::ALL {
        let page = world.get(code.page_path()).await.is(200);
        assert!(page.bytes.starts_with(format!("# {code}").as_bytes()), "{code}");
    }
    let problem = world.get("/errors/host-limit-feul").await.refused(404, "host/path-not-found");
    assert!(problem["fix"].as_str().unwrap().contains("host-limit-fuel"));
}

#[tokio::test]
async fn the_page_calls_only_its_own_host() {
    let world = World::new().await;
    let page = world.get("/").await.is(200);
    assert!(page.header("content-type").starts_with("text/html"));
    let policy = page.header("content-security-policy");
    assert!(policy.contains("default-src 'none'") && policy.contains("connect-src 'self'"));
    let text = String::from_utf8(page.bytes.to_vec()).unwrap();
    for elsewhere in ["src=\"http", "href=\"http", "innerHTML", "@import"] {
        assert!(!text.contains(elsewhere), "{elsewhere}");
    }
}

#[tokio::test]
async fn the_document_is_served() {
    let world = World::new().await;
    let document = world.get("/openapi.json").await.is(200).json();
    assert_eq!(document["openapi"].as_str().unwrap().split('.').next(), Some("3"));
    assert!(document["paths"]["/v1/deployments/{name}/runs"]["post"].is_object());
}

#[tokio::test]
async fn no_answer_is_cached_guessed_or_given_to_another_site() {
    let world = World::new().await;
    for path in ["/v1/runs", "/v1/health", "/metrics", "/openapi.json", "/healthz", "/v1/nothing", "/v1/runs?x=1"] {
        let answered = world.get(path).await;
        let found = ["x-content-type-options", "cache-control", "cross-origin-resource-policy"];
        assert_eq!(found.map(|name| answered.header(name)), ["nosniff", "no-store", "same-origin"], "{path}");
    }
    let page = world.get("/").await;
    assert_eq!((page.header("x-content-type-options"), page.header("cache-control")), ("nosniff", "no-cache"));
    assert!(!page.header("content-security-policy").contains("unsafe"));
}

#[tokio::test]
async fn a_page_of_another_site_reads_nothing_without_an_origin_either() {
    let world = World::new().await;
    for site in ["cross-site", "same-site"] {
        let answered = world.ask("GET", "/v1/runs", &[("sec-fetch-site", site)], "").await;
        answered.refused(403, "host/origin-refused");
    }
    world.ask("GET", "/v1/runs", &[("sec-fetch-site", "same-origin")], "").await.is(200);
}
