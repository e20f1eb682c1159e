//! Stripe: an HMAC-SHA256 over the text of the time, a dot and the body.

use tidemill_core::hook::{HmacAlgorithm, SignatureEncoding, TOLERANCE_MILLIS};

use crate::failure::VerificationFailure;
use crate::key::InvalidKey;
use crate::request::HookRequest;
use crate::scheme::{SIGNATURES, Sender};
use crate::{headers, mac, time};

const HEADER: &str = "stripe-signature";

pub(crate) fn verify(request: &HookRequest<'_>, keys: &[&[u8]]) -> Result<Sender, VerificationFailure> {
    let header = headers::one(request.headers, HEADER)?;
    let (mut at, mut signatures) = (None, Vec::new());
    for (name, value) in header.split(',').filter_map(|item| item.split_once('=')) {
        match name {
            "t" if at.is_some() => return Err(VerificationFailure::TimeMalformed),
            "t" => at = Some(value),
            "v1" if signatures.len() == SIGNATURES => return Err(VerificationFailure::TooManySignatures),
            "v1" => signatures.push(value),
            // `v0` is a weak signature for Stripe's own tests.
            _ => {}
        }
    }
    let at = at.ok_or(VerificationFailure::TimeMalformed)?;
    let signed_at = time::seconds(at)?;
    if signatures.is_empty() {
        return Err(VerificationFailure::NoSignature);
    }
    mac::check(keys, &signatures, |key| {
        check_key(key)?;
        let tag = mac::sign(HmacAlgorithm::Sha256, key, &[at.as_bytes(), b".", request.body]);
        Ok(mac::encode(SignatureEncoding::Hex, tag.as_ref()))
    })?;
    time::check(signed_at, request.received_at, TOLERANCE_MILLIS, TOLERANCE_MILLIS)?;
    Ok(Sender { signed_at: Some(signed_at), ..Sender::default() })
}

/// The key is the whole text, with its prefix.
pub(crate) fn check_key(key: &[u8]) -> Result<(), InvalidKey> {
    if key.strip_prefix(b"whsec_").is_some_and(|rest| !rest.is_empty()) { Ok(()) } else { Err(InvalidKey::NotStripe) }
}
