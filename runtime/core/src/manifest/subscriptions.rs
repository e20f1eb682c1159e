//! Reads the subscriptions of a manifest.

use std::collections::BTreeSet;

use serde_json::Value;

use super::SUBSCRIPTIONS;
use crate::run::Export;
use crate::topics::{
    CONDITIONS, Condition, Filter, POINTER_BYTES, Subscription, SubscriptionStart, VALUE_BYTES, VALUES, is_pointer,
};
use crate::wire::json::shown;
use crate::wire::{InputProblem, ObjectField, ObjectReader};

/// The exports that an event may run.
const EXPORTS: [(&str, Export); 2] =
    [(Export::Workflow.as_str(), Export::Workflow), (Export::RevenueStream.as_str(), Export::RevenueStream)];
const BEGINS: [(&str, SubscriptionStart); 2] =
    [("now", SubscriptionStart::Now), ("earliest", SubscriptionStart::Earliest)];

pub(super) fn subscriptions(object: &mut ObjectReader, problems: &mut Vec<InputProblem>) -> Vec<Subscription> {
    // `[[subscription]]` in TOML gives `subscription`; in JSON `subscriptions` reads better. Both
    // are accepted.
    let (one, many) = (object.take("subscription"), object.take("subscriptions"));
    if let (Some(_), Some(field)) = (&one, &many) {
        let message = "both `subscription` and `subscriptions` are given";
        problems.push(InputProblem::field(&field.pointer, message, "Join the two lists."));
    }
    let fields = many.or(one).and_then(|field| field.one_or_many(SUBSCRIPTIONS, problems)).unwrap_or_default();
    let (mut subscriptions, mut names) = (Vec::new(), BTreeSet::new());
    for field in fields {
        let pointer = format!("{}/name", field.pointer);
        if let Some(subscription) = subscription(field, problems) {
            if !names.insert(subscription.name.clone()) {
                let message = format!("there are two subscriptions `{}`", subscription.name);
                problems.push(InputProblem::field(pointer, message, "Give each subscription a name of its own."));
            }
            subscriptions.push(subscription);
        }
    }
    subscriptions
}

fn subscription(field: ObjectField, problems: &mut Vec<InputProblem>) -> Option<Subscription> {
    let mut object = field.object(problems)?;
    let name_fix = "Name the subscription: 1 to 63 lower-case letters, digits and hyphens.";
    let name = object.require("name", name_fix, problems).and_then(|field| field.parse(problems));
    let topic_fix = "Name a topic, such as \"orders.created\", or several by a pattern, such as \"orders.*\".";
    let topic = object.require("topic", topic_fix, problems).and_then(|field| field.parse(problems));
    let filter = object.take("filter").map(|field| filter(field, problems)).unwrap_or_default();
    let export = object.take("export").and_then(|field| field.choice(&EXPORTS, problems));
    let from = object.take("from").and_then(|field| field.choice(&BEGINS, problems)).unwrap_or_default();
    object.finish(problems);
    Some(Subscription { name: name?, topic: topic?, filter, export, from })
}

fn filter(field: ObjectField, problems: &mut Vec<InputProblem>) -> Filter {
    const FIX: &str = "Write JSON pointers with the required values, such as { \"/country\" = \"DE\", \"/kind\" = [\"sale\", \"refund\"] }.";
    let pointer = field.pointer.clone();
    let Some(mut object) = field.object(problems) else { return Filter::default() };
    let fields = object.take_all();
    if fields.len() > CONDITIONS {
        let message = format!("a filter of {} conditions; at most {CONDITIONS} are allowed", fields.len());
        problems.push(InputProblem::field(pointer, message, "Let the run decide what a filter cannot."));
        return Filter::default();
    }
    let mut conditions = Vec::with_capacity(fields.len());
    for (place, field) in fields {
        if place.len() > POINTER_BYTES || !is_pointer(&place) {
            let message = format!("`{}` is not a JSON pointer of at most {POINTER_BYTES} bytes", shown(&place));
            problems.push(InputProblem::field(field.pointer, message, FIX));
            continue;
        }
        let pointer = field.pointer.clone();
        let values = field.one_or_many(VALUES, problems).unwrap_or_default();
        let any_of: Vec<Value> = values.into_iter().filter_map(|field| value(field, problems)).collect();
        if any_of.is_empty() {
            problems.push(InputProblem::field(pointer, "the list of values is empty", FIX));
        }
        conditions.push(Condition { pointer: place, any_of });
    }
    Filter::new(conditions)
}

