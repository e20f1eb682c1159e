//! A request to a hook, and what a verified one contains.

use std::fmt;

use http::{HeaderMap, Method};
use tidemill_core::Timestamp;
use tidemill_core::delivery::BodyDigest;
use tidemill_core::hook::{HookEnvironment, ObjectVersion};

/// Maximum length of a provider's id of a delivery, in bytes.
const ID_BYTES: usize = 255;

/// A request as it was received.
#[derive(Debug, Clone, Copy)]
pub struct HookRequest<'a> {
    /// Its method.
    pub method: &'a Method,
    /// Its path with the query, as it was sent.
    pub path_and_query: &'a str,
    /// Its headers.
    pub headers: &'a HeaderMap,
    /// Its body, as it was sent.
    pub body: &'a [u8],
    /// The time of its receipt.
    pub received_at: Timestamp,
}

impl<'a> HookRequest<'a> {
    /// The raw query, without `?`.
    #[must_use]
    pub fn query(&self) -> Option<&'a str> {
        self.path_and_query.split_once('?').map(|(_, query)| query)
    }
}

/// A provider's id of a delivery: 1 to 255 printable ASCII characters without spaces.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProviderId(String);

impl ProviderId {
    /// Returns the id if the text is valid.
    #[must_use]
    pub fn new(text: String) -> Option<Self> {
        let valid = (1..=ID_BYTES).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
        valid.then_some(Self(text))
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ProviderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for ProviderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The reply to a handshake, with status 200.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HandshakeReply {
    /// Its `Content-Type`. The caller adds `X-Content-Type-Options: nosniff`.
    pub content_type: &'static str,
    /// Its body.
    pub body: String,
}

/// A request whose sender is verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VerifiedRequest {
    /// A handshake, with the reply of the host.
    Handshake(HandshakeReply),
    /// A delivery.
    Delivery(Box<VerifiedDelivery>),
}

/// A delivery whose sender is verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedDelivery {
    /// The provider's id of the delivery; `None` if the hook declares no place of one. The body
    /// identifies the delivery then.
    pub id: Option<ProviderId>,
    /// Whether the signature covers the id. Without an id, `false`.
    pub id_is_signed: bool,
    /// PayPal's transmission id, which must not be seen with another body: the signature covers
    /// only a CRC-32 of the body.
    pub transmission_id: Option<String>,
    /// The time of the signature, if it covers one.
    pub signed_at: Option<Timestamp>,
    /// The environment, if the delivery states it.
    pub environment: Option<HookEnvironment>,
    /// The event type, if it is readable.
    pub event: Option<String>,
    /// The id of the object, or the lane's key, if the hook declares its place and it is readable.
    pub object: Option<String>,
    /// The version of the object, if the hook declares its place and it is readable.
    pub version: Option<ObjectVersion>,
    /// The digest of the body as it was sent.
    pub body_digest: BodyDigest,
    /// The digest of the signed text without its time and headers, if a sender could cut the text
    /// into other values under the same signature. It identifies the delivery in place of
    /// `body_digest`.
    pub signed_digest: Option<BodyDigest>,
    /// The decoded body, if it was sent with a `Content-Encoding`.
    pub decoded_body: Option<Vec<u8>>,
}
