//! The filter of a subscription: the values that an event's payload must have, all of them. The
//! language is deliberately this small; a run decides what a filter cannot express.

use serde_json::Value;

/// Maximum number of pointers in one filter.
pub const CONDITIONS: usize = 16;
/// Maximum number of values for one pointer.
pub const VALUES: usize = 16;
/// Maximum length of a JSON pointer, in bytes.
pub const POINTER_BYTES: usize = 256;
/// Maximum length of a text to compare with, in bytes.
pub const VALUE_BYTES: usize = 256;

/// A place in the payload, and the values that it may have.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    /// A JSON pointer.
    pub pointer: String,
    /// Texts, numbers, booleans or null. The place must have one of these values.
    pub any_of: Vec<Value>,
}

/// The conditions that a payload must meet, all of them. An empty filter accepts every payload.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Filter(Vec<Condition>);

impl Filter {
    /// Returns a filter of these conditions, whose bounds the caller has checked.
    #[must_use]
    pub const fn new(conditions: Vec<Condition>) -> Self {
        Self(conditions)
    }

    /// Its conditions.
    #[must_use]
    pub fn conditions(&self) -> &[Condition] {
        &self.0
    }

    /// Whether every payload passes.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a payload passes. A place that is absent from it has no value, not even null.
    #[must_use]
    pub fn passes(&self, payload: &Value) -> bool {
        self.0.iter().all(|condition| {
            payload.pointer(&condition.pointer).is_some_and(|found| condition.any_of.iter().any(|one| same(one, found)))
        })
    }

    /// Whether a payload passes, given as JSON text. Text that is not JSON passes only an empty
    /// filter.
    #[must_use]
    pub fn passes_text(&self, payload: &[u8]) -> bool {
        self.is_empty() || serde_json::from_slice(payload).is_ok_and(|payload| self.passes(&payload))
    }
}

/// Whether two values are equal; 1 and 1.0 are equal.
fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => {
            one == other || one.as_f64() == other.as_f64() && one.is_f64() != other.is_f64()
        }
        (one, other) => one == other,
    }
}

/// Whether a text is a non-empty JSON pointer (RFC 6901).
pub(crate) fn is_pointer(text: &str) -> bool {
    text.starts_with('/') && text.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn filter(conditions: &[(&str, Value)]) -> Filter {
        let condition = |(pointer, any_of): &(&str, Value)| Condition {
            pointer: (*pointer).to_owned(),
            any_of: any_of.as_array().cloned().unwrap_or_else(|| vec![any_of.clone()]),
        };
        Filter::new(conditions.iter().map(condition).collect())
    }

    #[test]
    fn all_places_must_hold_one_of_their_values() {
        let filter =
            filter(&[("/customer/country", json!(["DE", "AT"])), ("/amount", json!(5)), ("/a~1b/0", json!(null))]);
        let good = json!({ "customer": { "country": "AT" }, "amount": 5.0, "a/b": [null], "more": true });
        assert!(filter.passes(&good) && filter.passes_text(good.to_string().as_bytes()));
        for (pointer, bad) in [
            ("/customer/country", json!("FR")),
            ("/customer", json!("AT")),
            ("/amount", json!("5")),
            ("/amount", json!(5.5)),
            ("/a~1b", json!([])),
            ("/a~1b", json!({ "0": true })),
        ] {
            let mut payload = good.clone();
            *payload.pointer_mut(pointer).unwrap() = bad;
            assert!(!filter.passes(&payload), "{payload}");
        }
        assert!(!filter.passes_text(b"{") && !filter.passes(&json!("text")) && Filter::default().passes_text(b"{"));
    }

    #[test]
    fn a_large_number_is_not_its_neighbour() {
        let filter = filter(&[("/n", json!(9_007_199_254_740_993_u64))]);
        assert!(
            !filter.passes(&json!({ "n": 9_007_199_254_740_992_u64 }))
                && filter.passes(&json!({ "n": 9_007_199_254_740_993_u64 }))
        );
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            (-3_i64..3).prop_map(Value::from),
            prop_oneof![Just(0.5), Just(1.0)].prop_map(Value::from),
            "[ab~/]{0,2}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 12, 3, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                prop::collection::btree_map("[ab~/]{0,2}", inner, 0..3)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    /// Returns every scalar of a value with its pointer.
    fn leaves(value: &Value, at: String, found: &mut Vec<(String, Value)>) {
        match value {
            Value::Array(items) => {
                items.iter().enumerate().for_each(|(index, item)| leaves(item, format!("{at}/{index}"), found));
            }
            Value::Object(fields) => fields.iter().for_each(|(name, item)| {
                leaves(item, format!("{at}/{}", name.replace('~', "~0").replace('/', "~1")), found);
            }),
            leaf => found.push((at, leaf.clone())),
        }
    }

    proptest! {
        #[test]
        fn a_payload_passes_exactly_the_filters_of_its_values(payload in value(), asked in prop::collection::vec((any::<prop::sample::Index>(), any::<bool>(), -3_i64..3), 0..4)) {
            let mut held = Vec::new();
            leaves(&payload, String::new(), &mut held);
            held.retain(|(pointer, _)| is_pointer(pointer));
            if !held.is_empty() {
                let mut expected = true;
                let conditions = asked.iter().map(|(which, keep, other)| {
                    let (pointer, value) = which.get(&held).clone();
                    let ask = if *keep { value.clone() } else { json!(*other) };
                    expected &= ask == value || matches!((ask.as_f64(), value.as_f64()), (Some(a), Some(b)) if a == b);
                    Condition { pointer, any_of: vec![json!("never-there"), ask] }
                });
                let filter = Filter::new(conditions.collect());
                prop_assert_eq!(filter.passes(&payload), expected);
                prop_assert_eq!(filter.passes_text(payload.to_string().as_bytes()), expected);
            }
        }

        #[test]
        fn any_bytes_pass_or_do_not(payload in any::<Vec<u8>>(), pointer in "\\PC{0,20}|/[a~01/]{0,8}") {
            let _ = is_pointer(&pointer);
            let filter = Filter::new(vec![Condition { pointer, any_of: vec![json!(1)] }]);
            prop_assert!(!filter.passes_text(&payload) || serde_json::from_slice::<Value>(&payload).is_ok());
        }
    }
}
