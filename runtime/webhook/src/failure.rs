//! Why a request is not accepted.

use crate::certificate_url::InvalidCertificateUrl;
use crate::key::InvalidKey;

/// Why a request is not accepted. Only the log and the hook's list show the reason.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerificationFailure {
    /// A header is missing.
    #[error("the header `{0}` is missing")]
    HeaderMissing(String),
    /// A header occurs more than once.
    #[error("the header `{0}` is given more than once")]
    HeaderRepeated(String),
    /// A header is empty, too long or not printable ASCII.
    #[error("the header `{0}` is empty, longer than 4,096 bytes or not printable ASCII")]
    HeaderMalformed(String),
    /// A parameter of the query is missing or occurs more than once.
    #[error("the query does not have `{0}` once")]
    QueryParameter(String),
    /// The headers of Standard Webhooks are mixed.
    #[error("headers `webhook-…` and `svix-…` are mixed")]
    HeadersMixed,
    /// The time of the signature is missing, given twice or malformed.
    #[error("the time of the signature is missing, given twice or malformed")]
    TimeMalformed,
    /// The id is not one that the signature covers in only one way.
    #[error("the id that is signed is malformed")]
    SignedIdMalformed,
    /// There is no signature of an accepted kind.
    #[error("there is no signature of an accepted kind")]
    NoSignature,
    /// There are more signatures than a request may have.
    #[error("there are more than 16 signatures")]
    TooManySignatures,
    /// No signature is valid under any version of the secret.
    #[error("no signature is valid under any version of the secret")]
    WrongSignature,
    /// The signature covers text that has more than one reading.
    #[error("a signed value contains the text that separates it from the next one")]
    AmbiguousText,
    /// The body is not one that the signature covers.
    #[error("the signature does not cover the body, or the body is not a form")]
    BodyNotCovered,
    /// The signature is valid, but its time is too far from the time of receipt.
    #[error("the signature is valid, but its time differs by {offset_millis} ms from the time of receipt")]
    OutsideTolerance {
        /// The time of the signature, in milliseconds since 1970.
        signed_at_millis: u64,
        /// The time of the signature less the time of receipt.
        offset_millis: i64,
    },
    /// The token is missing or wrong.
    #[error("the token is missing or wrong")]
    WrongToken,
    /// PayPal's algorithm is not the one that is accepted.
    #[error("the algorithm is not SHA256withRSA")]
    AlgorithmUnknown,
    /// The URL of the certificate is not one of PayPal.
    #[error("the URL of the certificate is refused: {0}")]
    CertificateUrl(#[from] InvalidCertificateUrl),
    /// The certificate is not one that may sign, or its chain does not lead to a root.
    #[error("the certificate is refused: {0}")]
    CertificateRefused(String),
    /// The certificate, or one that signed it, has expired at the time of receipt.
    #[error("the certificate has expired")]
    CertificateExpired,
    /// PayPal's API does not confirm the signature.
    #[error("PayPal does not confirm the signature")]
    NotConfirmed,
    /// The request is no valid handshake.
    #[error("the handshake is malformed")]
    HandshakeMalformed,

    /// The body does not decode by its `Content-Encoding`, or is too large then.
    #[error("the body does not decode by its `Content-Encoding`, or it is too large then")]
    BodyNotDecodable,
    /// The body is not JSON, so that it contains no id.
    #[error("the body is not valid JSON: {0}")]
    BodyNotJson(String),
    /// The id is missing.
    #[error("the id of the delivery is missing")]
    IdMissing,
    /// The id is given more than once.
    #[error("the id of the delivery is given more than once")]
    IdRepeated,
    /// The id is not a text of 1 to 255 printable ASCII characters.
    #[error("the id of the delivery is not a text of 1 to 255 printable ASCII characters")]
    IdMalformed,

    /// The caller passed no version of the secret.
    #[error("the secret of the hook has no value")]
    KeyMissing,
    /// A version of the secret cannot be used with the scheme, and no other one verified the
    /// request.
    #[error("the secret of the hook is not usable: {0}")]
    KeyUnusable(InvalidKey),
    /// The caller passed no certificate, or no confirmation of PayPal.
    #[error("PayPal's certificate or confirmation is missing")]
    CertificateMissing,
    /// The host could not get what it needs for the verification.
    #[error("the request cannot be verified now: {0}")]
    Unavailable(String),
}

/// What a failure means for the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// The request is not verified: 401, the same for every reason.
    NotVerified,
    /// The request is verified, but has no readable id: 400.
    Unreadable,
    /// The host cannot verify the request: 503, so that the provider sends it again.
    Unavailable,
}

impl VerificationFailure {
    /// What the failure means for the answer.
    #[must_use]
    pub const fn kind(&self) -> FailureKind {
        match self {
            Self::BodyNotDecodable | Self::BodyNotJson(_) | Self::IdMissing | Self::IdRepeated | Self::IdMalformed => {
                FailureKind::Unreadable
            }
            Self::KeyMissing | Self::KeyUnusable(_) | Self::CertificateMissing | Self::Unavailable(_) => {
                FailureKind::Unavailable
            }
            _ => FailureKind::NotVerified,
        }
    }
}
