//! Standard Webhooks: an HMAC-SHA256 (`v1`) or an Ed25519 signature (`v1a`) over id, time and
//! body, joined by dots.
//!
//! The id must not contain a dot. Otherwise `id.time.body` has several readings, and a sender of
//! an old message could cut it so that a part of its id is the time.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::signature::{ED25519, UnparsedPublicKey};
use tidemill_core::hook::{HmacAlgorithm, SignatureEncoding, TOLERANCE_MILLIS};

use crate::failure::VerificationFailure;
use crate::key::InvalidKey;
use crate::request::{HookRequest, ProviderId};
use crate::scheme::{SIGNATURES, Sender};
use crate::{headers, mac, time};

/// The names of the headers: id, time and signatures.
const NAMES: [[&str; 3]; 2] =
    [["webhook-id", "webhook-timestamp", "webhook-signature"], ["svix-id", "svix-timestamp", "svix-signature"]];
/// Lengths of a symmetric key, in bytes.
const KEY_BYTES: std::ops::RangeInclusive<usize> = 16..=512;
/// Length of a public key of Ed25519, in bytes.
const PUBLIC_KEY_BYTES: usize = 32;

/// A key of Standard Webhooks.
enum StandardKey {
    Symmetric(Vec<u8>),
    Public(Vec<u8>),
}

pub(crate) fn verify(request: &HookRequest<'_>, keys: &[&[u8]]) -> Result<Sender, VerificationFailure> {
    let [id, at, list] = names(request)?;
    let id = headers::one(request.headers, id)?;
    if id.contains('.') || ProviderId::new(id.to_owned()).is_none() {
        return Err(VerificationFailure::SignedIdMalformed);
    }
    let at = headers::one(request.headers, at)?;
    let signed_at = time::seconds(at)?;
    let list: Vec<_> = headers::one(request.headers, list)?.split(' ').collect();
    if list.len() > SIGNATURES {
        return Err(VerificationFailure::TooManySignatures);
    }
    let of = |version: &str| -> Vec<&str> {
        list.iter().filter_map(|item| item.split_once(',')).filter(|(v, _)| *v == version).map(|(_, s)| s).collect()
    };
    let (symmetric, asymmetric) = (of("v1"), of("v1a"));
    if symmetric.is_empty() && asymmetric.is_empty() {
        return Err(VerificationFailure::NoSignature);
    }
    let parts: [&[u8]; 5] = [id.as_bytes(), b".", at.as_bytes(), b".", request.body];
    mac::check_each(keys, |key| {
        Ok(match parse_key(key)? {
            StandardKey::Symmetric(key) => {
                let tag = mac::sign(HmacAlgorithm::Sha256, &key, &parts);
                let expected = mac::encode(SignatureEncoding::Base64, tag.as_ref());
                symmetric.iter().any(|signature| mac::equal(signature, &expected))
            }
            StandardKey::Public(key) => {
                let key = UnparsedPublicKey::new(&ED25519, key);
                let message = parts.concat();
                let valid = |signature: &&str| {
                    STANDARD.decode(signature).is_ok_and(|bytes| key.verify(&message, &bytes).is_ok())
                };
                asymmetric.iter().any(valid)
            }
        })
    })?;
    time::check(signed_at, request.received_at, TOLERANCE_MILLIS, TOLERANCE_MILLIS)?;
    Ok(Sender { signed_at: Some(signed_at), signed_id: Some(id.to_owned()), ..Sender::default() })
}

/// The names of the headers that the request has. A request that has both complete sets is read
/// by the first one alone.
fn names(request: &HookRequest<'_>) -> Result<[&'static str; 3], VerificationFailure> {
    let has = |name: &&str| request.headers.contains_key(*name);
    if let Some(names) = NAMES.into_iter().find(|names| names.iter().all(has)) {
        return Ok(names);
    }
    let any = NAMES.map(|names| names.iter().any(has));
    match any {
        [true, true] => Err(VerificationFailure::HeadersMixed),
        [false, true] => Ok(NAMES[1]),
        _ => Ok(NAMES[0]),
    }
}

fn parse_key(key: &[u8]) -> Result<StandardKey, InvalidKey> {
    let decode = |text: &[u8]| STANDARD.decode(text).map_err(|_| InvalidKey::NotStandardWebhooks);
    if let Some(text) = key.strip_prefix(b"whsec_") {
        let key = decode(text)?;
        return if KEY_BYTES.contains(&key.len()) {
            Ok(StandardKey::Symmetric(key))
        } else {
            Err(InvalidKey::NotStandardWebhooks)
        };
    }
    let text = key.strip_prefix(b"whpk_").ok_or(InvalidKey::NotStandardWebhooks)?;
    let key = decode(text)?;
    if key.len() == PUBLIC_KEY_BYTES { Ok(StandardKey::Public(key)) } else { Err(InvalidKey::NotStandardWebhooks) }
}

/// Signs a message that the host sends: returns the value of `webhook-signature`. `at` is the time
/// of this try, in seconds since 1970, which `webhook-timestamp` carries.
///
/// # Errors
/// If the key is not a symmetric key of Standard Webhooks.
pub fn sign(id: &str, at: u64, body: &[u8], key: &[u8]) -> Result<String, InvalidKey> {
    let StandardKey::Symmetric(key) = parse_key(key)? else { return Err(InvalidKey::NotStandardWebhooks) };
    let at = at.to_string();
    let parts: [&[u8]; 5] = [id.as_bytes(), b".", at.as_bytes(), b".", body];
    let tag = mac::sign(HmacAlgorithm::Sha256, &key, &parts);
    Ok(format!("v1,{}", mac::encode(SignatureEncoding::Base64, tag.as_ref())))
}

pub(crate) fn check_key(key: &[u8]) -> Result<(), InvalidKey> {
    parse_key(key).map(drop)
}
