//! Flow control of a deployment: the manifest's admission rules other than `concurrency` and
//! `priority`.
//!
//! Holds the rules' numbers and what follows from an input: the lane of its key and the debounce
//! key. The store decides which run enters when.

use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};

use crate::lane::Lane;
use crate::money::CUSTOMER_BYTES;

mod text;

/// Default retention of an idempotency key after the end of its run, in milliseconds.
pub const KEY_MILLIS: u64 = 24 * 3_600_000;
/// Maximum retention of an idempotency key, in milliseconds: 366 days.
pub const KEY_MILLIS_MAX: u64 = 366 * 24 * 3_600_000;
/// Maximum length of a pointer into an input, in bytes.
pub const POINTER_BYTES: usize = 256;
/// Maximum number of runs of a rate.
pub const RATE_RUNS_MAX: u32 = 100_000;
/// Range of a rate's period, in milliseconds: one second to 31 days.
pub const RATE_PER: std::ops::RangeInclusive<u64> = 1_000..=31 * 24 * 3_600_000;
/// Range of a debounce's wait, in milliseconds: 100 ms to one day.
pub const DEBOUNCE_WAIT: std::ops::RangeInclusive<u64> = 100..=24 * 3_600_000;
/// Default maximum total wait of a debounce, as a multiple of its wait.
pub const DEBOUNCE_TIMES: u64 = 10;
/// Maximum length of a deployment's queue.
pub const QUEUE_MAX: u64 = 10_000_000;

/// Admission rules of a deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flow {
    /// Runs whose inputs have the same value at this pointer share a key.
    pub key: Option<Pointer>,
    /// Maximum number of concurrent runs of one key, at least one.
    pub per_key: u32,
    /// Maximum rate at which runs start.
    pub rate: Option<Rate>,
    /// Which requests are merged into one run.
    pub debounce: Option<Debounce>,
    /// Maximum number of queued runs. The host's own bound applies if there is none, and the
    /// smaller of the two if there is one.
    pub queue: Option<u64>,
    /// Retention of an idempotency key after the end of its run, in milliseconds.
    pub key_millis: u64,
    /// The customer of a run is the text or number at this pointer of its input.
    pub customer: Option<Pointer>,
}

/// At most `runs` runs start in any period of `per_millis` milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Number of runs, 1 to [`RATE_RUNS_MAX`].
    pub runs: u32,
    /// Length of the period, within [`RATE_PER`].
    pub per_millis: u64,
}

/// Requests with the same key become one run, with the input of the newest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Debounce {
    /// Wait between the newest request and the start of the run, in milliseconds; within
    /// [`DEBOUNCE_WAIT`].
    pub wait_millis: u64,
    /// Pointer to the key in the input; without it, all requests have the same key.
    pub key: Option<Pointer>,
    /// Maximum wait between the first request and the start of the run, in milliseconds; at least
    /// `wait_millis`.
    pub max_wait_millis: u64,
}

impl Default for Flow {
    fn default() -> Self {
        Self { key: None, per_key: 1, rate: None, debounce: None, queue: None, key_millis: KEY_MILLIS, customer: None }
    }
}

impl Flow {
    /// Whether a run must be queued in the store before it may start, because a rule needs a
    /// lookup or a count there.
    #[must_use]
    pub const fn is_kept(&self) -> bool {
        self.key.is_some() || self.rate.is_some() || self.debounce.is_some()
    }

    /// Returns the lane of a run with that input, if there is one.
    #[must_use]
    pub fn lane(&self, input: &[u8]) -> Option<Lane> {
        let pointer = self.key.as_ref()?;
        let name = format!("key/{}", pointer.hash_in(input));
        Some(Lane { name, capacity: self.per_key.max(1) })
    }
}

impl Flow {
    /// Returns the customer of a run with that input; empty if it names none. A text of more than
    /// [`CUSTOMER_BYTES`] bytes names none.
    #[must_use]
    pub fn customer_of(&self, input: &[u8]) -> String {
        let text = self.customer.as_ref().and_then(|pointer| pointer.text_in(input));
        text.filter(|text| text.len() <= CUSTOMER_BYTES).unwrap_or_default()
    }
}

impl Debounce {
    /// Returns the debounce key of a request. Each export has keys of its own.
    #[must_use]
    pub fn key_of(&self, export: &str, input: &[u8]) -> String {
        let hash = self.key.as_ref().map_or_else(String::new, |pointer| pointer.hash_in(input));
        format!("{export}/{hash}")
    }
}

/// A JSON pointer (RFC 6901) of at most [`POINTER_BYTES`]; the empty one is the whole input.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Pointer(String);

/// A text that is not a valid pointer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a pointer is empty or begins with `/`, has at most 256 bytes, and `~` in it is followed by 0 or 1")]
pub struct InvalidPointer;

impl std::str::FromStr for Pointer {
    type Err = InvalidPointer;

    fn from_str(text: &str) -> Result<Self, InvalidPointer> {
        let escaped = text.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
        let begins = text.is_empty() || text.starts_with('/');
        if begins && escaped && text.len() <= POINTER_BYTES { Ok(Self(text.to_owned())) } else { Err(InvalidPointer) }
    }
}

