//! GitHub: an HMAC-SHA256 over the body. `X-Hub-Signature`, an HMAC-SHA1, never counts.

use tidemill_core::hook::{HmacAlgorithm, SignatureEncoding};

use crate::failure::VerificationFailure;
use crate::key::InvalidKey;
use crate::request::HookRequest;
use crate::scheme::Sender;
use crate::{headers, mac};

const HEADER: &str = "x-hub-signature-256";

pub(crate) fn verify(request: &HookRequest<'_>, keys: &[&[u8]]) -> Result<Sender, VerificationFailure> {
    let header = headers::one(request.headers, HEADER)?;
    let signature = header.strip_prefix("sha256=").ok_or(VerificationFailure::NoSignature)?;
    mac::check(keys, &[signature], |key| {
        check_key(key)?;
        let tag = mac::sign(HmacAlgorithm::Sha256, key, &[request.body]);
        Ok(mac::encode(SignatureEncoding::Hex, tag.as_ref()))
    })?;
    Ok(Sender::default())
}

pub(crate) const fn check_key(key: &[u8]) -> Result<(), InvalidKey> {
    if key.is_empty() { Err(InvalidKey::Empty) } else { Ok(()) }
}
