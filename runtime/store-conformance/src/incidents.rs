//! Claims about incidents, and about the other records that repairs write.

use std::sync::Arc;

use tidemill_core::healing::{FailureCause, Incident, IncidentPhase, IncidentSeverity, TimelineEntry, TimelineEvent};
use tidemill_core::{DeploymentName, Revision, Timestamp};
use tidemill_store::records::{
    FeedEvent, HealthyRevisions, IncidentFilter, IncidentUpdate, NewIncident, Page, PageRequest, Pause, StandbyRoute,
};
use tidemill_store::{Store, StoreError};

use crate::fixture::{NOON, deploy, later, name};

fn new(deployment: Option<&DeploymentName>, at: Timestamp) -> NewIncident {
    NewIncident {
        deployment: deployment.cloned(),
        severity: IncidentSeverity::Critical,
        reason: "it fails".to_owned(),
        revision: Some(Revision::new(1)),
        began_at: NOON,
        cause: FailureCause::Module,
        entry: TimelineEntry::of_host(at, TimelineEvent::Detected, "it is unhealthy"),
    }
}

async fn open(store: &Arc<dyn Store>, deployment: Option<&DeploymentName>, at: Timestamp) -> Incident {
    store.open_incident(new(deployment, at)).await.expect("an incident")
}

async fn close(store: &Arc<dyn Store>, incident: Incident, at: Timestamp) -> Incident {
    let incident = Incident { phase: IncidentPhase::Closed, ended_at: Some(at), ..incident };
    let entry = TimelineEntry::of_host(at, TimelineEvent::Closed, "it is over");
    store.update_incident(IncidentUpdate::new(incident, entry)).await.expect("a change")
}

async fn list(store: &Arc<dyn Store>, filter: IncidentFilter, page: PageRequest) -> (Vec<u64>, Option<Vec<u8>>) {
    let Page { items, next } = store.incidents(filter, page).await.expect("a page");
    (items.into_iter().map(|incident| incident.number).collect(), next)
}

pub(crate) async fn a_deployment_and_the_host_have_one_open_incident_each(store: Arc<dyn Store>) {
    let a = deploy(&store, "a").await.name;
    let first = open(&store, Some(&a), later(1)).await;
    assert_eq!((first.number, first.version, first.entries), (1, 1, 1));
    assert_eq!(open(&store, Some(&a), later(2)).await, first, "it is open already");
    let host = open(&store, None, later(3)).await;
    assert_eq!((host.number, host.deployment.clone()), (2, None));
    close(&store, first, later(4)).await;
    assert_eq!(open(&store, Some(&a), later(5)).await.number, 3);
    assert_eq!(store.last_incident(None).await, Ok(Some(host)));
    let absent = store.open_incident(new(Some(&name("absent")), later(6))).await;
    assert!(matches!(absent, Err(StoreError::NotFound { .. })), "{absent:?}");
}

pub(crate) async fn a_change_of_an_incident_names_the_version_before_it(store: Arc<dyn Store>) {
    let a = deploy(&store, "a").await.name;
    let incident = open(&store, Some(&a), later(1)).await;
    let comment = TimelineEntry::of_host(later(2), TimelineEvent::Comment, "hm");
    let changed = store.update_incident(IncidentUpdate::new(incident.clone(), comment.clone())).await;
    let changed = changed.expect("a change");
    assert_eq!((changed.version, changed.entries), (2, 2));
    let stale = store.update_incident(IncidentUpdate::new(incident.clone(), comment.clone())).await;
    assert_eq!(stale, Err(StoreError::IncidentChanged { number: 1 }));
    let undone = IncidentUpdate { undone: Some(1), ..IncidentUpdate::new(changed, comment) };
    store.update_incident(undone).await.expect("a change");
    let timeline = store.timeline(1).await.expect("a timeline");
    assert_eq!(timeline.iter().map(|entry| entry.undone).collect::<Vec<_>>(), [true, false, false]);
    // A repair and its incident are one commit: neither happens without the other.
    let pause = Pause { since: later(3), note: "quarantine".to_owned() };
    let update = IncidentUpdate::new(incident, TimelineEntry::of_host(later(3), TimelineEvent::Repaired, "paused"));
    let paused = store.pause_deployment(&a, Some(pause), Some(update), later(3)).await;
    assert_eq!(paused, Err(StoreError::IncidentChanged { number: 1 }));
    assert_eq!(store.deployment(&a).await.expect("a read").expect("a deployment").paused, None);
}

