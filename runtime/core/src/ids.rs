//! Identifiers, each with a type of its own, so that one cannot take the place of another.
//!
//! Every identifier from outside passes through `FromStr` here, which checks its length and
//! alphabet.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};

/// Milliseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The last instant that RFC 3339 can represent: the end of the year 9999.
    pub const MAX: Self = Self(253_402_300_799_999);

    /// The instant `millis` milliseconds after the epoch.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the epoch.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// The instant `millis` later; saturates at the end of the range.
    #[must_use]
    pub const fn plus_millis(self, millis: u64) -> Self {
        Self(self.0.saturating_add(millis))
    }

    /// Milliseconds since `earlier`; 0 if `earlier` is later.
    #[must_use]
    pub const fn millis_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Formats it as RFC 3339 in UTC with milliseconds.
    #[must_use]
    pub fn to_rfc3339(self) -> String {
        let millis = i64::try_from(self.0.min(Self::MAX.0)).unwrap_or(0);
        chrono::DateTime::from_timestamp_millis(millis)
            .map(|t| t.to_rfc3339_opts(chrono::SecondsFormat::Millis, true))
            .unwrap_or_default()
    }

    /// Parses RFC 3339 with any offset; `None` if the text is invalid or the time is before 1970.
    #[must_use]
    pub fn parse_rfc3339(text: &str) -> Option<Self> {
        let time = chrono::DateTime::parse_from_rfc3339(text).ok()?;
        u64::try_from(time.timestamp_millis()).ok().map(Self)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_rfc3339())
    }
}

macro_rules! ulids {
    ($($(#[$doc:meta])* $name:ident, $kind:literal, $rule:literal;)*) => {$(
        $(#[$doc])*
        ///
        /// A ULID: 48 bits of milliseconds and 80 random bits, written as 26 lower-case letters
        /// and digits.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(ulid::Ulid);

        impl $name {
            /// Returns the id of an object that was made `at`, with 80 bits from `random`.
            #[must_use]
            pub const fn new(at: Timestamp, random: u128) -> Self {
                Self(ulid::Ulid::from_parts(at.0, random))
            }

            /// Creation time, in milliseconds.
            #[must_use]
            pub const fn made_at(self) -> Timestamp {
                Timestamp(self.0.timestamp_ms())
            }

            /// Encodes it as sixteen bytes, in the order of the ids.
            #[must_use]
            pub const fn to_bytes(self) -> [u8; 16] {
                self.0.to_bytes()
            }

            /// Decodes sixteen bytes.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(ulid::Ulid::from_bytes(bytes))
            }

            /// The next id in order; the last id returns itself.
            #[must_use]
            pub const fn next(self) -> Self {
                Self(ulid::Ulid(self.0.0.saturating_add(1)))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut buffer = [0; ulid::ULID_LEN];
                let text = self.0.array_to_str(&mut buffer);
                text.make_ascii_lowercase();
                f.write_str(text)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = InvalidName;

            fn from_str(text: &str) -> Result<Self, InvalidName> {
                let bad = || InvalidName { kind: $kind, rule: $rule };
                if text.len() != ulid::ULID_LEN || text.bytes().any(|b| b.is_ascii_uppercase()) {
                    return Err(bad());
                }
                ulid::Ulid::from_string(text).map(Self).map_err(|_| bad())
            }
        }

        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                if s.is_human_readable() { s.collect_str(self) } else { self.to_bytes().serialize(s) }
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                if d.is_human_readable() {
                    String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
                } else {
                    <[u8; 16]>::deserialize(d).map(Self::from_bytes)
                }
            }
        }
    )*};
}

ulids! {
    /// The id of a run: unique for ever, and ordered by creation time.
    RunId, "run id", "26 lower-case letters and digits, as a run was answered with";
    /// The id of an event of a topic: unique for ever, and ordered by publication time.
    EventId, "event id", "26 lower-case letters and digits, as an event was answered with";
    /// The id of a delivery to a hook: unique for ever, and ordered by the time of receipt.
    DeliveryId, "delivery id", "26 lower-case letters and digits, as a delivery was answered with";
    /// The id of an alert: unique for ever, and ordered by the time at which it began to fire.
    AlertId, "alert id", "26 lower-case letters and digits, as `tidemill alerts` shows it";
    /// The id of a notification about an alert. Its receivers see the same id at each try.
    NotificationId, "notification id", "26 lower-case letters and digits, as `tidemill alerts show` shows it";
    /// The id of a silence: unique for ever, and ordered by creation time.
    SilenceId, "silence id", "26 lower-case letters and digits, as `tidemill silences` shows it";
}

/// The sha256 of a component's bytes, which is its only name. Written as `sha256:` and 64
/// hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ComponentDigest([u8; 32]);

impl ComponentDigest {
    /// Computes the digest of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        use sha2::Digest as _;
        Self(sha2::Sha256::digest(bytes).into())
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

    /// The hexadecimal digits alone, for file names.
    #[must_use]
    pub fn hex(&self) -> String {
        HEXLOWER.encode(&self.0)
    }
}

impl fmt::Display for ComponentDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.hex())
    }
}

