//! Parses times on the command line: `1h` ago, `yesterday`, a date, or RFC 3339. All of them are in
//! UTC.

use chrono::{DateTime, Days, NaiveDate, NaiveDateTime, NaiveTime, Utc};
use tidemill_api_types::Time;
use tidemill_core::Timestamp;
use tidemill_core::clock::{Clock as _, SystemClock};

/// The accepted forms, for error messages.
const FORMS: &str =
    "write a time such as 1h (ago), yesterday, today, 2026-11-29, 2026-11-29T14:00 or 2026-11-29T14:00:00Z, in UTC";

/// Parses the time of a flag; returns it in the shape of the API.
///
/// # Errors
/// If it has none of the accepted forms.
pub fn time(text: &str) -> Result<Time, String> {
    read(text, SystemClock.now()).map(Time).ok_or_else(|| FORMS.to_owned())
}

fn read(text: &str, now: Timestamp) -> Option<Timestamp> {
    let text = text.trim();
    if let Some(time) = Timestamp::parse_rfc3339(text) {
        return Some(time);
    }
    let today = DateTime::<Utc>::from_timestamp_millis(i64::try_from(now.as_millis()).ok()?)?.date_naive();
    let date = match text {
        "now" => return Some(now),
        "today" => Some(today),
        "yesterday" => today.checked_sub_days(Days::new(1)),
        "tomorrow" => today.checked_add_days(Days::new(1)),
        _ => NaiveDate::parse_from_str(text, "%Y-%m-%d").ok(),
    };
    if let Some(date) = date {
        return instant(date.and_time(NaiveTime::MIN));
    }
    let formats = ["%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S"];
    if let Some(time) = formats.iter().find_map(|format| NaiveDateTime::parse_from_str(text, format).ok()) {
        return instant(time);
    }
    let ago = text.strip_suffix("ago").unwrap_or(text).trim();
    let millis = u64::try_from(tidemill_core::wire::parse_span(ago).ok()?.as_millis()).ok()?;
    now.as_millis().checked_sub(millis).map(Timestamp::from_millis)
}

fn instant(time: NaiveDateTime) -> Option<Timestamp> {
    u64::try_from(time.and_utc().timestamp_millis()).ok().map(Timestamp::from_millis)
}

/// Formats the distance of a time from `now`, in one unit: `3m ago`, `in 2h`.
#[must_use]
pub fn relative(time: Timestamp, now: Timestamp) -> String {
    let ahead = time > now;
    let seconds = if ahead { time.millis_since(now) } else { now.millis_since(time) } / 1_000;
    let (count, unit) = match seconds {
        0 => return "now".to_owned(),
        1..60 => (seconds, "s"),
        60..3_600 => (seconds / 60, "m"),
        3_600..86_400 => (seconds / 3_600, "h"),
        _ => (seconds / 86_400, "d"),
    };
    if ahead { format!("in {count}{unit}") } else { format!("{count}{unit} ago") }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn noon() -> Timestamp {
        Timestamp::parse_rfc3339("2026-11-29T12:00:00Z").unwrap()
    }

    #[test]
    fn a_time_is_read_as_people_type_it() {
        for (text, meant) in [
            ("1h", "2026-11-29T11:00:00.000Z"),
            ("90m ago", "2026-11-29T10:30:00.000Z"),
            ("1d 2h", "2026-11-28T10:00:00.000Z"),
            ("now", "2026-11-29T12:00:00.000Z"),
            ("today", "2026-11-29T00:00:00.000Z"),
            ("yesterday", "2026-11-28T00:00:00.000Z"),
            ("2026-11-29", "2026-11-29T00:00:00.000Z"),
            ("2026-11-29T14:00", "2026-11-29T14:00:00.000Z"),
            ("2026-11-29 14:00:05", "2026-11-29T14:00:05.000Z"),
            ("2026-11-29T14:00:00+02:00", "2026-11-29T12:00:00.000Z"),
        ] {
            assert_eq!(read(text, noon()).map(Timestamp::to_rfc3339).as_deref(), Some(meant), "{text}");
        }
        for bad in ["", "soon", "2026-13-01", "29.11.2026", "1969-01-01", "1000000y", "-1h"] {
            assert_eq!(read(bad, noon()), None, "{bad}");
        }
    }

    #[test]
    fn a_distance_has_one_unit() {
        let at = |text: &str| relative(Timestamp::parse_rfc3339(text).unwrap(), noon());
        assert_eq!(at("2026-11-29T11:57:01Z"), "2m ago");
        assert_eq!(at("2026-11-29T14:00:00Z"), "in 2h");
        assert_eq!(at("2026-11-29T12:00:00.4Z"), "now");
        assert_eq!(at("2025-11-29T12:00:00Z"), "365d ago");
    }

    proptest! {
        #[test]
        fn any_text_is_a_time_or_none(text in "\\PC{0,40}|[0-9]{1,20}[smhdwMy]( ago)?", now in 0..=Timestamp::MAX.as_millis()) {
            let _ = read(&text, Timestamp::from_millis(now));
        }
    }
}
