//! Rollback of a deployment to an earlier revision.

use serde_json::json;
use tidemill_core::{Code, Revision};
use tidemill_store::records::PageRequest;

use crate::fixture::{TestHost, component, name};

#[tokio::test]
async fn a_rollback_creates_a_revision_with_the_earlier_manifest_and_component() {
    let world = TestHost::paused().await;
    world.put_typed().await;
    world.deploy(json!({ "name": "a", "priority": 3 })).await;
    world.try_deploy("2.0.0", json!({ "name": "a", "priority": 7 })).await.unwrap();
    let plan = world.host.rollback(&name("a"), None, None, true).await.unwrap();
    assert_eq!(plan.deployment.revision, Revision::new(3));
    assert_eq!(plan.changes.len(), 2, "{:?}", plan.changes);
    assert_eq!(world.store.revisions(&name("a"), PageRequest::first(9)).await.unwrap().items.len(), 2);

    let back = world.host.rollback(&name("a"), None, None, false).await.unwrap();
    assert_eq!((back.deployment.revision, back.deployment.component), (Revision::new(3), component()));
    let stored = world.store.deployment(&name("a")).await.unwrap().unwrap();
    let first = world.store.revision(&name("a"), Revision::new(1)).await.unwrap().unwrap();
    assert_eq!((stored.component, stored.manifest), (first.component, first.manifest));

    // A rollback to an identical revision creates none.
    let again = world.host.rollback(&name("a"), Some(Revision::new(1)), None, false).await.unwrap();
    assert_eq!((again.deployment.revision, again.changes.len()), (Revision::new(3), 0));
}

#[tokio::test]
async fn a_rollback_to_a_missing_revision_is_refused() {
    let world = TestHost::paused().await;
    let rollback = async |of: &str, to: Option<u64>, at: Option<u64>| {
        let (to, at) = (to.map(Revision::new), at.map(|at| Some(Revision::new(at))));
        world.host.rollback(&name(of), to, at, false).await.map(drop).map_err(|error| error.code())
    };
    assert_eq!(rollback("a", None, None).await, Err(Code::DeploymentNotFound));
    world.deploy(json!({ "name": "a" })).await;
    assert_eq!(rollback("a", None, None).await, Err(Code::RevisionNotFound));
    assert_eq!(rollback("a", Some(9), None).await, Err(Code::RevisionNotFound));
    world.put_typed().await;
    world.try_deploy("2.0.0", json!({ "name": "a" })).await.unwrap();
    assert_eq!(rollback("a", Some(1), Some(1)).await, Err(Code::PreconditionFailed));
    world.host.delete_component(component()).await.unwrap();
    assert_eq!(rollback("a", None, None).await, Err(Code::ComponentNotFound));
}
