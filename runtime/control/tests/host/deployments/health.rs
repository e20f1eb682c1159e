//! The health of deployments: checks, signals, transitions and uptime.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;
use tidemill_control::DeploymentHealth;
use tidemill_core::health::{HealthStatus, HealthTransition, Outage};
use tidemill_core::run::Export;
use tidemill_core::{Limits, Timestamp};
use tidemill_engine::{ActivationResult, Cause, Urgency};
use tidemill_store::records::{LogLevel, LogLine, PageRequest};
use tokio::sync::Semaphore;

use crate::fixture::guests::{failure, output};
use crate::fixture::{START, TestHost, name};

const CHECKED: [Export; 2] = [Export::Workflow, Export::Health];

fn unhealthy() -> ActivationResult {
    output(r#"{"status":"unhealthy","reason":"no answer"}"#)
}

fn healthy() -> ActivationResult {
    output(r#"{"status":"healthy"}"#)
}

impl TestHost {
    /// Deploys a manifest, and lets the host plan the first observation within one interval.
    async fn observe(&self, manifest: serde_json::Value) {
        self.deploy(manifest).await;
        self.tick().await;
        self.host.health_idle().await;
    }

    /// Moves the clock by one interval of health checks, and waits until all of them have ended.
    async fn interval(&self) {
        self.clock.advance(15_000);
        self.tick().await;
        self.host.health_idle().await;
    }

    async fn health(&self) -> DeploymentHealth {
        self.host.health_of(&name("a")).await.unwrap()
    }

    async fn status(&self) -> HealthStatus {
        self.health().await.summary.state.status
    }

    async fn transitions(&self) -> Vec<HealthTransition> {
        self.host.health_transitions(&name("a"), PageRequest::first(100)).await.unwrap().items
    }
}

#[tokio::test]
async fn a_deployment_is_unhealthy_after_three_failed_checks_and_healthy_after_one_success() {
    let world = TestHost::new(&CHECKED, false).await;
    world.observe(json!({ "name": "a" })).await;
    assert_eq!(world.status().await, HealthStatus::Unknown);
    world.guests.act(|_| async { healthy() });
    world.interval().await;
    assert_eq!(world.status().await, HealthStatus::Healthy);
    world.guests.act(|_| async { unhealthy() });
    for failures in 1..3 {
        world.interval().await;
        let health = world.health().await;
        assert_eq!((health.summary.state.status, health.summary.state.failures), (HealthStatus::Healthy, failures));
    }
    world.interval().await;
    let health = world.health().await;
    assert_eq!(health.summary.state.status, HealthStatus::Unhealthy);
    assert_eq!(health.summary.state.reason.as_deref(), Some("no answer"));
    assert_eq!(health.results.len(), 4);
    world.guests.act(|_| async { healthy() });
    world.interval().await;
    assert_eq!(world.status().await, HealthStatus::Healthy);
    let changes: Vec<_> = world.transitions().await.into_iter().map(|change| change.to).collect();
    assert_eq!(changes, [HealthStatus::Healthy, HealthStatus::Unhealthy, HealthStatus::Healthy]);
}

#[tokio::test]
async fn a_check_is_a_small_run_without_a_record() {
    let world = TestHost::new(&CHECKED, false).await;
    world.observe(json!({ "name": "a", "limits": { "fuel": 1_000, "active": "10s" } })).await;
    world.guests.act(|job| async move {
        assert_eq!(job.export, Export::Health);
        let Limits { fuel, active_millis, http_calls, .. } = job.run.limits.clone();
        assert_eq!((fuel.get(), active_millis, http_calls), (1_000, 1_000, 10));
        let line = |seq| {
            let message = format!("line {seq}");
            LogLine { seq, at: START, attempt: 1, level: LogLevel::Info, message, fields: vec![] }
        };
        (0..30).for_each(|seq| job.channel.log(line(seq)));
        healthy()
    });
    world.interval().await;
    let health = world.health().await;
    assert_eq!(health.results.len(), 1, "{health:?}");
    assert_eq!(health.results[0].lines.len(), 20, "the first lines are kept");
    assert!(world.runs(<_>::default()).await.is_empty());
    assert_eq!(world.host.running(), 0);
}

#[tokio::test]
async fn a_check_that_traps_fails_and_a_check_that_the_host_cannot_execute_shows_nothing() {
    let world = TestHost::new(&CHECKED, false).await;
    world.observe(json!({ "name": "a" })).await;
    world.guests.act(|_| async { failure(true, Cause::Host) });
    for _ in 0..5 {
        world.interval().await;
    }
    assert_eq!(world.status().await, HealthStatus::Unknown);
    world.guests.act(|_| async { failure(false, Cause::Trap) });
    for _ in 0..3 {
        world.interval().await;
    }
    let state = world.health().await.summary.state;
    assert_eq!(state.status, HealthStatus::Unhealthy);
    assert_eq!(state.reason.as_deref(), Some("the health check failed with no-luck: it did not work"));
}

#[tokio::test]
async fn a_check_that_hangs_is_stopped_and_fails() {
    let world = TestHost::with(&CHECKED, false, |config| config.health_check_max = Duration::ZERO).await;
    world.observe(json!({ "name": "a" })).await;
    world.guests.act(|job| async move {
        job.cancel.reached(Urgency::Now).await;
        failure(false, Cause::Cancelled)
    });
    world.interval().await;
    let result = world.health().await.results.remove(0);
    assert_eq!(result.assessment.reason(), Some("the health check did not end within 0 s"));
}

#[tokio::test]
async fn a_full_deployment_is_checked_all_the_same() {
    let world = TestHost::new(&CHECKED, false).await;
    world.observe(json!({ "name": "a", "concurrency": 1 })).await;
    let gate = Arc::new(Semaphore::new(0));
    let held = Arc::clone(&gate);
    world.guests.act(move |job| {
        let gate = Arc::clone(&held);
        async move {
            if job.export == Export::Health {
                return healthy();
            }
            gate.acquire().await.unwrap().forget();
            output("1")
        }
    });
    let run = world.request("a").await;
    world.tick().await;
    world.guests.have_begun(1).await;
    world.interval().await;
    assert_eq!(world.status().await, HealthStatus::Healthy);
    gate.add_permits(1);
    world.until_settled(run.id).await;
}

#[tokio::test]
async fn a_deployment_without_a_check_is_judged_by_its_runs() {
    let world = TestHost::paused().await;
    world.observe(json!({ "name": "a", "retry": { "attempts": 1 }, "breaker": false })).await;
    world.interval().await;
    assert_eq!(world.status().await, HealthStatus::Unknown);
    let works = world.request("a").await;
    world.tick().await;
    world.until_settled(works.id).await;
    world.host.idle().await;
    world.interval().await;
    assert_eq!(world.status().await, HealthStatus::Healthy);
    world.guests.act(|_| async { failure(false, Cause::Trap) });
    for _ in 0..3 {
        for _ in 0..20 {
            world.request("a").await;
        }
        world.tick().await;
        world.host.idle().await;
        world.interval().await;
    }
    let health = world.health().await;
    assert_eq!(health.summary.state.status, HealthStatus::Unhealthy, "{health:?}");
    assert_eq!(health.summary.state.reason.as_deref(), Some("60 of the last 61 attempts failed"));
}

#[tokio::test]
async fn an_open_breaker_makes_a_deployment_unhealthy_at_once() {
    let world = TestHost::paused().await;
    world.observe(json!({ "name": "a", "retry": { "attempts": 1 } })).await;
    world.guests.act(|_| async { failure(false, Cause::Trap) });
    for _ in 0..10 {
        world.request("a").await;
    }
    world.tick().await;
    world.host.idle().await;
    // The breaker has the deployment observed before its time.
    world.clock.advance(1);
    world.tick().await;
    world.tick().await;
    world.host.health_idle().await;
    let state = world.health().await.summary.state;
    let reason = "the circuit breaker is open: 10 of the last 10 attempts failed";
    assert_eq!((state.status, state.reason.as_deref()), (HealthStatus::Unhealthy, Some(reason)));
    // Once it is half-open, attempts that succeed close it, and the deployment is healthy again.
    world.guests.act(|_| async { output("1") });
    world.clock.advance(61_000);
    for _ in 0..10 {
        world.request("a").await;
    }
    for _ in 0..4 {
        world.tick().await;
        world.host.idle().await;
        world.host.health_idle().await;
        world.clock.advance(1);
    }
    assert_eq!(world.status().await, HealthStatus::Healthy, "{:?}", world.health().await);
}

#[tokio::test]
async fn permanent_failures_that_a_module_returns_are_answers() {
    let world = TestHost::paused().await;
    world.observe(json!({ "name": "a", "retry": { "attempts": 1 } })).await;
    world.guests.act(|_| async { failure(false, Cause::Guest) });
    for _ in 0..4 {
        for _ in 0..20 {
            world.request("a").await;
        }
        world.tick().await;
        world.host.idle().await;
        world.interval().await;
    }
    assert_eq!(world.status().await, HealthStatus::Healthy);
}

#[tokio::test]
async fn a_paused_deployment_is_not_observed_and_keeps_its_status() {
    let world = TestHost::new(&CHECKED, false).await;
    world.observe(json!({ "name": "a" })).await;
    world.guests.act(|_| async { healthy() });
    world.interval().await;
    world.host.pause(&name("a"), "moving".to_owned()).await.unwrap();
    world.guests.act(|_| async { unhealthy() });
    let begun = world.guests.begun();
    for _ in 0..4 {
        world.interval().await;
    }
    let health = world.health().await;
    assert_eq!((health.summary.state.status, health.summary.observed), (HealthStatus::Healthy, false));
    assert_eq!((world.guests.begun(), health.next), (begun, None));
}

#[tokio::test]
async fn checks_are_spread_over_the_interval_and_each_comes_once_in_it() {
    let world = TestHost::new(&CHECKED, false).await;
    for number in 0..30 {
        world.deploy(json!({ "name": format!("d{number}") })).await;
    }
    let most = Arc::new(AtomicUsize::new(0));
    world.guests.act(|_| async { healthy() });
    world.tick().await;
    let first = world.guests.begun();
    for _ in 0..45 {
        let before = world.guests.begun();
        world.clock.advance(1_000);
        world.tick().await;
        world.host.health_idle().await;
        most.fetch_max(world.guests.begun() - before, Ordering::SeqCst);
    }
    let begun = world.guests.begun() - first;
    assert!((85..=91).contains(&begun), "{begun} checks of 30 deployments in three intervals");
    assert!(most.load(Ordering::SeqCst) < 15, "{most:?} at once");
}

#[tokio::test]
async fn the_status_survives_a_restart_and_the_outage_is_no_downtime() {
    let mut world = TestHost::new(&CHECKED, false).await;
    world.observe(json!({ "name": "a" })).await;
    world.guests.act(|_| async { healthy() });
    world.interval().await;
    world.guests.act(|_| async { unhealthy() });
    for _ in 0..3 {
        world.interval().await;
    }
    world.host.shutdown(Duration::from_secs(5)).await;
    let down = world.clock_now();
    world.clock.advance(3_000_000);
    world.open_again().await;
    drop(world.next_epoch().await);
    world.guests.act(|_| async { unhealthy() });
    world.tick().await;
    assert_eq!(world.store.outages().await.unwrap().last(), Some(&Outage { from: down, to: world.clock_now() }));
    world.interval().await;
    let health = world.health().await;
    assert_eq!(health.summary.state.status, HealthStatus::Unhealthy, "one more failure changes nothing");
    let hour = health.uptimes[0];
    assert_eq!((hour.up_millis, hour.known_millis), (45_000, 60_000));
}

#[tokio::test]
async fn a_status_that_cannot_be_committed_does_not_change() {
    let world = TestHost::new(&CHECKED, false).await;
    world.observe(json!({ "name": "a" })).await;
    world.guests.act(|_| async { healthy() });
    world.disk.set_full(true);
    world.clock.advance(15_000);
    let _ = world.host.tick_all().await;
    world.host.health_idle().await;
    assert_eq!(world.status().await, HealthStatus::Unknown);
    world.disk.set_full(false);
    world.interval().await;
    assert_eq!(world.status().await, HealthStatus::Healthy);
    assert_eq!(world.transitions().await.len(), 1);
}

impl TestHost {
    fn clock_now(&self) -> Timestamp {
        tidemill_core::Clock::now(&*self.clock)
    }
}
