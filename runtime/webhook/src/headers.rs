//! Reads headers and parameters that must occur once, and tells which ones hold credentials.

use std::borrow::Cow;

use http::HeaderMap;
use tidemill_core::hook::{HookScheme, HookSpec, TokenPlace};

use crate::failure::VerificationFailure;
use crate::request::HookRequest;

/// Maximum length of a header that is read, in bytes.
const HEADER_BYTES: usize = 4_096;
/// Headers that hold credentials of any scheme.
const CREDENTIALS: [&str; 4] = ["authorization", "cookie", "proxy-authorization", "set-cookie"];

/// The value of a header that occurs once.
pub(crate) fn one<'a>(headers: &'a HeaderMap, name: &str) -> Result<&'a str, VerificationFailure> {
    optional(headers, name)?.ok_or_else(|| VerificationFailure::HeaderMissing(name.to_owned()))
}

/// The value of a header that occurs at most once.
pub(crate) fn optional<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, VerificationFailure> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(VerificationFailure::HeaderRepeated(name.to_owned()));
    }
    let printable = value.as_bytes().iter().all(|b| matches!(b, b' '..=b'~'));
    let fits = (1..=HEADER_BYTES).contains(&value.len());
    let text = value.to_str().ok().filter(|_| fits && printable);
    text.map(Some).ok_or_else(|| VerificationFailure::HeaderMalformed(name.to_owned()))
}

/// The decoded value of a parameter of the query that occurs once.
pub(crate) fn parameter<'a>(request: &HookRequest<'a>, name: &str) -> Result<Cow<'a, str>, VerificationFailure> {
    let query = request.query().unwrap_or_default();
    let mut found = form_urlencoded::parse(query.as_bytes()).filter(|(known, _)| known == name);
    match (found.next(), found.next()) {
        (Some((_, value)), None) => Ok(value),
        _ => Err(VerificationFailure::QueryParameter(name.to_owned())),
    }
}

/// Whether a header of a request to this hook holds a credential, which is not stored.
#[must_use]
pub fn is_credential_header(hook: &HookSpec, name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let token = match &hook.scheme {
        HookScheme::Token { place: TokenPlace::Header(header), .. } => header.as_str() == name,
        _ => false,
    };
    token || CREDENTIALS.contains(&name.as_str())
}

/// The path and the query of a request to this hook without a token, for logs and for what is
/// stored.
#[must_use]
pub fn without_token<'a>(hook: &HookSpec, path_and_query: &'a str) -> Cow<'a, str> {
    let HookScheme::Token { place: TokenPlace::Query(name), .. } = &hook.scheme else {
        return Cow::Borrowed(path_and_query);
    };
    let Some((path, query)) = path_and_query.split_once('?') else { return Cow::Borrowed(path_and_query) };
    // The name may be percent-encoded, so it is compared after decoding.
    let is_token = |pair: &&str| form_urlencoded::parse(pair.as_bytes()).all(|(known, _)| known != name.as_str());
    let rest: Vec<_> = query.split('&').filter(is_token).collect();
    Cow::Owned(if rest.is_empty() { path.to_owned() } else { format!("{path}?{}", rest.join("&")) })
}
