//! Events: each is delivered to each subscription once and in order, despite crashes, pauses and
//! full queues.

use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};
use tidemill_control::HostConfig;
use tidemill_core::Fuel;
use tidemill_core::run::{Run, TriggerKind};
use tidemill_core::{Code, EventId, SubscriptionName, Timestamp, Topic};
use tidemill_engine::{ActivationResult, Effects};
use tidemill_store::records::{
    FeedEvent, NewEvent, NewPublication, Operation, OperationState, RunFilter, Subscription,
};

use crate::fixture::guests::{failed, output};
use crate::fixture::{START, TestHost, name};

fn topic(text: &str) -> Topic {
    text.parse().unwrap()
}

fn named(text: &str) -> SubscriptionName {
    text.parse().unwrap()
}

/// Returns the manifest of a deployment with one subscription `s`.
fn subscribed(to: &str, topic: &str, more: Value) -> Value {
    let mut subscription = json!({ "name": "s", "topic": topic });
    subscription.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({ "name": to, "subscriptions": [subscription] })
}

async fn publish(world: &TestHost, to: &str, payload: Value) -> EventId {
    let payload = Bytes::from(payload.to_string());
    world.host.publish(topic(to), payload, None).await.unwrap().event
}

/// Returns the runs of a deployment that events started, in the order of their ids.
async fn runs_of(world: &TestHost, of: &str) -> Vec<Run> {
    let filter = RunFilter { deployment: Some(name(of)), ..RunFilter::default() };
    let mut runs = world.runs(filter).await;
    runs.retain(|run| run.trigger.kind == TriggerKind::Event);
    runs.reverse();
    runs
}

/// Returns the inputs of those runs.
async fn inputs_of(world: &TestHost, of: &str) -> Vec<Value> {
    let mut inputs_of = Vec::new();
    for run in runs_of(world, of).await {
        inputs_of.push(serde_json::from_slice(&world.store.input(run.id).await.unwrap().unwrap()).unwrap());
    }
    inputs_of
}

fn numbers(range: std::ops::Range<u32>) -> Vec<Value> {
    range.map(Value::from).collect()
}

async fn stored(world: &TestHost, of: &str) -> Subscription {
    world.store.subscription(&name(of), &named("s")).await.unwrap().unwrap()
}

async fn waiting(world: &TestHost, of: &str) -> u64 {
    world.store.lag(&stored(world, of).await).await.unwrap()
}

