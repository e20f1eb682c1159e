//! Patterns of event types.

use std::str::FromStr;
use std::sync::Arc;

use crate::ids::{InvalidName, as_text};

/// Maximum length of a pattern, in bytes.
const PATTERN_BYTES: usize = 128;
/// Maximum number of `*` in a pattern.
const STARS: usize = 4;

/// A pattern of event types: `charge.*`, `PAYMENT.CAPTURE.COMPLETED`, `orders/*`, `*`.
///
/// A `*` matches any text, including none and text with dots. Patterns are case-sensitive.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventPattern(Arc<str>);

impl EventPattern {
    /// The pattern as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it matches an event type.
    #[must_use]
    pub fn matches(&self, event: &str) -> bool {
        let Some((first, rest)) = self.0.split_once('*') else { return *self.0 == *event };
        let Some(mut event) = event.strip_prefix(first) else { return false };
        let mut parts = rest.split('*');
        let last = parts.next_back().unwrap_or_default();
        // The first occurrence of each part leaves the most text for the parts after it.
        for part in parts {
            let Some(at) = event.find(part) else { return false };
            event = &event[at + part.len()..];
        }
        event.ends_with(last)
    }
}

impl FromStr for EventPattern {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let size = (1..=PATTERN_BYTES).contains(&text.len());
        if size && text.bytes().all(|b| b.is_ascii_graphic()) && text.matches('*').count() <= STARS {
            Ok(Self(text.into()))
        } else {
            Err(InvalidName {
                kind: "pattern of event types",
                rule: "1 to 128 printable ASCII characters without spaces, with at most four `*`, such as \"charge.*\"",
            })
        }
    }
}

as_text!(EventPattern);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_star_matches_any_text() {
        for (pattern, good, bad) in [
            (
                "charge.*",
                vec!["charge.", "charge.refunded", "charge.dispute.created"],
                vec!["charge", "charges.x", "x"],
            ),
            ("*.created", vec![".created", "a.b.created"], vec!["created", "a.created.b"]),
            ("a*b*c", vec!["abc", "axbxc", "abbcc", "abcbc"], vec!["ab", "acb", "bc", "abcd"]),
            ("*", vec!["", "x.y"], vec![]),
            ("a**a", vec!["aa", "aba"], vec!["a"]),
            ("x", vec!["x"], vec!["X", "xx", ""]),
        ] {
            let pattern: EventPattern = pattern.parse().unwrap();
            assert!(good.iter().all(|event| pattern.matches(event)), "{pattern}");
            assert!(!bad.iter().any(|event| pattern.matches(event)), "{pattern}");
        }
        for bad in ["", "a b", "ä", "*****", "a\n", &"x".repeat(129)] {
            assert!(bad.parse::<EventPattern>().is_err(), "{bad:?}");
        }
    }

    /// The meaning of a pattern in other terms.
    fn means(pattern: &[u8], text: &[u8]) -> bool {
        match pattern.split_first() {
            None => text.is_empty(),
            Some((b'*', rest)) => (0..=text.len()).any(|at| means(rest, &text[at..])),
            Some((byte, rest)) => text.split_first().is_some_and(|(first, text)| first == byte && means(rest, text)),
        }
    }

    proptest! {
        #[test]
        fn matching_agrees_with_the_meaning_of_a_pattern(pattern in "[ab*]{1,7}", text in "[ab]{0,8}") {
            if let Ok(known) = pattern.parse::<EventPattern>() {
                prop_assert_eq!(known.matches(&text), means(pattern.as_bytes(), text.as_bytes()));
            }
        }
    }
}
