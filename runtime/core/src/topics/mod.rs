//! Topics, patterns of topics, and subscriptions to published events.
//!
//! A topic consists of words that are joined by dots. A pattern is a topic in which any word may
//! be `*`, which matches any one word, and the last word may be `**`, which matches one or more
//! words. Patterns have no other syntax.

mod filter;

use std::str::FromStr;
use std::sync::Arc;

pub(crate) use filter::is_pointer;
pub use filter::{CONDITIONS, Condition, Filter, POINTER_BYTES, VALUE_BYTES, VALUES};
use serde::{Deserialize, Serialize};

use crate::ids::{InvalidName, SubscriptionName, as_text};
use crate::run::Export;

/// Maximum length of the name of a topic and of a pattern, in bytes.
pub const TOPIC_BYTES: usize = 128;
/// Maximum size of the payload of one event, in bytes.
pub const EVENT_BYTES: usize = 64 << 10;

/// The name of a topic: words of lower-case letters, digits, hyphens and underscores, joined by
/// dots; at most [`TOPIC_BYTES`]. Cheap to clone.
/// clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Topic(Arc<str>);

/// A pattern of topics: `orders.created`, `orders.*`, `orders.**`, `*.created`, `**`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPattern(Arc<str>);

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_'))
}

impl Topic {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The word before the first dot.
    #[must_use]
    pub fn first_word(&self) -> &str {
        self.0.split('.').next().unwrap_or_default()
    }
}

impl TopicPattern {
    /// The pattern as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it matches `topic`.
    #[must_use]
    pub fn matches(&self, topic: &Topic) -> bool {
        let mut words = topic.0.split('.');
        for part in self.0.split('.') {
            match (part, words.next()) {
                ("**", Some(_)) => return true,
                ("*", Some(_)) => {}
                (part, Some(word)) if part == word => {}
                _ => return false,
            }
        }
        words.next().is_none()
    }

    /// The only topic that it matches, if it contains no wildcard.
    #[must_use]
    pub fn exact(&self) -> Option<Topic> {
        (!self.0.contains('*')).then(|| Topic(Arc::clone(&self.0)))
    }

    /// The first word of every topic that it matches, if that word is fixed.
    #[must_use]
    pub fn first_word(&self) -> Option<&str> {
        self.0.split('.').next().filter(|word| !word.starts_with('*'))
    }
}

impl FromStr for Topic {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        if text.len() <= TOPIC_BYTES && text.split('.').all(is_word) {
            Ok(Self(text.into()))
        } else {
            Err(InvalidName {
                kind: "topic",
                rule: "words of lower-case letters, digits, hyphens and underscores, joined by dots; at most 128 bytes",
            })
        }
    }
}

impl FromStr for TopicPattern {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let begins = text.strip_suffix(".**").unwrap_or(text);
        let words = text == "**" || begins.split('.').all(|word| word == "*" || is_word(word));
        if text.len() <= TOPIC_BYTES && words {
            Ok(Self(text.into()))
        } else {
            Err(InvalidName {
                kind: "topic or pattern of topics",
                rule: "words of lower-case letters, digits, hyphens and underscores, joined by dots, where `*` matches one word and `**` at the end for one or more; at most 128 bytes",
            })
        }
    }
}

as_text!(Topic);
as_text!(TopicPattern);

/// Where a subscription starts in each topic that it matches.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SubscriptionStart {
    /// At the events that are published after its creation.
    #[default]
    Now,
    /// At the oldest retained event.
    Earliest,
}

/// The events for which a deployment runs.
#[derive(Debug, Clone, PartialEq)]
pub struct Subscription {
    /// Its name, unique in the deployment.
    pub name: SubscriptionName,
    /// The topics.
    pub topic: TopicPattern,
    /// The filter of events; an empty one accepts all events.
    pub filter: Filter,
    /// The export that runs; without it, the only one that fits.
    pub export: Option<Export>,
    /// Where it starts.
    pub from: SubscriptionStart,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pattern(text: &str) -> TopicPattern {
        text.parse().unwrap()
    }

    fn topic(text: &str) -> Topic {
        text.parse().unwrap()
    }

