//! One file for each scheme. Each verifies the sender over the raw request and parses nothing of
//! the body.

pub(crate) mod github;
pub(crate) mod hmac;
pub(crate) mod paypal;
pub(crate) mod standard_webhooks;
pub(crate) mod stripe;
pub(crate) mod token;

use tidemill_core::Timestamp;
use tidemill_core::delivery::BodyDigest;
use tidemill_core::hook::HookEnvironment;

/// Maximum number of signatures of a request.
pub(crate) const SIGNATURES: usize = 16;

/// What a scheme knows about a verified sender.
#[derive(Debug, Default)]
pub(crate) struct Sender {
    /// The time of the signature.
    pub signed_at: Option<Timestamp>,
    /// An id outside the body that the signature covers.
    pub signed_id: Option<String>,
    /// PayPal's transmission id.
    pub transmission_id: Option<String>,
    /// The digest of the part of the signed text that has several readings.
    pub signed_digest: Option<BodyDigest>,
    /// The environment, if the scheme verifies it.
    pub environment: Option<HookEnvironment>,
}
