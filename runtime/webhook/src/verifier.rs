//! Verifies the requests of one hook: first the sender, then what the verified request contains.

use std::sync::Arc;

use tidemill_core::delivery::BodyDigest;
use tidemill_core::hook::{HookEnvironment, HookHandshake, HookOrder, HookScheme, HookSpec, PaypalCheck, ValuePlace};

use crate::body::BodyEncoding;
use crate::failure::VerificationFailure;
use crate::handshake;
use crate::inputs::{VerificationInputs, VerificationNeed};
use crate::key::InvalidKey;
use crate::request::{HookRequest, ProviderId, VerifiedDelivery, VerifiedRequest};
use crate::scheme::paypal::postback::PostbackRequest;
use crate::scheme::paypal::transmission::Transmission;
use crate::scheme::{Sender, github, hmac, paypal, standard_webhooks, stripe, token};
use crate::values::ValueReader;

/// Verifies the requests of one hook. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Verifier {
    hook: Arc<HookSpec>,
    places: Arc<VerifierPlaces>,
}

/// Where a scheme has its values.
#[derive(Debug, Default)]
struct VerifierPlaces {
    id: Option<ValuePlace>,
    event: Option<ValuePlace>,
    is_live: Option<ValuePlace>,
}

impl VerifierPlaces {
    fn of(hook: &HookSpec) -> Self {
        let place = |text: &str| text.parse().ok();
        match &hook.scheme {
            HookScheme::Stripe { .. } => {
                Self { id: place("body:/id"), event: place("body:/type"), is_live: place("body:/livemode") }
            }
            HookScheme::Paypal { .. } => {
                Self { id: place("body:/id"), event: place("body:/event_type"), is_live: None }
            }
            HookScheme::StandardWebhooks { .. } => Self { event: place("body:/type"), ..Self::default() },
            HookScheme::Github { .. } => {
                let id = place("header:x-github-delivery");
                Self { id, event: place("header:x-github-event"), is_live: None }
            }
            HookScheme::Hmac { .. } | HookScheme::Token { .. } | HookScheme::None => {
                Self { id: hook.id.clone(), event: hook.event.clone(), is_live: None }
            }
        }
    }
}

impl Verifier {
    /// Returns the verifier of a hook.
    #[must_use]
    pub fn new(hook: Arc<HookSpec>) -> Self {
        let places = Arc::new(VerifierPlaces::of(&hook));
        Self { hook, places }
    }

    /// The hook.
    #[must_use]
    pub fn hook(&self) -> &HookSpec {
        &self.hook
    }

    /// Checks that a version of the hook's secret can be used with its scheme.
    ///
    /// # Errors
    /// If it cannot.
    pub fn check_key(&self, key: &[u8]) -> Result<(), InvalidKey> {
        match &self.hook.scheme {
            HookScheme::Stripe { .. } => stripe::check_key(key),
            HookScheme::StandardWebhooks { .. } => standard_webhooks::check_key(key),
            HookScheme::Github { .. } | HookScheme::Hmac { .. } => github::check_key(key),
            HookScheme::Token { place, .. } => token::check_key(key, place),
            HookScheme::Paypal { .. } if key.contains(&b':') => Ok(()),
            HookScheme::Paypal { .. } => Err(InvalidKey::NotAPair),
            HookScheme::None => Ok(()),
        }
    }

    /// What [`verify`](Self::verify) needs besides the request. Checks the headers for PayPal, so
    /// that a request without valid ones causes no further request.
    ///
    /// # Errors
    /// If no inputs verify the request.
    pub fn need(&self, request: &HookRequest<'_>) -> Result<VerificationNeed, VerificationFailure> {
        let hook = &self.hook;
        if handshake::has_own_token(hook, request)
            && let Some(HookHandshake::Meta { verify_token }) = &hook.handshake
        {
            return Ok(VerificationNeed::HandshakeTokens(verify_token.clone()));
        }
        match &hook.scheme {
            HookScheme::Paypal { check: PaypalCheck::Certificate, .. } => {
                let transmission = Transmission::read(request, hook.environment)?;
                Ok(VerificationNeed::Certificate(transmission.certificate_url))
            }
            HookScheme::Paypal { check: PaypalCheck::Postback { .. }, webhook_id } => {
                let question = PostbackRequest::new(request, webhook_id, hook.environment)?;
                Ok(VerificationNeed::Confirmation(Box::new(question)))
            }
            scheme => Ok(scheme.secret().cloned().map_or(VerificationNeed::Nothing, VerificationNeed::Keys)),
        }
    }

