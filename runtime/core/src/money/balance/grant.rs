//! Grants: what a customer may use, in which order and when.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::ids::Timestamp;
use crate::wire::json;

/// The priority of a grant that names none.
pub const GRANT_PRIORITY: u8 = 100;

/// How a grant came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum GrantKind {
    /// Given away. Used before paid grants of the same priority and expiry.
    Promotion,
    /// Paid for in advance.
    Prepayment,
}

/// The member `grant` of the metadata of a prepayment or promotion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GrantTerms {
    /// Lower priorities are used first.
    pub priority: u8,
    /// The grant covers usage from this time on.
    pub starts_at: Timestamp,
    /// The grant covers usage before this time; `None` means that it never expires.
    pub expires_at: Option<Timestamp>,
}

/// Why the member `grant` of an entry's metadata cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidGrant {
    /// It is not an object.
    #[error("`grant` in the metadata is not an object with `priority`, `starts_at` and `expires_at`")]
    Object,
    /// It has a member that does not exist.
    #[error("`grant` in the metadata has a member other than `priority`, `starts_at` and `expires_at`")]
    Member,
    /// The priority is out of range.
    #[error("`priority` of a grant is an integer from 0 to 255")]
    Priority,
    /// A time is not a time.
    #[error("`starts_at` and `expires_at` of a grant are milliseconds since 1970, before the year 10000")]
    Time,
    /// It is never valid.
    #[error("a grant ends after it starts: `expires_at` must be later than `starts_at`")]
    NeverValid,
}

impl GrantTerms {
    /// Reads the terms from metadata, the text of a JSON value. `occurred_at` is the default start.
    /// A text that is not JSON has none.
    ///
    /// # Errors
    /// The rule that the terms break.
    pub fn read(metadata: &str, occurred_at: Timestamp) -> Result<Self, InvalidGrant> {
        let value = json::parse(metadata.as_bytes(), super::super::METADATA_BYTES).unwrap_or_default();
        Self::of_metadata(&value, occurred_at)
    }

    /// Reads the terms from metadata; see [`GrantTerms::read`].
    ///
    /// # Errors
    /// The rule that the terms break.
    pub fn of_metadata(value: &Value, occurred_at: Timestamp) -> Result<Self, InvalidGrant> {
        let default = Self { priority: GRANT_PRIORITY, starts_at: occurred_at, expires_at: None };
        let Some(grant) = value.get("grant") else { return Ok(default) };
        let grant = grant.as_object().ok_or(InvalidGrant::Object)?;
        if grant.keys().any(|name| !["priority", "starts_at", "expires_at"].contains(&name.as_str())) {
            return Err(InvalidGrant::Member);
        }
        let priority = match grant.get("priority") {
            None => GRANT_PRIORITY,
            Some(given) => given.as_u64().and_then(|given| u8::try_from(given).ok()).ok_or(InvalidGrant::Priority)?,
        };
        let time = |name: &str| match grant.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(given) => {
                let time = given.as_u64().map(Timestamp::from_millis).filter(|time| *time <= Timestamp::MAX);
                time.map(Some).ok_or(InvalidGrant::Time)
            }
        };
        let terms =
            Self { priority, starts_at: time("starts_at")?.unwrap_or(occurred_at), expires_at: time("expires_at")? };
        match terms.expires_at {
            Some(end) if end <= terms.starts_at => Err(InvalidGrant::NeverValid),
            _ => Ok(terms),
        }
    }
}

/// A grant with what became of it. `granted` less `left` and `held` was used, returned or lapsed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreditGrant {
    /// The external id of its entry.
    pub id: String,
    /// How it came about.
    pub kind: GrantKind,
    /// Lower priorities are used first.
    pub priority: u8,
    /// It covers usage from this time on.
    pub starts_at: Timestamp,
    /// It covers usage before this time.
    pub expires_at: Option<Timestamp>,
    /// It covers usage that is reported before this time: `expires_at` and the time that the
    /// stream allows for late usage. Written when the grant is made, so that a later change of the
    /// setting moves nothing.
    pub closes_at: Option<Timestamp>,
    /// The sequence number of its entry.
    pub sequence: u64,
    /// The amount granted, in minor units.
    pub granted: i64,
    /// What is neither used nor held, in minor units.
    pub left: i64,
    /// What reservations hold, in minor units.
    pub held: i64,
}

/// The order in which usage takes from grants: priority, expiry, promotions first, sequence number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GrantOrder {
    priority: u8,
    expires_at: u64,
    kind: GrantKind,
    sequence: u64,
}

impl GrantOrder {
    /// Length of [`GrantOrder::to_bytes`].
    pub const BYTES: usize = 18;

    /// Bytes that sort as the order does.
    #[must_use]
    pub fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[0] = self.priority;
        bytes[1..9].copy_from_slice(&self.expires_at.to_be_bytes());
        bytes[9] = self.kind as u8;
        bytes[10..].copy_from_slice(&self.sequence.to_be_bytes());
        bytes
    }
}

impl CreditGrant {
    /// Its place in the order of usage.
    #[must_use]
    pub fn order(&self) -> GrantOrder {
        GrantOrder {
            priority: self.priority,
            expires_at: self.expires_at.map_or(u64::MAX, Timestamp::as_millis),
            kind: self.kind,
            sequence: self.sequence,
        }
    }

    /// Whether it covers usage of the time `at` that is reported at `now`. Never depends on whether
    /// a timer has run.
    #[must_use]
    pub fn covers(&self, at: Timestamp, now: Timestamp) -> bool {
        self.starts_at <= at
            && self.expires_at.is_none_or(|end| at < end)
            && self.closes_at.is_none_or(|close| now < close)
    }

    /// Whether its rest has lapsed at `now` and can be posted: late usage is over, and nothing is
    /// held.
    #[must_use]
    pub fn lapses(&self, now: Timestamp) -> bool {
        self.left > 0 && self.held == 0 && self.closes_at.is_some_and(|close| close <= now)
    }
}