    #[test]
    fn a_pattern_matches_the_topics_that_fit_its_words() {
        for (text, names, names_not) in [
            ("orders", vec!["orders"], vec!["orders.eu", "order", "orderss"]),
            ("orders.*", vec!["orders.eu", "orders.created"], vec!["orders", "orders.eu.created", "order.eu"]),
            ("orders.**", vec!["orders.eu", "orders.eu.created"], vec!["orders", "orderss.eu"]),
            ("*.created", vec!["orders.created"], vec!["created", "orders.eu.created", "orders.created.late"]),
            ("*.*", vec!["a.b"], vec!["a", "a.b.c"]),
            ("*.**", vec!["a.b", "a.b.c"], vec!["a"]),
            ("*", vec!["a"], vec!["a.b"]),
            ("**", vec!["a", "a.b", "a.b.c"], vec![]),
        ] {
            for name in names {
                assert!(pattern(text).matches(&topic(name)), "{text} {name}");
            }
            for name in names_not {
                assert!(!pattern(text).matches(&topic(name)), "{text} {name}");
            }
        }
    }

    #[test]
    fn malformed_topics_and_patterns_are_refused() {
        let long = "a".repeat(TOPIC_BYTES + 1);
        for bad in ["", ".", "a.", ".a", "a..b", "A", "ä", "a b", "a/b", "a\0b", &long] {
            assert!(bad.parse::<Topic>().is_err() && bad.parse::<TopicPattern>().is_err(), "{bad}");
        }
        for bad in
            ["***", "a.***", "a**", "a.b**", "**.a", "a.**.b", "a.*b", "*a", "**.**", ".**", "a..**", "*.", "a.**."]
        {
            assert!(bad.parse::<TopicPattern>().is_err(), "{bad}");
        }
        for pattern_only in ["*", "**", "a.*", "a.**", "*.**"] {
            assert!(pattern_only.parse::<Topic>().is_err() && pattern_only.parse::<TopicPattern>().is_ok());
        }
    }

    /// The meaning of a pattern in other terms: the number of words that each of its parts can
    /// match.
    fn means(pattern: &[&str], words: &[&str]) -> bool {
        match (pattern.split_first(), words.split_first()) {
            (None, None) => true,
            (Some((&"**", [])), Some(_)) => true,
            (Some((part, pattern)), Some((word, words))) => (*part == "*" || part == word) && means(pattern, words),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn matching_agrees_with_the_meaning_of_the_words(
            parts in prop::collection::vec(prop_oneof!["[ab]", Just("*".to_owned())], 0..4),
            rest in any::<bool>(),
            words in prop::collection::vec("[ab]", 1..5),
        ) {
            let mut parts = parts;
            if rest || parts.is_empty() {
                parts.push("**".to_owned());
            }
            let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            let (pattern, topic) = (pattern(&parts.join(".")), topic(&words.join(".")));
            let matched = pattern.matches(&topic);
            prop_assert_eq!(matched, means(&parts, &words));
            // The word that an index uses never hides a match.
            prop_assert!(!matched || pattern.first_word().is_none_or(|word| word == topic.first_word()));
            if let Some(one) = pattern.exact() { prop_assert_eq!(matched, one == topic); }
        }

        #[test]
        fn a_topic_names_itself_and_any_of_its_words_may_be_any(
            words in prop::collection::vec("[a-z0-9_-]{1,8}", 1..6),
            star in any::<prop::sample::Index>(),
            cut in any::<prop::sample::Index>(),
        ) {
            let whole = topic(&words.join("."));
            prop_assert!(pattern(whole.as_str()).matches(&whole));
            let mut starred = words.clone();
            *star.get_mut(&mut starred) = "*".to_owned();
            prop_assert!(pattern(&starred.join(".")).matches(&whole));
            let mut below = words[..cut.index(words.len())].to_vec();
            below.push("**".to_owned());
            prop_assert!(pattern(&below.join(".")).matches(&whole));
        }

        #[test]
        fn any_text_is_read_back_or_refused(text in "\\PC{0,140}|[a-z.*_-]{0,20}") {
            if let Ok(topic) = text.parse::<Topic>() {
                prop_assert_eq!(topic.as_str(), &text);
                // Every topic is a pattern, and none contains the separator of the store's keys.
                prop_assert!(text.parse::<TopicPattern>().is_ok() && !text.contains('\0'));
            }
            if let Ok(pattern) = text.parse::<TopicPattern>() { prop_assert_eq!(pattern.as_str(), &text); }
        }
    }
}
