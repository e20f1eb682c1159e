//! The requests to the host. They are the same in every test, and their outcome does not depend on
//! their order.

use serde_json::{Value, json};

use crate::provider::Provider;

/// Name of the deployment of all runs.
pub const DEPLOYMENT: &str = "shop";

/// Name of the deployment that a run acts on.
pub const OPERATED: &str = "operated";

/// A run to request, with the signal that it waits for.
pub struct PlannedRun {
    pub key: String,
    pub input: Value,
    pub signal: Option<(&'static str, Value)>,
}

fn planned(key: String, input: Value) -> PlannedRun {
    PlannedRun { key, input, signal: None }
}

/// The manifest of the deployment.
pub fn manifest(provider: &Provider) -> Value {
    json!({
        "module": "survivor@1.0.0",
        "concurrency": 64,
        "config": { "provider": provider.url, "deployment": DEPLOYMENT },
        "grants": {
            "http": [provider.url], "ledger": true, "deployments": [DEPLOYMENT], "topics": ["shop.*"],
            "operator": { "actions": ["pause", "resume", "rollback"], "deployments": [OPERATED] },
        },
        "subscriptions": [{ "name": "notices", "topic": "shop.**" }],
        "retry": { "attempts": 4, "initial": "10ms", "max": "50ms", "then": "fail" },
        "health": { "enabled": false },
    })
}

/// A workload with every kind of run.
pub fn mixed() -> Vec<PlannedRun> {
    let mut all = orders(7);
    all.extend(transfers(10, 3));
    all.push(PlannedRun {
        signal: Some(("go", json!({ "by": "the test" }))),
        ..planned("hold".into(), json!({ "do": "hold" }))
    });
    all.push(planned("sleep".into(), json!({ "do": "sleep", "ms": 60 })));
    all.push(planned("wait".into(), json!({ "do": "wait", "ms": 40 })));
    all.push(planned("again".into(), json!({ "do": "again", "left": 3 })));
    // Too long to be stored inside a record.
    all.push(planned("keep".into(), json!({ "do": "keep", "text": "kept ".repeat(2_500) })));
    all.push(planned("operate".into(), json!({ "do": "operate", "deployment": OPERATED })));
    all.push(planned("nest".into(), json!({ "do": "nest", "outer": 4, "inner": 5 })));
    all
}

/// Orders. Every fourth is refused at shipping.
pub fn orders(count: u32) -> Vec<PlannedRun> {
    let order = |order: u32| PlannedRun {
        signal: Some(("shipped", json!(!order.is_multiple_of(4)))),
        ..planned(format!("order-{order}"), json!({ "do": "order", "order": order, "amount": 1_000 + order }))
    };
    (0..count).map(order).collect()
}

/// Transfers between ten accounts. Four of six fail on purpose at some point.
pub fn transfers(count: u32, seed: u64) -> Vec<PlannedRun> {
    let mut random = crate::host::pseudo_random(seed);
    let transfer = |number: u32| {
        let fails = ["never", "in-step", "after-step", "never", "in-every-step", "without-step"][number as usize % 6];
        let (from, to) = (random(10), random(10));
        let input = json!({ "do": "transfer", "from": from, "to": to, "amount": 1 + random(50), "fails": fails, "sleeps": random(4) * 40 });
        planned(format!("transfer-{number}"), input)
    };
    (0..count).map(transfer).collect()
}

/// Balances of the ten accounts after `transfers`, in any order.
pub fn balances(transfers: &[PlannedRun]) -> Vec<i64> {
    let mut balances = vec![1_000; 10];
    for PlannedRun { input, .. } in transfers {
        if ["never", "in-step", "after-step"].contains(&input["fails"].as_str().unwrap()) {
            let (from, to) = (input["from"].as_u64().unwrap(), input["to"].as_u64().unwrap());
            let amount = input["amount"].as_i64().unwrap();
            balances[usize::try_from(from).unwrap()] -= amount;
            balances[usize::try_from(to).unwrap()] += amount;
        }
    }
    balances
}
