//! HMACs and comparisons in constant time.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use data_encoding::HEXLOWER;
use ring::{digest, hmac};
use subtle::ConstantTimeEq as _;
use tidemill_core::hook::{HmacAlgorithm, SignatureEncoding};

use crate::failure::VerificationFailure;
use crate::key::InvalidKey;

/// Returns the HMAC of the concatenated parts.
pub(crate) fn sign(algorithm: HmacAlgorithm, key: &[u8], parts: &[&[u8]]) -> hmac::Tag {
    let algorithm = match algorithm {
        HmacAlgorithm::Sha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
        HmacAlgorithm::Sha256 => hmac::HMAC_SHA256,
        HmacAlgorithm::Sha512 => hmac::HMAC_SHA512,
    };
    let mut context = hmac::Context::with_key(&hmac::Key::new(algorithm, key));
    parts.iter().for_each(|part| context.update(part));
    context.sign()
}

/// Writes bytes in an encoding.
pub(crate) fn encode(encoding: SignatureEncoding, bytes: &[u8]) -> String {
    match encoding {
        SignatureEncoding::Hex => HEXLOWER.encode(bytes),
        SignatureEncoding::Base64 => STANDARD.encode(bytes),
        SignatureEncoding::Base64Url => URL_SAFE_NO_PAD.encode(bytes),
    }
}

/// Compares signatures in their written form, so that a signature has one form only. Takes a time
/// that depends on the lengths alone.
pub(crate) fn equal(one: &str, other: &str) -> bool {
    one.as_bytes().ct_eq(other.as_bytes()).into()
}

/// Compares secrets in a time that depends on the length of neither.
pub(crate) fn equal_secrets(one: &[u8], other: &[u8]) -> bool {
    sha256(one).ct_eq(&sha256(other)).into()
}

/// Returns the SHA-256 of bytes.
pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let digest = digest::digest(&digest::SHA256, bytes);
    let mut copy = [0; 32];
    copy.copy_from_slice(digest.as_ref());
    copy
}

/// Checks that one of the candidates is the signature that `sign` makes with one of the keys.
pub(crate) fn check(
    keys: &[&[u8]],
    candidates: &[&str],
    sign: impl Fn(&[u8]) -> Result<String, InvalidKey>,
) -> Result<(), VerificationFailure> {
    check_each(keys, |key| {
        let expected = sign(key)?;
        Ok(candidates.iter().any(|candidate| equal(candidate, &expected)))
    })
}

/// Checks that `verify` accepts one of the keys. If none is accepted and one is not usable, the
/// fault may be ours.
pub(crate) fn check_each(
    keys: &[&[u8]],
    verify: impl Fn(&[u8]) -> Result<bool, InvalidKey>,
) -> Result<(), VerificationFailure> {
    let mut failure =
        if keys.is_empty() { VerificationFailure::KeyMissing } else { VerificationFailure::WrongSignature };
    for key in keys {
        match verify(key) {
            Ok(true) => return Ok(()),
            Ok(false) => {}
            Err(bad) => failure = VerificationFailure::KeyUnusable(bad),
        }
    }
    Err(failure)
}
