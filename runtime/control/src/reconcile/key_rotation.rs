//! Wraps all data keys with a new master key, while the host serves.
//!
//! Each tick is one bounded commit of re-wrapped keys and of the place that was reached, so a crash
//! repeats nothing. A record that is changed in the meantime is sealed with the new key anyway. The
//! last commit forgets the old key.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use tidemill_core::{Timestamp, failpoint};
use tidemill_store::records::{KeyRotation, RewrappedKey, SealedKey};
use tidemill_vault::{KeyId, SealContext, Vault, VaultError, WrappedKey};

use crate::error::ControlError;
use crate::reconcile::{NextTick, Reconciler, TickReport};
use crate::state::HostState;

/// Maximum number of records that one commit visits.
const BATCH: usize = 256;
/// Maximum size of the records that one commit visits, in bytes; the last one may exceed it.
const BATCH_BYTES: usize = 1 << 20;

/// The loop that rotates the master key.
pub(crate) struct KeyRotationReconciler {
    host: Arc<HostState>,
}

impl KeyRotationReconciler {
    pub(crate) fn new(host: &Arc<HostState>) -> Self {
        Self { host: Arc::clone(host) }
    }
}

#[async_trait]
impl Reconciler for KeyRotationReconciler {
    fn name(&self) -> &'static str {
        "key-rotation"
    }

    async fn tick(&self, now: Timestamp) -> Result<TickReport, ControlError> {
        let (store, vault) = (&self.host.store, self.host.config.secrets.vault());
        let rotation = store.key_rotation().await?.filter(|rotation| {
            rotation.ended_at.is_none() && vault.current_key() == Some(KeyId::from_bytes(rotation.to))
        });
        let Some(mut rotation) = rotation else {
            // A rotation begins only at the start of a host.
            return Ok(TickReport { found: 0, done: 0, failed: 0, next: NextTick::OnWake });
        };
        let keys = store.sealed_keys(rotation.cursor.clone(), BATCH, BATCH_BYTES).await?;
        let Some(last) = keys.last() else {
            rotation.ended_at = Some(now);
            let KeyRotation { visited, wrapped, damaged, .. } = rotation;
            store.end_rotation(rotation).await?;
            failpoint::hit("master-key/rotated");
            tracing::info!(visited, wrapped, damaged, "the master key is rotated; the old one is not needed");
            return Ok(TickReport { found: 0, done: 0, failed: 0, next: NextTick::OnWake });
        };
        let found = keys.len();
        rotation.cursor = Some(last.place.clone());
        rotation.visited += found as u64;
        let mut changed = Vec::new();
        for key in keys {
            match rewrap(vault, &key) {
                Ok(None) => {}
                Ok(Some(after)) => changed.push(RewrappedKey { place: key.place, before: key.wrapped, after }),
                // Its bytes open with no key, so no key is needed for them.
                Err(error) => {
                    rotation.damaged += 1;
                    let (table, name) = (key.place.table.context(), &key.name);
                    tracing::error!(table, name, version = key.version, %error, "a sealed record is damaged");
                }
            }
        }
        let done = changed.len();
        rotation.wrapped += done as u64;
        store.rewrap(changed, rotation).await?;
        failpoint::hit("master-key/rewrapped");
        Ok(TickReport { found, done, failed: 0, next: NextTick::Now })
    }
}

