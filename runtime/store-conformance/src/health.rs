//! Claims about the store's health.

use std::sync::Arc;

use crate::fixture::{NOON, deploy, later};
use tidemill_store::Store;
use tidemill_store::traits::StoreHealth;

pub(crate) async fn a_scrub_verifies_every_record_and_is_recorded(store: Arc<dyn Store>) {
    assert_eq!(store.last_scrub().await, Ok(None));
    deploy(&store, "a").await;
    let first = store.scrub(NOON).await.expect("a sound store");
    assert!(first.at == NOON && first.records > 0 && first.bytes > first.records);
    assert_eq!(store.last_scrub().await, Ok(Some(first)));
    deploy(&store, "b").await;
    let second = store.scrub(later(1)).await.expect("a sound store");
    assert!(second.records > first.records && second.bytes > first.bytes);
    assert_eq!(store.last_scrub().await, Ok(Some(second)));
    assert_eq!(store.health(), StoreHealth::Good);
}
