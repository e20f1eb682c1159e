//! The headers of a transmission of PayPal.

use tidemill_core::Timestamp;
use tidemill_core::hook::HookEnvironment;

use crate::certificate_url::CertificateUrl;
use crate::failure::VerificationFailure;
use crate::request::HookRequest;
use crate::scheme::Sender;
use crate::{headers, time};

/// The only algorithm that is accepted.
pub(crate) const ALGORITHM: &str = "SHA256withRSA";
/// Maximum length of a transmission id, in bytes.
const TRANSMISSION_BYTES: usize = 128;
/// Maximum age of a transmission, in milliseconds: PayPal sends a delivery again for three days.
const AGE_MILLIS: u64 = 4 * 24 * 3_600_000;
/// Maximum time of a transmission in the future, in milliseconds.
const AHEAD_MILLIS: u64 = 300_000;

/// The headers of a transmission.
pub(crate) struct Transmission<'a> {
    pub id: &'a str,
    pub time: &'a str,
    pub signature: &'a str,
    pub certificate_url: CertificateUrl,
    signed_at: Timestamp,
}

impl<'a> Transmission<'a> {
    /// Reads the headers, without any trust in them.
    pub(crate) fn read(request: &HookRequest<'a>, environment: HookEnvironment) -> Result<Self, VerificationFailure> {
        if headers::one(request.headers, "paypal-auth-algo")? != ALGORITHM {
            return Err(VerificationFailure::AlgorithmUnknown);
        }
        let id = headers::one(request.headers, "paypal-transmission-id")?;
        // A `|` separates what is signed.
        let plain = id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        if id.len() > TRANSMISSION_BYTES || !plain {
            return Err(VerificationFailure::SignedIdMalformed);
        }
        let time = headers::one(request.headers, "paypal-transmission-time")?;
        let signed_at = Some(time).filter(|time| !time.contains('|')).and_then(Timestamp::parse_rfc3339);
        let signed_at = signed_at.ok_or(VerificationFailure::TimeMalformed)?;
        let signature = headers::one(request.headers, "paypal-transmission-sig")?;
        let certificate_url = CertificateUrl::parse(headers::one(request.headers, "paypal-cert-url")?, environment)?;
        Ok(Self { id, time, signature, certificate_url, signed_at })
    }

    /// The text that PayPal signs.
    pub(crate) fn signed_text(&self, webhook_id: &str, body: &[u8]) -> String {
        format!("{}|{}|{webhook_id}|{}", self.id, self.time, crc32fast::hash(body))
    }

    /// The sender, if the transmission is recent. To be called after its signature is verified.
    pub(crate) fn sender(
        &self,
        request: &HookRequest<'_>,
        environment: HookEnvironment,
    ) -> Result<Sender, VerificationFailure> {
        time::check(self.signed_at, request.received_at, AGE_MILLIS, AHEAD_MILLIS)?;
        Ok(Sender {
            signed_at: Some(self.signed_at),
            transmission_id: Some(self.id.to_owned()),
            environment: Some(environment),
            ..Sender::default()
        })
    }
}
