//! Reads and writes a manifest's flow control. [`Flow`] documents the fields.

#[cfg(feature = "host")]
use serde_json::{Map, Value, json};

use crate::flow::{
    DEBOUNCE_TIMES, DEBOUNCE_WAIT, Debounce, Flow, KEY_MILLIS_MAX, Pointer, QUEUE_MAX, RATE_PER, RATE_RUNS_MAX, Rate,
};
#[cfg(feature = "host")]
use crate::wire::duration_text;
use crate::wire::{InputProblem, ObjectField, ObjectReader};

use super::CONCURRENCY_MAX;

/// Takes the fields of flow control out of a manifest.
pub(super) fn read(object: &mut ObjectReader, problems: &mut Vec<InputProblem>) -> Flow {
    let mut flow = Flow::default();
    let had_key = object.take("concurrency_key").map(|field| flow.key = pointer(field, problems)).is_some();
    if let Some(field) = object.take("concurrency_per_key") {
        let at = field.pointer.clone();
        let most = field.number(1..=CONCURRENCY_MAX.into(), problems);
        flow.per_key = most.and_then(|most| u32::try_from(most).ok()).unwrap_or(flow.per_key);
        if !had_key {
            let fix = "Give `concurrency_key`, such as \"/customer\", or remove it.";
            problems.push(InputProblem::field(at, "there is no key by which runs are counted", fix));
        }
    }
    flow.rate = object.take("rate").and_then(|field| rate(field, problems));
    flow.debounce = object.take("debounce").and_then(|field| debounce(field, problems));
    flow.queue = object.take("queue").and_then(|field| field.number(1..=QUEUE_MAX, problems));
    let ttl = object.take("idempotency_ttl").and_then(|field| field.duration(1_000..=KEY_MILLIS_MAX, problems));
    flow.key_millis = ttl.unwrap_or(flow.key_millis);
    flow.customer = object.take("customer_key").and_then(|field| pointer(field, problems));
    flow
}

fn pointer(field: ObjectField, problems: &mut Vec<InputProblem>) -> Option<Pointer> {
    let at = field.pointer.clone();
    let pointer = field.text(1_024, problems)?.parse::<Pointer>();
    if let Err(bad) = &pointer {
        let fix = "Write a JSON pointer to the value in the input, such as \"/customer\" or \"/order/id\".";
        problems.push(InputProblem::field(at, bad.to_string(), fix));
    }
    pointer.ok()
}

/// Reads a maximum rate.
pub(super) fn rate(field: ObjectField, problems: &mut Vec<InputProblem>) -> Option<Rate> {
    const FIX: &str = "Write how many in which time, such as { runs = 100, per = \"1m\" }.";
    let mut object = field.object(problems)?;
    let runs = object
        .require("runs", FIX, problems)
        .and_then(|field| field.number(1..=RATE_RUNS_MAX.into(), problems))
        .and_then(|runs| u32::try_from(runs).ok());
    let per = object.require("per", FIX, problems).and_then(|field| field.duration(RATE_PER, problems));
    object.finish(problems);
    Some(Rate { runs: runs?, per_millis: per? })
}

fn debounce(field: ObjectField, problems: &mut Vec<InputProblem>) -> Option<Debounce> {
    const FIX: &str = "Write how long to wait for a newer request, such as { wait = \"5s\", key = \"/id\" }.";
    let mut object = field.object(problems)?;
    let wait = object.require("wait", FIX, problems).and_then(|field| field.duration(DEBOUNCE_WAIT, problems));
    let key = object.take("key").and_then(|field| pointer(field, problems));
    let longest = DEBOUNCE_WAIT.end() * DEBOUNCE_TIMES;
    let max_wait = object.take("max_wait").and_then(|field| {
        let shortest = wait.unwrap_or(*DEBOUNCE_WAIT.start());
        field.duration(shortest..=longest, problems)
    });
    object.finish(problems);
    let wait_millis = wait?;
    let max_wait_millis = max_wait.unwrap_or(wait_millis.saturating_mul(DEBOUNCE_TIMES));
    Some(Debounce { wait_millis, key, max_wait_millis })
}

