//! Claims about secrets, and about the rotation of master keys.

use std::sync::Arc;

use bytes::Bytes;
use tidemill_store::records::{
    FeedEvent, KeyRotation, MasterKeyRecord, PutSecret, PutSecretResult, RewrappedKey, SealedPlace, SealedTable,
    SealedValue, Secret, SecretEncoding,
};
use tidemill_store::{Store, StoreError};

use crate::fixture::{NOON, later};

fn sealed(text: &str) -> SealedValue {
    SealedValue { key: Bytes::from(format!("key of {text}")), body: Bytes::from(text.to_owned()) }
}

fn put(name: &str, after: u64, text: &str, overlap: u64, at: u64) -> PutSecret {
    PutSecret {
        name: name.to_owned(),
        after,
        value: Some((SecretEncoding::Text, sealed(text))),
        older_end_at: later(at + overlap),
        now: later(at),
    }
}

async fn stored(store: &Arc<dyn Store>, put: PutSecret) -> Secret {
    match store.put_secret(put).await.expect("a commit") {
        PutSecretResult::Stored(secret) => secret,
        other => panic!("{other:?}"),
    }
}

/// Returns the version numbers of a secret, each with its end in milliseconds after noon.
fn versions(secret: &Secret) -> Vec<(u64, Option<u64>)> {
    let end = |end: tidemill_core::Timestamp| end.as_millis() - NOON.as_millis();
    secret.versions.iter().map(|version| (version.version, version.ends_at.map(end))).collect()
}

pub(crate) async fn a_new_version_is_the_newest_at_once_and_older_ones_end(store: Arc<dyn Store>) {
    assert_eq!(store.newest_secret_version("a").await, Ok(0));
    assert_eq!(store.secret("a").await, Ok(None));
    assert_eq!(versions(&stored(&store, put("a", 0, "one", 0, 0)).await), [(1, None)]);
    assert_eq!(versions(&stored(&store, put("a", 1, "two", 100, 10)).await), [(2, None), (1, Some(110))]);
    // A later overlap does not extend an earlier one, and one that is shorter ends all earlier.
    assert_eq!(
        versions(&stored(&store, put("a", 2, "three", 900, 20)).await),
        [(3, None), (2, Some(920)), (1, Some(110))]
    );
    let shorter = PutSecret { value: None, ..put("a", 3, "", 50, 30) };
    assert_eq!(versions(&stored(&store, shorter).await), [(3, None), (2, Some(80)), (1, Some(80))]);
    let secret = stored(&store, put("a", 3, "four", 0, 40)).await;
    assert_eq!(versions(&secret), [(4, None)], "no overlap ends all older versions at once");
    assert_eq!(secret.versions[0].sealed, sealed("four"));
    assert_eq!(store.secret("a").await, Ok(Some(secret.clone())));
    stored(&store, put("b", 0, "other", 0, 0)).await;
    let names: Vec<_> = store.secrets().await.expect("a read").into_iter().map(|secret| secret.name).collect();
    assert_eq!(names, ["a", "b"]);
}

pub(crate) async fn an_ended_version_is_removed(store: Arc<dyn Store>) {
    stored(&store, put("a", 0, "one", 0, 0)).await;
    stored(&store, put("a", 1, "two", 100, 0)).await;
    stored(&store, put("b", 0, "one", 0, 0)).await;
    stored(&store, put("b", 1, "two", 200, 0)).await;
    assert_eq!(store.next_secret_end().await, Ok(Some(later(100))));
    assert_eq!(store.expire_secrets(later(99), 10).await, Ok(vec![]));
    assert_eq!(store.expire_secrets(later(100), 10).await, Ok(vec!["a".to_owned()]));
    let secret = store.secret("a").await.expect("a read").expect("it is there");
    assert_eq!(versions(&secret), [(2, None)]);
    assert_eq!(store.next_secret_end().await, Ok(Some(later(200))));
    store.delete_secret("b", later(150)).await.expect("it is there");
    assert_eq!(store.next_secret_end().await, Ok(None));
    assert_eq!(store.sealed_count().await, Ok(1));
    let feed = store.feed(0, 100).await.expect("a feed");
    let changes: Vec<_> = feed
        .iter()
        .filter_map(|entry| match &entry.event {
            FeedEvent::Secret { name, version, change } => Some((name.as_str(), *version, change.as_str())),
            _ => None,
        })
        .collect();
    let set = [("a", 1, "set"), ("a", 2, "set"), ("b", 1, "set"), ("b", 2, "set")];
    assert_eq!(changes, [set.as_slice(), &[("a", 1, "ended"), ("b", 2, "deleted")]].concat());
}

