//! What comes along with a request from outside, whatever it asks for: an idempotency key, and JSON; each with its bound.

use tidemill_core::Code;
use tidemill_core::wire::json;

use crate::error::ControlError;

/// The longest idempotency key, in bytes.
pub const KEY_BYTES: usize = 255;

/// Refuses an idempotency key that is none.
///
/// # Errors
/// `host/bad-field`.
pub(crate) fn check_key(key: &str) -> Result<(), ControlError> {
    if key.is_empty() || key.len() > KEY_BYTES {
        let detail = format!("an idempotency key has 1 to {KEY_BYTES} bytes");
        return Err(ControlError::refused(Code::BadField, detail));
    }
    Ok(())
}

/// Refuses what is no JSON text of at most `most` bytes; `what` names it.
///
/// # Errors
/// `too_long`; `host/bad-json`.
pub(crate) fn check_json(what: &str, text: &[u8], most: usize, too_long: Code) -> Result<(), ControlError> {
    if text.len() > most {
        return Err(ControlError::refused(too_long, format!("{what} has {} bytes, of at most {most}", text.len())));
    }
    json::check(text, most).map_err(|error| ControlError::refused(Code::BadJson, format!("{what}: {error}")))
}