/// Writes the fields that `read` reads; absent values have no field.
#[cfg(feature = "host")]
pub(super) fn write(flow: &Flow, into: &mut Map<String, Value>) {
    let mut put = |name: &str, value: Value| into.insert(name.to_owned(), value);
    if let Some(key) = &flow.key {
        put("concurrency_key", key.as_str().into());
        put("concurrency_per_key", flow.per_key.into());
    }
    if let Some(rate) = flow.rate {
        put("rate", json!({ "runs": rate.runs, "per": duration_text(rate.per_millis) }));
    }
    if let Some(debounce) = &flow.debounce {
        let mut object = Map::new();
        object.insert("wait".to_owned(), duration_text(debounce.wait_millis).into());
        if let Some(key) = &debounce.key {
            object.insert("key".to_owned(), key.as_str().into());
        }
        object.insert("max_wait".to_owned(), duration_text(debounce.max_wait_millis).into());
        put("debounce", object.into());
    }
    if let Some(queue) = flow.queue {
        put("queue", queue.into());
    }
    put("idempotency_ttl", duration_text(flow.key_millis).into());
    if let Some(customer) = &flow.customer {
        put("customer_key", customer.as_str().into());
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::*;
    use crate::flow::{Debounce, Flow, KEY_MILLIS, Rate};

    fn parse(more: Value) -> Result<Manifest, Vec<InputProblem>> {
        let mut manifest = json!({ "module": "hello@0.1.0" });
        manifest.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        Manifest::parse_json(manifest.to_string().as_bytes())
    }

    use serde_json::Value;

    #[test]
    fn every_field_is_read_and_written() {
        let manifest = parse(json!({
            "concurrency_key": "/customer", "concurrency_per_key": 2, "rate": { "runs": 100, "per": "1m" },
            "debounce": { "wait": "5s", "key": "/id", "max_wait": "1m" }, "queue": 10_000, "idempotency_ttl": "2h",
            "customer_key": "/customer",
        }))
        .unwrap();
        let expected = Flow {
            key: Some("/customer".parse().unwrap()),
            per_key: 2,
            rate: Some(Rate { runs: 100, per_millis: 60_000 }),
            debounce: Some(Debounce { wait_millis: 5_000, key: Some("/id".parse().unwrap()), max_wait_millis: 60_000 }),
            queue: Some(10_000),
            key_millis: 7_200_000,
            customer: Some("/customer".parse().unwrap()),
        };
        assert_eq!(manifest.flow, expected);
        let json = manifest.to_json();
        assert_eq!(json["debounce"], json!({ "wait": "5s", "key": "/id", "max_wait": "1m" }));
        assert_eq!(Manifest::parse_json(json.to_string().as_bytes()), Ok(manifest));
    }

    #[test]
    fn absent_fields_have_their_defaults() {
        let flow = parse(json!({})).unwrap().flow;
        assert_eq!((flow.per_key, flow.key_millis), (1, KEY_MILLIS));
        let debounce = parse(json!({ "debounce": { "wait": "1s" } })).unwrap().flow.debounce.unwrap();
        assert_eq!((debounce.key, debounce.max_wait_millis), (None, 10_000));
    }

    #[test]
    fn problems_name_their_fields() {
        let problems = parse(json!({
            "concurrency_per_key": 2, "rate": { "runs": 0, "per": "1ms", "burst": 3 },
            "debounce": { "wait": "5s", "key": "id", "max_wait": "1s" }, "queue": 0, "idempotency_ttl": "0s",
        }))
        .unwrap_err();
        let mut found: Vec<_> = problems.iter().map(|problem| problem.pointer.as_str()).collect();
        found.sort_unstable();
        let expected = [
            "/concurrency_per_key",
            "/debounce/key",
            "/debounce/max_wait",
            "/idempotency_ttl",
            "/queue",
            "/rate/burst",
            "/rate/per",
            "/rate/runs",
        ];
        assert_eq!(found, expected, "{problems:#?}");
        assert!(problems.iter().all(|problem| problem.fix.ends_with('.')), "{problems:#?}");
    }
}
