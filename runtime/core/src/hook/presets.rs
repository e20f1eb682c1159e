//! Presets of well-known providers, in the language of declared HMACs.

use std::str::FromStr;

use crate::hook::TOLERANCE_MILLIS;
use crate::hook::hmac::{HmacAlgorithm, HmacSpec, SignatureEncoding, SignatureForm, SignedTime, TimePlace};
use crate::hook::place::ValuePlace;
use crate::hook::scheme::HookHandshake;

/// A provider whose HMAC is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HmacPreset {
    /// Slack's events, commands and interactions.
    Slack,
    /// Shopify.
    Shopify,
    /// Meta: Facebook, Instagram, WhatsApp.
    Meta,
    /// Paddle Billing.
    Paddle,
    /// Zoom.
    Zoom,
}

/// The lines of a preset, as a manifest would have them.
struct PresetLines {
    header: &'static str,
    encoding: SignatureEncoding,
    prefix: &'static str,
    item: Option<(&'static str, char)>,
    signed: &'static str,
    time: Option<&'static str>,
    id: Option<&'static str>,
    event: Option<&'static str>,
}

const HEX: PresetLines = PresetLines {
    header: "",
    encoding: SignatureEncoding::Hex,
    prefix: "",
    item: None,
    signed: "{body}",
    time: None,
    id: None,
    event: None,
};

impl HmacPreset {
    /// Every preset.
    pub const ALL: [Self; 5] = [Self::Slack, Self::Shopify, Self::Meta, Self::Paddle, Self::Zoom];

    /// Its name in a manifest.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Slack => "slack",
            Self::Shopify => "shopify",
            Self::Meta => "meta",
            Self::Paddle => "paddle",
            Self::Zoom => "zoom",
        }
    }

    const fn lines(self) -> PresetLines {
        match self {
            Self::Slack => PresetLines {
                header: "x-slack-signature",
                prefix: "v0=",
                signed: "v0:{time}:{body}",
                time: Some("header:x-slack-request-timestamp"),
                event: Some("body:/event/type"),
                ..HEX
            },
            Self::Shopify => PresetLines {
                header: "x-shopify-hmac-sha256",
                encoding: SignatureEncoding::Base64,
                id: Some("header:x-shopify-webhook-id"),
                event: Some("header:x-shopify-topic"),
                ..HEX
            },
            Self::Meta => {
                PresetLines { header: "x-hub-signature-256", prefix: "sha256=", event: Some("body:/object"), ..HEX }
            }
            Self::Paddle => PresetLines {
                header: "paddle-signature",
                item: Some(("h1", ';')),
                signed: "{time}:{body}",
                time: Some("item:ts"),
                id: Some("body:/event_id"),
                event: Some("body:/event_type"),
                ..HEX
            },
            Self::Zoom => PresetLines {
                header: "x-zm-signature",
                prefix: "v0=",
                signed: "v0:{time}:{body}",
                time: Some("header:x-zm-request-timestamp"),
                event: Some("body:/event"),
                ..HEX
            },
        }
    }

    /// The HMAC of the provider. `None` only if a line of the preset is not valid, which a test
    /// excludes.
    #[must_use]
    pub fn spec(self) -> Option<HmacSpec> {
        let lines = self.lines();
        let time = |text: &str| {
            let place = TimePlace::from_str(text).ok()?;
            Some(SignedTime { place, tolerance_millis: TOLERANCE_MILLIS })
        };
        Some(HmacSpec {
            header: lines.header.parse().ok()?,
            algorithm: HmacAlgorithm::Sha256,
            encoding: lines.encoding,
            form: match lines.item {
                Some((name, separator)) => SignatureForm::Item { name: name.parse().ok()?, separator },
                None => SignatureForm::Whole { prefix: lines.prefix.to_owned() },
            },
            signed: lines.signed.parse().ok()?,
            time: lines.time.and_then(time),
        })
    }

    /// Place of the id of a delivery.
    #[must_use]
    pub fn id(self) -> Option<ValuePlace> {
        self.lines().id?.parse().ok()
    }

    /// Place of the event type.
    #[must_use]
    pub fn event(self) -> Option<ValuePlace> {
        self.lines().event?.parse().ok()
    }

    /// The handshake that needs nothing more than the key.
    #[must_use]
    pub const fn handshake(self) -> Option<HookHandshake> {
        match self {
            Self::Slack => Some(HookHandshake::Slack),
            Self::Zoom => Some(HookHandshake::Zoom),
            Self::Shopify | Self::Meta | Self::Paddle => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hook::SignedPart;

    #[test]
    fn every_preset_is_valid() {
        for preset in HmacPreset::ALL {
            let (lines, spec) = (preset.lines(), preset.spec().unwrap());
            assert!(spec.signed.covers_body());
            assert_eq!(spec.time.is_some(), lines.time.is_some());
            assert_eq!(spec.signed.covers(&SignedPart::Time), spec.time.is_some());
            assert_eq!(preset.id().is_some(), lines.id.is_some());
            assert_eq!(preset.event().is_some(), lines.event.is_some());
        }
    }
}
