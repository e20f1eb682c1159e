//! The system clock is set forward and back while the host runs. Skipped times are late or missed
//! by the schedule's policy, and no firing and no end of a sleep happens twice.

use std::time::Duration;

use serde_json::json;
use tidemill_control::ScheduleFilter;
use tidemill_core::run::RunState;
use tidemill_core::{Code, Timestamp};
use tidemill_store::records::{FeedEvent, RunFilter};

use crate::fixture::{BOTH_WAYS, START, TestHost, name};

const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;

async fn minutely(world: &TestHost, catch_up: &str) {
    let schedule = json!({ "name": "often", "cron": "* * * * *", "overlap": "allow", "catch_up": catch_up });
    world.deploy(json!({ "name": "a", "schedules": [schedule] })).await;
}

/// Returns the nominal times of all runs in minutes from the start, oldest first.
async fn fired(world: &TestHost) -> Vec<u64> {
    let runs = world.runs(RunFilter::default()).await;
    let mut minutes: Vec<_> =
        runs.iter().filter_map(|run| run.trigger.at).map(|at| at.millis_since(START) / MINUTE).collect();
    minutes.sort_unstable();
    minutes
}

/// Makes guests sleep for an hour and count how often they wake.
fn sleepers(world: &TestHost) {
    world.act(|mut guest| async move {
        guest.sleep_until(guest.job.run.created_at.plus_millis(HOUR)).await?;
        guest.count("woken").await;
        Ok(guest.succeed("1"))
    });
}

async fn woken(world: &TestHost) -> Option<bytes::Bytes> {
    world.store.state(&name("a"), "woken").await.unwrap().value
}

#[tokio::test]
async fn times_skipped_by_a_clock_set_forward_are_late_or_missed_by_the_policy() {
    for (catch_up, expected, missed) in
        [("all", (1..=10).collect(), 0), ("last", vec![9, 10], 8), ("none", vec![10], 9)]
    {
        let world = TestHost::paused().await;
        minutely(&world, catch_up).await;
        // Nine times are skipped; the tenth is on time.
        world.clock.set(START.plus_millis(10 * MINUTE));
        world.tick().await;
        assert_eq!(fired(&world).await, expected, "{catch_up}");
        let schedule = world.store.schedule(&name("a"), &"often".parse().unwrap()).await.unwrap().unwrap();
        assert_eq!((schedule.missed, schedule.next), (missed, Some(START.plus_millis(11 * MINUTE))), "{catch_up}");
    }
}

#[tokio::test]
async fn only_skipped_times_inside_the_window_are_made_up_for() {
    let world = TestHost::paused().await;
    minutely(&world, "all").await;
    world.clock.set(START.plus_millis(3 * HOUR + 30_000));
    world.tick().await;
    assert_eq!(fired(&world).await, (121..=180).collect::<Vec<_>>());
    let schedule = world.store.schedule(&name("a"), &"often".parse().unwrap()).await.unwrap().unwrap();
    assert_eq!((schedule.fired, schedule.missed), (60, 120));
}

