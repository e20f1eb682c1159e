//! A webhook: receives HTTP deliveries that the host has authenticated and stored.

use serde::Deserialize;
use serde_json::json;
use tidemill_sdk::{Delivery, Reply, Result, info, state};

/// The body that the provider sends.
#[derive(Deserialize)]
struct Event {
    kind: String,
}

/// Called once per delivery. The host removes duplicates.
#[tidemill_sdk::webhook]
fn receive(delivery: Delivery) -> Result<Reply> {
    let event: Event = delivery.json()?;

    let key = key(&event.kind);
    let count = state::get_or_default::<u64>(&key)? + 1;
    state::set(&key, &count)?;

    info!("a delivery"; kind = event.kind, count = count, verified_by = delivery.verified_by);
    Reply::json(&json!({ "kind": event.kind, "count": count }))
}

/// Makes no host call, so that a native test can call it. A state key has up to 512 bytes.
fn key(kind: &str) -> String {
    format!("count/{}", kind.chars().take(100).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidemill_sdk::Timestamp;
    use tidemill_sdk::testing::Harness;

    #[test]
    fn a_key_has_its_bound() {
        assert_eq!(key("paid"), "count/paid");
        assert!(key(&"ä".repeat(10_000)).len() <= 512);
    }

    /// Runs it without a server, then again with a crash after each entry of its journal.
    #[test]
    fn deliveries_are_counted_by_their_kind() {
        let delivery = Delivery {
            id: "evt_1".into(),
            hook: "events".into(),
            method: "POST".into(),
            path: "/".into(),
            query: String::new(),
            headers: Vec::new(),
            body: br#"{"kind": "paid"}"#.to_vec(),
            received_at: Timestamp::from_millis(0),
            verified_by: "stripe".into(),
        };
        let harness = Harness::new()
            .manifest(include_str!("../tidemill.toml"))
            .state("count/paid", 1);
        let ran = harness.crash_everywhere(|(): ()| receive(delivery.clone()), ());
        assert_eq!(
            (ran.succeeded().status, ran.state("count/paid")),
            (200, Some(2))
        );
    }
}
