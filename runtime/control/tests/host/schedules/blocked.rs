//! Schedules blocked by the policy or by an unknown time zone, and what else a stricter policy
//! bounds.

use std::path::Path;
use std::sync::LazyLock;

use serde_json::json;
use tidemill_control::{ControlError, HostConfig, RunRequest, ScheduleBlock, StageName, install_zones};
use tidemill_core::policy::PolicyInForce;
use tidemill_core::schedule::ScheduleEnd;
use tidemill_core::{Code, Policy, ScheduleName};
use tidemill_store::records::{RunFilter, Schedule};

use crate::fixture::guests::output;
use crate::fixture::{START, TestHost, name};
use crate::schedules::zones::write;

const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;

fn named(text: &str) -> ScheduleName {
    text.parse().unwrap()
}

fn block_of(world: &TestHost, schedule: &str) -> Option<ScheduleBlock> {
    world.host.block_of(&name("a"), &named(schedule))
}

async fn stored(world: &TestHost, schedule: &str) -> Schedule {
    world.store.schedule(&name("a"), &named(schedule)).await.unwrap().unwrap()
}

async fn fired(world: &TestHost, schedule: &str) -> u64 {
    stored(world, schedule).await.fired
}

fn policy(text: &str) -> Policy {
    Policy::parse_toml(text).unwrap()
}

#[tokio::test]
async fn a_schedule_beyond_a_stricter_policy_does_not_fire_until_the_policy_allows_it() {
    static POLICY: LazyLock<PolicyInForce> = LazyLock::new(PolicyInForce::default);
    let mut world = TestHost::paused_with(|config: &mut HostConfig| config.policy = POLICY.clone()).await;
    world.guests.act(|_| async { output("1") });
    let schedules = json!([{ "name": "often", "cron": "* * * * *" }, { "name": "hourly", "every": "1h" }]);
    world.deploy(json!({ "name": "a", "schedules": schedules })).await;
    POLICY.replace(policy("schedules.minimum_interval = \"10m\""));
    world.host.apply_policy().await.unwrap();
    let block = block_of(&world, "often").unwrap();
    assert!(block.by_policy && block.detail.contains("the policy allows 10m"), "{block:?}");
    assert_eq!(block_of(&world, "hourly"), None);
    let text = world.host.blocked_text().unwrap();
    assert!(text.contains("`a/often` (it fires 1m apart; the policy allows 10m)"), "{text}");
    let ahead = world.host.preview(&name("a"), &named("often"), 3, START).await.unwrap();
    assert_eq!((ahead.firings.len(), ahead.ends), (0, Some(ScheduleEnd::Blocked)));

    world.clock.set(START.plus_millis(HOUR));
    world.tick().await;
    assert_eq!((fired(&world, "often").await, fired(&world, "hourly").await), (0, 1));
    // The next epoch starts blocked.
    drop(world.next_epoch().await);
    world.tick().await;
    assert!(block_of(&world, "often").is_some());
    assert_eq!(fired(&world, "often").await, 0);

    // Its catch-up policy decides about the hour that has passed.
    POLICY.replace(policy(""));
    world.host.apply_policy().await.unwrap();
    assert_eq!((block_of(&world, "often"), world.host.blocked_text()), (None, None));
    world.tick().await;
    let often = stored(&world, "often").await;
    assert!(often.fired >= 1 && often.fired + often.skipped + often.missed == 60, "{often:?}");
    assert_eq!(often.next, Some(START.plus_millis(HOUR + MINUTE)));
}

#[tokio::test]
async fn a_revision_within_the_policy_fires_again() {
    static POLICY: LazyLock<PolicyInForce> = LazyLock::new(PolicyInForce::default);
    let world = TestHost::paused_with(|config: &mut HostConfig| config.policy = POLICY.clone()).await;
    world.guests.act(|_| async { output("1") });
    let schedule = |name: &str| json!({ "name": name, "every": "1h" });
    world.deploy(json!({ "name": "a", "schedules": [schedule("one"), schedule("two")] })).await;
    POLICY.replace(policy("schedules.count = 1"));
    world.host.apply_policy().await.unwrap();
    assert_eq!(block_of(&world, "one"), None);
    assert!(block_of(&world, "two").unwrap().detail.contains("the policy allows 1 schedules"));
    world.deploy(json!({ "name": "a", "schedules": [schedule("two")] })).await;
    assert_eq!(block_of(&world, "two"), None);
    world.clock.set(START.plus_millis(HOUR));
    world.tick().await;
    assert_eq!(fired(&world, "two").await, 1);
}

