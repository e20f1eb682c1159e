//! Flow control of a deployment: what its manifest says of how its runs are let in, beside `concurrency` and `priority`.
//!
//! Here are the rules' figures and what follows from an input: the lane of its key, the name of what is debounced. Who enters when is
//! the store's business.

use sha2::{Digest as _, Sha256};

use crate::lane::Lane;

mod text;

/// How long an idempotency key is kept beyond the end of its run, in milliseconds, where nothing else is said.
pub const KEY_MILLIS: u64 = 24 * 3_600_000;
/// The longest that it may be kept, in milliseconds: 366 days.
pub const KEY_MILLIS_MAX: u64 = 366 * 24 * 3_600_000;
/// The longest pointer into an input, in bytes.
pub const POINTER_BYTES: usize = 256;
/// The most runs that a rate counts.
pub const RATE_RUNS_MAX: u32 = 100_000;
/// The shortest and the longest period of a rate, in milliseconds: a second and 31 days.
pub const RATE_PER: std::ops::RangeInclusive<u64> = 1_000..=31 * 24 * 3_600_000;
/// The shortest and the longest wait of a debounce, in milliseconds: 100 ms and a day.
pub const DEBOUNCE_WAIT: std::ops::RangeInclusive<u64> = 100..=24 * 3_600_000;
/// Nobody waits longer for a debounce than so many times its wait, where nothing else is said.
pub const DEBOUNCE_TIMES: u64 = 10;
/// The largest bound of a deployment's queue.
pub const QUEUE_MAX: u64 = 10_000_000;

/// How runs of a deployment are let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flow {
    /// Runs whose inputs have the same value here go on at most `per_key` at a time.
    pub key: Option<Pointer>,
    /// How many of one key, at least one.
    pub per_key: u32,
    /// How many may begin in a span of time.
    pub rate: Option<Rate>,
    /// Which requests become one run.
    pub debounce: Option<Debounce>,
    /// Runs that may wait; the host's own bound where there is none, and the smaller one where there is.
    pub queue: Option<u64>,
    /// How long an idempotency key is kept beyond the end of its run, in milliseconds.
    pub key_millis: u64,
}

/// At most `runs` runs begin in any span of `per_millis` milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// 1 to [`RATE_RUNS_MAX`].
    pub runs: u32,
    /// Within [`RATE_PER`].
    pub per_millis: u64,
}

/// Requests with the same key become one run, with the input of the newest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Debounce {
    /// So long after the newest request it begins, in milliseconds; within [`DEBOUNCE_WAIT`].
    pub wait_millis: u64,
    /// Where the key stands in the input; without it, all requests have the same.
    pub key: Option<Pointer>,
    /// So long after the first request it begins at the latest, in milliseconds; not less than `wait_millis`.
    pub max_wait_millis: u64,
}

impl Default for Flow {
    fn default() -> Self {
        Self { key: None, per_key: 1, rate: None, debounce: None, queue: None, key_millis: KEY_MILLIS }
    }
}

impl Flow {
    /// Whether a run must be asked for in the store before it may begin: where something is to be looked at or counted there.
    #[must_use]
    pub const fn is_kept(&self) -> bool {
        self.key.is_some() || self.rate.is_some() || self.debounce.is_some()
    }

    /// The lane of a run with that input, where there is one.
    #[must_use]
    pub fn lane(&self, input: &[u8]) -> Option<Lane> {
        let pointer = self.key.as_ref()?;
        let name = format!("key/{}", pointer.hash_in(input));
        Some(Lane { name, capacity: self.per_key.max(1) })
    }
}

impl Debounce {
    /// What requests that become one run have in common; of an export each.
    #[must_use]
    pub fn key_of(&self, export: &str, input: &[u8]) -> String {
        let hash = self.key.as_ref().map_or_else(String::new, |pointer| pointer.hash_in(input));
        format!("{export}/{hash}")
    }
}

/// A JSON pointer (RFC 6901) of at most [`POINTER_BYTES`]; the empty one is the whole input.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Pointer(String);

/// A text that is no pointer.
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
    /// Its text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Thirty-two hexadecimal digits that stand for the value to which it points in the JSON text `input`, or for null if there is
    /// none. They compare the JSON text: two numbers are the same if their digits are, so that no two numbers of any length are
    /// merged. Objects are the same in any order of their fields, and strings however they are escaped.
    #[must_use]
    pub fn hash_in(&self, input: &[u8]) -> String {
        let text = text::at(&self.0, input).unwrap_or_else(|| "null".to_owned());
        let hash = Sha256::digest(text);
        hash.iter().take(16).fold(String::with_capacity(32), |text, byte| format!("{text}{byte:02x}"))
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
    fn a_pointer_is_one() {
        for good in ["", "/", "/customer", "/a/0/b~0c~1d"] {
            assert_eq!(pointer(good).as_str(), good);
        }
        for bad in ["customer", "/a~", "/a~2", &format!("/{}", "x".repeat(256))] {
            assert_eq!(bad.parse::<Pointer>(), Err(InvalidPointer), "{bad}");
        }
    }

    #[test]
    fn what_is_not_there_is_null() {
        let at = pointer("/customer");
        let none = at.hash_in(b"{}");
        for input in [&br#"{"customer": null}"#[..], b"[]", b"7", b"not json", b""] {
            assert_eq!(at.hash_in(input), none);
        }
        assert_ne!(at.hash_in(br#"{"customer": 0}"#), none);
    }

    #[test]
    fn the_order_of_fields_makes_no_other_key() {
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
    fn a_lane_is_of_the_key() {
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
            }
        }
    }
}
