//! Claims about components and module versions.

use std::sync::Arc;

use crate::fixture::{component, deploy, digest, name, version};
use tidemill_store::records::{PageRequest, PutVersion};
use tidemill_store::{Store, StoreError};

pub(crate) async fn a_version_never_changes_its_meaning(store: Arc<dyn Store>) {
    let put = |bytes: &'static [u8]| store.put_version(version("1.0.0", bytes), component(bytes));
    assert_eq!(put(b"one").await, Ok(PutVersion::Created));
    assert_eq!(put(b"one").await, Ok(PutVersion::Same));
    assert!(matches!(put(b"two").await, Err(StoreError::VersionTaken { .. })));
    let versions = store.versions(&"module".parse().expect("a name")).await.expect("a list");
    assert_eq!(versions, [version("1.0.0", b"one")]);
    assert_eq!(store.component(&version("1.0.0", b"two").digest).await, Ok(None));
}

pub(crate) async fn a_component_in_use_is_kept(store: Arc<dyn Store>) {
    deploy(&store, "user").await;
    let refused = store.delete_component(&digest()).await;
    assert_eq!(refused, Err(StoreError::InUse { users: vec![name("user")] }));
    store.delete_deployment(&name("user"), crate::fixture::NOON).await.expect("no run is open");
    store.delete_component(&digest()).await.expect("no deployment uses it");
    assert_eq!(store.component(&digest()).await, Ok(None));
    assert_eq!(store.modules(PageRequest::first(10)).await.expect("a list").items, []);
}
