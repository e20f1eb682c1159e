//! Verification by PayPal's API: the question, and the meaning of its answer.

use serde::Deserialize;
use serde_json::value::RawValue;
use tidemill_core::hook::HookEnvironment;
use tidemill_core::wire::json;

use crate::failure::VerificationFailure;
use crate::request::HookRequest;
use crate::scheme::paypal::transmission::{ALGORITHM, Transmission};

/// Maximum size of the answer, in bytes.
const ANSWER_BYTES: usize = 64 * 1024;

/// The question whether a signature is valid, for PayPal's API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostbackRequest {
    /// The origin of the API: `https://api-m.paypal.com`, or that of the sandbox.
    pub origin: &'static str,
    /// The path: `/v1/notifications/verify-webhook-signature`.
    pub path: &'static str,
    /// The JSON body.
    pub body: Vec<u8>,
}

impl PostbackRequest {
    pub(crate) fn new(
        request: &HookRequest<'_>,
        webhook_id: &str,
        environment: HookEnvironment,
    ) -> Result<Self, VerificationFailure> {
        let transmission = Transmission::read(request, environment)?;
        // PayPal computes the CRC-32 over the event as it is written, so it must stay as it is.
        let event = std::str::from_utf8(request.body).ok();
        let event = event.filter(|_| json::check(request.body, request.body.len()).is_ok());
        let event = event.and_then(|event| serde_json::from_str::<&RawValue>(event).ok());
        // A body that is not JSON cannot be one that PayPal signed.
        let event = event.ok_or(VerificationFailure::NotConfirmed)?;
        let question = PostbackQuestion {
            auth_algo: ALGORITHM,
            cert_url: transmission.certificate_url.to_string(),
            transmission_id: transmission.id,
            transmission_sig: transmission.signature,
            transmission_time: transmission.time,
            webhook_id,
            webhook_event: event,
        };
        Ok(Self {
            origin: match environment {
                HookEnvironment::Live => "https://api-m.paypal.com",
                HookEnvironment::Test => "https://api-m.sandbox.paypal.com",
            },
            path: "/v1/notifications/verify-webhook-signature",
            body: serde_json::to_vec(&question).map_err(|_| VerificationFailure::NotConfirmed)?,
        })
    }
}

#[derive(serde::Serialize)]
struct PostbackQuestion<'a> {
    auth_algo: &'static str,
    cert_url: String,
    transmission_id: &'a str,
    transmission_sig: &'a str,
    transmission_time: &'a str,
    webhook_id: &'a str,
    webhook_event: &'a RawValue,
}

#[derive(Deserialize)]
struct PostbackAnswer {
    verification_status: String,
}

/// Whether the answer of PayPal's API with status 200 confirms a signature. `None` if it is not
/// an answer.
#[must_use]
pub fn confirmed(answer: &[u8]) -> Option<bool> {
    json::check(answer, ANSWER_BYTES).ok()?;
    let answer: PostbackAnswer = serde_json::from_slice(answer).ok()?;
    match answer.verification_status.as_str() {
        "SUCCESS" => Some(true),
        "FAILURE" => Some(false),
        _ => None,
    }
}
