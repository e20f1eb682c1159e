//! Secrets, and the master keys of everything that is sealed.

use async_trait::async_trait;
use tidemill_core::Timestamp;

use crate::error::StoreError;
use crate::records::{
    KeyRotation, MasterKeyRecord, PutSecret, PutSecretResult, RewrappedKey, SealedKey, SealedPlace, Secret,
};

/// Secrets with their versions, sealed.
#[async_trait]
pub trait SecretStore: Send + Sync + 'static {
    /// Returns all secrets with all stored versions, sorted by name.
    async fn secrets(&self) -> Result<Vec<Secret>, StoreError>;
    /// Returns one secret.
    async fn secret(&self, name: &str) -> Result<Option<Secret>, StoreError>;
    /// Returns the newest version number that a name ever had; 0 if it was never used.
    async fn newest_secret_version(&self, name: &str) -> Result<u64, StoreError>;
    /// Sets a secret, and determines when its older versions end. Versions that have ended are
    /// removed by the same commit.
    async fn put_secret(&self, put: PutSecret) -> Result<PutSecretResult, StoreError>;
    /// Deletes a secret with all its versions.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    async fn delete_secret(&self, name: &str, now: Timestamp) -> Result<(), StoreError>;
    /// Removes versions that have ended at `now`, at most `limit`. Returns the names of their
    /// secrets, sorted.
    async fn expire_secrets(&self, now: Timestamp, limit: usize) -> Result<Vec<String>, StoreError>;
    /// Returns when the next version ends; the time can be in the past.
    async fn next_secret_end(&self) -> Result<Option<Timestamp>, StoreError>;
}

/// Master keys and their rotation, over every table with sealed bytes.
#[async_trait]
pub trait MasterKeyStore: Send + Sync + 'static {
    /// Returns the master keys that sealed bytes may need, sorted by id. If there are several, a
    /// rotation is in progress.
    async fn master_keys(&self) -> Result<Vec<MasterKeyRecord>, StoreError>;
    /// Adds a master key, and begins a rotation to it if `rotation` is given. Nothing may be sealed
    /// with the key before this is durable.
    async fn add_master_key(&self, key: MasterKeyRecord, rotation: Option<KeyRotation>) -> Result<(), StoreError>;
    /// Returns the rotation in progress, or else the last one that was completed.
    async fn key_rotation(&self) -> Result<Option<KeyRotation>, StoreError>;
    /// Returns the number of records with sealed bytes.
    async fn sealed_count(&self) -> Result<u64, StoreError>;
    /// Returns data keys after a place, in order of table and key: at most `limit` of them, and at
    /// most one beyond `limit_bytes` of records. An empty list is the end.
    async fn sealed_keys(
        &self,
        after: Option<SealedPlace>,
        limit: usize,
        limit_bytes: usize,
    ) -> Result<Vec<SealedKey>, StoreError>;
    /// Replaces data keys and writes the progress, in one commit. Skips a record that was changed
    /// or removed since it was read.
    async fn rewrap(&self, keys: Vec<RewrappedKey>, rotation: KeyRotation) -> Result<(), StoreError>;
    /// Completes a rotation: forgets every master key but `rotation.to`.
    async fn end_rotation(&self, rotation: KeyRotation) -> Result<(), StoreError>;
}
