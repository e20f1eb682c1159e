//! Incidents: lists, details, and what persons do with them.

use serde_json::json;
use tidemill_core::Timestamp;
use tidemill_core::healing::{FailureCause, IncidentSeverity, TimelineEntry, TimelineEvent};
use tidemill_store::records::NewIncident;

use crate::world::World;

/// Opens an incident of `hello`, and one of the host.
async fn with_incidents() -> World {
    let world = World::with_hello().await;
    for (second, deployment) in [(1, Some("hello".parse().unwrap())), (2, None)] {
        let at = Timestamp::from_millis(1_700_000_000_000 + second * 1_000);
        let new = NewIncident {
            deployment,
            severity: IncidentSeverity::Critical,
            reason: "it fails".to_owned(),
            revision: None,
            began_at: at,
            cause: FailureCause::Module,
            entry: TimelineEntry::of_host(at, TimelineEvent::Detected, "it is unhealthy"),
        };
        world.host.store().open_incident(new).await.unwrap();
    }
    world
}

#[tokio::test]
async fn incidents_are_listed_and_shown() {
    let world = with_incidents().await;
    let page = world.get("/v1/incidents").await.is(200).json();
    let numbers: Vec<_> = page["items"].as_array().unwrap().iter().map(|it| it["number"].clone()).collect();
    assert_eq!(numbers, [json!(2), json!(1)]);
    assert!(page["items"][0].get("deployment").is_none(), "{page}");
    let page = world.get("/v1/incidents?deployment=hello&state=all&phase=detected").await.is(200).json();
    assert_eq!(page["items"].as_array().unwrap().len(), 1);
    assert!(world.get("/v1/incidents?state=ended").await.is(200).json()["items"].as_array().unwrap().is_empty());
    let incident = world.get("/v1/incidents/1").await.is(200).json();
    assert_eq!((&incident["phase"], &incident["cause"]), (&json!("detected"), &json!("module")));
    let entry = &incident["timeline"][0];
    assert_eq!(
        (&entry["event"], &entry["actor"], &entry["undone"]),
        (&json!("detected"), &json!("host"), &json!(false))
    );
    for (path, status, code) in [
        ("/v1/incidents/9", 404, "host/incident-not-found"),
        ("/v1/incidents/x", 400, "host/bad-name"),
        ("/v1/incidents?deployment=none", 404, "host/deployment-not-found"),
        ("/v1/incidents?state=x", 400, "host/bad-query"),
        ("/v1/incidents?phase=x", 400, "host/bad-query"),
    ] {
        world.get(path).await.refused(status, code);
    }
}

#[tokio::test]
async fn persons_act_on_incidents_with_a_note() {
    let world = with_incidents().await;
    let body = json!({ "note": "I look at it", "actor": "ann" });
    let incident = world.post("/v1/incidents/1/acknowledge", body.clone()).await.is(200).json();
    assert_eq!(incident["acknowledged_by"], "ann");
    world.post("/v1/incidents/1/comment", json!({ "note": "hm" })).await.is(200);
    world.post("/v1/incidents/1/undo", body.clone()).await.refused(409, "host/incident-state");
    world.post("/v1/incidents/2/undo", body.clone()).await.refused(409, "host/incident-state");
    let closed = world.post("/v1/incidents/1/close", body.clone()).await.is(200).json();
    assert_eq!(closed["phase"], "closed");
    world.post("/v1/incidents/1/close", body.clone()).await.refused(409, "host/incident-state");
    world.post("/v1/incidents/7/comment", body).await.refused(404, "host/incident-not-found");
    let incident = world.get("/v1/incidents/1").await.is(200).json();
    let timeline = incident["timeline"].as_array().unwrap();
    let entries: Vec<_> = timeline.iter().map(|entry| (entry["event"].as_str().unwrap(), entry.get("name"))).collect();
    let (ann, operator) = (json!("ann"), json!("operator"));
    let expected =
        [("detected", None), ("acknowledged", Some(&ann)), ("comment", Some(&operator)), ("closed", Some(&ann))];
    assert_eq!(entries, expected);
    for note in
        [json!({}), json!({ "note": " " }), json!({ "note": "x".repeat(1_025) }), json!({ "note": "x", "by": 1 })]
    {
        let refused = world.post("/v1/incidents/2/comment", note).await;
        assert!(refused.status.is_client_error());
    }
}