fn rewrap(vault: &Vault, key: &SealedKey) -> Result<Option<Bytes>, VaultError> {
    let context = SealContext { table: key.place.table.context(), name: &key.name, version: key.version };
    let wrapped = vault.rewrap(context, &WrappedKey::from_slice(&key.wrapped)?)?;
    Ok(wrapped.map(|wrapped| Bytes::copy_from_slice(wrapped.as_bytes())))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tidemill_engine::secrets::SecretSource as _;
    use tidemill_store::records::{PutSecret, SecretEncoding};
    use tidemill_vault::MasterKey;

    use super::*;
    use crate::fixture::{LoopFixture, START};
    use crate::secret::manage::SecretChange;

    fn vault(current: u8, old: Option<u8>) -> Vault {
        let key = |byte: u8| MasterKey::from_bytes([byte; 32]);
        Vault::new(key(current), old.map(key))
    }

    async fn set(fixture: &LoopFixture, name: &str) {
        let change = SecretChange {
            name: name.parse().unwrap(),
            value: format!("the value of {name}").into(),
            encoding: SecretEncoding::Text,
            overlap: Duration::ZERO,
        };
        fixture.control().put_secret(change).await.unwrap();
    }

    async fn with_secrets(count: usize) -> LoopFixture {
        let mut fixture = LoopFixture::with(serde_json::json!({})).await;
        fixture.next_epoch_with(vault(1, None)).await.unwrap();
        for number in 0..count {
            set(&fixture, &format!("s{number}")).await;
        }
        fixture
    }

    async fn finish(fixture: &LoopFixture) {
        let rotation = KeyRotationReconciler::new(&fixture.host);
        while rotation.tick(START).await.unwrap().next == NextTick::Now {}
    }

    #[tokio::test]
    async fn a_rotation_is_done_in_bounded_commits_and_continues_after_a_restart() {
        let mut fixture = with_secrets(BATCH + 10).await;
        fixture.next_epoch_with(vault(2, Some(1))).await.unwrap();
        let first = KeyRotationReconciler::new(&fixture.host).tick(START).await.unwrap();
        assert_eq!(first, TickReport { found: BATCH, done: BATCH, failed: 0, next: NextTick::Now });
        // Both keys are needed until it is complete, and a new secret is sealed with the new one.
        for vault in [vault(1, None), vault(2, None), vault(3, None)] {
            let refused = fixture.next_epoch_with(vault).await.unwrap_err();
            assert_eq!(refused.code().as_str(), "host/master-key", "{refused}");
        }
        fixture.next_epoch_with(vault(2, Some(1))).await.unwrap();
        set(&fixture, "zz").await;
        let status = fixture.control().master_key().await.unwrap();
        assert_eq!((status.needed.len(), status.rotation.unwrap().visited), (2, BATCH as u64));
        finish(&fixture).await;
        let status = fixture.control().master_key().await.unwrap();
        let rotation = status.rotation.unwrap();
        let total = BATCH as u64 + 10;
        assert_eq!((rotation.total, rotation.visited, rotation.wrapped), (total, total + 1, total));
        assert_eq!((status.needed.len(), rotation.ended_at, rotation.damaged), (1, Some(START), 0));
        fixture.next_epoch_with(vault(2, None)).await.unwrap();
        for name in ["s0", "s9", "s265", "zz"] {
            let value = fixture.host.config.secrets.secret(name).unwrap().unwrap();
            assert_eq!(value.expose(), format!("the value of {name}").as_bytes());
        }
        assert!(fixture.next_epoch_with(vault(1, None)).await.is_err());
    }

    #[tokio::test]
    async fn a_rotation_can_be_turned_round() {
        let mut fixture = with_secrets(BATCH + 1).await;
        fixture.next_epoch_with(vault(2, Some(1))).await.unwrap();
        KeyRotationReconciler::new(&fixture.host).tick(START).await.unwrap();
        fixture.next_epoch_with(vault(1, Some(2))).await.unwrap();
        finish(&fixture).await;
        fixture.next_epoch_with(vault(1, None)).await.unwrap();
        assert!(fixture.host.config.secrets.secret("s0").unwrap().is_some());
    }

    #[tokio::test]
    async fn a_damaged_record_is_counted_and_stops_nothing() {
        let mut fixture = with_secrets(3).await;
        // The sealed bytes of one secret are put in the place of another one.
        let sealed = fixture.store.secret("s0").await.unwrap().unwrap().versions[0].sealed.clone();
        let swapped = PutSecret {
            name: "s1".to_owned(),
            after: 1,
            value: Some((SecretEncoding::Text, sealed)),
            older_end_at: START,
            now: START,
        };
        fixture.store.put_secret(swapped).await.unwrap();
        fixture.next_epoch_with(vault(2, Some(1))).await.unwrap();
        let failure = fixture.host.config.secrets.secret("s1").unwrap_err();
        assert_eq!(failure.code, "host/secret-damaged");
        finish(&fixture).await;
        let rotation = fixture.control().master_key().await.unwrap().rotation.unwrap();
        assert_eq!((rotation.visited, rotation.wrapped, rotation.damaged), (3, 2, 1));
        fixture.next_epoch_with(vault(2, None)).await.unwrap();
        assert!(fixture.host.config.secrets.secret("s2").unwrap().is_some());
        // Setting the secret again repairs it.
        set(&fixture, "s1").await;
        assert!(fixture.host.config.secrets.secret("s1").unwrap().is_some());
    }
}
