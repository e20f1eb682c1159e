//! Claims about the changes of the health of deployments.

use std::sync::Arc;

use tidemill_core::health::{HealthStatus, HealthTransition, Outage};
use tidemill_core::{DeploymentName, Timestamp};
use tidemill_store::Store;
use tidemill_store::records::{FeedEvent, PageRequest};

use crate::fixture::{NOON, deploy, later};

const DAY_MILLIS: u64 = 24 * 3_600_000;

fn change(at: Timestamp, to: HealthStatus) -> HealthTransition {
    HealthTransition { at, from: HealthStatus::Healthy, to, reason: format!("it is {}", to.as_str()) }
}

async fn record(store: &Arc<dyn Store>, deployment: &DeploymentName, at: Timestamp, to: HealthStatus) {
    store.record_health(deployment, change(at, to)).await.expect("a commit");
}

async fn times(store: &Arc<dyn Store>, deployment: &DeploymentName) -> Vec<Timestamp> {
    let page = store.health_transitions(deployment, PageRequest::first(5_000)).await.expect("a read");
    page.items.into_iter().map(|change| change.at).collect()
}

pub(crate) async fn changes_are_listed_newest_first_and_announced(store: Arc<dyn Store>) {
    let (a, absent) = (deploy(&store, "a").await.name, "absent".parse::<DeploymentName>().expect("a name"));
    record(&store, &a, later(1), HealthStatus::Degraded).await;
    record(&store, &a, later(2), HealthStatus::Unhealthy).await;
    record(&store, &a, later(2), HealthStatus::Healthy).await;
    record(&store, &absent, later(3), HealthStatus::Unhealthy).await;
    let first = store.health_transitions(&a, PageRequest::first(2)).await.expect("a page");
    assert_eq!(first.items, [change(later(2), HealthStatus::Healthy), change(later(2), HealthStatus::Unhealthy)]);
    let second = store.health_transitions(&a, PageRequest { cursor: first.next, limit: 2 }).await.expect("a page");
    assert_eq!((second.items, second.next), (vec![change(later(1), HealthStatus::Degraded)], None));
    assert_eq!(times(&store, &absent).await, []);
    let events = store.feed(0, 100).await.expect("a read");
    let announced: Vec<_> = events
        .into_iter()
        .filter_map(|entry| match entry.event {
            FeedEvent::Health { deployment, to, .. } => Some((deployment, to)),
            _ => None,
        })
        .collect();
    let expected = [HealthStatus::Degraded, HealthStatus::Unhealthy, HealthStatus::Healthy];
    assert_eq!(announced, expected.map(|to| (a.clone(), to)));
}

pub(crate) async fn old_changes_are_removed_except_the_last(store: Arc<dyn Store>) {
    let a = deploy(&store, "a").await.name;
    let day = |day: u64| NOON.plus_millis(day * DAY_MILLIS);
    for at in [1, 2, 3, 20] {
        record(&store, &a, day(at), HealthStatus::Degraded).await;
    }
    record(&store, &a, day(34), HealthStatus::Degraded).await;
    assert_eq!(times(&store, &a).await, [day(34), day(20), day(3)], "the status of day 4 is that of day 3");
    for at in 0..1_100 {
        record(&store, &a, day(40).plus_millis(at), HealthStatus::Degraded).await;
    }
    let left = times(&store, &a).await;
    assert_eq!((left.len(), left.last()), (1_000, Some(&day(40).plus_millis(100))));
}

pub(crate) async fn a_deleted_deployment_leaves_no_health_to_its_successor(store: Arc<dyn Store>) {
    let a = deploy(&store, "a").await.name;
    record(&store, &a, later(1), HealthStatus::Degraded).await;
    store.delete_deployment(&a, later(2)).await.expect("a commit");
    let again = deploy(&store, "a").await.name;
    assert_eq!(times(&store, &again).await, []);
}

pub(crate) async fn an_outage_lasts_from_the_last_mark_to_the_next_start(store: Arc<dyn Store>) {
    store.record_outage(later(1)).await.expect("a commit");
    assert_eq!(store.outages().await, Ok(vec![]), "the first start ends no outage");
    store.mark_alive(later(60)).await.expect("a commit");
    store.record_outage(later(100)).await.expect("a commit");
    store.record_outage(later(130)).await.expect("a commit");
    let outages = vec![Outage { from: later(60), to: later(100) }, Outage { from: later(100), to: later(130) }];
    assert_eq!(store.outages().await, Ok(outages));
    let month = later(130).plus_millis(30 * DAY_MILLIS + 1);
    store.mark_alive(month).await.expect("a commit");
    store.record_outage(month.plus_millis(5)).await.expect("a commit");
    assert_eq!(store.outages().await, Ok(vec![Outage { from: month, to: month.plus_millis(5) }]));
}
