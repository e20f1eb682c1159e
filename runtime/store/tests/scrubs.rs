//! Scrubs of the embedded store: damage makes it read-only, and results are persistent.
#![allow(clippy::unwrap_used, reason = "tests")]

use tidemill_core::Timestamp;
use tidemill_store::traits::*;
use tidemill_store::{EmbeddedStore, StoreError};

#[tokio::test]
async fn a_scrub_that_finds_damage_makes_the_store_read_only() {
    let dir = tempfile::tempdir().unwrap();
    let node = "node".parse().unwrap();
    let (store, _) = EmbeddedStore::open(EmbeddedStore::config(dir.path())).unwrap();
    store.begin_epoch(&node).await.unwrap();
    store.scrub(Timestamp::from_millis(1)).await.unwrap();
    store.close().await.unwrap();
    // Change the files of a closed store, so that sled itself detects nothing.
    std::fs::remove_file(dir.path().join("stopped")).unwrap();
    let index = sled::open(dir.path().join("index")).unwrap();
    index.open_tree("meta").unwrap().pop_min().unwrap().unwrap();
    drop(index);

    let mut config = EmbeddedStore::config(dir.path());
    config.scrub_at_open_bytes = 0;
    let (store, _) = EmbeddedStore::open(config).unwrap();
    let found = store.scrub(Timestamp::from_millis(2)).await;
    assert!(matches!(found, Err(StoreError::Damaged { .. })), "{found:?}");
    assert!(matches!(store.health(), StoreHealth::ReadOnly(_)));
    let refused = store.begin_epoch(&node).await;
    assert!(matches!(refused, Err(StoreError::Damaged { .. })), "{refused:?}");
    assert_eq!(store.last_scrub().await.unwrap().map(|scrub| scrub.at), Some(Timestamp::from_millis(1)));
    assert!(store.close().await.is_err());
}

#[tokio::test]
async fn the_time_of_a_scrub_after_an_unclean_shutdown_is_persistent() {
    let dir = tempfile::tempdir().unwrap();
    let node = "node".parse().unwrap();
    for scrub_at_open_bytes in [u64::MAX, 0] {
        let (store, _) = EmbeddedStore::open(EmbeddedStore::config(dir.path())).unwrap();
        store.begin_epoch(&node).await.unwrap();
        store.close().await.unwrap();
        std::fs::remove_file(dir.path().join("stopped")).unwrap();

        let mut config = EmbeddedStore::config(dir.path());
        config.scrub_at_open_bytes = scrub_at_open_bytes;
        let (store, report) = EmbeddedStore::open(config).unwrap();
        assert_eq!((report.clean, report.scrubbed), (false, scrub_at_open_bytes > 0));
        let at = Timestamp::from_millis(7 + scrub_at_open_bytes % 2);
        // A background scrub is reported when it is complete.
        let mut found = store.index_scrub(at).await.unwrap();
        while found.is_none_or(|scrub| scrub.at != at) {
            tokio::task::yield_now().await;
            found = store.index_scrub(at).await.unwrap();
        }
        assert!(found.is_some_and(|scrub| scrub.records > 0), "{found:?}");
        assert_eq!(store.last_scrub().await.unwrap(), None, "the files were not read");
        store.close().await.unwrap();
        let (store, report) = EmbeddedStore::open(EmbeddedStore::config(dir.path())).unwrap();
        assert!(report.clean);
        assert_eq!(store.index_scrub(Timestamp::from_millis(99)).await.unwrap(), found);
        store.close().await.unwrap();
    }
}
