//! The version of an object that a delivery is about.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The version of an object, such as a revision or the time of a change. A larger one is newer;
/// versions of different kinds cannot be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ObjectVersion {
    /// A number.
    Number(i64),
    /// A time, in nanoseconds since 1970.
    Time(i64),
}

impl ObjectVersion {
    /// Reads a time as RFC 3339, from 1678 to 2261.
    #[must_use]
    pub fn parse_time(text: &str) -> Option<Self> {
        let time = chrono::DateTime::parse_from_rfc3339(text).ok()?;
        time.timestamp_nanos_opt().map(Self::Time)
    }
}

impl PartialOrd for ObjectVersion {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        match (self, other) {
            (Self::Number(one), Self::Number(other)) | (Self::Time(one), Self::Time(other)) => Some(one.cmp(other)),
            _ => None,
        }
    }
}

impl fmt::Display for ObjectVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Time(nanos) => {
                let time = chrono::DateTime::from_timestamp_nanos(*nanos);
                f.write_str(&time.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_one_kind_are_ordered() {
        let time = |text| ObjectVersion::parse_time(text).unwrap();
        assert!(ObjectVersion::Number(2) > ObjectVersion::Number(-1));
        assert!(time("2026-01-01T01:00:00.000000002+01:00") > time("2026-01-01T00:00:00.000000001Z"));
        assert_eq!(ObjectVersion::Number(1).partial_cmp(&ObjectVersion::Time(1)), None);
        assert_eq!(time("2026-01-01T01:00:00.5+01:00").to_string(), "2026-01-01T00:00:00.500Z");
        for bad in ["", "2026-01-01", "1", "2400-01-01T00:00:00Z"] {
            assert_eq!(ObjectVersion::parse_time(bad), None, "{bad}");
        }
    }
}
