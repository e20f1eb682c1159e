//! The system's zone data: schedules use it, and their next times change with it.

use std::path::Path;

use serde_json::json;
use tidemill_control::install_zones;
use tidemill_core::{ScheduleName, Timestamp};
use tidemill_store::records::{FeedEvent, RunFilter, Schedule};

use crate::fixture::guests::output;
use crate::fixture::{START, TestHost, name};

const HOUR: u64 = 3_600_000;

/// Returns a TZif file (RFC 9636) of a zone with a constant offset from Greenwich, in hours.
fn tzif(hours: i32) -> Vec<u8> {
    let part = |version_2: bool| {
        let mut part = b"TZif2".to_vec();
        part.resize(20, 0);
        for count in [0u32, 0, 0, 0, 1, 4] {
            part.extend_from_slice(&count.to_be_bytes());
        }
        part.extend_from_slice(&if version_2 { hours * 3_600 } else { 0 }.to_be_bytes());
        part.extend_from_slice(b"\0\0LMT\0");
        part
    };
    let rule = if hours < 0 { format!("\n<-{0:02}>{0}\n", -hours) } else { format!("\n<+{hours:02}>-{hours}\n") };
    [part(false), part(true), rule.into_bytes()].concat()
}

pub fn write(dir: &Path, zone: &str, hours: i32) {
    let file = dir.join(zone);
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(file, tzif(hours)).unwrap();
}

async fn stored(world: &TestHost) -> Schedule {
    let daily: ScheduleName = "daily".parse().unwrap();
    world.store.schedule(&name("a"), &daily).await.unwrap().unwrap()
}

#[tokio::test]
async fn schedules_are_rescheduled_when_the_rules_of_their_zone_change() {
    let dir = tempfile::tempdir().unwrap();
    assert!(install_zones(Some(dir.path())).unwrap_err().contains("no TZif file Etc/UTC"));
    write(dir.path(), "Etc/UTC", 0);
    write(dir.path(), "America/Vancouver", -8);
    install_zones(Some(dir.path())).unwrap();
    let mut world = TestHost::paused().await;
    world.guests.act(|_| async { output("1") });
    let schedule = json!({ "name": "daily", "cron": "0 9 * * *", "time_zone": "America/Vancouver" });
    let other = json!({ "name": "other", "cron": "0 9 * * *", "time_zone": "Europe/Berlin" });
    world.deploy(json!({ "name": "a", "schedules": [schedule, other] })).await;
    let at = |day: u64, hour: u64| Some(START.plus_millis(day * 24 * HOUR + hour * HOUR));
    assert_eq!(stored(&world).await.next, at(0, 17));
    // The first check stores the rules and changes nothing.
    assert_eq!(world.host.refresh_zones().await.unwrap(), 0);
    write(dir.path(), "America/Vancouver", -7);
    assert_eq!(world.host.refresh_zones().await.unwrap(), 1);
    assert_eq!(stored(&world).await.next, at(0, 16));
    assert_eq!(world.host.refresh_zones().await.unwrap(), 0);
    let feed = world.store.feed(0, 1_000).await.unwrap();
    let notices = feed.iter().filter_map(|entry| match &entry.event {
        FeedEvent::Schedule { change, note: Some(note), .. } if change == "rescheduled" => Some(note.clone()),
        _ => None,
    });
    let notices: Vec<_> = notices.collect();
    assert!(notices.len() == 1 && notices[0].contains("2026-01-05T16:00:00"), "{notices:?}");
    // The rules change while the host is down.
    write(dir.path(), "America/Vancouver", -8);
    drop(world.next_epoch().await);
    assert_eq!(stored(&world).await.next, at(0, 17));
    // Past firings stay fired.
    world.clock.set(Timestamp::from_millis(START.as_millis() + 17 * HOUR));
    world.tick().await;
    assert_eq!((stored(&world).await.fired, stored(&world).await.next), (1, at(1, 17)));
    write(dir.path(), "America/Vancouver", -7);
    assert_eq!(world.host.refresh_zones().await.unwrap(), 1);
    assert_eq!(stored(&world).await.next, at(1, 16));
    world.tick().await;
    assert_eq!(world.runs(RunFilter::default()).await.len(), 1);
}
