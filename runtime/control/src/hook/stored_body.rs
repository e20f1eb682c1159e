//! The stored form of a delivery's body: the one place where bodies are sealed and opened.

use bytes::Bytes;
use tidemill_core::DeliveryId;
use tidemill_store::StoreError;
use tidemill_store::records::{DeliveryBody, SealedTable};
use tidemill_vault::{SealContext, SealedBytes, Vault, VaultError, WrappedKey};

/// Seals and opens the bodies of deliveries. A host without a master key stores them as they are.
#[derive(Debug, Clone)]
pub(crate) struct BodyCodec {
    vault: Vault,
}

impl BodyCodec {
    pub(crate) const fn new(vault: Vault) -> Self {
        Self { vault }
    }

    /// Returns the stored form of a body.
    ///
    /// # Errors
    /// If the operating system has no random numbers.
    pub(crate) fn encode(&self, id: DeliveryId, body: Bytes) -> Result<DeliveryBody, StoreError> {
        if self.vault.current_key().is_none() {
            return Ok(DeliveryBody { key: Bytes::new(), bytes: body });
        }
        let sealed = self.vault.seal(context(&id.to_string()), &body).map_err(|error| failed(&error))?;
        let (key, bytes) = sealed.into_parts();
        Ok(DeliveryBody { key: Bytes::copy_from_slice(key.as_bytes()), bytes: bytes.into() })
    }

    /// Returns a body as it was.
    ///
    /// # Errors
    /// If it was changed, or the host does not have the master key.
    pub(crate) fn decode(&self, id: DeliveryId, stored: DeliveryBody) -> Result<Bytes, StoreError> {
        let DeliveryBody { key, bytes } = stored;
        if key.is_empty() {
            return Ok(bytes);
        }
        let key = WrappedKey::from_slice(&key).map_err(|error| failed(&error))?;
        let sealed = SealedBytes::from_parts(key, bytes.to_vec());
        let mut opened = self.vault.open(context(&id.to_string()), &sealed).map_err(|error| failed(&error))?;
        Ok(Bytes::from(std::mem::take(&mut *opened)))
    }
}

/// Returns the context of a body. Deliveries never change, so there is one version.
const fn context(id: &str) -> SealContext<'_> {
    SealContext { table: SealedTable::Deliveries.context(), name: id, version: 1 }
}

fn failed(error: &VaultError) -> StoreError {
    StoreError::OverBound { code: error.code(), detail: format!("the body of a delivery: {error}") }
}
