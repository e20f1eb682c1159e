//! Sets, deletes and lists secrets.
//!
//! One change happens at a time: seal, commit, then replace the secret in memory. So the memory has
//! every commit that was acknowledged.

use std::sync::Arc;
use std::time::Duration;

use tidemill_core::Code;
use tidemill_core::ids::SecretName;
use tidemill_store::records::{PutSecret, PutSecretResult, Secret, SecretEncoding};
use zeroize::Zeroizing;

use super::value::decode;
use crate::error::ControlError;
use crate::run_to_completion::run_to_completion;
use crate::state::{ControlPlane, HostState};

/// Maximum number of secrets in the store.
pub const SECRETS_MAX: usize = 20_000;
/// Maximum overlap of two versions: 90 days.
pub const OVERLAP_MAX: Duration = Duration::from_secs(90 * 86_400);

/// A new value of a secret.
#[derive(Debug)]
pub struct SecretChange {
    /// The name.
    pub name: SecretName,
    /// The value, in its text form.
    pub value: Zeroizing<String>,
    /// What the text form is.
    pub encoding: SecretEncoding,
    /// How long hooks still accept signatures of older versions.
    pub overlap: Duration,
}

/// The result of setting a secret.
#[derive(Debug)]
pub struct SecretPutResult {
    /// The secret as it is stored now, sealed.
    pub secret: Secret,
    /// Whether there was none before.
    pub created: bool,
}

/// A secret in a list.
#[derive(Debug)]
pub enum ListedSecret {
    /// It is in the store.
    Stored(Arc<Secret>),
    /// It is in the environment or in a file.
    Elsewhere(String),
}

impl ListedSecret {
    /// Returns its name.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Stored(secret) => &secret.name,
            Self::Elsewhere(name) => name,
        }
    }
}

impl ControlPlane {
    /// Sets a secret. The new value is used at once, for signatures and in requests. Hooks accept
    /// signatures of older versions until the overlap ends. The newest value again makes no new
    /// version.
    ///
    /// # Errors
    /// `host/bad-field`; `host/master-key` if the host has no master key; `host/limit-secrets`.
    pub async fn put_secret(&self, change: SecretChange) -> Result<SecretPutResult, ControlError> {
        self.0.shutdown.check_open()?;
        let SecretChange { name, value, encoding, overlap } = change;
        let value = decode(&value, encoding)?;
        let host = Arc::clone(&self.0);
        run_to_completion(async move { host.put_secret(&name, &value, encoding, overlap).await }).await
    }

    /// Deletes a secret with all its versions.
    ///
    /// # Errors
    /// `host/secret-not-found`, also for one in the environment or in a file.
    pub async fn delete_secret(&self, name: SecretName) -> Result<(), ControlError> {
        self.0.shutdown.check_open()?;
        let host = Arc::clone(&self.0);
        run_to_completion(async move {
            let _alone = host.secret_changes.lock().await;
            let deleted = host.store.delete_secret(name.as_str(), host.clock.now()).await;
            deleted.inspect_err(|error| host.store_failures.record(error))?;
            host.config.secrets.replace(name.as_str(), None);
            tracing::info!(%name, "deleted secret");
            Ok(())
        })
        .await
    }

    /// Returns a secret of the store, sealed, or whether one is elsewhere.
    ///
    /// # Errors
    /// `host/secret-not-found`.
    pub fn secret(&self, name: &SecretName) -> Result<ListedSecret, ControlError> {
        let secrets = &self.0.config.secrets;
        if let Some(secret) = secrets.stored(name.as_str()) {
            return Ok(ListedSecret::Stored(secret));
        }
        match secrets.rest().contains(name.as_str()) {
            true => Ok(ListedSecret::Elsewhere(name.as_str().to_owned())),
            false => Err(ControlError::refused(Code::SecretNotFound, format!("there is no secret `{name}`"))),
        }
    }

