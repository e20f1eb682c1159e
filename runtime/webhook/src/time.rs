//! The time of a signature.

use tidemill_core::Timestamp;

use crate::failure::VerificationFailure;

/// Maximum number of digits of a time in seconds.
const DIGITS: usize = 15;

/// Parses seconds since 1970: 1 to 15 digits without a sign or a leading zero.
pub(crate) fn seconds(text: &str) -> Result<Timestamp, VerificationFailure> {
    let plain = (1..=DIGITS).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_digit())
        && (text == "0" || !text.starts_with('0'));
    let seconds = plain.then(|| text.parse::<u64>().ok()).flatten();
    let millis = seconds.and_then(|seconds| seconds.checked_mul(1_000));
    millis.map(Timestamp::from_millis).ok_or(VerificationFailure::TimeMalformed)
}

/// Checks that a time is at most `before` and `after` milliseconds from the time of receipt. To be
/// called after the signature is known to be valid.
pub(crate) fn check(
    signed_at: Timestamp,
    received_at: Timestamp,
    before: u64,
    after: u64,
) -> Result<(), VerificationFailure> {
    if received_at.millis_since(signed_at) <= before && signed_at.millis_since(received_at) <= after {
        return Ok(());
    }
    let (signed, received) = (signed_at.as_millis(), received_at.as_millis());
    let offset = i128::from(signed) - i128::from(received);
    Err(VerificationFailure::OutsideTolerance {
        signed_at_millis: signed,
        offset_millis: i64::try_from(offset).unwrap_or(if offset < 0 { i64::MIN } else { i64::MAX }),
    })
}
