//! PayPal: RSA with SHA-256 over the transmission's id and time, the id of the webhook and the
//! CRC-32 of the body.
//!
//! A CRC-32 is not a hash. Anyone who has seen one signed delivery can write another body with the
//! same CRC-32 at once. The signature therefore proves the transmission, and the body only if the
//! transmission id has not been seen with another body. The caller stores
//! [`transmission_id`](crate::VerifiedRequest::transmission_id) with the digest of the body, and
//! refuses a known one with another digest.

mod certificate;
pub(crate) mod postback;
pub(crate) mod transmission;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tidemill_core::hook::HookEnvironment;

use self::transmission::Transmission;
use crate::failure::VerificationFailure;
use crate::inputs::PaypalCertificate;
use crate::request::HookRequest;
use crate::scheme::Sender;

/// Verifies a request with PayPal's certificate.
pub(crate) fn verify(
    request: &HookRequest<'_>,
    webhook_id: &str,
    environment: HookEnvironment,
    certificate: Option<PaypalCertificate<'_>>,
) -> Result<Sender, VerificationFailure> {
    let transmission = Transmission::read(request, environment)?;
    let signature = STANDARD.decode(transmission.signature).map_err(|_| VerificationFailure::WrongSignature)?;
    let certificate = certificate.ok_or(VerificationFailure::CertificateMissing)?;
    let text = transmission.signed_text(webhook_id, request.body);
    certificate::verify(certificate, environment, request.received_at, text.as_bytes(), &signature)?;
    transmission.sender(request, environment)
}

/// Verifies a request by the confirmation of PayPal's API.
pub(crate) fn verify_confirmed(
    request: &HookRequest<'_>,
    environment: HookEnvironment,
    confirmed: Option<bool>,
) -> Result<Sender, VerificationFailure> {
    let transmission = Transmission::read(request, environment)?;
    match confirmed {
        Some(true) => transmission.sender(request, environment),
        Some(false) => Err(VerificationFailure::NotConfirmed),
        None => Err(VerificationFailure::CertificateMissing),
    }
}