    /// Verifies the sender of a request, and then reads what the hook declares from it.
    ///
    /// # Errors
    /// Why the request is not accepted.
    pub fn verify(
        &self,
        request: &HookRequest<'_>,
        inputs: &VerificationInputs<'_>,
    ) -> Result<VerifiedRequest, VerificationFailure> {
        let hook = &*self.hook;
        if handshake::has_own_token(hook, request) {
            return handshake::with_own_token(request, inputs.keys).map(VerifiedRequest::Handshake);
        }
        if !hook.methods.iter().any(|method| method.as_str() == request.method.as_str()) {
            return Err(VerificationFailure::HandshakeMalformed);
        }
        let sender = self.sender(request, inputs)?;
        if let Some(reply) = handshake::verified(hook, request, inputs.keys)? {
            return Ok(VerifiedRequest::Handshake(reply));
        }
        self.read(request, sender).map(|delivery| VerifiedRequest::Delivery(Box::new(delivery)))
    }

    fn sender(
        &self,
        request: &HookRequest<'_>,
        inputs: &VerificationInputs<'_>,
    ) -> Result<Sender, VerificationFailure> {
        let (hook, keys) = (&*self.hook, inputs.keys);
        match &hook.scheme {
            HookScheme::Stripe { .. } => stripe::verify(request, keys),
            HookScheme::Paypal { webhook_id, check: PaypalCheck::Certificate } => {
                paypal::verify(request, webhook_id, hook.environment, inputs.certificate)
            }
            HookScheme::Paypal { check: PaypalCheck::Postback { .. }, .. } => {
                paypal::verify_confirmed(request, hook.environment, inputs.confirmed)
            }
            HookScheme::StandardWebhooks { .. } => standard_webhooks::verify(request, keys),
            HookScheme::Github { .. } => github::verify(request, keys),
            HookScheme::Hmac { spec, .. } => hmac::verify(request, spec, hook.public_url.as_deref(), keys),
            HookScheme::Token { place, .. } => token::verify(request, place, keys),
            HookScheme::None => Ok(Sender::default()),
        }
    }

    /// Whether the signature fixes the id of a delivery.
    fn covers_id(&self) -> bool {
        match (&self.hook.scheme, &self.places.id) {
            (HookScheme::Stripe { .. } | HookScheme::Paypal { .. } | HookScheme::StandardWebhooks { .. }, _) => true,
            (HookScheme::Hmac { spec, .. }, Some(place)) => hmac::covers(spec, place),
            _ => false,
        }
    }

    /// Reads the values of a delivery whose sender is verified.
    fn read(&self, request: &HookRequest<'_>, sender: Sender) -> Result<VerifiedDelivery, VerificationFailure> {
        let encoding = BodyEncoding::of(request.headers).map_err(|_| VerificationFailure::BodyNotDecodable)?;
        let decoded_body = encoding.decode(request.body, self.hook.max_body)?;
        let VerifierPlaces { id, event, is_live } = &*self.places;
        let (object, version) = match &self.hook.order {
            HookOrder::None => (None, None),
            HookOrder::Key(key) => (Some(key), None),
            HookOrder::Object { object, version } => (Some(object), version.as_ref()),
        };
        let body = decoded_body.as_deref().unwrap_or(request.body);
        let places = [id.as_ref(), event.as_ref(), is_live.as_ref(), object, version];
        let values = ValueReader::new(*request, body, places.into_iter().flatten());
        let environment = is_live.as_ref().and_then(|place| values.boolean(place));
        let environment = environment.map(|live| if live { HookEnvironment::Live } else { HookEnvironment::Test });
        let known_id = sender.signed_id.and_then(ProviderId::new);
        Ok(VerifiedDelivery {
            id: match (known_id, id) {
                (Some(id), _) => Some(id),
                (None, Some(place)) => Some(values.id(place)?),
                (None, None) => None,
            },
            id_is_signed: self.covers_id(),
            transmission_id: sender.transmission_id,
            signed_at: sender.signed_at,
            environment: sender.environment.or(environment),
            event: event.as_ref().and_then(|place| values.text(place)),
            object: object.and_then(|place| values.text_or_number(place)),
            version: version.and_then(|place| values.version(place)),
            body_digest: BodyDigest::of(request.body),
            signed_digest: sender.signed_digest,
            decoded_body,
        })
    }
}