#[tokio::test]
async fn a_clock_set_back_fires_no_time_twice_and_keeps_the_next_time() {
    let world = TestHost::paused().await;
    minutely(&world, "all").await;
    for minute in 1..=3 {
        world.clock.set(START.plus_millis(minute * MINUTE));
        world.tick().await;
    }
    // Before the first firing, before all of them, and minute by minute up to the old time.
    for at in [START, Timestamp::from_millis(START.as_millis() - HOUR)] {
        world.clock.set(at);
        world.tick().await;
        assert_eq!(fired(&world).await, [1, 2, 3]);
    }
    for minute in 1..=5 {
        world.clock.set(START.plus_millis(minute * MINUTE));
        world.tick().await;
        assert_eq!(fired(&world).await, (1..=minute.max(3)).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn a_clock_set_back_over_a_restart_fires_no_time_twice() {
    let mut world = TestHost::paused().await;
    minutely(&world, "all").await;
    world.clock.set(START.plus_millis(2 * MINUTE));
    world.tick().await;
    world.clock.set(START);
    world.next_epoch().await.shutdown(Duration::ZERO).await;
    world.open_again().await;
    world.next_epoch().await;
    for minute in 0..=3 {
        world.clock.set(START.plus_millis(minute * MINUTE));
        world.tick().await;
    }
    assert_eq!(fired(&world).await, [1, 2, 3]);
}

#[tokio::test]
async fn a_sleep_ends_when_the_clock_has_passed_its_end_and_only_once() {
    for change in BOTH_WAYS {
        let world = TestHost::paused_with(change).await;
        world.deploy(json!({ "name": "a" })).await;
        sleepers(&world);
        let run = world.request("a").await;
        world.tick().await;
        world.until(run.id, |run| run.state == RunState::Suspended).await;
        world.host.idle().await;
        // Back, and forward to just before its end.
        for at in [Timestamp::from_millis(START.as_millis() - HOUR), START, START.plus_millis(HOUR - 1)] {
            world.clock.set(at);
            world.tick().await;
            world.host.idle().await;
            assert_eq!((world.run(run.id).await.state, woken(&world).await), (RunState::Suspended, None));
        }
        // Far past its end.
        world.clock.set(START.plus_millis(3 * HOUR));
        world.tick().await;
        assert_eq!(world.until_settled(run.id).await.state, RunState::Succeeded);
        // Back again. The sleep stays over.
        world.clock.set(START);
        world.tick().await;
        assert_eq!(woken(&world).await.unwrap().as_ref(), b"1");
        let text = world.host.metrics_text().await.unwrap();
        assert!(text.contains("tidemill_wake_lateness_seconds_count 1\n"), "{text}");
        // One commit when it fell asleep, and one at its end.
        assert!(text.contains("tidemill_commit_seconds_count 2\n"), "{text}");
    }
}

#[tokio::test]
async fn sleeping_loops_notice_a_set_clock_without_a_wake_up() {
    let world = TestHost::running().await;
    minutely(&world, "all").await;
    sleepers(&world);
    let sleeper = world.request("a").await;
    world.until(sleeper.id, |run| run.state == RunState::Suspended).await;
    world.clock.set(START.plus_millis(MINUTE));
    until_fired(&world, 1).await;
    world.clock.set(Timestamp::from_millis(START.as_millis() - HOUR));
    world.clock.set(START.plus_millis(2 * HOUR));
    assert_eq!(world.until_settled(sleeper.id).await.state, RunState::Succeeded);
    // A firing that is an hour late is just inside the window.
    until_fired(&world, 62).await;
    assert_eq!(fired(&world).await, std::iter::once(1).chain(60..=120).collect::<Vec<_>>());
    world.host.shutdown(Duration::from_secs(10)).await;
}

async fn until_fired(world: &TestHost, count: usize) {
    let mut commits = world.store.committed();
    while fired(world).await.len() < count {
        commits.changed().await.unwrap();
    }
}

#[tokio::test]
async fn the_host_reports_silent_schedules_after_the_clock_was_set_back() {
    let world = TestHost::paused().await;
    minutely(&world, "all").await;
    world.clock.set(START.plus_millis(60 * MINUTE));
    world.tick().await;
    assert_eq!(world.host.clock_set_back(), None);
    let now = START.plus_millis(2 * MINUTE);
    world.clock.set(now);
    world.tick().await;
    let until = START.plus_millis(61 * MINUTE);
    let found = world.host.clock_set_back().unwrap();
    assert_eq!((found.back_millis, found.schedules, found.until), (58 * MINUTE, 1, until));
    assert_eq!(found.named, [(name("a"), "often".parse().unwrap(), until)]);
    let feed = world.store.feed(0, 10_000).await.unwrap();
    let notices = feed.iter().filter(|entry| matches!(entry.event, FeedEvent::ClockSetBack { schedules: 1, .. }));
    assert_eq!(notices.count(), 1);
    // A preview shows what will happen, before and after a revision.
    let first = async || {
        let ahead = world.host.preview(&name("a"), &"often".parse().unwrap(), 3, now).await.unwrap();
        ahead.firings[0].at
    };
    assert_eq!(first().await, until);
    let schedule = json!({ "name": "often", "cron": "* * * * *", "overlap": "skip" });
    let deployed = world.try_deploy("1.0.0", json!({ "name": "a", "schedules": [schedule] })).await.unwrap();
    assert!(deployed.warnings[0].contains("the clock was set back"), "{:?}", deployed.warnings);
    assert_eq!((deployed.previews[0].ahead.firings[0].at, first().await), (until, until));
    world.clock.advance(MINUTE);
    world.tick().await;
    assert_eq!(world.runs(RunFilter::default()).await.len(), 60);
    // The next epoch knows it too.
    let mut world = world;
    drop(world.next_epoch().await);
    assert_eq!(world.host.clock_set_back().unwrap().schedules, 1);
    world.clock.set(START.plus_millis(60 * MINUTE + 1));
    world.tick().await;
    assert_eq!(world.host.clock_set_back(), None);
}

#[tokio::test]
async fn resynced_schedules_follow_the_clock_again() {
    let world = TestHost::paused().await;
    minutely(&world, "all").await;
    world.deploy(json!({ "name": "b", "schedules": [{ "name": "often", "cron": "* * * * *" }] })).await;
    world.clock.set(START.plus_millis(60 * MINUTE));
    world.tick().await;
    let often: tidemill_core::ScheduleName = "often".parse().unwrap();
    assert_eq!(world.host.resync_schedule(&name("a"), &often).await.unwrap_err().code(), Code::RunState);
    world.clock.set(START.plus_millis(10 * MINUTE));
    world.tick().await;
    let one = world.host.resync_schedule(&name("a"), &often).await.unwrap();
    assert_eq!(one.next, Some(START.plus_millis(11 * MINUTE)));
    let before = world.runs(RunFilter::default()).await.len();
    world.clock.advance(MINUTE);
    world.tick().await;
    assert_eq!(world.runs(RunFilter::default()).await.len(), before + 1, "the other is silent");
    let operation = world.host.resync(ScheduleFilter::default(), None).await.unwrap();
    world.tick().await;
    let operation = world.host.operation(&operation.id).await.unwrap();
    assert_eq!((operation.matched, operation.done, operation.failed), (1, 1, 0));
    assert_eq!(world.host.clock_set_back(), None);
    world.clock.advance(MINUTE);
    world.tick().await;
    assert_eq!(world.runs(RunFilter::default()).await.len(), before + 3);
}