#[tokio::test]
async fn a_stricter_policy_bounds_concurrency_and_queues_of_existing_deployments() {
    static POLICY: LazyLock<PolicyInForce> = LazyLock::new(PolicyInForce::default);
    let world = TestHost::paused_with(|config: &mut HostConfig| config.policy = POLICY.clone()).await;
    world.deploy(json!({ "name": "a", "concurrency": 4, "queue": 100 })).await;
    POLICY.replace(policy("concurrency = 2\n[deployments.a]\nqueue = 3"));
    let beyond = world.try_deploy("1.0.0", json!({ "name": "a", "concurrency": 4, "queue": 100 })).await.unwrap_err();
    let ControlError::Problems { code: Code::PolicyDenied, problems } = beyond else { panic!("{beyond:?}") };
    assert!(problems[0].fix.ends_with("deployments.a.concurrency = 4"), "{problems:?}");
    assert!(problems[1].fix.ends_with("deployments.a.queue = 100"), "{problems:?}");
    world.host.apply_policy().await.unwrap();
    let gate = world.guests.gated("1");
    for _ in 0..3 {
        world.request("a").await;
    }
    assert_eq!(world.host.request(RunRequest::new(name("a"), "{}")).await.unwrap_err().code(), Code::QueueFull);
    world.tick().await;
    world.guests.have_begun(2).await;
    assert_eq!(world.host.running(), 2);
    let queued = world.runs(RunFilter { states: vec!["queued".to_owned()], ..RunFilter::default() }).await;
    let explanation = world.host.explain(queued[0].id).await.unwrap();
    let stage = explanation.stages.iter().find(|stage| stage.name == StageName::Concurrency).unwrap();
    assert_eq!((stage.used, stage.limit), (Some(2), Some(2)));
    // A looser policy also takes effect at once.
    POLICY.replace(policy(""));
    world.host.apply_policy().await.unwrap();
    world.tick().await;
    world.guests.have_begun(3).await;
    gate.add_permits(3);
}

fn zone_data(dir: &Path) {
    write(dir, "Etc/UTC", 0);
    write(dir, "Test/Own", 1);
}

#[tokio::test]
async fn a_stored_schedule_in_an_unknown_zone_is_silent_until_the_zone_is_known() {
    let dir = tempfile::tempdir().unwrap();
    zone_data(dir.path());
    install_zones(Some(dir.path())).unwrap();
    let mut world = TestHost::paused().await;
    world.guests.act(|_| async { output("1") });
    let own = json!({ "name": "own", "cron": "0 9 * * *", "time_zone": "Test/Own" });
    let utc = json!({ "name": "utc", "cron": "0 8 * * *" });
    world.deploy(json!({ "name": "a", "schedules": [own.clone(), utc] })).await;
    std::fs::remove_file(dir.path().join("Test/Own")).unwrap();
    install_zones(Some(dir.path())).unwrap();
    drop(world.next_epoch().await);
    let block = block_of(&world, "own").unwrap();
    assert!(!block.by_policy && block.detail.contains("`Test/Own`"), "{block:?}");
    assert_eq!(block_of(&world, "utc"), None);
    assert!(world.host.blocked_text().unwrap().contains("`a/own`"));

    // Both are due at the same time.
    world.clock.set(START.plus_millis(8 * HOUR + 30 * MINUTE));
    world.tick().await;
    assert_eq!((fired(&world, "own").await, fired(&world, "utc").await), (0, 1));
    assert_eq!(stored(&world, "own").await.next, Some(START.plus_millis(8 * HOUR)));
    // Operations that need none of its times succeed. The others report why they fail.
    let (by_hand, _) = world.host.trigger(&name("a"), &named("own"), None).await.unwrap();
    world.tick().await;
    world.until_settled(by_hand.id).await;
    world.host.pause_schedule(&name("a"), &named("own"), String::new()).await.unwrap();
    let refused = world.host.resume_schedule(&name("a"), &named("own")).await.unwrap_err();
    assert!(refused.to_string().contains("`Test/Own`"), "{refused}");
    let refused = world.try_deploy("1.0.0", json!({ "name": "b", "schedules": [own] })).await.unwrap_err();
    let ControlError::Problems { code: Code::BadManifest, problems } = refused else { panic!("{refused:?}") };
    assert_eq!(problems[0].pointer, "/schedules/0/time_zone");

    zone_data(dir.path());
    assert_eq!(world.host.refresh_zones().await.unwrap(), 0);
    assert_eq!(block_of(&world, "own"), None);
    world.host.resume_schedule(&name("a"), &named("own")).await.unwrap();
    world.clock.set(START.plus_millis(32 * HOUR));
    world.tick().await;
    assert_eq!(fired(&world, "own").await, 1);
}
