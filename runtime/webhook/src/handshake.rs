//! The handshakes by which providers check an endpoint. The host answers them, without a run.
//!
//! A handshake is answered only to a verified sender. One whose answer is a signature of the
//! caller's token is answered only for a token that cannot be the signed text of a delivery.
//! Otherwise the endpoint would sign whatever a sender chooses.

use serde::Deserialize;
use tidemill_core::hook::{HmacAlgorithm, HookHandshake, HookMethod, HookSpec, SignatureEncoding};

use crate::failure::VerificationFailure;
use crate::request::{HandshakeReply, HookRequest};
use crate::{headers, mac};

/// Maximum length of a challenge, in characters.
const CHALLENGE_CHARS: usize = 512;
/// Lengths of a token of Zoom, in characters.
const ZOOM_CHARS: std::ops::RangeInclusive<usize> = 16..=64;

fn challenge(text: &str) -> Result<HandshakeReply, VerificationFailure> {
    let printable = text.bytes().all(|b| matches!(b, b' '..=b'~'));
    if (1..=CHALLENGE_CHARS).contains(&text.len()) && printable {
        Ok(HandshakeReply { content_type: "text/plain; charset=utf-8", body: text.to_owned() })
    } else {
        Err(VerificationFailure::HandshakeMalformed)
    }
}

/// Whether the request is a handshake that carries its own token, so that the scheme does not
/// verify it.
pub(crate) fn has_own_token(hook: &HookSpec, request: &HookRequest<'_>) -> bool {
    let is_meta = matches!(hook.handshake, Some(HookHandshake::Meta { .. })) && request.method == http::Method::GET;
    let is_delivery = hook.methods.contains(&HookMethod::Get);
    is_meta && (!is_delivery || headers::parameter(request, "hub.mode").is_ok())
}

/// Answers a handshake that carries its own token.
pub(crate) fn with_own_token(
    request: &HookRequest<'_>,
    tokens: &[&[u8]],
) -> Result<HandshakeReply, VerificationFailure> {
    if headers::parameter(request, "hub.mode")? != "subscribe" {
        return Err(VerificationFailure::HandshakeMalformed);
    }
    let given = headers::parameter(request, "hub.verify_token")?;
    if tokens.is_empty() {
        return Err(VerificationFailure::KeyMissing);
    }
    if !tokens.iter().any(|token| !token.is_empty() && mac::equal_secrets(token, given.as_bytes())) {
        return Err(VerificationFailure::WrongToken);
    }
    challenge(&headers::parameter(request, "hub.challenge")?)
}

/// Answers a handshake of a verified sender; `None` if the request is a delivery. `keys` are the
/// versions of the hook's secret, the newest first.
pub(crate) fn verified(
    hook: &HookSpec,
    request: &HookRequest<'_>,
    keys: &[&[u8]],
) -> Result<Option<HandshakeReply>, VerificationFailure> {
    match &hook.handshake {
        None | Some(HookHandshake::Meta { .. }) => Ok(None),
        Some(HookHandshake::Slack) => {
            let Ok(body) = serde_json::from_slice::<SlackBody>(request.body) else { return Ok(None) };
            match (body.kind.as_str(), body.challenge) {
                ("url_verification", Some(text)) => challenge(&text).map(Some),
                ("url_verification", None) => Err(VerificationFailure::HandshakeMalformed),
                _ => Ok(None),
            }
        }
        Some(HookHandshake::Microsoft) => {
            let named = |(name, _): &(_, _)| name == "validationToken";
            if !form_urlencoded::parse(request.query().unwrap_or_default().as_bytes()).any(|pair| named(&pair)) {
                return Ok(None);
            }
            challenge(&headers::parameter(request, "validationToken")?).map(Some)
        }
        Some(HookHandshake::Zoom) => {
            let Ok(body) = serde_json::from_slice::<ZoomBody>(request.body) else { return Ok(None) };
            if body.event != "endpoint.url_validation" {
                return Ok(None);
            }
            let token = body.payload.and_then(|payload| payload.plain_token);
            zoom(&token.unwrap_or_default(), keys).map(Some)
        }
    }
}

/// A signed text of Zoom contains `:`, and a token does not.
fn zoom(token: &str, keys: &[&[u8]]) -> Result<HandshakeReply, VerificationFailure> {
    let shape = token.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    if !shape || !ZOOM_CHARS.contains(&token.len()) {
        return Err(VerificationFailure::HandshakeMalformed);
    }
    let key = keys.iter().find(|key| !key.is_empty()).ok_or(VerificationFailure::KeyMissing)?;
    let tag = mac::sign(HmacAlgorithm::Sha256, key, &[token.as_bytes()]);
    let encrypted = mac::encode(SignatureEncoding::Hex, tag.as_ref());
    let body = serde_json::json!({ "plainToken": token, "encryptedToken": encrypted }).to_string();
    Ok(HandshakeReply { content_type: "application/json", body })
}

#[derive(Deserialize)]
struct SlackBody {
    #[serde(rename = "type")]
    kind: String,
    challenge: Option<String>,
}

#[derive(Deserialize)]
struct ZoomBody {
    event: String,
    payload: Option<ZoomPayload>,
}

#[derive(Deserialize)]
struct ZoomPayload {
    #[serde(rename = "plainToken")]
    plain_token: Option<String>,
}
