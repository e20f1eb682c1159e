//! Converts deliveries into the runs that they request.

use bytes::Bytes;
use serde_json::json;
use tidemill_core::delivery::{DeliveryOutcome, object_lane};
use tidemill_core::lane::Lane;
use tidemill_core::run::{Export, Trigger, TriggerKind};
use tidemill_core::{RunId, Timestamp};
use tidemill_store::records::{HookDelivery, NewRun};

use crate::deployment::active::ActiveDeployment;

/// Returns the request for a run of a delivery. `replay` is its outcome before
/// a replay.
pub(crate) fn request(
    live: &ActiveDeployment,
    delivery: &HookDelivery,
    id: RunId,
    replay: Option<DeliveryOutcome>,
    queue_max: u64,
    now: Timestamp,
) -> NewRun {
    let trigger = Trigger {
        kind: TriggerKind::Webhook,
        name: Some(delivery.hook.to_string()),
        id: Some(delivery.id.to_string()),
        details: replay.map(|outcome| json!({ "replay": true, "outcome": outcome.as_str() }).to_string()),
        ..Trigger::default()
    };
    // The store has the delivery, so the run has no input of its own. Each delivery makes a run of
    // its own: it is never debounced.
    let new = live.new_run(id, Export::Webhook, trigger, Bytes::new(), now);
    // The body takes no part in the customer, as in the key of flow control.
    let fields = if live.plan.has_fuel_budget() { fields(delivery).to_string() } else { String::new() };
    let terms = live.own_terms(fields.as_bytes(), queue_max);
    NewRun { lanes: lanes(live, delivery), terms, ..new }
}

/// Returns the lanes of a delivery: that of its object, and that of the deployment's flow control.
/// The body takes no part in the key of the latter.
fn lanes(live: &ActiveDeployment, delivery: &HookDelivery) -> Vec<Lane> {
    let mut lanes = Vec::new();
    if live.plan.flow.key.is_some() {
        lanes.extend(live.lanes(fields(delivery).to_string().as_bytes()));
    }
    lanes.extend(delivery.object.as_ref().map(|object| object_lane(&delivery.hook, object)));
    lanes
}

/// Returns a delivery as JSON in the form of the WIT, without its body.
pub(crate) fn fields(delivery: &HookDelivery) -> serde_json::Value {
    let headers: Vec<_> =
        delivery.headers.iter().map(|(name, value)| json!({ "name": name, "value": value })).collect();
    json!({
        "id": delivery.key,
        "hook": delivery.hook,
        "method": delivery.method,
        "path": delivery.path,
        "query": delivery.query,
        "headers": headers,
        "received-at": delivery.received_at.as_millis(),
        "verified-by": delivery.verified_by,
    })
}