impl Pointer {
    /// The pointer as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text or the digits of the number to which the pointer points in the JSON text `input`;
    /// `None` if there is another value or none.
    #[must_use]
    pub fn text_in(&self, input: &[u8]) -> Option<String> {
        let value = text::at(&self.0, input)?;
        match value.as_bytes().first()? {
            b'"' => serde_json::from_str(&value).ok(),
            b'-' | b'0'..=b'9' => Some(value),
            _ => None,
        }
    }

    /// Thirty-two hexadecimal digits that identify the value to which the pointer points in the
    /// JSON text `input`, or null if there is no value. The digits depend on the JSON text: two
    /// numbers are equal if their digits are equal, so that no two numbers of any length are
    /// merged. Objects are equal in any order of their fields, and strings are equal however they
    /// are escaped.
    #[must_use]
    pub fn hash_in(&self, input: &[u8]) -> String {
        let text = text::at(&self.0, input).unwrap_or_else(|| "null".to_owned());
        let hash = Sha256::digest(text);
        HEXLOWER.encode(&hash[..16])
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pointer(text: &str) -> Pointer {
        text.parse().unwrap()
    }

    #[test]
    fn a_pointer_reads_back_and_other_text_is_refused() {
        for good in ["", "/", "/customer", "/a/0/b~0c~1d"] {
            assert_eq!(pointer(good).as_str(), good);
        }
        for bad in ["customer", "/a~", "/a~2", &format!("/{}", "x".repeat(256))] {
            assert_eq!(bad.parse::<Pointer>(), Err(InvalidPointer), "{bad}");
        }
    }

    #[test]
    fn a_missing_value_is_null() {
        let at = pointer("/customer");
        let none = at.hash_in(b"{}");
        for input in [&br#"{"customer": null}"#[..], b"[]", b"7", b"not json", b""] {
            assert_eq!(at.hash_in(input), none);
        }
        assert_ne!(at.hash_in(br#"{"customer": 0}"#), none);
    }

    #[test]
    fn the_order_of_fields_does_not_change_the_key() {
        let at = pointer("/k");
        assert_eq!(at.hash_in(br#"{"k": {"a": 1, "b": 2}}"#), at.hash_in(br#"{"x": 0, "k":{"b":2,"a":1}}"#));
        assert_ne!(at.hash_in(br#"{"k": 1}"#), at.hash_in(br#"{"k": "1"}"#));
    }

    #[test]
    fn two_numbers_are_one_key_only_if_their_digits_are_the_same() {
        let at = pointer("/id");
        let hash = |id: &str| at.hash_in(format!(r#"{{"id": {id} }}"#).as_bytes());
        for (one, other) in [
            ("123456789012345678901234567890001", "123456789012345678901234567890002"),
            ("18446744073709551616", "18446744073709551617"),
            ("0.1000000000000000055511151231257827", "0.1"),
            ("9007199254740993.0", "9007199254740992.0"),
            ("-9223372036854775809", "-9223372036854775810"),
            ("[1e400]", "[1e401]"),
            ("1", "1.0"),
        ] {
            assert_ne!(hash(one), hash(other), "{one} and {other}");
            assert_ne!(hash(&format!(r#"{{"a": [{one}]}}"#)), hash(&format!(r#"{{"a": [{other}]}}"#)));
            assert_eq!(hash(one), hash(&format!(" {one}\n")));
        }
        let debounce = Debounce { wait_millis: 100, key: Some(at), max_wait_millis: 100 };
        let key = |id: &str| debounce.key_of("workflow", format!(r#"{{"id":{id}}}"#).as_bytes());
        assert_ne!(key("100000000000000000001"), key("100000000000000000002"));
    }

    #[test]
    fn a_customer_is_a_text_or_a_number_of_the_input() {
        let flow = Flow { customer: Some(pointer("/c")), ..Flow::default() };
        for (input, customer) in [
            (r#"{"c": "a\u00e4"}"#, "a\u{e4}"),
            (r#"{"c": 17}"#, "17"),
            (r#"{"c": -1.50}"#, "-1.50"),
            (r#"{"c": null}"#, ""),
            (r#"{"c": {"id": 1}}"#, ""),
            (r#"{"c": true}"#, ""),
            ("{}", ""),
            ("not json", ""),
        ] {
            assert_eq!(flow.customer_of(input.as_bytes()), customer, "{input}");
        }
        let long = format!("{{\"c\": \"{}\"}}", "x".repeat(CUSTOMER_BYTES + 1));
        assert_eq!(flow.customer_of(long.as_bytes()), "");
        assert_eq!(Flow::default().customer_of(br#"{"c": "x"}"#), "");
    }

    #[test]
    fn a_lane_depends_on_the_key() {
        let flow = Flow { key: Some(pointer("/c")), per_key: 3, ..Flow::default() };
        let lane = flow.lane(br#"{"c": "x"}"#).unwrap();
        assert!(lane.is_named() && lane.name.starts_with("key/"));
        assert_eq!(lane.capacity, 3);
        assert_eq!(Flow::default().lane(b"{}"), None);
        assert!(flow.is_kept() && !Flow::default().is_kept());
    }

    proptest! {
        #[test]
        fn any_text_and_any_input_are_read_without_a_panic(
            text in "[/~01a-c]{0,12}", input in prop::collection::vec(any::<u8>(), 0..60),
        ) {
            if let Ok(pointer) = text.parse::<Pointer>() {
                prop_assert_eq!(pointer.hash_in(&input).len(), 32);
                let _ = pointer.text_in(&input);
            }
        }
    }
}
