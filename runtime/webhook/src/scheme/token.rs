//! A token that the request carries. It covers neither the body nor an id.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::AUTHORIZATION;
use tidemill_core::hook::TokenPlace;

use crate::failure::VerificationFailure;
use crate::key::InvalidKey;
use crate::request::HookRequest;
use crate::scheme::Sender;
use crate::{headers, mac};

/// Minimum length of a token, in bytes.
const TOKEN_BYTES: usize = 8;

pub(crate) fn verify(
    request: &HookRequest<'_>,
    place: &TokenPlace,
    keys: &[&[u8]],
) -> Result<Sender, VerificationFailure> {
    let given = match place {
        TokenPlace::Bearer => authorization(request, "bearer")?.as_bytes().to_vec(),
        TokenPlace::Basic => {
            let encoded = authorization(request, "basic")?;
            STANDARD.decode(encoded).map_err(|_| VerificationFailure::WrongToken)?
        }
        TokenPlace::Header(name) => headers::one(request.headers, name.as_str())?.as_bytes().to_vec(),
        TokenPlace::Query(name) => headers::parameter(request, name.as_str())?.as_bytes().to_vec(),
    };
    let verify = |key: &[u8]| {
        check_key(key, place)?;
        Ok(mac::equal_secrets(key, &given))
    };
    match mac::check_each(keys, verify) {
        Ok(()) => Ok(Sender::default()),
        Err(VerificationFailure::WrongSignature) => Err(VerificationFailure::WrongToken),
        Err(other) => Err(other),
    }
}

/// The credentials after the scheme of `Authorization`, whose case does not matter (RFC 9110,
/// section 11.1).
fn authorization<'a>(request: &HookRequest<'a>, scheme: &str) -> Result<&'a str, VerificationFailure> {
    let header = headers::one(request.headers, AUTHORIZATION.as_str())?;
    let credentials = header.split_once(' ').filter(|(name, _)| name.eq_ignore_ascii_case(scheme));
    credentials.map(|(_, credentials)| credentials).ok_or(VerificationFailure::WrongToken)
}

pub(crate) fn check_key(key: &[u8], place: &TokenPlace) -> Result<(), InvalidKey> {
    if key.is_empty() {
        return Err(InvalidKey::Empty);
    }
    if key.len() < TOKEN_BYTES {
        return Err(InvalidKey::ShortToken);
    }
    if *place == TokenPlace::Basic && !key.contains(&b':') {
        return Err(InvalidKey::NotAPair);
    }
    Ok(())
}
