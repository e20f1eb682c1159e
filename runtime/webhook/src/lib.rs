//! Verifies webhooks by the declarations of [`tidemill_core::hook`].
//!
//! Nothing here does I/O or reads a clock: the caller passes the request with the time of its
//! receipt, the versions of the hook's secret and, for PayPal, the certificate that
//! [`Verifier::need`] names. Verification happens before anything of the body is parsed.
//!
//! A request that is not verified has a [`VerificationFailure`]. The log and the hook's list show
//! it. The sender does not learn it: see [`VerificationFailure::kind`].

#![forbid(unsafe_code)]

mod body;
mod certificate_url;
mod clock_offset;
mod failure;
mod handshake;
mod headers;
mod inputs;
mod key;
mod mac;
mod request;
mod scan;
mod scheme;
mod time;
mod values;
mod verifier;

pub use body::{BodyEncoding, UnsupportedEncoding};
pub use certificate_url::{CertificateUrl, InvalidCertificateUrl};
pub use clock_offset::ClockOffsetDetector;
pub use failure::{FailureKind, VerificationFailure};
pub use headers::{is_credential_header, without_token};
pub use inputs::{PaypalCertificate, TrustRoots, UnusableRoot, VerificationInputs, VerificationNeed};
pub use key::InvalidKey;
pub use request::{HandshakeReply, HookRequest, ProviderId, VerifiedDelivery, VerifiedRequest};
pub use scheme::paypal::postback::{PostbackRequest, confirmed};
pub use scheme::standard_webhooks::sign as sign_standard_webhook;
pub use verifier::Verifier;
