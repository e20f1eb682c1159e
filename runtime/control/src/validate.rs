//! Validates what every request from outside can carry: an idempotency key and JSON.

use tidemill_core::Code;
use tidemill_core::wire::json;

use crate::error::ControlError;

/// Maximum length of an idempotency key, in bytes.
pub const KEY_BYTES: usize = 255;

/// Rejects an invalid idempotency key.
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

/// Rejects `text` unless it is JSON of at most `max_bytes`. `what` names it in the error.
///
/// # Errors
/// `too_long`; `host/bad-json`.
pub(crate) fn check_json(what: &str, text: &[u8], max_bytes: usize, too_long: Code) -> Result<(), ControlError> {
    if text.len() > max_bytes {
        return Err(ControlError::refused(
            too_long,
            format!("{what} has {} bytes, of at most {max_bytes}", text.len()),
        ));
    }
    json::check(text, max_bytes).map_err(|error| ControlError::refused(Code::BadJson, format!("{what}: {error}")))
}
