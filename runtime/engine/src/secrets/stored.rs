//! The secrets of the store, in memory and sealed. They are consulted before the environment and
//! files.
//!
//! The table is loaded at the start and replaced after each commit, so a request reads no store. A
//! value is opened for each use and overwritten after it, so memory holds few of them at a time.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use parking_lot::RwLock;
use tidemill_core::{Clock, Failure};
use tidemill_store::records::{SealedTable, SealedValue, Secret, SecretVersion};
use tidemill_vault::{SealContext, SealedBytes, Vault, VaultError, WrappedKey};
use zeroize::Zeroizing;

use super::{EnvironmentAndFiles, SecretSource, SecretValue};

/// The secrets of a host: those of the store, and for other names those of the environment and
/// files.
pub struct StoredSecrets {
    vault: Vault,
    clock: Arc<dyn Clock>,
    rest: EnvironmentAndFiles,
    secrets: RwLock<BTreeMap<String, Arc<Secret>>>,
}

impl StoredSecrets {
    /// Returns the secrets of `rest`; those of the store are added by [`StoredSecrets::replace`].
    #[must_use]
    pub fn new(vault: Vault, clock: Arc<dyn Clock>, rest: EnvironmentAndFiles) -> Self {
        Self { vault, clock, rest, secrets: RwLock::default() }
    }

    /// Returns the vault that seals the secrets, and everything else that the host seals.
    #[must_use]
    pub const fn vault(&self) -> &Vault {
        &self.vault
    }

    /// Returns the secrets that are only in the environment or in files.
    #[must_use]
    pub const fn rest(&self) -> &EnvironmentAndFiles {
        &self.rest
    }

    /// Replaces the secret with that name by what the store holds; `None` if it was deleted.
    pub fn replace(&self, name: &str, secret: Option<Secret>) {
        let mut secrets = self.secrets.write();
        match secret {
            Some(secret) => secrets.insert(name.to_owned(), Arc::new(secret)),
            None => secrets.remove(name),
        };
    }

    /// Returns the stored secret with that name, sealed.
    #[must_use]
    pub fn stored(&self, name: &str) -> Option<Arc<Secret>> {
        self.secrets.read().get(name).cloned()
    }

    /// Returns all stored secrets, sealed and sorted by name.
    #[must_use]
    pub fn all_stored(&self) -> Vec<Arc<Secret>> {
        self.secrets.read().values().cloned().collect()
    }

    /// Opens one version of a stored secret.
    ///
    /// # Errors
    /// If the bytes were changed, or were sealed with a master key that the host was not given.
    pub fn open(&self, name: &str, version: &SecretVersion) -> Result<SecretValue, VaultError> {
        let SealedValue { key, body } = &version.sealed;
        let sealed = SealedBytes::from_parts(WrappedKey::from_slice(key)?, body.to_vec());
        Ok(self.vault.open(context(name, version.version), &sealed)?.into())
    }

    /// Seals the value of a version of a secret.
    ///
    /// # Errors
    /// As [`Vault::seal`].
    pub fn seal(&self, name: &str, version: u64, value: &Zeroizing<Vec<u8>>) -> Result<SealedValue, VaultError> {
        let (key, body) = self.vault.seal(context(name, version), value)?.into_parts();
        Ok(SealedValue { key: key.as_bytes().to_vec().into(), body: body.into() })
    }

    fn open_or_fail(&self, name: &str, version: &SecretVersion) -> Result<SecretValue, Failure> {
        self.open(name, version).map_err(|error| {
            let failure = Failure::from(error);
            Failure { message: format!("secret `{name}`: {}", failure.message), ..failure }
        })
    }
}

fn context(name: &str, version: u64) -> SealContext<'_> {
    SealContext { table: SealedTable::Secrets.context(), name, version }
}

impl SecretSource for StoredSecrets {
    fn secret(&self, name: &str) -> Result<Option<SecretValue>, Failure> {
        match self.stored(name) {
            // The first version is the newest.
            Some(secret) => secret.versions.first().map(|newest| self.open_or_fail(name, newest)).transpose(),
            None => self.rest.secret(name),
        }
    }

    fn valid_versions(&self, name: &str) -> Result<Vec<SecretValue>, Failure> {
        let Some(secret) = self.stored(name) else { return self.rest.valid_versions(name) };
        // The answer does not depend on whether the timer has removed what ended.
        let now = self.clock.now();
        let valid = secret.versions.iter().filter(|version| version.ends_at.is_none_or(|end| now < end));
        valid.map(|version| self.open_or_fail(name, version)).collect()
    }

    fn place(&self, name: &str) -> String {
        format!("the store with `tidemill secrets set {name}`, {}", self.rest.place(name))
    }
}

impl fmt::Debug for StoredSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stored = self.secrets.read().len();
        f.debug_struct("StoredSecrets").field("vault", &self.vault).field("stored", &stored).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use tidemill_core::Timestamp;
    use tidemill_core::clock::ManualClock;
    use tidemill_store::records::SecretEncoding;
    use tidemill_vault::MasterKey;

    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(seconds * 1_000)
    }

    fn secrets(clock: &Arc<ManualClock>) -> StoredSecrets {
        let vault = Vault::new(MasterKey::from_bytes([7; 32]), None);
        StoredSecrets::new(vault, clock.clone(), EnvironmentAndFiles::new(None))
    }

    fn version(of: &StoredSecrets, version: u64, value: &str, ends_at: Option<Timestamp>) -> SecretVersion {
        let sealed = of.seal("api-key", version, &Zeroizing::new(value.as_bytes().to_vec())).unwrap();
        SecretVersion { version, encoding: SecretEncoding::Text, sealed, created_at: at(0), ends_at }
    }

    #[test]
    fn the_newest_value_leaves_and_older_ones_verify_until_they_end() {
        let clock = Arc::new(ManualClock::new(at(10)));
        let secrets = secrets(&clock);
        assert_eq!(secrets.secret("api-key"), Ok(None));
        let versions = vec![version(&secrets, 2, "new", None), version(&secrets, 1, "old", Some(at(20)))];
        secrets.replace("api-key", Some(Secret { name: "api-key".to_owned(), versions }));
        let valid = |secrets: &StoredSecrets| {
            let valid = secrets.valid_versions("api-key").unwrap();
            valid.iter().map(|value| String::from_utf8(value.expose().to_vec()).unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(secrets.secret("api-key").unwrap().unwrap().expose(), b"new");
        assert_eq!(valid(&secrets), ["new", "old"]);
        clock.set(Timestamp::from_millis(19_999));
        assert_eq!(valid(&secrets), ["new", "old"]);
        clock.set(at(20));
        assert_eq!(valid(&secrets), ["new"]);
        secrets.replace("api-key", None);
        assert_eq!(secrets.secret("api-key"), Ok(None));
    }

    #[test]
    fn a_damaged_value_fails_with_its_code_and_nothing_takes_its_place() {
        let secrets = secrets(&Arc::new(ManualClock::new(at(0))));
        let mut damaged = version(&secrets, 1, "value", None);
        let mut body = damaged.sealed.body.to_vec();
        body[0] ^= 1;
        damaged.sealed.body = Bytes::from(body);
        secrets.replace("api-key", Some(Secret { name: "api-key".to_owned(), versions: vec![damaged] }));
        let failure = secrets.secret("api-key").unwrap_err();
        assert_eq!(failure.code, "host/secret-damaged");
        assert!(failure.message.contains("api-key") && !failure.message.contains("value"), "{}", failure.message);
    }
}
