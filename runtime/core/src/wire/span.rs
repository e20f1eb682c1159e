//! Durations as text: `30s`, `1h 30m`, `7days`.

use std::time::Duration;

/// The units of `humantime` without a fixed length: it counts a month as 30.44 days and a year as
/// 365.25 days.
const UNEVEN: [(&str, VariableUnit); 6] = [
    ("M", VariableUnit::Month),
    ("month", VariableUnit::Month),
    ("months", VariableUnit::Month),
    ("y", VariableUnit::Year),
    ("year", VariableUnit::Year),
    ("years", VariableUnit::Year),
];

/// A unit without a fixed length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VariableUnit {
    /// 28 to 31 days.
    Month,
    /// 365 or 366 days.
    Year,
}

/// Why a text is not a duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidDuration {
    /// It is not a duration at all.
    #[error("not a span of time; write it with its unit, such as `30s` or `1h 30m`")]
    Text,
    /// It contains months or years.
    #[error("{}", match .0 {
        VariableUnit::Month => "a month has no fixed length; write days, such as `30days`, or `1m` for a minute",
        VariableUnit::Year => "a year has no fixed length; write days, such as `365days`",
    })]
    Uneven(VariableUnit),
}

/// Parses a duration.
///
/// # Errors
/// If the text is not a duration, or contains months or years.
pub fn parse_span(text: &str) -> Result<Duration, InvalidDuration> {
    let units = text.split(|c: char| !c.is_ascii_alphabetic()).filter(|unit| !unit.is_empty());
    let uneven =
        units.filter_map(|unit| UNEVEN.iter().find(|(name, _)| *name == unit)).map(|(_, uneven)| *uneven).next();
    let span = humantime::parse_duration(text).map_err(|_| InvalidDuration::Text)?;
    uneven.map_or(Ok(span), |uneven| Err(InvalidDuration::Uneven(uneven)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_and_years_are_refused_and_minutes_are_not() {
        for (text, uneven) in [
            ("1M", VariableUnit::Month),
            ("2months", VariableUnit::Month),
            ("1 month", VariableUnit::Month),
            ("1h 1M", VariableUnit::Month),
            ("1y", VariableUnit::Year),
            ("1year 2days", VariableUnit::Year),
        ] {
            assert_eq!(parse_span(text), Err(InvalidDuration::Uneven(uneven)), "{text}");
        }
        for (text, seconds) in
            [("1m", 60), ("1min", 60), ("2h 30m", 9_000), ("30days", 30 * 86_400), ("1w", 7 * 86_400)]
        {
            assert_eq!(parse_span(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "5", "yM", "1q", "1 y y"] {
            assert_eq!(parse_span(text), Err(InvalidDuration::Text), "{text}");
        }
    }
}
