//! The scheduled scrub: when it runs, and how it is reported.

use std::time::Duration;

use serde_json::json;
use tidemill_store::records::PageRequest;

use crate::fixture::TestHost;

const DAY: u64 = 86_400_000;

#[tokio::test]
async fn the_store_is_scrubbed_soon_after_the_start_and_once_a_day() {
    let mut world = TestHost::paused().await;
    world.deploy(json!({ "name": "a" })).await;
    assert_eq!(world.host.last_scrub(), None);
    let first = world.clock.advance(600_000);
    world.tick().await;
    let scrub = world.host.last_scrub().unwrap();
    assert!(scrub.at == first && scrub.records > 0, "{scrub:?}");

    world.clock.advance(DAY - 1);
    world.tick().await;
    assert_eq!(world.host.last_scrub(), Some(scrub));
    let second = world.clock.advance(1);
    world.tick().await;
    let scrub = world.host.last_scrub().unwrap();
    assert_eq!(scrub.at, second);
    let figures = world.host.metrics_text().await.unwrap();
    let line = format!("tidemill_store_scrubbed_timestamp_seconds {}", second.as_millis() / 1000);
    assert!(figures.contains(&line) && figures.contains("tidemill_store_damaged 0"), "{figures}");
    assert!(figures.contains(r#"tidemill_store_scrubs_total{scope="all",result="sound"} 2"#), "{figures}");
    let figure = |name: &str| -> u64 {
        let line = figures.lines().find(|line| line.starts_with(name)).unwrap();
        line.rsplit(' ').next().unwrap().parse().unwrap()
    };
    let (live, used) = (figure("tidemill_store_index_live_bytes"), figure("tidemill_store_index_used_bytes"));
    assert!(0 < live && live < used, "{live} of {used}");

    // The next epoch knows of it and waits for the rest of the day.
    world.host.shutdown(Duration::from_secs(5)).await;
    world.clock.advance(DAY / 2);
    world.open_again().await;
    world.next_epoch().await;
    world.clock.advance(DAY / 2 - 1);
    world.tick().await;
    assert_eq!(world.host.last_scrub(), Some(scrub));
    let third = world.clock.advance(1);
    world.tick().await;
    assert_eq!(world.host.last_scrub().unwrap().at, third);
}

#[tokio::test]
async fn an_index_scrub_is_counted_and_the_full_scrub_stays_due() {
    let mut world = TestHost::paused().await;
    world.host.shutdown(Duration::from_secs(5)).await;
    // As after a crash: remove the list that a clean stop leaves.
    std::fs::remove_file(world.folder.path().join("stopped")).unwrap();
    world.open_again().await;
    world.next_epoch().await;
    let start = world.host.last_scrub().unwrap().at;
    let figures = world.host.metrics_text().await.unwrap();
    assert!(figures.contains(r#"tidemill_store_scrubs_total{scope="index",result="sound"} 1"#), "{figures}");
    let line = format!("tidemill_store_scrubbed_timestamp_seconds {}", start.as_millis() / 1000);
    assert!(figures.contains(&line), "{figures}");
    let later = world.clock.advance(600_000);
    world.tick().await;
    assert_eq!(world.host.last_scrub().unwrap().at, later);
}

#[tokio::test]
async fn a_damaged_component_makes_scrubs_fail_until_it_is_repaired() {
    let world = TestHost::paused().await;
    world.deploy(json!({ "name": "a" })).await;
    let component = world.host.store().modules(PageRequest::first(1)).await.unwrap().items[0].digest;
    world.guests.damage(Some(component));
    world.clock.advance(600_000);
    world.tick().await;
    assert_eq!(world.host.last_scrub(), None);
    assert!(world.host.metrics_text().await.unwrap().contains("tidemill_store_damaged 1"));

    world.guests.damage(None);
    let next = world.clock.advance(DAY);
    world.tick().await;
    assert_eq!(world.host.last_scrub().unwrap().at, next);
    assert!(world.host.metrics_text().await.unwrap().contains("tidemill_store_damaged 0"));
}