    /// Returns all secrets, sorted by name. A stored one hides one of the same name elsewhere.
    #[must_use]
    pub fn secrets(&self) -> Vec<ListedSecret> {
        let secrets = &self.0.config.secrets;
        let stored = secrets.all_stored();
        let elsewhere = secrets.rest().names().into_iter();
        let elsewhere =
            elsewhere.filter(|name| stored.binary_search_by(|other| other.name.as_str().cmp(name)).is_err());
        let mut all: Vec<_> = elsewhere.map(ListedSecret::Elsewhere).collect();
        all.extend(stored.iter().cloned().map(ListedSecret::Stored));
        all.sort_unstable_by(|a, b| a.name().cmp(b.name()));
        all
    }
}

impl HostState {
    async fn put_secret(
        &self,
        name: &SecretName,
        value: &Zeroizing<Vec<u8>>,
        encoding: SecretEncoding,
        overlap: Duration,
    ) -> Result<SecretPutResult, ControlError> {
        let _alone = self.secret_changes.lock().await;
        let (secrets, now) = (&self.config.secrets, self.clock.now());
        let stored = secrets.stored(name.as_str());
        if stored.is_none() && secrets.all_stored().len() >= SECRETS_MAX {
            let detail = format!("`{name}` would be one secret more than {SECRETS_MAX}");
            return Err(ControlError::refused(Code::LimitSecrets, detail));
        }
        let newest = stored.as_ref().and_then(|secret| secret.versions.first());
        let same = newest.filter(|newest| newest.encoding == encoding).is_some_and(|newest| {
            // One that cannot be opened is replaced.
            secrets.open(name.as_str(), newest).is_ok_and(|present| present.expose() == value.as_slice())
        });
        let after = self.store.newest_secret_version(name.as_str()).await?;
        let new = if same {
            None
        } else {
            let sealed = secrets.seal(name.as_str(), after + 1, value);
            Some((encoding, sealed?))
        };
        let millis = u64::try_from(overlap.min(OVERLAP_MAX).as_millis()).unwrap_or(u64::MAX);
        let put =
            PutSecret { name: name.as_str().to_owned(), after, value: new, older_end_at: now.plus_millis(millis), now };
        match self.store.put_secret(put).await.inspect_err(|error| self.store_failures.record(error))? {
            PutSecretResult::Stored(secret) => {
                secrets.replace(name.as_str(), Some(secret.clone()));
                self.secret_wake.notify_one();
                let version = secret.versions.first().map_or(0, |newest| newest.version);
                tracing::info!(%name, version, valid = secret.versions.len(), "set secret");
                Ok(SecretPutResult { secret, created: stored.is_none() })
            }
            PutSecretResult::Changed => {
                Err(ControlError::refused(Code::Conflict, format!("secret `{name}` was changed at the same time")))
            }
            PutSecretResult::TooManyVersions => Err(ControlError::refused_with(
                Code::LimitSecrets,
                format!("secret `{name}` has eight valid versions"),
                "Wait until an overlap has ended, or give a shorter overlap: it ends all older versions.",
            )),
        }
    }

    /// Reads all secrets into memory.
    pub(crate) async fn load_secrets(&self) -> Result<(), ControlError> {
        for secret in self.store.secrets().await? {
            let name = secret.name.clone();
            self.config.secrets.replace(&name, Some(secret));
        }
        Ok(())
    }

    /// Removes versions that have ended, at most `limit`. Returns how many secrets had one.
    pub(crate) async fn expire_secrets(&self, limit: usize) -> Result<usize, ControlError> {
        let _alone = self.secret_changes.lock().await;
        let names = self.store.expire_secrets(self.clock.now(), limit).await?;
        for name in &names {
            let left = self.store.secret(name).await?;
            let valid = left.as_ref().map_or(0, |secret| secret.versions.len());
            self.config.secrets.replace(name, left);
            tracing::info!(name, valid, "removed old versions of secret");
        }
        Ok(names.len())
    }
}
