//! Alerts, silences and channels.

use serde_json::{Value, json};
use tidemill_core::alerts::{AlertConfig, AlertEvent, AlertSeverity, AlertsInForce, EventState};
use tidemill_core::clock::{Clock as _, SystemClock};

use crate::world::World;

const CONFIG: &str = r#"
    [channels.repair]
    kind = "workflow"
    deployment = "hello"
    [channels.broken]
    kind = "workflow"
    deployment = "absent"
    [routes.page]
    channels = ["repair"]
"#;

async fn world() -> World {
    let alerts = AlertsInForce::new(AlertConfig::parse_toml(CONFIG).unwrap());
    let world = World::with_host(|config| config.alerts = alerts).await;
    world.upload("hello", "1.0.0", b"\0asm workflow").await.is(201);
    world.put("/v1/deployments/hello", json!({"module": "hello@1.0.0", "retry": {"attempts": 1}})).await.is(201);
    world
}

impl World {
    fn report(&self, key: &str, severity: AlertSeverity, state: EventState) {
        let event = AlertEvent {
            key: key.to_owned(),
            deployment: Some("hello".parse().unwrap()),
            severity,
            state,
            summary: format!("incident {key}"),
            at: SystemClock.now(),
        };
        self.host.report_alert(&event);
    }