#[tokio::test]
async fn an_event_starts_a_run_for_each_matching_subscription() {
    let world = TestHost::paused().await;
    world.deploy(subscribed("exact", "orders.created", json!({}))).await;
    world.deploy(subscribed("german", "orders.*", json!({ "filter": { "/country": "DE" } }))).await;
    world.deploy(subscribed("all", "**", json!({}))).await;
    world.deploy(subscribed("other", "orders", json!({}))).await;
    let event = publish(&world, "orders.created", json!({ "country": "DE", "n": 1 })).await;
    publish(&world, "orders.created", json!({ "country": "FR", "n": 2 })).await;
    publish(&world, "orders.eu.created", json!(3)).await;
    world.tick().await;
    assert_eq!(inputs_of(&world, "exact").await.len(), 2);
    assert_eq!(inputs_of(&world, "german").await, [json!({ "country": "DE", "n": 1 })]);
    assert_eq!((inputs_of(&world, "all").await.len(), inputs_of(&world, "other").await.len()), (3, 0));
    let run = runs_of(&world, "german").await.remove(0);
    assert_eq!((run.trigger.name.as_deref(), run.trigger.id), (Some("orders.created"), Some(event.to_string())));
    assert_eq!(run.trigger.at, Some(START));
    assert_eq!(run.trigger.details.as_deref(), Some(r#"{"subscription":"s"}"#));
    let german = stored(&world, "german").await;
    assert_eq!((german.delivered, german.filtered), (1, 1));
    world.tick().await;
    assert_eq!(inputs_of(&world, "all").await.len(), 3, "once");
    let text = world.host.metrics_text().await.unwrap();
    assert!(text.contains("tidemill_events_total{deployment=\"german\",result=\"filtered\"} 1"), "{text}");
    // Two for `exact`, one each for the two filters of `german`, three for `all`.
    assert!(text.contains("tidemill_event_delivery_seconds_count 7"), "{text}");
}

#[tokio::test]
async fn events_of_a_run_are_committed_with_its_success_and_name_it() {
    let world = TestHost::paused().await;
    world.deploy(json!({ "name": "publisher", "retry": { "attempts": 1 } })).await;
    world.deploy(subscribed("subscriber", "t", json!({}))).await;
    for succeeds in [false, true] {
        world.guests.act(move |job| async move {
            if job.run.deployment != name("publisher") {
                return output("null");
            }
            let id = EventId::new(START, u128::from(succeeds));
            let event = NewEvent { id, topic: topic("t"), payload: Bytes::from(succeeds.to_string()) };
            let effects = Effects { events: vec![event], ..Effects::default() };
            let outcome = if succeeds { output("null").outcome } else { failed(false, tidemill_engine::Cause::Guest) };
            ActivationResult::plain(outcome, effects, Fuel::new(1), 1)
        });
        let run = world.request("publisher").await;
        world.tick().await;
        world.until_settled(run.id).await;
        world.host.idle().await;
        world.tick().await;
        if succeeds {
            let runs_of = runs_of(&world, "subscriber").await.remove(0);
            let details: Value = serde_json::from_str(runs_of.trigger.details.as_deref().unwrap()).unwrap();
            assert_eq!(details["publisher"], json!({ "deployment": "publisher", "run": run.id }));
        }
    }
    assert_eq!(inputs_of(&world, "subscriber").await, [json!(true)]);
}

#[tokio::test]
async fn events_published_before_a_crash_are_delivered_once_by_the_next_epoch() {
    let mut world = TestHost::paused().await;
    for number in 0..3 {
        world.deploy(subscribed(&format!("d{number}"), "t", json!({}))).await;
    }
    // Publish to the store directly, as if the host had crashed before delivering.
    for n in 0..200 {
        let id = EventId::new(START, n);
        let event = NewEvent { id, topic: topic("t"), payload: Bytes::from(n.to_string()) };
        world.store.publish(NewPublication { event, key: None }, START).await.unwrap();
    }
    let old = world.next_epoch().await;
    world.tick().await;
    for number in 0..3 {
        assert_eq!(inputs_of(&world, &format!("d{number}")).await, numbers(0..200));
    }
    // The old epoch does not know that it is over.
    let _ = old.tick_all().await;
    drop(world.next_epoch().await);
    world.tick().await;
    for number in 0..3 {
        assert_eq!(inputs_of(&world, &format!("d{number}")).await, numbers(0..200));
    }
}

#[tokio::test]
async fn a_paused_subscription_waits_while_its_deployment_runs() {
    let world = TestHost::paused().await;
    let mut manifest = subscribed("a", "t.*", json!({}));
    manifest["subscriptions"].as_array_mut().unwrap().push(json!({ "name": "other", "topic": "u" }));
    world.deploy(manifest.clone()).await;
    let (a, s) = (name("a"), named("s"));
    let refused = world.host.resume_subscription(&a, &s).await.unwrap_err();
    assert_eq!(refused.code(), Code::RunState);
    let paused = world.host.pause_subscription(&a, &s, "the provider is down".to_owned()).await.unwrap();
    assert_eq!(paused.paused.map(|pause| (pause.since, pause.note)), Some((START, "the provider is down".to_owned())));
    for n in 0..3 {
        publish(&world, "t.x", json!(n)).await;
    }
    publish(&world, "u", json!("u")).await;
    world.tick().await;
    manifest["priority"] = 7.into();
    world.deploy(manifest).await;
    world.tick().await;
    assert_eq!((inputs_of(&world, "a").await, waiting(&world, "a").await), (vec![json!("u")], 3));
    let text = world.host.metrics_text().await.unwrap();
    assert!(text.contains("tidemill_subscription_lag{deployment=\"a\",subscription=\"s\"} 3"), "{text}");
    world.clock.advance(1);
    world.host.resume_subscription(&a, &s).await.unwrap();
    world.tick().await;
    assert_eq!(inputs_of(&world, "a").await, [json!("u"), json!(0), json!(1), json!(2)]);
    let none = world.host.pause_subscription(&a, &named("none"), String::new()).await.unwrap_err();
    assert_eq!(none.code(), Code::SubscriptionNotFound);
    let long = world.host.pause_subscription(&a, &s, "x".repeat(2_000)).await.unwrap_err();
    assert_eq!(long.code(), Code::BadField);
}

#[tokio::test]
async fn paused_deployments_lag_and_catch_up_in_order() {
    let world = TestHost::paused().await;
    world.deploy(subscribed("a", "t.*", json!({}))).await;
    world.host.pause(&name("a"), String::new()).await.unwrap();
    for n in 0..150 {
        publish(&world, "t.x", json!(n)).await;
        world.clock.advance(1);
    }
    world.tick().await;
    assert_eq!((inputs_of(&world, "a").await.len(), waiting(&world, "a").await), (0, 150));
    let text = world.host.metrics_text().await.unwrap();
    assert!(text.contains("tidemill_subscription_lag{deployment=\"a\",subscription=\"s\"} 150"), "{text}");
    world.host.resume(&name("a")).await.unwrap();
    world.tick().await;
    assert_eq!(inputs_of(&world, "a").await, numbers(0..150));
    // Another revision continues at the same position.
    world.deploy(subscribed("a", "t.*", json!({ "from": "earliest" }))).await;
    publish(&world, "t.x", json!(150)).await;
    world.tick().await;
    assert_eq!(inputs_of(&world, "a").await, numbers(0..151));
    let text = world.host.metrics_text().await.unwrap();
    assert!(text.contains("tidemill_subscription_lag{deployment=\"a\",subscription=\"s\"} 0"), "{text}");
    world.host.delete(&name("a"), true).await.unwrap();
    assert!(!world.host.metrics_text().await.unwrap().contains("deployment=\"a\""));
}

#[tokio::test]
async fn a_full_queue_delays_events_and_loses_none() {
    fn small(config: &mut HostConfig) {
        config.queue_max = 5;
    }
    let world = TestHost::paused_with(small).await;
    let gate = world.guests.gated("null");
    let mut manifest = subscribed("a", "t", json!({}));
    manifest["concurrency"] = 1.into();
    world.deploy(manifest).await;
    for n in 0..20 {
        publish(&world, "t", json!(n)).await;
    }
    world.tick().await;
    let before = inputs_of(&world, "a").await.len();
    assert!(before <= 6, "{before} runs wait or go on, of at most five and one");
    for n in 1..=20 {
        gate.add_permits(1);
        world.guests.are_gone(n).await;
        world.host.idle().await;
        world.clock.advance(500);
        world.tick().await;
    }
    assert_eq!(inputs_of(&world, "a").await, numbers(0..20));
}

#[tokio::test]
async fn hostile_payloads_are_filtered_out_and_park_no_other_run() {
    let world = TestHost::paused().await;
    world.deploy(subscribed("filtered", "t", json!({ "filter": { "/a/b": [1, null] } }))).await;
    world.deploy(subscribed("all", "t", json!({}))).await;
    world.guests.act(|job| async move {
        if job.input == "\"poison\"" {
            crate::fixture::guests::failure(false, tidemill_engine::Cause::Guest)
        } else {
            output("1")
        }
    });
    let deep = "[".repeat(60) + &"]".repeat(60);
    let poison = [json!("poison"), json!(null), json!([]), json!({ "a": [1] }), serde_json::from_str(&deep).unwrap()];
    for payload in poison.iter().cloned().chain([json!({ "a": { "b": null } }), json!({ "a": { "b": 1.0 } })]) {
        publish(&world, "t", payload).await;
    }
    world.tick().await;
    world.host.idle().await;
    assert_eq!((inputs_of(&world, "filtered").await.len(), inputs_of(&world, "all").await.len()), (2, 7));
    let parked = world.runs(RunFilter { states: vec!["parked".into()], ..RunFilter::default() }).await;
    assert_eq!(parked.len(), 1);
}

async fn until_done(world: &TestHost, id: &str) -> Operation {
    loop {
        world.tick().await;
        let operation = world.host.operation(id).await.unwrap();
        if operation.state == OperationState::Done {
            return operation;
        }
    }
}

#[tokio::test]
async fn a_replay_starts_runs_again_and_duplicates_none_over_a_restart() {
    let mut world = TestHost::paused().await;
    world.deploy(subscribed("a", "t", json!({ "filter": { "/odd": true } }))).await;
    for n in 0..200 {
        publish(&world, "t", json!({ "n": n, "odd": n % 2 == 1 })).await;
        world.clock.advance(10);
    }
    world.tick().await;
    assert_eq!(inputs_of(&world, "a").await.len(), 100);
    let since = |n: u64| START.plus_millis(n * 10);
    let replay = world.host.replay(&name("a"), &named("s"), since(50), Some(since(190)), None).await.unwrap();
    assert_eq!((replay.total, replay.state), (Some(140), OperationState::Running));
    // Events published during the replay are delivered once, and not by it.
    publish(&world, "t", json!({ "n": 200, "odd": true })).await;
    drop(world.next_epoch().await);
    let done = until_done(&world, &replay.id).await;
    assert_eq!((done.matched, done.done, done.failed), (140, 70, 0));
    let runs = runs_of(&world, "a").await;
    assert_eq!(runs.len(), 100 + 1 + 70);
    let again: Vec<&Run> =
        runs.iter().filter(|run| run.trigger.details.as_ref().unwrap().contains(&replay.id)).collect();
    assert_eq!(again.len(), 70);
    assert!(again.windows(2).all(|pair| pair[0].trigger.at < pair[1].trigger.at), "in the order of the events");
    world.tick().await;
    assert_eq!(runs_of(&world, "a").await.len(), 171);
    for (to, from, until, code) in [("b", 0, None, Code::DeploymentNotFound), ("a", 5, Some(since(0)), Code::BadField)]
    {
        let refused = world.host.replay(&name(to), &named("s"), since(from), until, None).await.unwrap_err();
        assert_eq!(refused.code(), code);
    }
    let refused = world.host.replay(&name("a"), &named("t"), START, None, None).await.unwrap_err();
    assert_eq!(refused.code(), Code::SubscriptionNotFound);
}

#[tokio::test]
async fn skipping_drops_waiting_events_and_reports_their_number() {
    let world = TestHost::paused().await;
    world.deploy(subscribed("a", "t", json!({}))).await;
    world.host.pause(&name("a"), String::new()).await.unwrap();
    for n in 0..3 {
        publish(&world, "t", json!(n)).await;
    }
    assert_eq!(world.host.skip(&name("a"), &named("s")).await.unwrap(), 3);
    world.host.resume(&name("a")).await.unwrap();
    publish(&world, "t", json!(3)).await;
    world.tick().await;
    assert_eq!(inputs_of(&world, "a").await, [json!(3)]);
}

#[tokio::test]
async fn undelivered_events_removed_by_retention_are_counted_and_reported() {
    fn short(config: &mut HostConfig) {
        config.event_retention = Some(Duration::from_secs(3600));
        config.events_max = Some(8);
    }
    let world = TestHost::paused_with(short).await;
    world.deploy(subscribed("quick", "t", json!({}))).await;
    world.deploy(subscribed("paused", "t", json!({}))).await;
    world.host.pause(&name("paused"), String::new()).await.unwrap();
    for n in 0..10 {
        publish(&world, "t", json!(n)).await;
    }
    world.tick().await;
    assert_eq!(inputs_of(&world, "quick").await.len(), 10);
    assert_eq!((stored(&world, "quick").await.lost, stored(&world, "paused").await.lost), (0, 2));
    world.clock.advance(3_600_001);
    publish(&world, "t", json!(10)).await;
    world.tick().await;
    assert_eq!((stored(&world, "paused").await.lost, waiting(&world, "paused").await), (10, 1));
    let lost: Vec<u64> = world
        .store
        .feed(0, 1_000)
        .await
        .unwrap()
        .into_iter()
        .filter_map(|entry| match entry.event {
            FeedEvent::Subscription { change, events, .. } if change == "lost" => Some(events),
            _ => None,
        })
        .collect();
    assert_eq!(lost, [2, 8]);
    world.host.resume(&name("paused")).await.unwrap();
    world.tick().await;
    assert_eq!(inputs_of(&world, "paused").await, [json!(10)]);
    assert!(world.host.metrics_text().await.unwrap().contains("tidemill_events_lost_total 10"));
    world.clock.advance(2 * 3_600_000);
    world.tick().await;
    assert_eq!(world.store.topic(&topic("t")).await.unwrap(), None, "a topic goes with its last event");
}

#[tokio::test]
async fn publications_are_validated_and_a_key_publishes_once() {
    let world = TestHost::paused().await;
    let send = |payload: &'static str, key: &str| {
        world.host.publish(topic("t"), Bytes::from_static(payload.as_bytes()), Some(key.to_owned()))
    };
    let first = send("1", "k").await.unwrap();
    let again = send("1", "k").await.unwrap();
    assert_eq!((first.duplicate, again.duplicate, first.event), (false, true, again.event));
    for (payload, key, code) in
        [("2", "k", Code::IdempotencyMismatch), ("{", "l", Code::BadJson), ("1", "", Code::BadField)]
    {
        assert_eq!(send(payload, key).await.unwrap_err().code(), code);
    }
    let long = Bytes::from(format!("\"{}\"", "x".repeat(70_000)));
    assert_eq!(world.host.publish(topic("t"), long, None).await.unwrap_err().code(), Code::BadField);
    let found = world.store.topic(&topic("t")).await.unwrap().unwrap();
    assert_eq!((found.events, found.last_at), (1, Timestamp::from_millis(START.as_millis())));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn enabled_subscribers_receive_everything_and_disabled_ones_nothing() {
    let world = TestHost::paused().await;
    for n in 0..300 {
        let mut manifest = subscribed(&format!("d{n}"), if n % 2 == 0 { "t" } else { "**" }, json!({}));
        manifest["enabled"] = (n < 250).into();
        world.deploy(manifest).await;
    }
    publish(&world, "t", json!(1)).await;
    world.tick().await;
    for n in 0..300 {
        assert_eq!(inputs_of(&world, &format!("d{n}")).await.len(), usize::from(n < 250), "d{n}");
    }
}
