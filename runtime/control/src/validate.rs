//! Validates what requests from outside can carry: an idempotency key, JSON, and a note.

use tidemill_core::Code;
use tidemill_core::wire::json;

use crate::error::ControlError;

/// Maximum length of an idempotency key, in bytes.
pub const KEY_BYTES: usize = 255;
/// Maximum length of a pause's note, in bytes.
pub const NOTE_BYTES: usize = 1024;

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

/// Returns the note of a pause if it is not too long.
///
/// # Errors
/// `host/bad-field`.
pub(crate) fn checked_note(note: String) -> Result<String, ControlError> {
    if note.len() > NOTE_BYTES {
        return Err(ControlError::refused(Code::BadField, format!("a note has at most {NOTE_BYTES} bytes")));
    }
    Ok(note)
}