    /// Waits until a list has that many items.
    async fn listed(&self, path: &str, count: usize) -> Vec<Value> {
        for _ in 0..2_000 {
            let items = self.get(path).await.is(200).json()["items"].as_array().unwrap().clone();
            if items.len() == count {
                return items;
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        panic!("{path} does not have {count} items");
    }
}

fn in_hours(hours: u64) -> String {
    SystemClock.now().plus_millis(hours * 3_600_000).to_rfc3339()
}

#[tokio::test]
async fn an_alert_is_listed_shown_acknowledged_and_over() {
    let world = world().await;
    world.report("7", AlertSeverity::Page, EventState::Firing);
    let alert = world.listed("/v1/alerts", 1).await.remove(0);
    assert_eq!(
        (&alert["rule"], &alert["deployment"], &alert["subject"]),
        (&json!("incident"), &json!("hello"), &json!("7"))
    );
    assert_eq!(
        (&alert["state"], &alert["severity"], &alert["silenced"]),
        (&json!("firing"), &json!("page"), &json!(false))
    );
    assert!(alert.get("acknowledgement").is_none() && alert.get("resolved").is_none(), "{alert}");
    let path = format!("/v1/alerts/{}", alert["id"].as_str().unwrap());
    let shown = loop {
        let shown = world.get(&path).await.is(200).json();
        if shown["notifications"][0]["state"] == "sent" {
            break shown;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    };
    assert_eq!(shown["notifications"][0]["kind"], "firing");
    assert_eq!(shown["channels"], json!(["repair"]));
    for filter in ["state=firing", "rule=incident", "deployment=hello", "severity=page", "state=open&limit=1"] {
        world.listed(&format!("/v1/alerts?{filter}"), 1).await;
    }
    for filter in ["state=acknowledged", "state=pending", "state=resolved", "rule=other", "severity=ticket"] {
        world.listed(&format!("/v1/alerts?{filter}"), 0).await;
    }
    let acknowledge = format!("{path}/acknowledge");
    let seen = world.post(&acknowledge, json!({ "actor": "ann", "note": "on it" })).await.is(200).json();
    assert_eq!((&seen["state"], &seen["acknowledgement"]["actor"]), (&json!("acknowledged"), &json!("ann")));
    let again = world.post(&acknowledge, json!({})).await.is(200).json();
    assert_eq!(again["acknowledgement"]["actor"], "ann");
    world.listed("/v1/alerts?state=acknowledged", 1).await;
    world.report("7", AlertSeverity::Page, EventState::Resolved);
    let over = world.listed("/v1/alerts?state=resolved", 1).await.remove(0);
    assert_eq!((&over["id"], over["resolved"].is_string()), (&alert["id"], true));
    world.post(&acknowledge, json!({})).await.refused(409, "host/alert-resolved");
}

#[tokio::test]
async fn pages_of_alerts_are_contiguous_and_newest_first() {
    let world = world().await;
    for number in 0..5 {
        world.report(&number.to_string(), AlertSeverity::Ticket, EventState::Firing);
        world.listed("/v1/alerts", number + 1).await;
    }
    let (mut found, mut path) = (Vec::new(), "/v1/alerts?limit=2".to_owned());
    loop {
        let page = world.get(&path).await.is(200).json();
        found.extend(page["items"].as_array().unwrap().iter().map(|it| it["subject"].as_str().unwrap().to_owned()));
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/v1/alerts?limit=2&cursor={next}");
    }
    assert_eq!(found, ["4", "3", "2", "1", "0"]);
}

#[tokio::test]
async fn a_silence_needs_a_matcher_an_end_and_a_reason() {
    let world = world().await;
    let body = json!({ "deployment": "hel*", "ends": in_hours(2), "note": "moving" });
    let silence = world.post("/v1/silences", body.clone()).await.is(201).json();
    assert_eq!((&silence["deployment"], &silence["actor"]), (&json!("hel*"), &json!("operator")));
    assert!(silence.get("rule").is_none() && silence.get("severity").is_none(), "{silence}");
    world.report("7", AlertSeverity::Page, EventState::Firing);
    assert_eq!(world.listed("/v1/alerts", 1).await[0]["silenced"], true);
    world.listed("/v1/silences", 1).await;
    for (field, value, pointer) in [
        ("ends", Value::Null, "/ends"),
        ("ends", json!(in_hours(91 * 24)), "/ends"),
        ("ends", json!("2020-01-01T00:00:00Z"), "/ends"),
        ("note", json!("\u{feff}"), "/note"),
        ("deployment", json!("Hello"), "/deployment"),
        ("until", json!("1h"), "/until"),
    ] {
        let mut body = body.clone();
        body[field] = value;
        let problem = world.post("/v1/silences", body).await.is(422).json();
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{problem}");
    }
    let problem = world.post("/v1/silences", json!({ "ends": in_hours(1), "note": "x" })).await.is(422).json();
    assert!(problem["detail"].as_str().unwrap().contains("every alert") || !problem["errors"].is_null(), "{problem}");
    let path = format!("/v1/silences/{}", silence["id"].as_str().unwrap());
    world.delete(&path).await.is(204);
    world.delete(&path).await.refused(404, "host/silence-not-found");
    world.listed("/v1/silences", 0).await;
    for _ in 0..2_000 {
        let alert = world.listed("/v1/alerts", 1).await.remove(0);
        if alert["announced"].is_string() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    panic!("the alert was not announced after its silence");
}

#[tokio::test]
async fn channels_are_listed_and_tested() {
    let world = world().await;
    let channels = world.listed("/v1/alerts/channels", 2).await;
    assert_eq!((&channels[0]["name"], &channels[0]["kind"]), (&json!("broken"), &json!("workflow")));
    assert_eq!((&channels[0]["target"], &channels[0]["waiting"]), (&json!("absent"), &json!(0)));
    let sent = world.post("/v1/alerts/channels/repair/test", json!({})).await.is(200).json();
    assert_eq!((&sent["sent"], sent.get("error")), (&json!(true), None));
    let failed = world.post("/v1/alerts/channels/broken/test", json!({})).await.is(200).json();
    assert_eq!(failed["sent"], false);
    assert!(failed["error"].as_str().unwrap().starts_with("host/deployment-not-found"), "{failed}");
    world.post("/v1/alerts/channels/none/test", json!({})).await.refused(404, "host/channel-not-found");
    world.post("/v1/alerts/channels/None/test", json!({})).await.refused(400, "host/bad-name");
}

#[tokio::test]
async fn alerts_refuse_what_they_do_not_know() {
    let world = world().await;
    let absent = "01kd6dn3r00000000000000004";
    world.get(&format!("/v1/alerts/{absent}")).await.refused(404, "host/alert-not-found");
    world.get("/v1/alerts/7").await.refused(400, "host/bad-name");
    world.post(&format!("/v1/alerts/{absent}/acknowledge"), json!({})).await.refused(404, "host/alert-not-found");
    for query in ["state=over", "severity=urgent", "rule=A", "limit=0", "cursor=x", "color=red"] {
        assert_eq!(world.get(&format!("/v1/alerts?{query}")).await.status, 400, "{query}");
    }
    let headers = [("idempotency-key", "k"), ("content-type", "application/json")];
    for path in ["/v1/silences", "/v1/alerts/channels/repair/test"] {
        world.ask("POST", path, &headers, "{}").await.refused(400, "host/bad-header");
    }
}

#[tokio::test]
async fn the_objectives_of_a_deployment_are_shown_with_the_budget_that_is_left() {
    let world = world().await;
    let slo = json!({ "availability": "99.9%", "latency": { "p95": "2s" } });
    let manifest = json!({ "module": "hello@1.0.0", "slo": slo, "health": { "every": "1s" } });
    world.put("/v1/deployments/hello", manifest).await.is(200);
    let path = "/v1/health/deployments/hello";
    let health = world.get(path).await.is(200).json();
    assert_eq!(health["objectives"][0], json!({ "name": "availability", "target": "99.9%" }));
    assert_eq!(health["objectives"][1], json!({ "name": "latency", "target": "95%", "within_ms": 2_000 }));
    world.run(json!({})).await.is(200);
    for _ in 0..2_000 {
        let health = world.get(path).await.is(200).json();
        if health["objectives"][0]["budget_left"] == 1.0 {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    panic!("the attempt was not counted");
}
