//! When a server accepts the next request: `Retry-After` of a response, and the end of an open
//! circuit.
//!
//! A retry policy defines the minimum delay; this file computes the time before which a retry is
//! useless.

use crate::codes::Code;
use crate::failure::Failure;
use crate::ids::Timestamp;

/// Maximum wait at the request of a server, in milliseconds: a day.
pub const RETRY_AFTER_MAX_MILLIS: u64 = 24 * 3_600_000;

/// The earliest time at which another request is useful, by the status and `Retry-After` of a
/// response; `None` if they do not define one.
///
/// Only 429 and 503 count. The value is a number of seconds or an HTTP date (RFC 9110, section
/// 10.2.3).
#[must_use]
pub fn after_answer(status: u16, retry_after: Option<&str>, now: Timestamp) -> Option<Timestamp> {
    if !matches!(status, 429 | 503) {
        return None;
    }
    let value = retry_after?.trim();
    let at = if !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit()) {
        now.plus_millis(value.parse::<u64>().unwrap_or(u64::MAX).saturating_mul(1_000))
    } else {
        let date = chrono::DateTime::parse_from_rfc2822(value).ok()?;
        Timestamp::from_millis(u64::try_from(date.timestamp_millis()).ok()?)
    };
    Some(at.min(now.plus_millis(RETRY_AFTER_MAX_MILLIS))).filter(|at| *at > now)
}

/// Returns the failure of a request that an open circuit refused. Its details hold the time at
/// which the circuit admits the next request.
#[must_use]
pub fn circuit_open(message: String, until: Timestamp) -> Failure {
    Code::HttpCircuitOpen.failure(message).with_details(format!(r#"{{"retry_at":"{}"}}"#, until.to_rfc3339()))
}

/// The end of an open circuit, if `failure` is that of a request that it refused.
#[must_use]
pub fn refused_until(failure: &Failure) -> Option<Timestamp> {
    if failure.code != Code::HttpCircuitOpen.as_str() {
        return None;
    }
    let details: serde_json::Value = serde_json::from_str(failure.details.as_deref()?).ok()?;
    Timestamp::parse_rfc3339(details.get("retry_at")?.as_str()?)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(784_111_767_000);

    #[test]
    fn seconds_and_dates_are_read() {
        let after = |value| after_answer(503, Some(value), NOW).map(|at| at.millis_since(NOW));
        assert_eq!(after("120"), Some(120_000));
        assert_eq!(after(" 1 "), Some(1_000));
        assert_eq!(after("Sun, 06 Nov 1994 08:49:37 GMT"), Some(10_000));
        for none in ["0", "", "-1", "1.5", "soon", "Sun, 06 Nov 1994 08:49:17 GMT"] {
            assert_eq!(after(none), None, "{none}");
        }
        for long in ["99999999", "99999999999999999999999", "Sat, 06 Nov 2094 08:49:37 GMT"] {
            assert_eq!(after(long), Some(RETRY_AFTER_MAX_MILLIS), "{long}");
        }
    }

    #[test]
    fn only_429_and_503_define_a_time() {
        assert!(after_answer(429, Some("5"), NOW).is_some());
        for status in [200, 301, 500, 502, 504] {
            assert_eq!(after_answer(status, Some("5"), NOW), None);
        }
        assert_eq!(after_answer(503, None, NOW), None);
    }

    #[test]
    fn the_end_of_an_open_circuit_reads_back() {
        let failure = circuit_open("x".to_owned(), NOW);
        assert_eq!(refused_until(&failure), Some(NOW));
        assert_eq!(refused_until(&Failure { code: "other".to_owned(), ..failure.clone() }), None);
        assert_eq!(refused_until(&failure.with_details("[]")), None);
    }

    proptest! {
        #[test]
        fn any_text_is_a_time_or_none(text in "\\PC{0,60}|[0-9]{0,30}") {
            let at = after_answer(429, Some(&text), NOW);
            prop_assert!(at.is_none_or(|at| at > NOW && at <= NOW.plus_millis(RETRY_AFTER_MAX_MILLIS)));
        }
    }
}
