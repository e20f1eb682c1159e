//! The schemes by which the sender of a request is verified, and the handshakes of providers.

use crate::hook::HookMethod;
use crate::hook::hmac::HmacSpec;
use crate::hook::place::{HeaderName, ParameterName};
use crate::ids::SecretName;

/// Maximum length of PayPal's id of a webhook, in bytes.
pub(crate) const WEBHOOK_ID_BYTES: usize = 64;

/// How the sender of a request is verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HookScheme {
    /// Stripe's `Stripe-Signature`.
    Stripe {
        /// The endpoint's signing secret, `whsec_…`.
        secret: SecretName,
    },
    /// PayPal's signature over a CRC-32 of the body.
    Paypal {
        /// The id that PayPal gave the webhook. Every signature covers it.
        webhook_id: String,
        /// What checks the signature.
        check: PaypalCheck,
    },
    /// Standard Webhooks, with headers `webhook-…` or `svix-…`.
    StandardWebhooks {
        /// A key `whsec_…` or `whpk_…`.
        secret: SecretName,
    },
    /// GitHub's `X-Hub-Signature-256`.
    Github {
        /// The webhook's secret.
        secret: SecretName,
    },
    /// An HMAC that the manifest declares.
    Hmac {
        /// The key.
        secret: SecretName,
        /// What is signed, and where the signature is.
        spec: HmacSpec,
    },
    /// A token that the request carries. It covers nothing else of the request.
    Token {
        /// The token; for [`TokenPlace::Basic`], `user:password`.
        secret: SecretName,
        /// Where it is.
        place: TokenPlace,
    },
    /// No verification.
    None,
}

impl HookScheme {
    /// The name of the scheme in a manifest, and in `verified-by` of a delivery.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Stripe { .. } => "stripe",
            Self::Paypal { .. } => "paypal",
            Self::StandardWebhooks { .. } => "standard-webhooks",
            Self::Github { .. } => "github",
            Self::Hmac { .. } => "hmac",
            Self::Token { .. } => "token",
            Self::None => "none",
        }
    }

    /// The secret whose versions verify requests, if the scheme has one.
    #[must_use]
    pub const fn secret(&self) -> Option<&SecretName> {
        match self {
            Self::Stripe { secret }
            | Self::StandardWebhooks { secret }
            | Self::Github { secret }
            | Self::Hmac { secret, .. }
            | Self::Token { secret, .. } => Some(secret),
            Self::Paypal { check: PaypalCheck::Postback { client }, .. } => Some(client),
            Self::Paypal { check: PaypalCheck::Certificate, .. } | Self::None => None,
        }
    }

    /// Whether a delivery of this scheme states its environment.
    #[must_use]
    pub const fn has_environment(&self) -> bool {
        matches!(self, Self::Stripe { .. } | Self::Paypal { .. })
    }

    /// Whether the manifest declares the places of the id and of the event type.
    #[must_use]
    pub const fn has_declared_places(&self) -> bool {
        matches!(self, Self::Hmac { .. } | Self::Token { .. } | Self::None)
    }
}

/// What checks a signature of PayPal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PaypalCheck {
    /// The host, with PayPal's certificate.
    Certificate,
    /// PayPal's API, for each delivery.
    Postback {
        /// The credentials of the API: `client-id:client-secret`.
        client: SecretName,
    },
}

/// Where a request carries its token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenPlace {
    /// `Authorization: Bearer TOKEN`.
    Bearer,
    /// `Authorization: Basic …`, with a user and a password.
    Basic,
    /// A header that holds nothing else.
    Header(HeaderName),
    /// A parameter of the query.
    Query(ParameterName),
}

/// A handshake by which a provider checks an endpoint. The host answers it without a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HookHandshake {
    /// Slack's `url_verification`.
    Slack,
    /// Meta's `hub.challenge`.
    Meta {
        /// The token that the provider repeats.
        verify_token: SecretName,
    },
    /// The `validationToken` of Microsoft Graph.
    Microsoft,
    /// Zoom's `endpoint.url_validation`, whose answer is an HMAC of the caller's token.
    Zoom,
}

impl HookHandshake {
    /// Its name in a manifest.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Slack => "slack",
            Self::Meta { .. } => "meta",
            Self::Microsoft => "microsoft",
            Self::Zoom => "zoom",
        }
    }

    /// The method of its request.
    #[must_use]
    pub const fn method(&self) -> HookMethod {
        match self {
            Self::Meta { .. } => HookMethod::Get,
            Self::Slack | Self::Microsoft | Self::Zoom => HookMethod::Post,
        }
    }
}
