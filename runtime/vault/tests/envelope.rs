//! What an envelope promises: it opens for its own record and version only, and no changed bit is
//! accepted.

#![allow(clippy::unwrap_used, reason = "tests")]

use proptest::prelude::*;
use tidemill_vault::{
    MasterKey, PLAINTEXT_BYTES, SEAL_OVERHEAD_BYTES, SealContext, SealedBytes, Vault, VaultError, WRAPPED_KEY_BYTES,
    WrappedKey,
};

const CONTEXT: SealContext<'static> = SealContext { table: "secrets", name: "api-key", version: 2 };

fn key(byte: u8) -> MasterKey {
    MasterKey::from_bytes([byte; 32])
}

fn vault() -> Vault {
    Vault::new(key(1), None)
}

/// Opens stored bytes, as a store does.
fn open(vault: &Vault, context: SealContext<'_>, stored: &[u8]) -> Result<Vec<u8>, VaultError> {
    Ok(vault.open(context, &SealedBytes::from_slice(stored)?)?.to_vec())
}

#[test]
fn every_changed_bit_is_refused() {
    let vault = Vault::new(key(1), Some(key(2)));
    let stored = vault.seal(CONTEXT, b"canary").unwrap().to_vec();
    assert_eq!(open(&vault, CONTEXT, &stored).unwrap(), b"canary");
    for bit in 0..stored.len() * 8 {
        let mut changed = stored.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        let refused = open(&vault, CONTEXT, &changed).unwrap_err();
        // A changed id names a master key that the host was not given.
        let other_key = (8..9 * 8).contains(&bit) && matches!(refused, VaultError::OtherMasterKey(_));
        assert!(refused == VaultError::Damaged || other_key, "bit {bit}: {refused}");
    }
}

#[test]
fn an_id_that_names_the_other_given_key_is_refused() {
    let vault = Vault::new(key(1), Some(key(2)));
    let mut stored = vault.seal(CONTEXT, b"canary").unwrap().to_vec();
    stored[1..9].copy_from_slice(&key(2).id().to_bytes());
    assert_eq!(open(&vault, CONTEXT, &stored), Err(VaultError::Damaged));
}

#[test]
fn every_shortened_or_lengthened_envelope_is_refused() {
    let stored = vault().seal(CONTEXT, b"canary").unwrap().to_vec();
    for length in 0..stored.len() {
        assert_eq!(open(&vault(), CONTEXT, &stored[..length]), Err(VaultError::Damaged), "{length} bytes");
    }
    assert_eq!(open(&vault(), CONTEXT, &[stored.as_slice(), &[0]].concat()), Err(VaultError::Damaged));
}

#[test]
fn records_cannot_be_swapped_nor_versions_rolled_back() {
    let stored = vault().seal(CONTEXT, b"canary").unwrap().to_vec();
    let others = [
        SealContext { table: "deliveries", ..CONTEXT },
        SealContext { table: "secret", name: "sapi-key", ..CONTEXT },
        SealContext { name: "api-kez", ..CONTEXT },
        SealContext { name: "", ..CONTEXT },
        SealContext { version: 1, ..CONTEXT },
        SealContext { version: 3, ..CONTEXT },
    ];
    for other in others {
        assert_eq!(open(&vault(), other, &stored), Err(VaultError::Damaged), "{other:?}");
    }
}

#[test]
fn parts_of_two_envelopes_of_one_context_do_not_mix() {
    let [one, two] = [b"one", b"two"].map(|text| vault().seal(CONTEXT, text).unwrap().into_parts());
    let mixed = SealedBytes::from_parts(one.0, two.1);
    assert_eq!(vault().open(CONTEXT, &mixed).unwrap_err(), VaultError::Damaged);
}

#[test]
fn sealing_twice_gives_different_bytes() {
    let [one, two] = [(); 2].map(|()| vault().seal(CONTEXT, b"canary").unwrap());
    assert_ne!(one.key(), two.key());
    assert_ne!(one.body(), two.body());
}

