//! Deliveries to hooks: what became of one, and the identities by which duplicates are found.
//!
//! The store keeps deliveries, and control decides which of them start a run.

use std::fmt;

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};

use crate::ids::HookName;
use crate::lane::Lane;
use crate::run::RunState;

/// Maximum length of the provider's id of a delivery, in bytes.
pub const KEY_BYTES: usize = 255;
/// Maximum length of the name of an object, in bytes.
pub const OBJECT_BYTES: usize = 255;
/// How long the digest of a body finds its duplicates, in milliseconds: 72 hours.
pub const BODY_DEDUPE_MILLIS: u64 = 72 * 3_600_000;
/// Maximum number of deliveries that are kept as evidence after another body came under the id of
/// their transmission.
pub const EVIDENCE_MAX: u32 = 10;
/// Maximum number of entries of the ledger that a delivery shows.
pub const ENTRIES_SHOWN: usize = 1_000;
/// Maximum number of runs of one delivery, replays included.
pub const RUNS_MAX: u32 = 1_000;
/// How long a delivery is kept after its outcome was settled, in milliseconds: 30 days.
pub const RETENTION_MILLIS: u64 = 30 * 24 * 3_600_000;
/// How long before its removal a dead delivery is announced, in milliseconds: 7 days.
pub const DEAD_NOTICE_MILLIS: u64 = 7 * 24 * 3_600_000;
/// Maximum time that a sender waits for the reply of a run, in milliseconds.
pub const REPLY_WAIT_MILLIS: u64 = 10_000;
/// Maximum size of the body of a reply, in bytes: 64 KiB.
pub const REPLY_BYTES: usize = 64 << 10;
/// Maximum number of refused requests of a hook that are remembered.
pub const REFUSALS: usize = 100;

/// What became of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeliveryOutcome {
    /// It is stored, and its run has not started.
    Stored,
    /// Its run has started and has not ended.
    Running,
    /// Its run succeeded.
    Done,
    /// Its run failed or was cancelled, and waits for no person.
    Failed,
    /// Its run is parked: it waits for a person.
    Dead,
    /// The hook does not list its kind of event, so it makes no run.
    Ignored,
    /// It was refused although its signature was valid, and is kept as evidence.
    Refused,
    /// It comes from another environment than the hook's, so it makes no run.
    Test,
}

impl DeliveryOutcome {
    /// Every outcome.
    pub const ALL: [Self; 8] =
        [Self::Stored, Self::Running, Self::Done, Self::Failed, Self::Dead, Self::Ignored, Self::Refused, Self::Test];

    /// Returns the outcome that follows from the state of its latest run. [`Self::Stored`] means
    /// any run that has not settled.
    #[must_use]
    pub const fn of_run(state: &RunState) -> Self {
        match state {
            RunState::Succeeded => Self::Done,
            RunState::Failed(_) | RunState::Cancelled => Self::Failed,
            RunState::Parked(_) => Self::Dead,
            RunState::Queued { .. } | RunState::Running { .. } | RunState::Suspended => Self::Stored,
        }
    }

    /// Its name in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stored => "stored",
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Dead => "dead",
            Self::Ignored => "ignored",
            Self::Refused => "refused",
            Self::Test => "test",
        }
    }

    /// The outcome with that name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.as_str() == text)
    }

    /// Whether the delivery waits for a run, or for the end of one.
    #[must_use]
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Stored | Self::Running)
    }
}

impl fmt::Display for DeliveryOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Returns the lane of an object: the runs of its deliveries to a hook execute one at a time, in
/// order of arrival.
#[must_use]
pub fn object_lane(hook: &HookName, object: &str) -> Lane {
    use sha2::Digest as _;
    let hash = sha2::Sha256::digest(object.as_bytes());
    Lane { name: format!("object/{hook}/{}", HEXLOWER.encode(&hash[..16])), capacity: 1 }
}

/// The SHA-256 of a delivery's body as it came. Written as `sha256:` and 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct BodyDigest([u8; 32]);

impl BodyDigest {
    /// Computes the digest of `body`.
    #[must_use]
    pub fn of(body: &[u8]) -> Self {
        use sha2::Digest as _;
        Self(sha2::Sha256::digest(body).into())
    }

    /// The digest with these thirty-two bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its thirty-two bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for BodyDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", HEXLOWER.encode_display(&self.0))
    }
}

impl fmt::Debug for BodyDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Failure, Timestamp};

    #[test]
    fn every_outcome_reads_back_by_its_name() {
        for outcome in DeliveryOutcome::ALL {
            assert_eq!(DeliveryOutcome::parse(outcome.as_str()), Some(outcome));
        }
        assert_eq!(DeliveryOutcome::parse("lost"), None);
    }

    #[test]
    fn a_settled_run_closes_its_delivery_and_another_run_keeps_it_open() {
        let failure = || Failure::new("x", "it failed");
        for (state, outcome) in [
            (RunState::Queued { not_before: Timestamp::default() }, DeliveryOutcome::Stored),
            (RunState::Suspended, DeliveryOutcome::Stored),
            (RunState::Succeeded, DeliveryOutcome::Done),
            (RunState::Failed(failure()), DeliveryOutcome::Failed),
            (RunState::Cancelled, DeliveryOutcome::Failed),
            (RunState::Parked(failure()), DeliveryOutcome::Dead),
        ] {
            assert_eq!(DeliveryOutcome::of_run(&state), outcome);
            assert_eq!(outcome.is_open(), !state.is_settled());
        }
    }

    #[test]
    fn each_object_of_a_hook_has_a_lane() {
        let hook = |text: &str| text.parse::<HookName>().unwrap();
        let lane = object_lane(&hook(&"x".repeat(63)), &"\0".repeat(300));
        assert!(lane.is_named() && lane.capacity == 1, "{lane:?}");
        assert_eq!(object_lane(&hook("a"), "ch_1"), object_lane(&hook("a"), "ch_1"));
        assert_ne!(object_lane(&hook("a"), "ch_1"), object_lane(&hook("a"), "ch_2"));
        assert_ne!(object_lane(&hook("a"), "ch_1"), object_lane(&hook("b"), "ch_1"));
    }

    #[test]
    fn a_digest_is_written_as_hexadecimal_digits() {
        let empty = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(BodyDigest::of(b"").to_string(), empty);
    }
}
