//! The operator's rules for the targets of requests, whatever the grants of deployments.

use tidemill_core::origin::{Origin, OriginPattern};

use super::roots::Roots;

/// The operator's rules. A request must satisfy these *and* its deployment's grant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EgressPolicy {
    /// Whether addresses that are not on the public internet (loopback, private, link-local,
    /// metadata, …) may be reached.
    pub allow_private: bool,
    /// Origins that may be reached; an empty list means all.
    pub allow: Vec<OriginPattern>,
    /// Origins that may not be reached, even if `allow` lists them.
    pub deny: Vec<OriginPattern>,
    /// Origins that may be reached at addresses that are not on the public internet, even if
    /// `allow_private` is not set.
    pub private: Vec<OriginPattern>,
    /// Certificate authorities that are trusted in addition to the machine's own.
    pub roots: Roots,
}

impl EgressPolicy {
    /// Whether the origin may be reached at all.
    #[must_use]
    pub fn allows(&self, origin: &Origin) -> bool {
        let any = |patterns: &[OriginPattern]| patterns.iter().any(|pattern| pattern.matches(origin));
        !any(&self.deny) && (self.allow.is_empty() || any(&self.allow))
    }

    /// Whether the origin may be reached at addresses that are not public.
    #[must_use]
    pub fn allows_private(&self, origin: &Origin) -> bool {
        self.allow_private || self.private.iter().any(|pattern| pattern.matches(origin))
    }
}