fn value(field: ObjectField, problems: &mut Vec<InputProblem>) -> Option<Value> {
    match &field.value {
        Value::String(_) => field.text(VALUE_BYTES, problems).map(Value::String),
        Value::Array(_) | Value::Object(_) => {
            let message = "only text, a number, true, false or null is compared";
            problems.push(InputProblem::field(field.pointer, message, "Point at what lies inside."));
            None
        }
        _ => Some(field.value),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use crate::manifest::Manifest;

    fn parse(subscriptions: &serde_json::Value) -> Result<Manifest, Vec<String>> {
        let manifest = json!({ "module": "hello@0.1.0", "subscriptions": subscriptions }).to_string();
        Manifest::parse_json(manifest.as_bytes())
            .map_err(|problems| problems.into_iter().map(|problem| problem.pointer).collect())
    }

    #[test]
    fn problems_of_a_subscription_have_its_pointer() {
        let long = "x".repeat(300);
        let many: serde_json::Map<_, _> = (0..17).map(|n| (format!("/{n}"), json!(1))).collect();
        for (subscription, place) in [
            (json!({ "topic": "a" }), "/name"),
            (json!({ "name": "a" }), "/topic"),
            (json!({ "name": "A", "topic": "a" }), "/name"),
            (json!({ "name": "a", "topic": "a.**.b" }), "/topic"),
            (json!({ "name": "a", "topic": "a", "from": "then" }), "/from"),
            (json!({ "name": "a", "topic": "a", "export": "webhook" }), "/export"),
            (json!({ "name": "a", "topic": "a", "filter": [] }), "/filter"),
            (json!({ "name": "a", "topic": "a", "filter": { "a": 1 } }), "/filter/a"),
            (json!({ "name": "a", "topic": "a", "filter": { "/a": [] } }), "/filter/~1a"),
            (json!({ "name": "a", "topic": "a", "filter": { "/a": [1, {}] } }), "/filter/~1a/1"),
            (json!({ "name": "a", "topic": "a", "filter": { "/a": long } }), "/filter/~1a"),
            (json!({ "name": "a", "topic": "a", "filter": many }), "/filter"),
            (json!({ "name": "a", "topic": "a", "fiter": {} }), "/fiter"),
        ] {
            let pointers = parse(&json!([subscription])).unwrap_err();
            assert!(pointers.contains(&format!("/subscriptions/0{place}")), "{subscription}: {pointers:?}");
        }
        let one = json!({ "name": "a", "topic": "a" });
        assert_eq!(parse(&json!([one, one])).unwrap_err(), ["/subscriptions/1/name"]);
        assert_eq!(parse(&json!(vec![one; 33])).unwrap_err(), ["/subscriptions"]);
    }

    proptest! {
        #[test]
        fn a_subscription_reads_back_from_what_is_written(
            topic in "[a-z*]{1,3}(\\.[a-z]{1,3}){0,2}(\\.\\*\\*)?",
            places in prop::collection::btree_map("/[a-z/]{0,9}", prop::collection::vec(0_u8..9, 1..4), 0..4),
            earliest in any::<bool>(),
            export in prop::option::of(prop::sample::select(vec!["workflow", "revenue-stream"])),
        ) {
            let mut subscription = json!({
                "name": "s", "topic": topic, "filter": places, "from": if earliest { "earliest" } else { "now" },
            });
            if let Some(export) = export { subscription["export"] = export.into(); }
            if let Ok(manifest) = parse(&json!([subscription])) {
                let written = manifest.to_json();
                let again = Manifest::parse_json(written.to_string().as_bytes()).unwrap();
                prop_assert_eq!(again.to_json(), written);
                prop_assert_eq!(again, manifest);
            } else {
                prop_assert!(topic.parse::<crate::TopicPattern>().is_err());
            }
        }
    }
}
