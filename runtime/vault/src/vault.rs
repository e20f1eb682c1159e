//! Sealing, opening and wrapping again, with the master keys of a host.

use std::fmt;
use std::sync::Arc;

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::rand::{SecureRandom as _, SystemRandom};
use zeroize::Zeroizing;

use crate::context::{Layer, SealContext};
use crate::error::VaultError;
use crate::key::{KeyId, MasterKey};
use crate::sealed::{DATA_KEY_BYTES, FORMAT, NONCE_BYTES, SealedBytes, TAG_BYTES, WrappedKey};

/// Maximum size of a text to seal, in bytes.
pub const PLAINTEXT_BYTES: usize = 16 * 1024 * 1024;

/// An opened text. It is overwritten if it is dropped.
pub type Opened = Zeroizing<Vec<u8>>;

/// Random bytes of one sealing: the data key and both nonces.
type Randomness = Zeroizing<[u8; DATA_KEY_BYTES + 2 * NONCE_BYTES]>;

/// Seals and opens with the master keys of the host. A clone is cheap and shares the keys.
#[derive(Clone)]
pub struct Vault {
    keys: Option<Arc<Keys>>,
}

struct Keys {
    current: (KeyId, MasterKey),
    old: Option<(KeyId, MasterKey)>,
}

impl Keys {
    fn of(&self, id: KeyId) -> Result<&MasterKey, VaultError> {
        let given = std::iter::once(&self.current).chain(&self.old);
        given.into_iter().find(|(other, _)| *other == id).map(|(_, key)| key).ok_or(VaultError::OtherMasterKey(id))
    }
}

impl Vault {
    /// Returns a vault that seals with `current`, and also opens what was sealed with `old`.
    #[must_use]
    pub fn new(current: MasterKey, old: Option<MasterKey>) -> Self {
        let with_id = |key: MasterKey| (key.id(), key);
        Self { keys: Some(Arc::new(Keys { current: with_id(current), old: old.map(with_id) })) }
    }

    /// Returns a vault of a host without a master key, which refuses to seal and to open.
    #[must_use]
    pub const fn without_key() -> Self {
        Self { keys: None }
    }

    /// Returns the id of the key that seals; `None` without a master key.
    #[must_use]
    pub fn current_key(&self) -> Option<KeyId> {
        self.keys.as_ref().map(|keys| keys.current.0)
    }

    /// Returns the id of the old key, if the host was given one.
    #[must_use]
    pub fn old_key(&self) -> Option<KeyId> {
        self.keys.as_ref()?.old.as_ref().map(|(id, _)| *id)
    }

    /// Seals a text for one context. Sealing the same text twice gives different bytes.
    ///
    /// # Errors
    /// [`VaultError::NoMasterKey`], [`VaultError::TooLong`], [`VaultError::NoRandom`].
    pub fn seal(&self, context: SealContext<'_>, plaintext: &[u8]) -> Result<SealedBytes, VaultError> {
        self.seal_with(context, plaintext, &random()?)
    }