impl fmt::Debug for ComponentDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for ComponentDigest {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let bad = || InvalidName { kind: "component digest", rule: "`sha256:` and 64 lower-case hexadecimal digits" };
        let digits = text.strip_prefix("sha256:").ok_or_else(bad)?;
        let bytes = HEXLOWER.decode(digits.as_bytes()).map_err(|_| bad())?;
        bytes.try_into().map(Self).map_err(|_| bad())
    }
}

impl Serialize for ComponentDigest {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        if s.is_human_readable() { s.collect_str(self) } else { self.0.serialize(s) }
    }
}

impl<'de> Deserialize<'de> for ComponentDigest {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        if d.is_human_readable() {
            String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
        } else {
            <[u8; 32]>::deserialize(d).map(Self)
        }
    }
}

/// A text is not a valid name of that kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a {kind}: it is {rule}")]
pub struct InvalidName {
    /// The kind of name.
    pub kind: &'static str,
    /// The rule that it breaks.
    pub rule: &'static str,
}

/// Formats, serializes and parses a type around a text as that text, by its `FromStr`.
macro_rules! as_text {
    ($name:ident) => {
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.serialize_str(&self.0)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                <String as serde::Deserialize>::deserialize(d)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}
pub(crate) use as_text;

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident, $kind:literal;)*) => {$(
        $(#[$doc])*
        ///
        /// One to 63 lower-case letters, digits and hyphens; the first and the last are a letter or
        /// digit. Cheap to clone.
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidName;

            fn from_str(text: &str) -> Result<Self, InvalidName> {
                if is_label(text) {
                    Ok(Self(text.into()))
                } else {
                    Err(InvalidName {
                        kind: $kind,
                        rule: "1 to 63 lower-case letters, digits and hyphens, first and last a letter or digit",
                    })
                }
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        as_text!($name);
    )*};
}

/// Maximum length of a [`DeploymentName`] and of the other names, in bytes.
pub const NAME_BYTES: usize = 63;

fn is_label(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let edge = |b: Option<u8>| b.is_some_and(|b| b != b'-');
    text.len() <= NAME_BYTES && text.bytes().all(inner) && edge(text.bytes().next()) && edge(text.bytes().last())
}

names! {
    /// The name of a deployment.
    DeploymentName, "deployment name";
    /// The name of a module: a series of component versions.
    ModuleName, "module name";
    /// The name of a schedule within its deployment.
    ScheduleName, "schedule name";
    /// The name of a subscription within its deployment.
    SubscriptionName, "subscription name";
    /// The name of a hook within its deployment.
    HookName, "hook name";
    /// The name of a budget within its deployment.
    BudgetName, "budget name";
    /// The name of a rule for alerts.
    AlertRuleName, "name of an alert rule";
    /// The name of a channel for notifications about alerts.
    ChannelName, "channel name";
    /// The name of a secret.
    SecretName, "name of a secret";
    /// The name of a host process, which it keeps across restarts.
    NodeId, "node id";
}

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(u64);

        impl $name {
            /// Returns it from its number.
            #[must_use]
            pub const fn new(number: u64) -> Self {
                Self(number)
            }

            /// Its number.
            #[must_use]
            pub const fn get(self) -> u64 {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    )*};
}

counters! {
    /// Units of guest work; one is about one wasm instruction. All reports count cost in fuel.
    Fuel;
    /// A period of a node between two starts. Each start increments it, so that a write of an
    /// earlier epoch can be refused.
    Epoch;
    /// Revision of a deployment. Each change increments it, from 1.
    Revision;
}

/// The writer: a node in its current epoch. Every write that belongs to a run carries one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// The node.
    pub node: NodeId,
    /// Its epoch.
    pub epoch: Epoch,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_run_id_reads_back_and_sorts_by_time(a in 0..1u64 << 48, b in 0..1u64 << 48, r in any::<u128>()) {
            let (first, second) = (RunId::new(Timestamp(a), r), RunId::new(Timestamp(b), r));
            prop_assert_eq!(first.to_string().parse::<RunId>().unwrap(), first);
            prop_assert_eq!(first.made_at(), Timestamp(a));
            if a < b { prop_assert!(first.to_string() < second.to_string()); }
        }

        #[test]
        fn garbage_is_refused_without_a_panic(text in "\\PC{0,80}") {
            let _ = text.parse::<RunId>();
            let _ = text.parse::<ComponentDigest>();
            let _ = text.parse::<DeploymentName>();
            let _ = Timestamp::parse_rfc3339(&text);
        }

        #[test]
        fn a_digest_reads_back(bytes in any::<Vec<u8>>()) {
            let digest = ComponentDigest::of(&bytes);
            prop_assert_eq!(digest.to_string().parse::<ComponentDigest>().unwrap(), digest);
        }

        #[test]
        fn a_time_reads_back(millis in 0..=Timestamp::MAX.0) {
            prop_assert_eq!(Timestamp::parse_rfc3339(&Timestamp(millis).to_rfc3339()), Some(Timestamp(millis)));
        }
    }

    #[test]
    fn names_have_bounds_and_valid_edges() {
        for good in ["a", "a-b", "0", &"x".repeat(63)] {
            assert!(good.parse::<DeploymentName>().is_ok(), "{good}");
        }
        for bad in ["", "-a", "a-", "A", "a_b", "a/b", "ä", &"x".repeat(64)] {
            assert!(bad.parse::<DeploymentName>().is_err(), "{bad}");
        }
    }
}