pub(crate) async fn the_numbers_of_a_deleted_secret_continue(store: Arc<dyn Store>) {
    stored(&store, put("a", 0, "one", 0, 0)).await;
    store.delete_secret("a", NOON).await.expect("it is there");
    assert_eq!(store.secret("a").await, Ok(None));
    assert_eq!(store.secrets().await, Ok(vec![]));
    assert_eq!(store.newest_secret_version("a").await, Ok(1));
    assert!(matches!(store.delete_secret("a", NOON).await, Err(StoreError::NotFound { kind: "secret", .. })));
    assert_eq!(store.put_secret(put("a", 0, "two", 0, 0)).await, Ok(PutSecretResult::Changed));
    assert_eq!(versions(&stored(&store, put("a", 1, "two", 0, 0)).await), [(2, None)]);
}

pub(crate) async fn a_secret_has_few_valid_versions(store: Arc<dyn Store>) {
    for version in 0..8 {
        stored(&store, put("a", version, "x", 1_000, version)).await;
    }
    let before = store.secret("a").await;
    assert_eq!(store.put_secret(put("a", 8, "x", 1_000, 9)).await, Ok(PutSecretResult::TooManyVersions));
    assert_eq!(store.secret("a").await, before);
    // The oldest ends at 1,001, after which there is room.
    stored(&store, put("a", 8, "x", 1_000, 1_001)).await;
    let unset = PutSecret { value: None, ..put("none", 0, "", 0, 0) };
    assert_eq!(store.put_secret(unset).await, Ok(PutSecretResult::Changed));
}

pub(crate) async fn a_rotation_visits_each_record_once_and_forgets_the_old_key(store: Arc<dyn Store>) {
    let key = |id: u8| MasterKeyRecord { id: [id; 8], canary: sealed("canary"), since: NOON };
    store.add_master_key(key(1), None).await.expect("a commit");
    for number in 0..10 {
        stored(&store, put(&format!("s{number}"), 0, "x", 0, 0)).await;
    }
    let mut rotation = KeyRotation {
        to: [2; 8],
        total: store.sealed_count().await.expect("a count"),
        visited: 0,
        wrapped: 0,
        damaged: 0,
        cursor: None,
        started_at: NOON,
        ended_at: None,
    };
    assert_eq!(rotation.total, 10);
    assert_eq!(store.key_rotation().await, Ok(None));
    store.add_master_key(key(2), Some(rotation.clone())).await.expect("a commit");
    assert_eq!(store.master_keys().await, Ok(vec![key(1), key(2)]));
    let mut names = Vec::new();
    loop {
        let keys = store.sealed_keys(rotation.cursor.clone(), 3, usize::MAX).await.expect("keys");
        let Some(last) = keys.last() else { break };
        assert!(keys.len() <= 3);
        rotation.cursor = Some(last.place.clone());
        rotation.visited += keys.len() as u64;
        names.extend(keys.iter().map(|key| (key.name.clone(), key.version)));
        let new =
            keys.into_iter().map(|key| RewrappedKey { place: key.place, before: key.wrapped, after: "new".into() });
        store.rewrap(new.collect(), rotation.clone()).await.expect("a commit");
        assert_eq!(store.key_rotation().await, Ok(Some(rotation.clone())));
    }
    let all: Vec<_> = (0..10).map(|number| (format!("s{number}"), 1)).collect();
    assert_eq!(names, all);
    let secrets = store.secrets().await.expect("secrets");
    let sealed_with = |secret: &Secret| (secret.versions[0].sealed.key.clone(), secret.versions[0].sealed.body.clone());
    assert!(secrets.iter().all(|secret| sealed_with(secret) == ("new".into(), "x".into())));
    // One page holds at most one record beyond its size.
    assert_eq!(store.sealed_keys(None, 10, 1).await.expect("keys").len(), 1);
    // A record that was changed since it was read keeps its key.
    let place = SealedPlace { table: SealedTable::Secrets, key: b"s0\0\0\0\0\0\0\0\0\x01".to_vec() };
    let stale = RewrappedKey { place, before: "key of x".into(), after: "stale".into() };
    store.rewrap(vec![stale], rotation.clone()).await.expect("a commit");
    assert_eq!(sealed_with(&store.secret("s0").await.expect("a read").expect("it is there")).0, "new");
    rotation.ended_at = Some(later(5));
    store.end_rotation(rotation.clone()).await.expect("a commit");
    assert_eq!(store.master_keys().await, Ok(vec![key(2)]));
    assert_eq!(store.key_rotation().await, Ok(Some(rotation)));
}