    fn seal_with(
        &self,
        context: SealContext<'_>,
        plaintext: &[u8],
        random: &Randomness,
    ) -> Result<SealedBytes, VaultError> {
        let keys = self.keys()?;
        if plaintext.len() > PLAINTEXT_BYTES {
            return Err(VaultError::TooLong(plaintext.len()));
        }
        let (data_key, nonces) = random.split_at(DATA_KEY_BYTES);
        let (body_nonce, wrap_nonce) = nonces.split_at(NONCE_BYTES);
        let mut nonce = [0; NONCE_BYTES];
        nonce.copy_from_slice(body_nonce);

        // The buffer holds the text until it is encrypted in place, so it must not be reallocated.
        let mut body = Vec::with_capacity(NONCE_BYTES + plaintext.len() + TAG_BYTES);
        body.extend_from_slice(&nonce);
        body.extend_from_slice(plaintext);
        let aad = Aad::from(context.associated_data(FORMAT, Layer::Body));
        let tag = cipher(data_key)?
            .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), aad, &mut body[NONCE_BYTES..])
            .map_err(|_| VaultError::TooLong(plaintext.len()))?;
        body.extend_from_slice(tag.as_ref());
        Ok(SealedBytes::from_parts(wrap(&keys.current, &context, data_key, wrap_nonce)?, body))
    }

    /// Opens what [`Vault::seal`] sealed for the same context.
    ///
    /// # Errors
    /// [`VaultError::Damaged`] if a bit was changed, or the bytes were sealed for another record or
    /// version; [`VaultError::NoMasterKey`], [`VaultError::OtherMasterKey`].
    pub fn open(&self, context: SealContext<'_>, sealed: &SealedBytes) -> Result<Opened, VaultError> {
        let data_key = self.unwrap(&context, sealed.key())?;
        let (nonce, ciphertext) = sealed.body().split_first_chunk().ok_or(VaultError::Damaged)?;
        let mut text = Zeroizing::new(ciphertext.to_vec());
        let aad = Aad::from(context.associated_data(FORMAT, Layer::Body));
        let length = cipher(data_key.as_slice())?
            .open_in_place(Nonce::assume_unique_for_key(*nonce), aad, text.as_mut_slice())
            .map_err(|_| VaultError::Damaged)?
            .len();
        text.truncate(length);
        Ok(text)
    }

    /// Wraps a data key with the current master key. `None` if it is wrapped by that key already.
    ///
    /// # Errors
    /// As [`Vault::open`].
    pub fn rewrap(&self, context: SealContext<'_>, wrapped: &WrappedKey) -> Result<Option<WrappedKey>, VaultError> {
        let keys = self.keys()?;
        if wrapped.master_key() == keys.current.0 {
            return Ok(None);
        }
        let data_key = self.unwrap(&context, wrapped)?;
        let random = random()?;
        wrap(&keys.current, &context, data_key.as_slice(), &random[..NONCE_BYTES]).map(Some)
    }

    fn unwrap(
        &self,
        context: &SealContext<'_>,
        wrapped: &WrappedKey,
    ) -> Result<Zeroizing<[u8; DATA_KEY_BYTES]>, VaultError> {
        let id = wrapped.master_key();
        let master = self.keys()?.of(id)?;
        let mut buffer = Zeroizing::new([0; DATA_KEY_BYTES + TAG_BYTES]);
        buffer.copy_from_slice(wrapped.ciphertext());
        let opened = master
            .wrapping_key(FORMAT, context)
            .ok_or(VaultError::Damaged)?
            .open_in_place(
                Nonce::assume_unique_for_key(wrapped.nonce()),
                Aad::from(wrap_data(context, id)),
                buffer.as_mut_slice(),
            )
            .map_err(|_| VaultError::Damaged)?;
        let mut data_key = Zeroizing::new([0; DATA_KEY_BYTES]);
        data_key.copy_from_slice(opened);
        Ok(data_key)
    }

    fn keys(&self) -> Result<&Keys, VaultError> {
        self.keys.as_deref().ok_or(VaultError::NoMasterKey)
    }
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vault").field("current", &self.current_key()).field("old", &self.old_key()).finish()
    }
}

fn random() -> Result<Randomness, VaultError> {
    let mut bytes = Zeroizing::new([0; DATA_KEY_BYTES + 2 * NONCE_BYTES]);
    SystemRandom::new().fill(bytes.as_mut_slice()).map_err(|_| VaultError::NoRandom)?;
    Ok(bytes)
}

fn cipher(key: &[u8]) -> Result<LessSafeKey, VaultError> {
    UnboundKey::new(&AES_256_GCM, key).map(LessSafeKey::new).map_err(|_| VaultError::Damaged)
}

/// The associated data of a wrapped key: that of its context, and the id of the master key.
fn wrap_data(context: &SealContext<'_>, id: KeyId) -> Vec<u8> {
    let mut bytes = context.associated_data(FORMAT, Layer::DataKey);
    bytes.extend_from_slice(&id.to_bytes());
    bytes
}

fn wrap(
    (id, master): &(KeyId, MasterKey),
    context: &SealContext<'_>,
    data_key: &[u8],
    random: &[u8],
) -> Result<WrappedKey, VaultError> {
    let mut nonce = [0; NONCE_BYTES];
    nonce.copy_from_slice(random);
    let mut encrypted = Zeroizing::new([0; DATA_KEY_BYTES]);
    encrypted.copy_from_slice(data_key);
    let tag = master
        .wrapping_key(FORMAT, context)
        .and_then(|key| {
            let aad = Aad::from(wrap_data(context, *id));
            key.seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), aad, encrypted.as_mut_slice()).ok()
        })
        .ok_or(VaultError::Damaged)?;
    Ok(WrappedKey::new(*id, &nonce, encrypted.as_slice(), tag.as_ref()))
}

#[cfg(test)]
mod tests {
    use tidemill_artifacts::golden::{check, hex};

    use super::*;

    /// The bytes of format 1 never change: a store of any later release opens them.
    #[test]
    fn golden_bytes_of_format_1() {
        let vault = Vault::new(MasterKey::from_bytes([7; 32]), None);
        let context = SealContext { table: "secrets", name: "stripe-webhook", version: 3 };
        let mut random = Zeroizing::new([0; DATA_KEY_BYTES + 2 * NONCE_BYTES]);
        random.iter_mut().zip(0..).for_each(|(byte, number)| *byte = number);
        let sealed = vault.seal_with(context, b"whsec_test_secret", &random).unwrap();
        let key = vault.current_key().unwrap();
        let text = format!("master key {key}\nsealed {}\n", hex(&sealed.to_vec()));
        check(env!("CARGO_MANIFEST_DIR"), "sealed-1.txt", &text);
        assert_eq!(vault.open(context, &sealed).unwrap().as_slice(), b"whsec_test_secret");
    }
}
