//! Hooks: a deployment's endpoints for webhooks, as its manifest declares them.
//!
//! A hook declares how the sender of a request is verified, where a delivery's id, event type,
//! object and version are, and which deliveries cause a run. The crate `tidemill-webhook` verifies
//! requests by these declarations; nothing here does.

mod event;
mod hmac;
mod place;
mod presets;
mod scheme;
mod signed;
mod version;

pub use event::EventPattern;
pub use hmac::{HmacAlgorithm, HmacSpec, SignatureEncoding, SignatureForm, SignedTime, TimePlace};
pub use place::{HeaderName, ParameterName, ValuePlace};
pub use presets::HmacPreset;
pub(crate) use scheme::WEBHOOK_ID_BYTES;
pub use scheme::{HookHandshake, HookScheme, PaypalCheck, TokenPlace};
pub use signed::{SignedPart, SignedTemplate};
pub use version::ObjectVersion;

use crate::flow::Rate;
use crate::ids::HookName;

/// Maximum number of hooks of a deployment.
pub const HOOKS: usize = 32;
/// Maximum number of event patterns of a hook.
pub const EVENTS: usize = 64;
/// Default maximum size of a body, in bytes.
pub const BODY_BYTES: u64 = 1 << 20;
/// Maximum of a hook's `max_body`, in bytes.
pub const BODY_BYTES_MAX: u64 = 4 << 20;
/// Default maximum difference between the time of a signature and its receipt, in milliseconds.
pub const TOLERANCE_MILLIS: u64 = 300_000;
/// Maximum of a hook's `tolerance`, in milliseconds: one day.
pub const TOLERANCE_MAX_MILLIS: u64 = 24 * 3_600_000;
/// Maximum length of a public URL, in bytes.
pub const PUBLIC_URL_BYTES: usize = 1_024;

/// A hook of a deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HookSpec {
    /// Its name, unique in the deployment.
    pub name: HookName,
    /// How a request is verified.
    pub scheme: HookScheme,
    /// The environment whose deliveries cause runs. Only some schemes state the environment of a
    /// delivery.
    pub environment: HookEnvironment,
    /// Patterns of the event types that cause runs; every type does if there is none.
    pub events: Vec<EventPattern>,
    /// Place of the delivery's id, for a scheme without a place of its own. Without a place, the
    /// body identifies the delivery.
    pub id: Option<ValuePlace>,
    /// Place of the event type, for a scheme without a place of its own.
    pub event: Option<ValuePlace>,
    /// What orders the hook's runs.
    pub order: HookOrder,
    /// When a request is answered.
    pub reply: ReplyMode,
    /// Maximum size of a body, in bytes: 1 to [`BODY_BYTES_MAX`].
    pub max_body: u64,
    /// Whether a body with a `Content-Encoding` is accepted.
    pub content_encoding: bool,
    /// Methods of deliveries, at least one, without duplicates.
    pub methods: Vec<HookMethod>,
    /// What makes two deliveries the same.
    pub dedupe: HookDedupe,
    /// The URL that the provider calls, without a query.
    pub public_url: Option<String>,
    /// Maximum rate of requests.
    pub rate: Option<Rate>,
    /// The handshake that the host answers.
    pub handshake: Option<HookHandshake>,
}

impl HookSpec {
    /// Returns a hook with all defaults.
    #[must_use]
    pub fn new(name: HookName, scheme: HookScheme) -> Self {
        Self {
            name,
            scheme,
            environment: HookEnvironment::Live,
            events: Vec::new(),
            id: None,
            event: None,
            order: HookOrder::None,
            reply: ReplyMode::Accept,
            max_body: BODY_BYTES,
            content_encoding: false,
            methods: vec![HookMethod::Post],
            dedupe: HookDedupe::Auto,
            public_url: None,
            rate: None,
            handshake: None,
        }
    }

    /// Whether a request with this method may be a delivery or a handshake.
    #[must_use]
    pub fn allows(&self, method: &str) -> bool {
        let handshake = self.handshake.as_ref().map(HookHandshake::method);
        self.methods.iter().copied().chain(handshake).any(|known| known.as_str() == method)
    }

    /// Whether a delivery with this event type causes a run. A delivery without a readable type
    /// does, so that none is ignored because its provider changed a format.
    #[must_use]
    pub fn runs_for(&self, event: Option<&str>) -> bool {
        let Some(event) = event else { return true };
        self.events.is_empty() || self.events.iter().any(|pattern| pattern.matches(event))
    }
}

/// The environment of deliveries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HookEnvironment {
    /// Real money.
    Live,
    /// The provider's test mode or sandbox.
    Test,
}

impl HookEnvironment {
    /// Every environment.
    pub const ALL: [Self; 2] = [Self::Live, Self::Test];

    /// Its name in a manifest.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Test => "test",
        }
    }
}

/// What orders the runs of a hook's deliveries.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum HookOrder {
    /// Nothing.
    #[default]
    None,
    /// Deliveries with the same value form a lane.
    Key(ValuePlace),
    /// Deliveries about one object form a lane.
    Object {
        /// Place of the object's id.
        object: ValuePlace,
        /// Place of the object's version.
        version: Option<ValuePlace>,
    },
}

/// When a request is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ReplyMode {
    /// Once the delivery is stored.
    Accept,
    /// Once its run has a reply, within a bounded time.
    Wait,
}

impl ReplyMode {
    /// Every mode.
    pub const ALL: [Self; 2] = [Self::Accept, Self::Wait];

    /// Its name in a manifest.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accept => "accept",
            Self::Wait => "wait",
        }
    }
}

/// What makes two deliveries of a hook the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HookDedupe {
    /// The id if the signature covers it; otherwise the id and the body, where a known body under
    /// a new id is a duplicate.
    Auto,
    /// The id alone.
    Id,
}

impl HookDedupe {
    /// Every rule.
    pub const ALL: [Self; 2] = [Self::Auto, Self::Id];

    /// Its name in a manifest.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Id => "id",
        }
    }
}

/// A method of requests to hooks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HookMethod {
    /// `GET`.
    Get,
    /// `POST`.
    Post,
    /// `PUT`.
    Put,
    /// `PATCH`.
    Patch,
    /// `DELETE`.
    Delete,
}

impl HookMethod {
    /// Every method.
    pub const ALL: [Self; 5] = [Self::Get, Self::Post, Self::Put, Self::Patch, Self::Delete];

    /// The method as in a request.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hook() -> HookSpec {
        HookSpec::new("events".parse().unwrap(), HookScheme::None)
    }

    #[test]
    fn the_method_of_a_handshake_is_allowed() {
        let mut hook = hook();
        assert!(hook.allows("POST") && !hook.allows("GET") && !hook.allows("post"));
        hook.handshake = Some(HookHandshake::Meta { verify_token: "meta-verify".parse().unwrap() });
        assert!(hook.allows("POST") && hook.allows("GET") && !hook.allows("PUT"));
    }

    #[test]
    fn a_delivery_without_a_type_runs() {
        let mut hook = hook();
        assert!(hook.runs_for(None) && hook.runs_for(Some("x")));
        hook.events = vec!["charge.*".parse().unwrap(), "refund.created".parse().unwrap()];
        assert!(hook.runs_for(None) && hook.runs_for(Some("charge.dispute.created")));
        assert!(hook.runs_for(Some("refund.created")) && !hook.runs_for(Some("refund.updated")));
    }
}
