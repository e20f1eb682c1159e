//! The master keys of the store: checked before anything is served, and shown.
//!
//! The store lists each master key that its sealed bytes may need, with a canary: a known text that
//! opens only with that key. The host starts only if it can open every canary. A new key is added
//! before anything is sealed with it, which begins a rotation if there was another one. The old key
//! leaves the list in the last commit of the rotation, so until then the host requires both.

use tidemill_core::{Code, Timestamp};
use tidemill_store::Store;
use tidemill_store::records::{KeyRotation, MasterKeyRecord, SealedValue};
use tidemill_vault::{KeyId, SealContext, SealedBytes, Vault, VaultError, WrappedKey};

use crate::error::ControlError;
use crate::state::ControlPlane;

/// The context of a canary.
const CANARY: SealContext<'static> = SealContext { table: "master-keys", name: "canary", version: 1 };
/// The text of a canary.
const CANARY_TEXT: &[u8] = b"tidemill";

/// The master keys of a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MasterKeyStatus {
    /// The key that seals; `None` if the host has none.
    pub key: Option<KeyId>,
    /// The old key that the host was given in addition.
    pub old: Option<KeyId>,
    /// The keys that the store still needs, with the time of their first use, sorted by it.
    pub needed: Vec<(KeyId, Timestamp)>,
    /// The number of sealed records.
    pub sealed: u64,
    /// The rotation in progress, or the last one.
    pub rotation: Option<KeyRotation>,
}

/// Checks that the vault has every key that the store needs, and adds a new one. Without a key, it
/// only warns.
pub(crate) async fn prepare(store: &dyn Store, vault: &Vault, now: Timestamp) -> Result<(), ControlError> {
    let keys = store.master_keys().await?;
    let Some(current) = vault.current_key() else {
        if !keys.is_empty() {
            tracing::warn!(code = Code::MasterKey.as_str(), "the store holds sealed data, and there is no master key");
        }
        return Ok(());
    };
    for key in &keys {
        let opened = open(vault, key).map_err(|error| refused(key, vault, &error))?;
        if !opened {
            return Err(refused(key, vault, &VaultError::Damaged));
        }
    }
    let others = keys.iter().any(|key| key.id != current.to_bytes());
    let known = keys.iter().any(|key| key.id == current.to_bytes());
    let rotation = store.key_rotation().await?;
    let continues = rotation.is_some_and(|it| it.ended_at.is_none() && it.to == current.to_bytes());
    if !known || (others && !continues) {
        let (key, body) = vault.seal(CANARY, CANARY_TEXT).map_err(ControlError::from)?.into_parts();
        let canary = SealedValue { key: key.as_bytes().to_vec().into(), body: body.into() };
        let record = MasterKeyRecord { id: current.to_bytes(), canary, since: now };
        let rotation = if others { Some(begin(store, current, now).await?) } else { None };
        let rotates = rotation.is_some();
        store.add_master_key(record, rotation).await?;
        tidemill_core::failpoint::hit("master-key/added");
        tracing::info!(key = %current, rotates, "new master key");
    } else if !others && vault.old_key().is_some() {
        tracing::info!(key = %current, "the old master key is no longer needed");
    }
    Ok(())
}

async fn begin(store: &dyn Store, to: KeyId, now: Timestamp) -> Result<KeyRotation, ControlError> {
    let total = store.sealed_count().await?;
    Ok(KeyRotation {
        to: to.to_bytes(),
        total,
        visited: 0,
        wrapped: 0,
        damaged: 0,
        cursor: None,
        started_at: now,
        ended_at: None,
    })
}

/// Whether the canary of a key opens and is right.
fn open(vault: &Vault, key: &MasterKeyRecord) -> Result<bool, VaultError> {
    let wrapped = WrappedKey::from_slice(&key.canary.key)?;
    if wrapped.master_key().to_bytes() != key.id {
        return Ok(false);
    }
    let sealed = SealedBytes::from_parts(wrapped, key.canary.body.to_vec());
    Ok(vault.open(CANARY, &sealed)?.as_slice() == CANARY_TEXT)
}

fn refused(key: &MasterKeyRecord, vault: &Vault, error: &VaultError) -> ControlError {
    if !matches!(error, VaultError::OtherMasterKey(_)) {
        return ControlError::refused(error.code(), format!("the canary of master key {}: {error}", key_id(key.id)));
    }
    let given: Vec<_> = vault.current_key().into_iter().chain(vault.old_key()).map(|key| key.to_string()).collect();
    ControlError::refused_with(
        Code::MasterKey,
        format!(
            "the store is sealed with the master key {}; the host was given {}",
            key_id(key.id),
            given.join(" and ")
        ),
        "Give that key as TIDEMILL_MASTER_KEY; or, to change to a new key, as TIDEMILL_MASTER_KEY_OLD (or its _FILE or \
         _COMMAND) in addition to the new one, until `tidemill secrets rotation` reports that the rotation is complete.",
    )
}

/// Formats the id of a master key as 16 hexadecimal digits.
#[must_use]
pub fn key_id(id: [u8; 8]) -> String {
    KeyId::from_bytes(id).to_string()
}

impl ControlPlane {
    /// Returns a warning if the store holds sealed data that this host cannot open.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn master_key_warning(&self) -> Result<Option<String>, ControlError> {
        let vault = self.0.config.secrets.vault();
        if vault.current_key().is_none() && !self.0.store.master_keys().await?.is_empty() {
            return Ok(Some(
                "the store holds sealed data, and the host has no master key: secrets of the store cannot be used; \
                 set TIDEMILL_MASTER_KEY, its _FILE or its _COMMAND and restart the host"
                    .to_owned(),
            ));
        }
        Ok(None)
    }

    /// Returns the master keys and the progress of their rotation.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn master_key(&self) -> Result<MasterKeyStatus, ControlError> {
        let (store, vault) = (&self.0.store, self.0.config.secrets.vault());
        let mut needed: Vec<_> =
            store.master_keys().await?.iter().map(|key| (KeyId::from_bytes(key.id), key.since)).collect();
        needed.sort_unstable_by_key(|(id, since)| (*since, *id));
        Ok(MasterKeyStatus {
            key: vault.current_key(),
            old: vault.old_key(),
            needed,
            sealed: store.sealed_count().await?,
            rotation: store.key_rotation().await?,
        })
    }
}