pub(crate) async fn incidents_are_listed_by_filter_and_the_latest_first(store: Arc<dyn Store>) {
    let (a, b) = (deploy(&store, "a").await.name, deploy(&store, "b").await.name);
    for second in 0..6 {
        let of = if second % 2 == 0 { &a } else { &b };
        let incident = open(&store, Some(of), later(second)).await;
        if second < 4 {
            close(&store, incident, later(second)).await;
        }
    }
    let all = IncidentFilter::default();
    let (first, next) = list(&store, all.clone(), PageRequest::first(4)).await;
    assert_eq!(first, [6, 5, 4, 3]);
    assert_eq!(list(&store, all, PageRequest { cursor: next, limit: 4 }).await, (vec![2, 1], None));
    let of_a = IncidentFilter { deployment: Some(a), ..IncidentFilter::default() };
    let (first, next) = list(&store, of_a.clone(), PageRequest::first(2)).await;
    assert_eq!(first, [5, 3]);
    assert_eq!(list(&store, of_a, PageRequest { cursor: next, limit: 2 }).await, (vec![1], None));
    let open = IncidentFilter { open: Some(true), ..IncidentFilter::default() };
    assert_eq!(list(&store, open, PageRequest::first(9)).await, (vec![6, 5], None));
    let feed = store.feed(0, 1_000).await.expect("a read");
    let announced = feed.iter().filter(|entry| matches!(entry.event, FeedEvent::Incident { .. })).count();
    assert_eq!(announced, 10, "six were opened and four closed");
}

pub(crate) async fn a_deleted_deployment_leaves_no_open_incident_and_no_route(store: Arc<dyn Store>) {
    let a = deploy(&store, "a").await.name;
    store.record_healthy_revision(&a, Revision::new(1)).await.expect("a commit");
    let incident = open(&store, Some(&a), later(1)).await;
    let route = StandbyRoute { to: name("b"), incident: incident.number, since: later(2) };
    let entry = TimelineEntry::of_host(later(2), TimelineEvent::Repaired, "`b` takes the runs");
    store.route_runs(IncidentUpdate::new(incident, entry), Some(route.clone())).await.expect("a route");
    assert_eq!(store.routes().await, Ok(vec![(a.clone(), route)]));
    store.delete_deployment(&a, later(3)).await.expect("a commit");
    assert_eq!(store.routes().await, Ok(vec![]));
    assert_eq!(store.healthy_revisions().await, Ok(vec![]));
    let last = store.last_incident(Some(&a)).await.expect("a read").expect("an incident");
    assert_eq!((last.phase, last.ended_at), (IncidentPhase::Closed, Some(later(3))));
}

pub(crate) async fn the_last_two_healthy_revisions_are_known(store: Arc<dyn Store>) {
    let a = deploy(&store, "a").await.name;
    for revision in [2, 5, 5, 3] {
        store.record_healthy_revision(&a, Revision::new(revision)).await.expect("a commit");
    }
    store.record_healthy_revision(&name("absent"), Revision::new(1)).await.expect("a commit");
    let revisions = HealthyRevisions { last: Revision::new(5), before: Some(Revision::new(2)) };
    assert_eq!(store.healthy_revisions().await, Ok(vec![(a, revisions)]));
    assert_eq!(revisions.before(Revision::new(6)), Some(Revision::new(5)));
    assert_eq!(revisions.before(Revision::new(5)), Some(Revision::new(2)));
    assert_eq!(revisions.before(Revision::new(2)), None);
}