#[test]
fn another_master_key_is_named() {
    let sealed = Vault::new(key(9), None).seal(CONTEXT, b"canary").unwrap();
    let refused = vault().open(CONTEXT, &sealed).unwrap_err();
    assert_eq!(refused, VaultError::OtherMasterKey(key(9).id()));
    assert_eq!(refused.code().as_str(), "host/master-key");
    assert!(refused.to_string().contains(&key(9).id().to_string()), "{refused}");
}

#[test]
fn a_vault_without_a_key_explains_what_to_set() {
    let vault = Vault::without_key();
    let refused = vault.seal(CONTEXT, b"x").unwrap_err();
    assert_eq!(refused, VaultError::NoMasterKey);
    assert!(refused.to_string().contains("TIDEMILL_MASTER_KEY"), "{refused}");
    let sealed = self::vault().seal(CONTEXT, b"x").unwrap();
    assert_eq!(vault.open(CONTEXT, &sealed).unwrap_err(), VaultError::NoMasterKey);
    assert_eq!(vault.rewrap(CONTEXT, sealed.key()), Err(VaultError::NoMasterKey));
}

#[test]
fn a_rotation_leaves_the_sealed_text_as_it_is() {
    let sealed = vault().seal(CONTEXT, b"canary").unwrap();
    let both = Vault::new(key(2), Some(key(1)));
    assert_eq!(both.open(CONTEXT, &sealed).unwrap().as_slice(), b"canary");
    let (wrapped, body) = sealed.into_parts();
    assert_eq!(both.rewrap(SealContext { version: 3, ..CONTEXT }, &wrapped), Err(VaultError::Damaged));
    let rewrapped = both.rewrap(CONTEXT, &wrapped).unwrap().unwrap();
    assert_eq!(rewrapped.master_key(), key(2).id());
    assert_eq!(both.rewrap(CONTEXT, &rewrapped), Ok(None));
    let sealed = SealedBytes::from_parts(rewrapped, body);
    assert_eq!(Vault::new(key(2), None).open(CONTEXT, &sealed).unwrap().as_slice(), b"canary");
    assert_eq!(vault().open(CONTEXT, &sealed).unwrap_err(), VaultError::OtherMasterKey(key(2).id()));
}

#[test]
fn a_text_beyond_the_bound_is_refused() {
    let text = vec![0; PLAINTEXT_BYTES + 1];
    assert_eq!(vault().seal(CONTEXT, &text), Err(VaultError::TooLong(text.len())));
    assert_eq!(vault().seal(CONTEXT, &text[1..]).unwrap().to_vec().len(), PLAINTEXT_BYTES + SEAL_OVERHEAD_BYTES);
}

#[test]
fn debug_shows_no_text_and_no_key() {
    let vault = Vault::new(key(b'K'), Some(key(b'L')));
    let sealed = vault.seal(CONTEXT, b"canary").unwrap();
    let shown = format!("{vault:?} {sealed:?} {:?}", sealed.key());
    assert!(!shown.contains("canary") && !shown.contains("KKK") && !shown.contains("75, 75"), "{shown}");
}

proptest! {
    #[test]
    fn what_is_sealed_opens(text in prop::collection::vec(any::<u8>(), 0..2_000), name in ".{0,80}", version: u64) {
        let context = SealContext { table: "deliveries", name: &name, version };
        let stored = vault().seal(context, &text).unwrap().to_vec();
        prop_assert_eq!(stored.len(), text.len() + SEAL_OVERHEAD_BYTES);
        prop_assert_eq!(open(&vault(), context, &stored).unwrap(), text);
    }

    #[test]
    fn arbitrary_bytes_never_open(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(open(&vault(), CONTEXT, &bytes).is_err());
        // With a right head, decryption itself sees the bytes.
        let head = [&[1][..], &key(1).id().to_bytes()].concat();
        prop_assert!(open(&vault(), CONTEXT, &[head, bytes].concat()).is_err());
    }

    #[test]
    fn arbitrary_bytes_are_no_wrapped_key(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(wrapped) = WrappedKey::from_slice(&bytes) {
            prop_assert_eq!(bytes.len(), WRAPPED_KEY_BYTES);
            prop_assert_eq!(wrapped.as_bytes().as_slice(), bytes.as_slice());
            prop_assert!(Vault::new(key(2), Some(key(1))).rewrap(CONTEXT, &wrapped).is_err());
        }
    }
}
