//! The bounds of PayPal's answers, and the failures of a host that got none.

use std::time::Duration;

use tidemill_webhook::VerificationFailure;

/// Maximum time for everything that the host requests from PayPal to verify one delivery.
pub(super) const TIMEOUT: Duration = Duration::from_secs(5);
/// Maximum size of an answer of PayPal, and of a file with a certificate, in bytes.
pub(super) const ANSWER_BYTES: usize = 64 << 10;

pub(super) fn unavailable(why: impl Into<String>) -> VerificationFailure {
    VerificationFailure::Unavailable(why.into())
}

pub(super) fn too_late() -> VerificationFailure {
    unavailable(format!("PayPal did not answer within {} s", TIMEOUT.as_secs()))
}
